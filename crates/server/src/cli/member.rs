//! `parlor member`: lists, adds and removes members of a channel.

use clap::{Args, Subcommand};
use parlor_proto::{ChannelId, MemberRole, UserId};
use parlor_store::{Member, StoreError};
use serde_json::json;

use crate::cli::output::{explain, missing, quoted};
use crate::cli::records::{Common, Records, all, channel_id, time, user_id};

/// The examples shown below the options.
pub const EXAMPLES: &str = "\
Examples:
  parlor member add stage alice
      For channels with --access members.
  parlor member add lobby bob --moderator
      Bob may mute, kick and ban there; a member is made a moderator so, too.
  parlor member remove stage alice
  parlor member list stage --json";

/// The arguments of `parlor member`.
#[derive(Debug, Args)]
pub struct MemberArgs {
    #[command(subcommand)]
    command: MemberCommand,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum MemberCommand {
    /// List the members of a channel
    List {
        /// Id of the channel
        #[arg(value_parser = channel_id)]
        channel: ChannelId,
    },
    /// Make somebody a member, or a moderator
    Add {
        /// Id of the channel
        #[arg(value_parser = channel_id)]
        channel: ChannelId,
        /// Id of the user: what `sub` is in their token
        #[arg(value_parser = user_id)]
        user: UserId,
        /// The member may mute, kick and ban in this channel
        #[arg(long)]
        moderator: bool,
    },
    /// End a membership
    Remove {
        /// Id of the channel
        #[arg(value_parser = channel_id)]
        channel: ChannelId,
        /// Id of the user: what `sub` is in their token
        #[arg(value_parser = user_id)]
        user: UserId,
    },
}

/// Carries out the command.
pub fn run(MemberArgs { command, common }: MemberArgs) -> anyhow::Result<()> {
    let writes = !matches!(command, MemberCommand::List { .. });
    common.run(writes, async |records| match command {
        MemberCommand::List { channel } => list(records, channel).await,
        MemberCommand::Add { channel, user, moderator } => add(records, channel, user, moderator).await,
        MemberCommand::Remove { channel, user } => remove(records, channel, user).await,
    })
}

async fn list(records: Records, channel: ChannelId) -> anyhow::Result<()> {
    records.need_channel(&channel).await?;
    let found = all(channel.as_str(), async |page| records.store.members(&channel, &page).await, |member| member.user.to_string()).await?;
    let row = |member: &Member| json!({ "userId": member.user, "role": member.role, "updatedAt": time(Some(member.updated_at)) });
    let none = format!("\"{channel}\" has no members. Add one: parlor member add {} alice", quoted(channel.as_str()));
    records.output.list(found.iter().map(row).collect(), &["userId", "role", "updatedAt"], &none);
    Ok(())
}

async fn add(records: Records, channel: ChannelId, user: UserId, moderator: bool) -> anyhow::Result<()> {
    let role = if moderator { MemberRole::Moderator } else { MemberRole::Member };
    let put = records.store.put_member(&channel, &user, role, &records.by, records.now).await;
    let new = put.map_err(|error| explain(error, channel.as_str()))?;
    let what = if moderator { "moderator" } else { "member" };
    records.output.done(
        &format!("{user} is a {what} of \"{channel}\"."),
        &json!({ "channelId": channel, "userId": user, "role": role, "created": new }),
    );
    Ok(())
}

async fn remove(records: Records, channel: ChannelId, user: UserId) -> anyhow::Result<()> {
    match records.store.delete_member(&channel, &user, &records.by, records.now).await {
        Ok(()) => {}
        Err(StoreError::NotFound(_)) => {
            let look = format!("parlor member list {}", quoted(channel.as_str()));
            return Err(missing(format!("{user} is no member of \"{channel}\". See who is: {look}")));
        }
        Err(error) => return Err(explain(error, channel.as_str())),
    }
    records.output.done(&format!("{user} is no member of \"{channel}\" any more."), &json!({ "channelId": channel, "userId": user }));
    Ok(())
}
