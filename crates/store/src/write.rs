//! One administrative write: a transaction with the change, its audit row and its change row.

use std::sync::Arc;
use std::time::Duration;

use parlor_proto::{Actor, ChannelId, Timestamp, UserId};
use serde_json::Value;
use sqlx::{Any, AnyConnection, Transaction};
use tokio::sync::OwnedMutexGuard;

use crate::change_kind::ChangeKind;
use crate::dialect::Dialect;
use crate::rows::answer;
use crate::{Store, StoreError, What};

/// How long a writer waits for those before it. Each of them has a deadline of its own, and a queue of them does not: whoever
/// asked is better told than kept.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// A transaction that has the right to write. Dropped without [`Write::commit`], it never was.
pub(crate) struct Write {
    transaction: Transaction<'static, Any>,
    /// The number of the write in the logs: nobody else commits before this one with a higher number.
    pub(crate) seq: i64,
    pub(crate) now: Timestamp,
    pub(crate) by: String,
    origin: Arc<str>,
    // After the transaction: fields are dropped in order, and the next writer may begin only then.
    _turn: Option<OwnedMutexGuard<()>>,
}

/// What the logs say of a write.
pub(crate) struct Logged<'a> {
    pub(crate) action: &'a str,
    /// What the other processes are told; `None`: it is no concern of theirs.
    pub(crate) change: Option<ChangeKind>,
    pub(crate) channel: Option<&'a ChannelId>,
    pub(crate) user: Option<&'a UserId>,
    pub(crate) details: Value,
}

impl Store {
    /// Begins a write. Writes follow one another: whoever is second sees what the first one wrote.
    pub(crate) async fn write(&self, by: &Actor, now: Timestamp) -> Result<Write, StoreError> {
        let by = by.to_string();
        crate::rows::check_text("the name of who does this", &by)?;
        let turn = self.turn().await?;
        let mut transaction = self.begin().await?;
        // The row stays locked until the end of the transaction, on PostgreSQL too: numbers are committed in order.
        let taken = sqlx::query_scalar("UPDATE counters SET value = value + 1 WHERE name = 'log' RETURNING value");
        let seq = answer(taken.fetch_one(&mut *transaction)).await?;
        Ok(Write { transaction, seq, now, by, origin: Arc::clone(&self.origin), _turn: turn })
    }

    /// Waits until the writers of this process that came earlier are done, where only one can write.
    pub(crate) async fn turn(&self) -> Result<Option<OwnedMutexGuard<()>>, StoreError> {
        let Some(gate) = &self.gate else { return Ok(None) };
        match tokio::time::timeout(TURN_TIMEOUT, Arc::clone(gate).lock_owned()).await {
            Ok(turn) => Ok(Some(turn)),
            Err(_) => Err(StoreError::Unavailable("others kept it busy")),
        }
    }

    /// Begins a transaction that is going to write, if this process still may.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Any>, StoreError> {
        // Deferred, two of SQLite's transactions could each hold what the other waits for, and one would have to fail.
        let begin = if self.dialect == Dialect::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };
        let mut transaction = answer(self.pool.begin_with(begin)).await?;
        self.check_fence(&mut transaction).await?;
        Ok(transaction)
    }
}

impl Write {
    /// The connection, for statements of the transaction.
    pub(crate) fn sql(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }

    /// Fails unless the channel exists.
    pub(crate) async fn need_channel(&mut self, channel: &ChannelId) -> Result<(), StoreError> {
        let found = sqlx::query("SELECT id FROM channels WHERE id = $1").bind(channel.as_str());
        let found = answer(found.fetch_optional(self.sql())).await?;
        found.map(drop).ok_or(StoreError::NotFound(What::Channel))
    }

    /// Writes the logs and makes everything last.
    pub(crate) async fn commit(mut self, logged: Logged<'_>) -> Result<(), StoreError> {
        let (seq, at) = (self.seq, self.now.0);
        let channel = logged.channel.map(|c| c.as_str().to_owned());
        let user = logged.user.map(|u| u.as_str().to_owned());
        let details = logged.details.to_string();
        let audit =
            sqlx::query("INSERT INTO audit (seq, at, actor, action, channel_id, user_id, details) VALUES ($1, $2, $3, $4, $5, $6, $7)");
        let audit = audit.bind(seq).bind(at).bind(self.by.clone()).bind(logged.action.to_owned());
        answer(audit.bind(channel.clone()).bind(user.clone()).bind(details.clone()).execute(&mut *self.transaction)).await?;
        if let Some(kind) = logged.change {
            let change = sqlx::query(
                "INSERT INTO changes (seq, at, origin, kind, channel_id, user_id, details) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            );
            let change = change.bind(seq).bind(at).bind(self.origin.to_string()).bind(crate::rows::word(kind));
            answer(change.bind(channel).bind(user).bind(details).execute(&mut *self.transaction)).await?;
        }
        answer(self.transaction.commit()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_writer_does_not_wait_for_ever() {
        let store = Store::open("sqlite::memory:").await.expect("opens");
        let _hanging = store.turn().await.expect("nobody before us");
        tokio::time::pause();
        let refused = store.record(&Actor::Server, "test", None, None, Value::Null, Timestamp(1)).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    }
}
