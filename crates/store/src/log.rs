//! The audit log for people, and the change log for processes.

use parlor_proto::{Actor, ChannelId, Moderation, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::change_kind::ChangeKind;
use crate::rows::{Row, answer, check_text, each};
use crate::write::Logged;
use crate::{Page, Store, StoreError};

/// One line of the audit log: who did what, when, to whom. Lines are never changed; old ones go ([`Store::trim_audit`]).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// The number of the line: later lines have higher ones.
    pub seq: i64,
    /// The moment of the write.
    pub at: Timestamp,
    /// The one who wrote.
    pub by: Actor,
    /// The action, as `channel.update`.
    pub action: String,
    /// The channel that was written to.
    pub channel: Option<ChannelId>,
    /// The user it concerns.
    pub user: Option<UserId>,
    /// The rest, depending on the action.
    pub details: Value,
}

/// One line of the change log.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// The number of the line: later lines have higher ones, with gaps.
    pub seq: i64,
    /// When it was written.
    pub at: Timestamp,
    /// Whether this store (this process) wrote it, and so may have acted on it already.
    pub own: bool,
    /// What kind of thing was changed.
    pub kind: ChangeKind,
    /// In which channel; `None`: in all of them.
    pub channel: Option<ChannelId>,
    /// For whom; `None`: for everybody.
    pub user: Option<UserId>,
    /// The details, as they are in the audit log.
    pub details: Value,
}

/// What [`Store::command`] writes into the details.
#[derive(Serialize, Deserialize)]
struct Command {
    by: Actor,
    command: Moderation,
}

impl Change {
    /// The act of moderation to carry out, and whose it is; `None` for every other kind.
    #[must_use]
    pub fn command(&self) -> Option<(Actor, Moderation)> {
        if self.kind != ChangeKind::Moderation {
            return None;
        }
        let Command { by, command } = serde_json::from_value(self.details.clone()).ok()?;
        Some((by, command))
    }
}

impl Store {
    /// Writes a line into the audit log, and nothing else.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn record(
        &self,
        by: &Actor,
        action: &str,
        channel: Option<&ChannelId>,
        user: Option<&UserId>,
        details: Value,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        check_text("action", action)?;
        self.write(by, now).await?.commit(Logged { action, change: None, channel, user, details }).await
    }

    /// Tells every process, this one too, to do something in a running room, and writes it into the audit log as
    /// `moderation.kick` and so on.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn command(&self, channel: &ChannelId, command: &Moderation, by: &Actor, now: Timestamp) -> Result<(), StoreError> {
        let details = serde_json::to_value(Command { by: by.clone(), command: command.clone() });
        let details = details.map_err(|_| StoreError::Failed("an act of moderation cannot be written as JSON"))?;
        let action = format!("moderation.{}", command.name());
        let (change, channel, user) = (Some(ChangeKind::Moderation), Some(channel), command.user());
        self.write(by, now).await?.commit(Logged { action: &action, change, channel, user, details }).await
    }

    /// The audit log, of one channel or of everything, the newest line first. A page's `after` is a line's number:
    /// the page has the lines before it.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if `after` is no number.
    pub async fn audit(&self, channel: Option<&ChannelId>, page: &Page) -> Result<Vec<AuditEntry>, StoreError> {
        let below = match &page.after {
            Some(seq) => seq.parse().map_err(|_| StoreError::Invalid { field: "after", problem: "must be the number of a line" })?,
            None => i64::MAX,
        };
        // One statement each: with `OR channel IS NULL` in one, neither database would use the index.
        let list = match channel {
            None => sqlx::query(
                "SELECT seq, at, actor, action, channel_id, user_id, details FROM audit \
                 WHERE seq < $1 ORDER BY seq DESC LIMIT $2",
            ),
            Some(_) => sqlx::query(
                "SELECT seq, at, actor, action, channel_id, user_id, details FROM audit \
                 WHERE seq < $1 AND channel_id = $3 ORDER BY seq DESC LIMIT $2",
            ),
        };
        let list = list.bind(below).bind(page.rows());
        let list = match channel {
            None => list,
            Some(channel) => list.bind(channel.as_str().to_owned()),
        };
        each(answer(list.fetch_all(&self.pool)).await?, entry)
    }

    /// What was changed after this number, in order. None that is committed later has a number below those returned. A line
    /// that cannot be read is there as [`ChangeKind::Other`]: whoever follows the log must get past it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn changes_after(&self, seq: i64, limit: u32) -> Result<Vec<Change>, StoreError> {
        let list =
            sqlx::query("SELECT seq, at, origin, kind, channel_id, user_id, details FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2");
        let rows = answer(list.bind(seq).bind(Page::first(limit).rows()).fetch_all(&self.pool)).await?;
        each(rows, |row| self.change(row))
    }

    fn change(&self, row: &Row) -> Result<Change, StoreError> {
        let seq = row.get("seq")?;
        Ok(self.readable_change(seq, row).unwrap_or_else(|error| {
            tracing::error!(seq, %error, "a change cannot be read, and is stepped over");
            let (kind, details) = (ChangeKind::Other, Value::Null);
            Change { seq, at: Timestamp(0), own: false, kind, channel: None, user: None, details }
        }))
    }

    fn readable_change(&self, seq: i64, row: &Row) -> Result<Change, StoreError> {
        let origin: &str = row.get("origin")?;
        let kind: String = row.get("kind")?;
        Ok(Change {
            seq,
            at: row.time("at")?,
            own: origin == &*self.origin,
            kind: serde_json::from_value(Value::String(kind)).unwrap_or(ChangeKind::Other),
            channel: row.channel_or_null("channel_id")?,
            user: row.user_or_null("user_id")?,
            details: row.json("details")?,
        })
    }

    /// The number everything up to now has at the most: where a process that starts begins to look.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn last_change(&self) -> Result<i64, StoreError> {
        answer(sqlx::query_scalar("SELECT value FROM counters WHERE name = 'log'").fetch_one(&self.pool)).await
    }
}

fn entry(row: &Row) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        seq: row.get("seq")?,
        at: row.time("at")?,
        by: row.actor("actor")?,
        action: row.get("action")?,
        channel: row.channel_or_null("channel_id")?,
        user: row.user_or_null("user_id")?,
        details: row.json("details")?,
    })
}
