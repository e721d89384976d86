//! `parlor ban`: lists, adds and lifts bans of a channel.

use clap::{Args, Subcommand};
use parlor_proto::ids::check_name;
use parlor_proto::{ChannelId, Timestamp, UserId, limits};
use parlor_store::{BanPut, BanRecord, StoreError};
use serde_json::json;

use crate::cli::output::{explain, missing, quoted};
use crate::cli::records::{Common, Records, all, channel_id, moment, period, time, user_id};
use crate::config::Period;

/// The examples shown below the options.
pub const EXAMPLES: &str = "\
Examples:
  parlor ban add lobby mallory --for 2h --reason 'Shouting'
      Puts mallory out at once, and keeps them out for two hours. They are told the reason.
  parlor ban add lobby mallory
      For good: until the ban is removed.
  parlor ban remove lobby mallory
  parlor ban list lobby";

/// The arguments of `parlor ban`.
#[derive(Debug, Args)]
pub struct BanArgs {
    #[command(subcommand)]
    command: BanCommand,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum BanCommand {
    /// List the bans of a channel that hold now
    List {
        /// Id of the channel
        #[arg(value_parser = channel_id)]
        channel: ChannelId,
    },
    /// Ban somebody, or change their ban
    Add {
        /// Id of the channel
        #[arg(value_parser = channel_id)]
        channel: ChannelId,
        /// Id of the user: what `sub` is in their token
        #[arg(value_parser = user_id)]
        user: UserId,
        /// How long the ban holds, as 30s, 10m, 2h or 7d [default: for good]
        #[arg(long = "for", value_name = "TIME", value_parser = period, conflicts_with = "until")]
        period: Option<Period>,
        /// The first moment the user may come back, as 2100-12-24T18:00:00Z
        #[arg(long, value_name = "TIME", value_parser = moment)]
        until: Option<Timestamp>,
        /// The reason the user is told
        #[arg(long, value_parser = reason)]
        reason: Option<String>,
    },
    /// Lift a ban
    Remove {
        /// Id of the channel
        #[arg(value_parser = channel_id)]
        channel: ChannelId,
        /// Id of the user: what `sub` is in their token
        #[arg(value_parser = user_id)]
        user: UserId,
    },
}

fn reason(text: &str) -> Result<String, &'static str> {
    check_name(text, limits::MAX_REASON_CHARS).map(|()| text.to_owned())
}

/// Carries out the command.
pub fn run(BanArgs { command, common }: BanArgs) -> anyhow::Result<()> {
    let writes = !matches!(command, BanCommand::List { .. });
    common.run(writes, async |records| match command {
        BanCommand::List { channel } => list(records, channel).await,
        BanCommand::Add { channel, user, period, until, reason } => {
            let until = until.or(period.map(|period| Timestamp(records.now.0.saturating_add(period.as_millis()))));
            add(records, channel, user, until, reason).await
        }
        BanCommand::Remove { channel, user } => remove(records, channel, user).await,
    })
}

async fn list(records: Records, channel: ChannelId) -> anyhow::Result<()> {
    records.need_channel(&channel).await?;
    let read = async |page| records.store.bans(&channel, &page, records.now).await;
    let found = all(channel.as_str(), read, |ban: &BanRecord| ban.user.to_string()).await?;
    let row = |ban: &BanRecord| {
        let (until, updated) = (time(ban.until), time(Some(ban.updated_at)));
        json!({ "userId": ban.user, "until": until, "reason": ban.reason, "by": ban.by.to_string(), "updatedAt": updated })
    };
    let none = format!("Nobody is banned from \"{channel}\".");
    records.output.list(found.iter().map(row).collect(), &["userId", "until", "by", "reason"], &none);
    Ok(())
}

async fn add(records: Records, channel: ChannelId, user: UserId, until: Option<Timestamp>, reason: Option<String>) -> anyhow::Result<()> {
    let put = records.store.put_ban(&channel, &user, until, reason.as_deref(), &records.by, records.now).await;
    let new = put.map_err(|error| explain(error, channel.as_str()))?;
    let how_long = until.map_or("for good".to_owned(), |until| format!("until {until}"));
    let value = json!({ "channelId": channel, "userId": user, "until": time(until), "reason": reason, "created": new == BanPut::New });
    records.output.done(&format!("{user} is banned from \"{channel}\" {how_long}."), &value);
    Ok(())
}

async fn remove(records: Records, channel: ChannelId, user: UserId) -> anyhow::Result<()> {
    match records.store.delete_ban(&channel, &user, &records.by, records.now).await {
        Ok(()) => {}
        Err(StoreError::NotFound(_)) => {
            let look = format!("parlor ban list {}", quoted(channel.as_str()));
            return Err(missing(format!("{user} is not banned from \"{channel}\". See who is: {look}")));
        }
        Err(error) => return Err(explain(error, channel.as_str())),
    }
    records.output.done(&format!("{user} may come back to \"{channel}\"."), &json!({ "channelId": channel, "userId": user }));
    Ok(())
}
