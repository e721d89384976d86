//! The event feed: numbered without gaps, and with the events a node still owes when it dies.

use parlor_proto::{ChannelId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::AnyConnection;

use crate::rows::{Row, answer, each};
use crate::{Page, Store, StoreError};

/// An event of the feed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FeedEvent {
    /// The number of the event: the next event has the next one.
    pub seq: i64,
    /// The id of the event, the same whenever it is sent again.
    pub id: String,
    /// The moment at which it happened.
    pub at: Timestamp,
    /// The kind of event.
    pub kind: String,
    /// The channel in which it happened.
    pub channel: ChannelId,
    /// The rest, depending on the kind.
    pub data: Value,
}

/// An event to append.
#[derive(Clone, PartialEq, Debug)]
pub struct NewFeedEvent {
    /// In which channel it happened.
    pub channel: ChannelId,
    /// The moment at which it happened.
    pub at: Timestamp,
    /// The kind of event.
    pub kind: &'static str,
    /// Further fields, which depend on the kind.
    pub data: Value,
    /// What the node owes because of it, or has paid with it.
    pub owes: Option<Owes>,
}

/// Events come in pairs, joined and left for one. Whoever appends the first of a pair says what the second one is to be
/// if the node dies before it can tell ([`Store::settle_owed`]).
#[derive(Clone, PartialEq, Debug)]
pub enum Owes {
    /// The first of a pair.
    Opens {
        /// Names the pair, on this node and in this channel: the session for one.
        debt: String,
        /// What the second one is.
        kind: &'static str,
        /// What is in it.
        data: Value,
    },
    /// The second of a pair.
    Closes {
        /// The name of the debt that is paid.
        debt: String,
    },
}

/// The numbers of the events there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FeedRange {
    /// The number of the oldest that is still there; of the next one if there is none.
    pub first: i64,
    /// The number of the newest there has ever been; 0 if there has been none.
    pub last: i64,
}

impl Store {
    /// Appends events in this order, all or none, and tells the number of the last one. When a reader sees one of
    /// them it has seen, or sees, every one with a lower number.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn append_feed(&self, node: &str, events: &[NewFeedEvent]) -> Result<i64, StoreError> {
        if events.is_empty() {
            return Ok(self.feed_range().await?.last);
        }
        let _turn = self.turn().await?;
        let mut transaction = self.begin().await?;
        let (first, last) = numbers(&mut transaction, events.len()).await?;
        for (seq, event) in (first..).zip(events) {
            insert(&mut transaction, seq, event.at, event.kind, event.channel.as_str(), event.data.to_string()).await?;
            account(&mut transaction, node, seq, event).await?;
        }
        answer(transaction.commit()).await?;
        Ok(last)
    }

    /// Appends what a node owes, the youngest debt first, and tells how many events that were. A process does this for its
    /// own node when it starts, before it appends anything else.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn settle_owed(&self, node: &str, now: Timestamp) -> Result<usize, StoreError> {
        let _turn = self.turn().await?;
        let mut transaction = self.begin().await?;
        // Locks the feed before looking, so that two who settle the same debts do it one after the other.
        numbers(&mut transaction, 0).await?;
        let owed = sqlx::query("SELECT channel_id, kind, data FROM debts WHERE node = $1 ORDER BY seq DESC");
        let owed = answer(owed.bind(node.to_owned()).fetch_all(&mut *transaction)).await?;
        let (first, _) = numbers(&mut transaction, owed.len()).await?;
        let count = owed.len();
        for (seq, row) in (first..).zip(owed.into_iter().map(Row)) {
            insert(&mut transaction, seq, now, row.get("kind")?, row.get("channel_id")?, row.get("data")?).await?;
        }
        let paid = sqlx::query("DELETE FROM debts WHERE node = $1").bind(node.to_owned());
        answer(paid.execute(&mut *transaction)).await?;
        answer(transaction.commit()).await?;
        Ok(count)
    }

    /// The events after this number, in order and without gaps.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn feed_after(&self, seq: i64, limit: u32) -> Result<Vec<FeedEvent>, StoreError> {
        let list = sqlx::query("SELECT seq, id, at, kind, channel_id, data FROM feed WHERE seq > $1 ORDER BY seq LIMIT $2");
        each(answer(list.bind(seq).bind(Page::first(limit).rows()).fetch_all(&self.pool)).await?, event)
    }

    /// The numbers of the events there are: whoever wants those after a number below `first - 1` has missed some.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn feed_range(&self) -> Result<FeedRange, StoreError> {
        let range = sqlx::query(
            "SELECT value AS last_seq, COALESCE((SELECT MIN(seq) FROM feed), value + 1) AS first_seq FROM counters WHERE name = 'feed'",
        );
        let row = Row(answer(range.fetch_one(&self.pool)).await?);
        Ok(FeedRange { first: row.get("first_seq")?, last: row.get("last_seq")? })
    }

    /// The number of the last event an endpoint has been told; 0 if none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn delivered(&self, endpoint: &str) -> Result<i64, StoreError> {
        let read = sqlx::query_scalar("SELECT seq FROM deliveries WHERE endpoint = $1").bind(endpoint.to_owned());
        Ok(answer(read.fetch_optional(&self.pool)).await?.unwrap_or(0))
    }

    /// Notes that an endpoint has been told everything up to this number. It never goes back.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn set_delivered(&self, endpoint: &str, seq: i64) -> Result<(), StoreError> {
        crate::rows::check_text("endpoint", endpoint)?;
        let _turn = self.turn().await?;
        let mut transaction = self.begin().await?;
        let put = sqlx::query(
            "INSERT INTO deliveries (endpoint, seq) VALUES ($1, $2) ON CONFLICT (endpoint) \
             DO UPDATE SET seq = excluded.seq WHERE excluded.seq > deliveries.seq",
        );
        answer(put.bind(endpoint.to_owned()).bind(seq).execute(&mut *transaction)).await?;
        answer(transaction.commit()).await
    }
}

/// Takes the next `count` numbers, and tells the first and the last. The row stays locked until the transaction ends, on
/// PostgreSQL too: numbers are committed in order.
async fn numbers(connection: &mut AnyConnection, count: usize) -> Result<(i64, i64), StoreError> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let take = sqlx::query_scalar("UPDATE counters SET value = value + $1 WHERE name = 'feed' RETURNING value");
    let last: i64 = answer(take.bind(count).fetch_one(connection)).await?;
    Ok((last - count + 1, last))
}

async fn insert(
    connection: &mut AnyConnection,
    seq: i64,
    at: Timestamp,
    kind: &str,
    channel: &str,
    data: String,
) -> Result<(), StoreError> {
    let insert = sqlx::query("INSERT INTO feed (seq, id, at, kind, channel_id, data) VALUES ($1, $2, $3, $4, $5, $6)");
    let insert = insert.bind(seq).bind(uuid::Uuid::new_v4().simple().to_string()).bind(at.0);
    answer(insert.bind(kind.to_owned()).bind(channel.to_owned()).bind(data).execute(connection)).await.map(drop)
}

async fn account(connection: &mut AnyConnection, node: &str, seq: i64, event: &NewFeedEvent) -> Result<(), StoreError> {
    let channel = event.channel.as_str().to_owned();
    match &event.owes {
        None => Ok(()),
        Some(Owes::Opens { debt, kind, data }) => {
            let open = sqlx::query(
                "INSERT INTO debts (node, channel_id, debt, seq, kind, data) VALUES ($1, $2, $3, $4, $5, $6) \
                 ON CONFLICT (node, channel_id, debt) DO UPDATE SET seq = excluded.seq, kind = excluded.kind, data = excluded.data",
            );
            let open = open.bind(node.to_owned()).bind(channel).bind(debt.clone()).bind(seq);
            answer(open.bind((*kind).to_owned()).bind(data.to_string()).execute(connection)).await.map(drop)
        }
        Some(Owes::Closes { debt }) => {
            let close = sqlx::query("DELETE FROM debts WHERE node = $1 AND channel_id = $2 AND debt = $3");
            let close = close.bind(node.to_owned()).bind(channel).bind(debt.clone());
            answer(close.execute(connection)).await.map(drop)
        }
    }
}

fn event(row: &Row) -> Result<FeedEvent, StoreError> {
    Ok(FeedEvent {
        seq: row.get("seq")?,
        id: row.get("id")?,
        at: row.time("at")?,
        kind: row.get("kind")?,
        channel: row.channel("channel_id")?,
        data: row.json("data")?,
    })
}
