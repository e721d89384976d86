//! `parlor channel`: lists and changes channels, their invitations and their seats.

use clap::{Args, Subcommand};
use parlor_proto::{Channel, ChannelId, Timestamp, UserId, limits};
use parlor_store::{StoreError, Stored, What};
use serde_json::{Value, json};

use crate::cli::channel_fields::{Field, Fields};
use crate::cli::output::{conflict, explain, missing, quoted};
use crate::cli::records::{Common, Records, all, channel_id, time, user_id};
use crate::cli::seat::{self, SeatCommand};
use crate::http::api::ChannelView;

/// The examples shown below the options.
pub const EXAMPLES: &str = "\
Examples:
  parlor channel create lobby --name 'The lobby'
      A free voice channel, open to everybody who is signed in.
  parlor channel create stage --tier pro --access members --spectators --owner olga
      Olga and the members speak, everybody else may listen.
  parlor channel update stage --max-participants 40 --closes-at 2100-01-31T22:00:00Z
      What is not named stays as it is.
  parlor channel update stage --spectators --max-spectators 200
      Listeners have a limit of their own, and take nobody's place.
  parlor channel update stage --clear closes-at --clear owner
  parlor channel invite table-5 alice
      For channels with --access invited.
  parlor channel seat put table-5 north alice
      For channels with --access seated.
  parlor channel list --json | jq -r '.[].id'";

/// How often an update is tried again when another writer was faster.
const ATTEMPTS: u32 = 5;
/// The columns of a table of channels.
const COLUMNS: [&str; 6] = ["id", "name", "kind", "tier", "access", "owner"];

/// The arguments of `parlor channel`.
#[derive(Debug, Args)]
pub struct ChannelArgs {
    #[command(subcommand)]
    command: ChannelCommand,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum ChannelCommand {
    /// List the channels
    List,
    /// Show a channel
    Show {
        /// Id of the channel
        #[arg(value_parser = channel_id)]
        channel: ChannelId,
    },
    /// Make a channel; a channel that is there already, exactly so, is left as it is
    Create {
        /// Id of the channel
        #[arg(value_parser = channel_id)]
        channel: ChannelId,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change a channel
    Update {
        /// Id of the channel
        #[arg(value_parser = channel_id)]
        channel: ChannelId,
        #[command(flatten)]
        fields: Fields,
        /// Unset this field; may be given again
        #[arg(long, value_name = "FIELD", value_enum)]
        clear: Vec<Field>,
        /// Update only if the channel is at this version, as `parlor channel show` tells it
        #[arg(long, value_name = "N")]
        if_version: Option<i64>,
    },
    /// Remove a channel with its members, invitations, seats and bans; who is in it is put out
    Delete {
        /// Id of the channel
        #[arg(value_parser = channel_id)]
        channel: ChannelId,
    },
    /// List who is invited to a channel, and who of them has come
    Invitations {
        /// Id of the channel
        #[arg(value_parser = channel_id)]
        channel: ChannelId,
    },
    /// Invite somebody to a channel
    Invite {
        /// Id of the channel
        #[arg(value_parser = channel_id)]
        channel: ChannelId,
        /// Id of the user: what `sub` is in their token
        #[arg(value_parser = user_id)]
        user: UserId,
    },
    /// Take an invitation back
    Uninvite {
        /// Id of the channel
        #[arg(value_parser = channel_id)]
        channel: ChannelId,
        /// Id of the user: what `sub` is in their token
        #[arg(value_parser = user_id)]
        user: UserId,
    },
    /// Seats of a channel, and who has them
    #[command(subcommand)]
    Seat(SeatCommand),
}

/// Carries out the command.
pub fn run(ChannelArgs { command, common }: ChannelArgs) -> anyhow::Result<()> {
    use ChannelCommand as C;
    let writes = match &command {
        C::List | C::Show { .. } | C::Invitations { .. } => false,
        C::Seat(command) => command.writes(),
        C::Create { .. } | C::Update { .. } | C::Delete { .. } | C::Invite { .. } | C::Uninvite { .. } => true,
    };
    common.run(writes, async |records| match command {
        C::List => list(records).await,
        C::Show { channel } => show(records, &channel).await,
        C::Create { channel, fields } => create(records, channel, fields).await,
        C::Update { channel, fields, clear, if_version } => update(records, channel, fields, &clear, if_version).await,
        C::Delete { channel } => delete(records, channel).await,
        C::Invitations { channel } => invitations(records, channel).await,
        C::Invite { channel, user } => invite(records, channel, user).await,
        C::Uninvite { channel, user } => uninvite(records, channel, user).await,
        C::Seat(command) => seat::run(records, command).await,
    })
}

async fn list(records: Records) -> anyhow::Result<()> {
    let channels = all("", async |page| records.store.channels(&page).await, |stored| stored.value.id.to_string()).await?;
    let rows = channels.iter().map(|channel| view(channel, records.now)).collect();
    records.output.list(rows, &COLUMNS, "There are no channels. Make one: parlor channel create lobby");
    Ok(())
}

async fn show(records: Records, id: &ChannelId) -> anyhow::Result<()> {
    records.output.one(&view(&read(&records, id).await?, records.now));
    Ok(())
}

async fn read(records: &Records, id: &ChannelId) -> anyhow::Result<Stored<Channel>> {
    let found = records.store.channel(id).await.map_err(|error| explain(error, id.as_str()))?;
    found.ok_or_else(|| explain(StoreError::NotFound(What::Channel), id.as_str()))
}

async fn create(records: Records, id: ChannelId, fields: Fields) -> anyhow::Result<()> {
    let wanted = fields.on(named_after(id.clone()));
    match records.store.create_channel(&wanted, &records.by, records.now).await {
        Ok(made) => records.output.done(&format!("Made the channel \"{id}\"."), &view(&made, records.now)),
        Err(StoreError::Exists(_)) => {
            let there = read(&records, &id).await?;
            if there.value != wanted {
                let how = format!("parlor channel update {} …", quoted(id.as_str()));
                return Err(conflict(format!("there is a channel \"{id}\" already, and it is another. To change it: {how}")));
            }
            records.output.done(&format!("The channel \"{id}\" is there already, exactly so."), &view(&there, records.now));
        }
        Err(error) => return Err(explain(error, id.as_str())),
    }
    Ok(())
}

async fn update(records: Records, id: ChannelId, fields: Fields, clear: &[Field], version: Option<i64>) -> anyhow::Result<()> {
    for attempt in 1.. {
        let before = read(&records, &id).await?;
        let mut wanted = fields.clone().on(before.value);
        clear.iter().for_each(|field| field.clear(&mut wanted));
        match records.store.put_channel(&wanted, Some(version.unwrap_or(before.version)), &records.by, records.now).await {
            Ok((after, _)) if after.version == before.version => {
                records.output.done(&format!("The channel \"{id}\" is so already."), &view(&after, records.now));
                break;
            }
            Ok((after, _)) => {
                records
                    .output
                    .done(&format!("Changed the channel \"{id}\"; it is at version {} now.", after.version), &view(&after, records.now));
                break;
            }
            // The update is not bound to a version, so what others changed meanwhile stays.
            Err(StoreError::Stale { .. }) if version.is_none() && attempt < ATTEMPTS => {}
            Err(StoreError::Stale { version }) => {
                let look = format!("parlor channel show {}", quoted(id.as_str()));
                return Err(conflict(format!("the channel \"{id}\" is at version {version}. See what it is now: {look}")));
            }
            Err(error) => return Err(explain(error, id.as_str())),
        }
    }
    Ok(())
}

async fn delete(records: Records, id: ChannelId) -> anyhow::Result<()> {
    records.store.delete_channel(&id, &records.by, records.now).await.map_err(|error| explain(error, id.as_str()))?;
    records.output.done(&format!("Removed the channel \"{id}\"."), &json!({ "id": id }));
    Ok(())
}

async fn invitations(records: Records, id: ChannelId) -> anyhow::Result<()> {
    records.need_channel(&id).await?;
    let found = all(id.as_str(), async |page| records.store.invitations(&id, &page).await, |row| row.user.to_string()).await?;
    let row = |invitee: &parlor_store::Invitee| json!({ "userId": invitee.user, "state": invitee.state, "updatedAt": time(Some(invitee.updated_at)) });
    let none = format!("Nobody is invited to \"{id}\".");
    records.output.list(found.iter().map(row).collect(), &["userId", "state", "updatedAt"], &none);
    Ok(())
}

async fn invite(records: Records, id: ChannelId, user: UserId) -> anyhow::Result<()> {
    let new = match records.store.invite(&id, &user, &records.by, records.now).await {
        Ok(new) => new,
        Err(StoreError::Conflict(_)) => {
            let first = format!("parlor channel uninvite {} {}", quoted(id.as_str()), quoted(user.as_str()));
            return Err(conflict(format!("{user} has left \"{id}\" for good. To invite them again, first: {first}")));
        }
        Err(error) => return Err(explain(error, id.as_str())),
    };
    let sentence = if new { "Invited" } else { "Was invited already:" };
    records.output.done(&format!("{sentence} {user} to \"{id}\"."), &json!({ "channelId": id, "userId": user, "created": new }));
    Ok(())
}

async fn uninvite(records: Records, id: ChannelId, user: UserId) -> anyhow::Result<()> {
    match records.store.delete_invitation(&id, &user, &records.by, records.now).await {
        Ok(()) => {}
        Err(StoreError::NotFound(_)) => {
            let look = format!("parlor channel invitations {}", quoted(id.as_str()));
            return Err(missing(format!("{user} is not invited to \"{id}\". See who is: {look}")));
        }
        Err(error) => return Err(explain(error, id.as_str())),
    }
    records.output.done(&format!("Took back the invitation of {user} to \"{id}\"."), &json!({ "channelId": id, "userId": user }));
    Ok(())
}

/// A channel as the REST API shows it at a moment.
fn view(stored: &Stored<Channel>, now: Timestamp) -> Value {
    json!(ChannelView::at(stored.clone(), now))
}

/// A channel whose name is its id, as far as a name may be that long.
fn named_after(id: ChannelId) -> Channel {
    let name: String = id.as_str().chars().take(limits::MAX_NAME_CHARS).collect();
    Channel::new(id, name.trim_end().to_owned())
}
