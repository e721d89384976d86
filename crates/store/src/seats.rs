//! The named seats of a channel, and who has them.

use parlor_proto::ids::check_id;
use parlor_proto::{Actor, ChannelId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::change_kind::ChangeKind;
use crate::rows::{Row, answer, each};
use crate::write::{Logged, Write};
use crate::{Page, Store, StoreError, What};

/// A seat of a channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seat {
    /// The name of the seat.
    pub seat: String,
    /// The user who has it; `None` while it is free.
    pub user: Option<UserId>,
    /// The moment since which it is so.
    pub updated_at: Timestamp,
}

impl Store {
    /// Makes a seat if it is not there, and gives it to somebody, or frees it with `None`; tells whether it was made.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such channel, [`StoreError::Exists`] if somebody else has the seat,
    /// [`StoreError::Conflict`] if the user has another one in this channel.
    pub async fn put_seat(
        &self,
        channel: &ChannelId,
        seat: &str,
        user: Option<&UserId>,
        by: &Actor,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        check_id(seat).map_err(|problem| StoreError::Invalid { field: "seat", problem })?;
        let mut write = self.write(by, now).await?;
        write.need_channel(channel).await?;
        let before = read(&mut write, channel, seat).await?;
        match (&before, user) {
            (Some(has), wants) if has.as_ref() == wants => return Ok(false),
            (Some(Some(_)), Some(_)) => return Err(StoreError::Exists(What::Seat)),
            _ => {}
        }
        if let Some(user) = user
            && has_a_seat(&mut write, channel, user).await?
        {
            return Err(StoreError::Conflict("this person has another seat in the channel: free that one first"));
        }
        let put = sqlx::query(
            "INSERT INTO seats (channel_id, seat, user_id, updated_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (channel_id, seat) DO UPDATE SET user_id = excluded.user_id, updated_at = excluded.updated_at",
        );
        let put = put.bind(channel.as_str().to_owned()).bind(seat.to_owned());
        answer(put.bind(user.map(|u| u.as_str().to_owned())).bind(now.0).execute(write.sql())).await?;
        let had = before.clone().flatten();
        let details = json!({ "seat": seat, "before": had, "after": user });
        write.commit(logged("seat.put", channel, user.or(had.as_ref()), details)).await?;
        Ok(before.is_none())
    }

    /// Removes a seat, whoever has it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none of this name.
    pub async fn delete_seat(&self, channel: &ChannelId, seat: &str, by: &Actor, now: Timestamp) -> Result<(), StoreError> {
        let mut write = self.write(by, now).await?;
        let before = read(&mut write, channel, seat).await?.ok_or(StoreError::NotFound(What::Seat))?;
        let delete = sqlx::query("DELETE FROM seats WHERE channel_id = $1 AND seat = $2");
        answer(delete.bind(channel.as_str().to_owned()).bind(seat.to_owned()).execute(write.sql())).await?;
        write.commit(logged("seat.delete", channel, before.as_ref(), json!({ "seat": seat, "before": before }))).await
    }

    /// The seats of a channel, by name.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn seats(&self, channel: &ChannelId, page: &Page) -> Result<Vec<Seat>, StoreError> {
        let list = sqlx::query("SELECT seat, user_id, updated_at FROM seats WHERE channel_id = $1 AND seat > $2 ORDER BY seat LIMIT $3");
        let list = list.bind(channel.as_str().to_owned()).bind(page.from()?).bind(page.rows());
        let seat = |row: &Row| Ok(Seat { seat: row.get("seat")?, user: row.user_or_null("user_id")?, updated_at: row.time("updated_at")? });
        each(answer(list.fetch_all(&self.pool)).await?, seat)
    }
}

/// The user who has the seat, or `None` in the outer sense if there is none of this name.
async fn read(write: &mut Write, channel: &ChannelId, seat: &str) -> Result<Option<Option<UserId>>, StoreError> {
    crate::rows::check_text("seat", seat)?;
    let read = sqlx::query("SELECT user_id FROM seats WHERE channel_id = $1 AND seat = $2");
    let read = read.bind(channel.as_str().to_owned()).bind(seat.to_owned());
    answer(read.fetch_optional(write.sql())).await?.map(|row| Row(row).user_or_null("user_id")).transpose()
}

async fn has_a_seat(write: &mut Write, channel: &ChannelId, user: &UserId) -> Result<bool, StoreError> {
    let read = sqlx::query("SELECT seat FROM seats WHERE channel_id = $1 AND user_id = $2");
    let read = read.bind(channel.as_str().to_owned()).bind(user.as_str().to_owned());
    Ok(answer(read.fetch_optional(write.sql())).await?.is_some())
}

fn logged<'a>(action: &'a str, channel: &'a ChannelId, user: Option<&'a UserId>, details: serde_json::Value) -> Logged<'a> {
    Logged { action, change: Some(ChangeKind::Access), channel: Some(channel), user, details }
}
