//! Old lines of the logs are forgotten, step by step: others write between two of them.

use parlor_proto::Timestamp;

use crate::rows::{Row, answer};
use crate::{Store, StoreError};

/// Lines forgotten in one transaction.
const STEP: i64 = 10_000;

/// A log whose lines are numbered.
struct Log {
    /// Asks for the first and the last number, and the first one that did not happen before the moment `$1`.
    range: &'static str,
    /// Removes everything up to the number `$1`.
    forget: &'static str,
}

/// The log in this table, numbered by this counter.
macro_rules! log {
    ($table:literal, $counter:literal) => {
        Log {
            // The `+` keeps both databases from walking through everything that is to stay: the first one is near the beginning.
            range: concat!(
                "SELECT value AS last_seq, COALESCE((SELECT MIN(seq) FROM ",
                $table,
                "), value + 1) AS first_seq, COALESCE((SELECT seq FROM ",
                $table,
                " WHERE +at >= $1 ORDER BY seq LIMIT 1), value + 1) AS kept_seq FROM counters WHERE name = '",
                $counter,
                "'"
            ),
            forget: concat!("DELETE FROM ", $table, " WHERE seq <= $1"),
        }
    };
}

const FEED: Log = log!("feed", "feed");
const AUDIT: Log = log!("audit", "log");
const CHANGES: Log = log!("changes", "log");

impl Store {
    /// Forgets events up to the first one that did not happen before this moment, and all but the newest `keep`; tells how
    /// many. The rest has no gaps even if clocks disagree.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn trim_feed(&self, before: Timestamp, keep: u64) -> Result<u64, StoreError> {
        self.trim(&FEED, before, keep).await
    }

    /// Forgets lines of the audit log from before this moment, and all but the newest `keep`; tells how many.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn trim_audit(&self, before: Timestamp, keep: u64) -> Result<u64, StoreError> {
        self.trim(&AUDIT, before, keep).await
    }

    /// Forgets changes (not the audit log) from before this moment, which every process has long seen; tells how many.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn trim_changes(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.trim(&CHANGES, before, u64::MAX).await
    }

    async fn trim(&self, log: &Log, before: Timestamp, keep: u64) -> Result<u64, StoreError> {
        let row = Row(answer(sqlx::query(log.range).bind(before.0).fetch_one(&self.pool)).await?);
        let (first, kept, last): (i64, i64, i64) = (row.get("first_seq")?, row.get("kept_seq")?, row.get("last_seq")?);
        let end = kept.saturating_sub(1).max(last.saturating_sub(i64::try_from(keep).unwrap_or(i64::MAX)));
        let (mut done, mut trimmed) = (first.saturating_sub(1), 0);
        while done < end {
            done = done.saturating_add(STEP).min(end);
            let _turn = self.turn().await?;
            let mut transaction = self.begin().await?;
            trimmed += answer(sqlx::query(log.forget).bind(done).execute(&mut *transaction)).await?.rows_affected();
            answer(transaction.commit()).await?;
        }
        Ok(trimmed)
    }
}
