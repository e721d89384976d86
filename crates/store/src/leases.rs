//! Work that one process at a time does, and how one that lost it is kept from going on.
//!
//! A lease has a number, its epoch, that grows whenever another process takes it. A store that is [`Store::fenced`] by a
//! lease compares the number in the transaction of each write: a process that was paused for longer than its lease, or cut
//! off from the database, cannot know that somebody else goes on in its place, but the database does.

use std::time::Duration;

use parlor_proto::Timestamp;
use sqlx::{AnyConnection, Row as _};

use crate::dialect::Dialect;
use crate::open::Lease;
use crate::rows::{Row, answer};
use crate::{Store, StoreError};

/// How long a lease is still taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaseEnd {
    /// When it ends, unless it is taken again before.
    pub until: Timestamp,
    /// For how long it was taken: whoever has it takes it again within this time.
    pub lasts: Duration,
}

impl Store {
    /// When a lease ends, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn lease_end(&self, name: &str) -> Result<Option<LeaseEnd>, StoreError> {
        let read = sqlx::query("SELECT until_at, lasts FROM leases WHERE name = $1").bind(name.to_owned());
        let Some(row) = answer(read.fetch_optional(&self.pool)).await?.map(Row) else { return Ok(None) };
        let lasts = Duration::from_millis(row.get::<i64>("lasts")?.unsigned_abs());
        Ok(Some(LeaseEnd { until: row.time("until_at")?, lasts }))
    }

    /// Asks to be the only process that does some work (telling an endpoint for one) for some time from now on; nothing
    /// if another one is. Who has it keeps it by asking again in time, and gives it back by asking for no time at all.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; [`StoreError::Superseded`] if this store is fenced by a lease that is lost.
    pub async fn lease(&self, name: &str, now: Timestamp, lasts: Duration) -> Result<Option<Lease>, StoreError> {
        crate::rows::check_text("lease", name)?;
        let lasts = i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX);
        let _turn = self.turn().await?;
        let mut transaction = self.begin().await?;
        if self.dialect == Dialect::Postgres {
            // Writes that carry the old number are let finish first; to renew one's own lease is in nobody's way.
            let others = sqlx::query("SELECT epoch FROM leases WHERE name = $1 AND holder <> $2 FOR UPDATE");
            answer(others.bind(name.to_owned()).bind(self.origin.to_string()).fetch_optional(&mut *transaction)).await?;
        }
        let take = sqlx::query_scalar(
            "INSERT INTO leases (name, holder, until_at, lasts, epoch) VALUES ($1, $2, $3, $5, 1) ON CONFLICT (name) \
             DO UPDATE SET holder = excluded.holder, until_at = excluded.until_at, lasts = excluded.lasts, \
             epoch = leases.epoch + CASE WHEN leases.holder = excluded.holder THEN 0 ELSE 1 END \
             WHERE leases.holder = excluded.holder OR leases.until_at <= $4 RETURNING epoch",
        );
        let take = take.bind(name.to_owned()).bind(self.origin.to_string()).bind(now.0.saturating_add(lasts));
        let epoch: Option<i64> = answer(take.bind(now.0).bind(lasts).fetch_optional(&mut *transaction)).await?;
        answer(transaction.commit()).await?;
        Ok(epoch.map(|epoch| Lease { name: name.into(), epoch }))
    }

    /// This store for whoever has this lease: once another process has taken it, every write is refused as
    /// [`StoreError::Superseded`], whether this process knows yet that it lost it or not, and so is every admission.
    #[must_use]
    pub fn fenced(&self, by: Lease) -> Self {
        Self { fence: Some(by), ..self.clone() }
    }

    /// Fails if another process has taken the lease that fences this store. None can until the transaction ends.
    pub(crate) async fn check_fence(&self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        let Some(fence) = &self.fence else { return Ok(()) };
        let read = match self.dialect {
            Dialect::Sqlite => "SELECT epoch FROM leases WHERE name = $1",
            // In nobody's way but that of another process that takes it.
            Dialect::Postgres => "SELECT epoch FROM leases WHERE name = $1 FOR KEY SHARE",
        };
        let row = answer(sqlx::query(read).bind(fence.name.to_string()).fetch_optional(connection)).await?;
        let epoch: Option<i64> = row.map(|row| row.try_get("epoch")).transpose()?;
        self.passes(epoch)
    }

    /// Whether the lease that fences this store has the epoch it had when it was taken.
    pub(crate) fn passes(&self, epoch: Option<i64>) -> Result<(), StoreError> {
        match &self.fence {
            Some(fence) if epoch != Some(fence.epoch) => Err(StoreError::Superseded),
            _ => Ok(()),
        }
    }
}
