//! Channels: made, changed with a version to guard against lost updates, listed, removed.

use parlor_proto::{Actor, Channel, ChannelId, Timestamp, Window};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection};

use crate::change_kind::ChangeKind;
use crate::rows::{Row, answer, check_text, each, foreign, word};
use crate::write::{Logged, Write};
use crate::{Expected, Page, Store, StoreError, What};

/// Something stored, and how it got there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stored<T> {
    /// The record itself.
    #[serde(flatten)]
    pub value: T,
    /// The number in the logs of the write that made it: what is made anew under the same id is something else.
    #[serde(skip)]
    pub made: i64,
    /// 1 when it is made, one more with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// The columns of a channel, for `SELECT`.
macro_rules! columns {
    () => {
        "c.id, c.version, c.created_at, c.updated_at, c.name, c.kind, c.topology, c.tier, c.max_participants, \
         c.privacy, c.e2ee, c.recording, c.access, c.spectators, c.opens_at, c.closes_at, c.owner_id, c.made, c.max_spectators"
    };
}
pub(crate) use columns;

const SELECT: &str = concat!("SELECT ", columns!(), " FROM channels c WHERE c.id = $1");
const LIST: &str = concat!("SELECT ", columns!(), " FROM channels c WHERE c.id > $1 ORDER BY c.id LIMIT $2");
const INSERT: &str = "INSERT INTO channels (id, name, kind, topology, tier, max_participants, privacy, e2ee, recording, \
     access, spectators, opens_at, closes_at, owner_id, updated_at, max_spectators, version, created_at, made) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 1, $15, $17)";
const UPDATE: &str = "UPDATE channels SET name = $2, kind = $3, topology = $4, tier = $5, max_participants = $6, privacy = $7, \
     e2ee = $8, recording = $9, access = $10, spectators = $11, opens_at = $12, closes_at = $13, owner_id = $14, \
     updated_at = $15, max_spectators = $16, version = version + 1 WHERE id = $1";

impl Store {
    /// Makes a channel.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if there is one with this id, whatever is in it.
    pub async fn create_channel(&self, channel: &Channel, by: &Actor, now: Timestamp) -> Result<Stored<Channel>, StoreError> {
        check(channel)?;
        let mut write = self.write(by, now).await?;
        if read(write.sql(), &channel.id).await?.is_some() {
            return Err(StoreError::Exists(What::Channel));
        }
        insert(write, channel).await
    }

    /// Makes a channel, or changes the one that is there, and tells whether it was made. What is the same already is left
    /// as it is, with its version.
    ///
    /// # Errors
    /// Those of [`Expected::check`].
    pub async fn put_channel(
        &self,
        channel: &Channel,
        expected: impl Into<Expected>,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(Stored<Channel>, bool), StoreError> {
        check(channel)?;
        let expected = expected.into();
        let mut write = self.write(by, now).await?;
        let before = read(write.sql(), &channel.id).await?;
        expected.check(What::Channel, before.as_ref().map(|before| before.version))?;
        let Some(before) = before else {
            return Ok((insert(write, channel).await?, true));
        };
        if before.value == *channel {
            return Ok((before, false));
        }
        answer(bind(sqlx::query(UPDATE), channel, now).execute(write.sql())).await?;
        let details = json!({ "before": before.value, "after": channel });
        write.commit(logged("channel.update", &channel.id, details)).await?;
        Ok((Stored { value: channel.clone(), version: before.version + 1, updated_at: now, ..before }, false))
    }

    /// The channel with this id.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn channel(&self, channel: &ChannelId) -> Result<Option<Stored<Channel>>, StoreError> {
        let row = answer(sqlx::query(SELECT).bind(channel.as_str().to_owned()).fetch_optional(&self.pool)).await?;
        row.map(|row| stored(&Row(row))).transpose()
    }

    /// A piece of the list of channels, which is sorted by id.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn channels(&self, page: &Page) -> Result<Vec<Stored<Channel>>, StoreError> {
        let rows = answer(sqlx::query(LIST).bind(page.from()?).bind(page.rows()).fetch_all(&self.pool)).await?;
        each(rows, stored)
    }

    /// Removes a channel with its members, invitations, seats, bans and restrictions. Its audit log and its events stay.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn delete_channel(&self, channel: &ChannelId, by: &Actor, now: Timestamp) -> Result<(), StoreError> {
        self.delete_channel_if(channel, &Expected::default(), by, now).await
    }

    /// Removes a channel as [`Store::delete_channel`] does, if what is expected holds.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none, and those of [`Expected::check`].
    pub async fn delete_channel_if(&self, channel: &ChannelId, expected: &Expected, by: &Actor, now: Timestamp) -> Result<(), StoreError> {
        let mut write = self.write(by, now).await?;
        let before = read(write.sql(), channel).await?.ok_or(StoreError::NotFound(What::Channel))?;
        expected.check(What::Channel, Some(before.version))?;
        let delete = sqlx::query("DELETE FROM channels WHERE id = $1").bind(channel.as_str().to_owned());
        answer(delete.execute(write.sql())).await?;
        write.commit(logged("channel.delete", channel, json!({ "before": before.value }))).await
    }
}

async fn read(connection: &mut AnyConnection, channel: &ChannelId) -> Result<Option<Stored<Channel>>, StoreError> {
    let row = answer(sqlx::query(SELECT).bind(channel.as_str().to_owned()).fetch_optional(connection)).await?;
    row.map(|row| stored(&Row(row))).transpose()
}

async fn insert(mut write: Write, channel: &Channel) -> Result<Stored<Channel>, StoreError> {
    let (now, made) = (write.now, write.seq);
    answer(bind(sqlx::query(INSERT), channel, now).bind(made).execute(write.sql())).await?;
    write.commit(logged("channel.create", &channel.id, json!({ "after": channel }))).await?;
    Ok(Stored { value: channel.clone(), made, version: 1, created_at: now, updated_at: now })
}

fn logged<'a>(action: &'a str, channel: &'a ChannelId, details: serde_json::Value) -> Logged<'a> {
    Logged { action, change: Some(ChangeKind::Channel), channel: Some(channel), user: None, details }
}

fn check(channel: &Channel) -> Result<(), StoreError> {
    check_text("name", &channel.name)?;
    match channel.window {
        Window { opens_at: Some(opens), closes_at: Some(closes) } if closes <= opens => {
            Err(StoreError::Invalid { field: "closesAt", problem: "must be later than the moment it opens" })
        }
        _ => Ok(()),
    }
}

type Prepared<'q> = Query<'q, Any, AnyArguments>;

fn bind<'q>(query: Prepared<'q>, channel: &Channel, now: Timestamp) -> Prepared<'q> {
    query
        .bind(channel.id.as_str().to_owned())
        .bind(channel.name.clone())
        .bind(word(channel.kind))
        .bind(word(channel.topology))
        .bind(word(channel.tier))
        .bind(channel.max_participants.map(i64::from))
        .bind(word(channel.privacy))
        .bind(word(channel.e2ee))
        .bind(word(channel.recording))
        .bind(word(channel.access))
        .bind(i64::from(channel.spectators))
        .bind(channel.window.opens_at.map(|t| t.0))
        .bind(channel.window.closes_at.map(|t| t.0))
        .bind(channel.owner.as_ref().map(|o| o.as_str().to_owned()))
        .bind(now.0)
        .bind(channel.max_spectators.map(i64::from))
}

fn limit(row: &Row, column: &'static str) -> Result<Option<u32>, StoreError> {
    let number: Option<i64> = row.get(column)?;
    number.map(|number| u32::try_from(number).map_err(|_| foreign(column))).transpose()
}

pub(crate) fn stored(row: &Row) -> Result<Stored<Channel>, StoreError> {
    let value = Channel {
        id: row.channel("id")?,
        name: row.get("name")?,
        kind: row.word("kind")?,
        topology: row.word("topology")?,
        tier: row.word("tier")?,
        max_participants: limit(row, "max_participants")?,
        privacy: row.word("privacy")?,
        e2ee: row.word("e2ee")?,
        recording: row.word("recording")?,
        access: row.word("access")?,
        spectators: row.flag("spectators")?,
        max_spectators: limit(row, "max_spectators")?,
        window: Window { opens_at: row.time_or_null("opens_at")?, closes_at: row.time_or_null("closes_at")? },
        owner: row.user_or_null("owner_id")?,
    };
    let (created_at, updated_at) = (row.time("created_at")?, row.time("updated_at")?);
    Ok(Stored { value, made: row.get("made")?, version: row.get("version")?, created_at, updated_at })
}
