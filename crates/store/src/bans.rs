//! The bans of a channel: who is kept out, and until when.

use parlor_proto::{Actor, ChannelId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::change_kind::ChangeKind;
use crate::rows::{Row, answer, check_text, each};
use crate::write::{Logged, Write};
use crate::{Page, Store, StoreError, What};

/// People whom moderators keep out of a channel at a time. They may ban whom nobody has ever seen, and each ban is a row for
/// good: this is far more than a call has people, and no burden. Those of the operator do not count, and have no limit.
pub const MAX_BANS_BY_MODERATORS: i64 = 1_000;

/// What putting a ban changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BanPut {
    /// The user was not banned before. A ban that has ended does not count.
    New,
    /// The user was banned until another moment, or for another reason.
    Changed,
    /// Nothing has changed: the ban was as it is, and is in no log again.
    Same,
}

/// A user who is kept out of a channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BanRecord {
    /// The user who is kept out.
    pub user: UserId,
    /// The first moment at which they may come back; `None`: it does not end.
    pub until: Option<Timestamp>,
    /// The reason in words.
    pub reason: Option<String>,
    /// The one who put it there, or last changed it.
    pub by: Actor,
    /// When it was put there, or last changed.
    pub updated_at: Timestamp,
}

/// The condition, for `WHERE`, that a ban has not ended at the moment `$2`.
macro_rules! in_force {
    () => {
        "(until_at IS NULL OR until_at > $2)"
    };
}

impl Store {
    /// Bans somebody, or changes their ban.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such channel, [`StoreError::Invalid`] if `until` is not in the future,
    /// [`StoreError::TooMany`] for a moderator in a channel with [`MAX_BANS_BY_MODERATORS`].
    pub async fn put_ban(
        &self,
        channel: &ChannelId,
        user: &UserId,
        until: Option<Timestamp>,
        reason: Option<&str>,
        by: &Actor,
        now: Timestamp,
    ) -> Result<BanPut, StoreError> {
        check_text("reason", reason.unwrap_or_default())?;
        if until.is_some_and(|until| until <= now) {
            return Err(StoreError::Invalid { field: "until", problem: "must be in the future" });
        }
        let mut write = self.write(by, now).await?;
        write.need_channel(channel).await?;
        let before = read(&mut write, channel, user).await?;
        if before.as_ref().is_some_and(|ban| ban.until == until && ban.reason.as_deref() == reason) {
            return Ok(BanPut::Same);
        }
        if before.is_none() && matches!(by, Actor::Session(_)) {
            need_room(&mut write, channel).await?;
        }
        let put = sqlx::query(
            "INSERT INTO bans (channel_id, user_id, until_at, reason, actor, updated_at) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (channel_id, user_id) DO UPDATE SET until_at = excluded.until_at, reason = excluded.reason, \
             actor = excluded.actor, updated_at = excluded.updated_at",
        );
        let put = put.bind(channel.as_str().to_owned()).bind(user.as_str().to_owned()).bind(until.map(|t| t.0));
        let put = put.bind(reason.map(str::to_owned)).bind(write.by.clone()).bind(now.0);
        answer(put.execute(write.sql())).await?;
        // Those that have ended have no other way to go.
        let ended = sqlx::query("DELETE FROM bans WHERE channel_id = $1 AND until_at <= $2");
        answer(ended.bind(channel.as_str().to_owned()).bind(now.0).execute(write.sql())).await?;
        write.commit(logged("ban.put", channel, user, json!({ "until": until, "reason": reason }))).await?;
        Ok(if before.is_none() { BanPut::New } else { BanPut::Changed })
    }

    /// Lifts a user's ban.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none, or it has ended.
    pub async fn delete_ban(&self, channel: &ChannelId, user: &UserId, by: &Actor, now: Timestamp) -> Result<(), StoreError> {
        let mut write = self.write(by, now).await?;
        let before = read(&mut write, channel, user).await?.ok_or(StoreError::NotFound(What::Ban))?;
        let delete = sqlx::query("DELETE FROM bans WHERE channel_id = $1 AND user_id = $2");
        let delete = delete.bind(channel.as_str().to_owned()).bind(user.as_str().to_owned());
        answer(delete.execute(write.sql())).await?;
        let details = json!({ "before": { "until": before.until, "reason": before.reason } });
        write.commit(logged("ban.delete", channel, user, details)).await
    }

    /// The bans of a channel that are in force at this moment, by user id.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn bans(&self, channel: &ChannelId, page: &Page, now: Timestamp) -> Result<Vec<BanRecord>, StoreError> {
        let list = sqlx::query(concat!(
            "SELECT user_id, until_at, reason, actor, updated_at FROM bans WHERE channel_id = $1 AND ",
            in_force!(),
            " AND user_id > $3 ORDER BY user_id LIMIT $4"
        ));
        let list = list.bind(channel.as_str().to_owned()).bind(now.0).bind(page.from()?).bind(page.rows());
        each(answer(list.fetch_all(&self.pool)).await?, record)
    }
}

/// Fails if moderators have banned as many in this channel as they may.
async fn need_room(write: &mut Write, channel: &ChannelId) -> Result<(), StoreError> {
    // Compared with a text, not by LIKE, in which SQLite passes over case: `user:` is how a moderator begins.
    let count = sqlx::query_scalar(concat!(
        "SELECT COUNT(*) FROM bans WHERE channel_id = $1 AND ",
        in_force!(),
        " AND SUBSTR(actor, 1, 5) = 'user:'"
    ));
    let count: i64 = answer(count.bind(channel.as_str().to_owned()).bind(write.now.0).fetch_one(write.sql())).await?;
    if count < MAX_BANS_BY_MODERATORS {
        return Ok(());
    }
    Err(StoreError::TooMany(
        "moderators have banned as many people from this channel as they may: ask who runs the server to lift bans that are not needed any more",
    ))
}

async fn read(write: &mut Write, channel: &ChannelId, user: &UserId) -> Result<Option<BanRecord>, StoreError> {
    let read = sqlx::query(concat!(
        "SELECT user_id, until_at, reason, actor, updated_at FROM bans WHERE channel_id = $1 AND ",
        in_force!(),
        " AND user_id = $3"
    ));
    let read = read.bind(channel.as_str().to_owned()).bind(write.now.0).bind(user.as_str().to_owned());
    answer(read.fetch_optional(write.sql())).await?.map(|row| record(&Row(row))).transpose()
}

fn record(row: &Row) -> Result<BanRecord, StoreError> {
    Ok(BanRecord {
        user: row.user("user_id")?,
        until: row.time_or_null("until_at")?,
        reason: row.get("reason")?,
        by: row.actor("actor")?,
        updated_at: row.time("updated_at")?,
    })
}

fn logged<'a>(action: &'a str, channel: &'a ChannelId, user: &'a UserId, details: serde_json::Value) -> Logged<'a> {
    Logged { action, change: Some(ChangeKind::Ban), channel: Some(channel), user: Some(user), details }
}
