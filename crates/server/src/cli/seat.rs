//! `parlor channel seat`: lists and changes the named seats of a channel.

use clap::Subcommand;
use parlor_proto::{ChannelId, UserId};
use parlor_store::{Seat, StoreError};
use serde_json::json;

use crate::cli::output::{conflict, explain, missing, quoted};
use crate::cli::records::{Records, all, channel_id, seat as name, time, user_id};

/// The commands of `parlor channel seat`.
#[derive(Debug, Subcommand)]
pub enum SeatCommand {
    /// List the seats of a channel
    List {
        /// Id of the channel
        #[arg(value_parser = channel_id)]
        channel: ChannelId,
    },
    /// Make a seat, or give one to somebody
    Put {
        /// Id of the channel
        #[arg(value_parser = channel_id)]
        channel: ChannelId,
        /// Name of the seat
        #[arg(value_parser = name)]
        seat: String,
        /// Id of the user who gets the seat [default: the seat stays as it is, or is free when it is made]
        #[arg(value_parser = user_id)]
        user: Option<UserId>,
    },
    /// Take a seat from whoever has it
    Free {
        /// Id of the channel
        #[arg(value_parser = channel_id)]
        channel: ChannelId,
        /// Name of the seat
        #[arg(value_parser = name)]
        seat: String,
    },
    /// Remove a seat
    Delete {
        /// Id of the channel
        #[arg(value_parser = channel_id)]
        channel: ChannelId,
        /// Name of the seat
        #[arg(value_parser = name)]
        seat: String,
    },
}

impl SeatCommand {
    /// Whether the command changes anything.
    pub const fn writes(&self) -> bool {
        !matches!(self, Self::List { .. })
    }
}

/// Carries out the command.
pub async fn run(records: Records, command: SeatCommand) -> anyhow::Result<()> {
    match command {
        SeatCommand::List { channel } => list(records, channel).await,
        SeatCommand::Put { channel, seat, user } => put(records, channel, seat, user).await,
        SeatCommand::Free { channel, seat } => free(records, channel, seat).await,
        SeatCommand::Delete { channel, seat } => delete(records, channel, seat).await,
    }
}

async fn seats(records: &Records, channel: &ChannelId) -> anyhow::Result<Vec<Seat>> {
    records.need_channel(channel).await?;
    all(channel.as_str(), async |page| records.store.seats(channel, &page).await, |seat| seat.seat.clone()).await
}

async fn list(records: Records, channel: ChannelId) -> anyhow::Result<()> {
    let row = |seat: &Seat| json!({ "seat": seat.seat, "userId": seat.user, "updatedAt": time(Some(seat.updated_at)) });
    let rows = seats(&records, &channel).await?.iter().map(row).collect();
    let none = format!("\"{channel}\" has no seats. Make one: parlor channel seat put {} north", quoted(channel.as_str()));
    records.output.list(rows, &["seat", "userId", "updatedAt"], &none);
    Ok(())
}

async fn put(records: Records, channel: ChannelId, seat: String, user: Option<UserId>) -> anyhow::Result<()> {
    if user.is_none() && seats(&records, &channel).await?.iter().any(|there| there.seat == seat) {
        records.output.done(&format!("\"{channel}\" has the seat \"{seat}\" already."), &json!({ "seat": seat, "created": false }));
        return Ok(());
    }
    let made = match records.store.put_seat(&channel, &seat, user.as_ref(), &records.by, records.now).await {
        Ok(made) => made,
        Err(StoreError::Exists(_)) => {
            let first = format!("parlor channel seat free {} {}", quoted(channel.as_str()), quoted(&seat));
            return Err(conflict(format!("somebody else has the seat \"{seat}\". First: {first}")));
        }
        Err(error) => return Err(explain(error, channel.as_str())),
    };
    let sentence = match &user {
        Some(user) => format!("{user} has the seat \"{seat}\" of \"{channel}\"."),
        None => format!("Made the seat \"{seat}\" of \"{channel}\"; it is free."),
    };
    records.output.done(&sentence, &json!({ "channelId": channel, "seat": seat, "userId": user, "created": made }));
    Ok(())
}

async fn free(records: Records, channel: ChannelId, seat: String) -> anyhow::Result<()> {
    if !seats(&records, &channel).await?.iter().any(|there| there.seat == seat) {
        return Err(no_seat(&channel, &seat));
    }
    records.store.put_seat(&channel, &seat, None, &records.by, records.now).await.map_err(|error| explain(error, channel.as_str()))?;
    records
        .output
        .done(&format!("The seat \"{seat}\" of \"{channel}\" is free."), &json!({ "channelId": channel, "seat": seat, "userId": null }));
    Ok(())
}

async fn delete(records: Records, channel: ChannelId, seat: String) -> anyhow::Result<()> {
    match records.store.delete_seat(&channel, &seat, &records.by, records.now).await {
        Ok(()) => {
            records.output.done(&format!("Removed the seat \"{seat}\" of \"{channel}\"."), &json!({ "channelId": channel, "seat": seat }))
        }
        Err(StoreError::NotFound(_)) => return Err(no_seat(&channel, &seat)),
        Err(error) => return Err(explain(error, channel.as_str())),
    }
    Ok(())
}

fn no_seat(channel: &ChannelId, seat: &str) -> anyhow::Error {
    let look = format!("parlor channel seat list {}", quoted(channel.as_str()));
    missing(format!("\"{channel}\" has no seat \"{seat}\". See which it has: {look}"))
}
