//! What moderators have taken from people in a channel.

use parlor_proto::{Actor, ChannelId, Restrictions, Timestamp, UserId};
use serde_json::json;
use sqlx::any::AnyRow;

use crate::change_kind::ChangeKind;
use crate::rows::{Row, answer};
use crate::write::{Logged, Write};
use crate::{Store, StoreError};

/// People in a channel from whom something is taken, beyond which moderators may not take anything from one more. They may name
/// whom nobody has ever seen, and each is a row for good: this is far more than a call has people, and no burden.
pub const MAX_RESTRICTED: i64 = 1_000;

const SELECT: &str = "SELECT audio, video, screen, deafened FROM restrictions WHERE channel_id = $1 AND user_id = $2";

impl Store {
    /// Sets what somebody is kept from in a channel; nothing lifts it again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such channel, [`StoreError::TooMany`] for a moderator in a channel with
    /// [`MAX_RESTRICTED`] others.
    pub async fn put_restrictions(
        &self,
        channel: &ChannelId,
        user: &UserId,
        restrictions: &Restrictions,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.write(by, now).await?;
        write.need_channel(channel).await?;
        let read = sqlx::query(SELECT).bind(channel.as_str().to_owned()).bind(user.as_str().to_owned());
        let before = of_row(answer(read.fetch_optional(write.sql())).await?)?;
        if before == *restrictions {
            return Ok(());
        }
        let (nothing, moderates) = (Restrictions::default(), matches!(by, Actor::Session(_)));
        if before == nothing && moderates {
            need_room(&mut write, channel).await?;
        }
        if *restrictions == nothing {
            let lift = sqlx::query("DELETE FROM restrictions WHERE channel_id = $1 AND user_id = $2");
            answer(lift.bind(channel.as_str().to_owned()).bind(user.as_str().to_owned()).execute(write.sql())).await?;
        } else {
            put(&mut write, channel, user, restrictions).await?;
        }
        let logged = Logged {
            action: "restrictions.put",
            change: Some(ChangeKind::Restriction),
            channel: Some(channel),
            user: Some(user),
            details: json!({ "before": before, "after": restrictions }),
        };
        write.commit(logged).await
    }

    /// What somebody is kept from in a channel.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn restrictions(&self, channel: &ChannelId, user: &UserId) -> Result<Restrictions, StoreError> {
        let read = sqlx::query(SELECT).bind(channel.as_str().to_owned()).bind(user.as_str().to_owned());
        of_row(answer(read.fetch_optional(&self.pool)).await?)
    }
}

async fn put(write: &mut Write, channel: &ChannelId, user: &UserId, restrictions: &Restrictions) -> Result<(), StoreError> {
    let put = sqlx::query(
        "INSERT INTO restrictions (channel_id, user_id, audio, video, screen, deafened, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (channel_id, user_id) DO UPDATE SET audio = excluded.audio, \
         video = excluded.video, screen = excluded.screen, deafened = excluded.deafened, updated_at = excluded.updated_at",
    );
    let Restrictions { audio, video, screen, deafened } = *restrictions;
    let mut put = put.bind(channel.as_str().to_owned()).bind(user.as_str().to_owned());
    for flag in [audio, video, screen, deafened] {
        put = put.bind(i64::from(flag));
    }
    answer(put.bind(write.now.0).execute(write.sql())).await.map(drop)
}

/// Fails if moderators may take nothing from one more.
async fn need_room(write: &mut Write, channel: &ChannelId) -> Result<(), StoreError> {
    // Older versions left a row when everything was given back.
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM restrictions WHERE channel_id = $1 AND audio + video + screen + deafened > 0");
    let count: i64 = answer(count.bind(channel.as_str().to_owned()).fetch_one(write.sql())).await?;
    if count < MAX_RESTRICTED {
        return Ok(());
    }
    Err(StoreError::TooMany(
        "as many people are muted or deafened in this channel as may be: give back to some what need not be taken any more, or ask who runs the server",
    ))
}

fn of_row(row: Option<AnyRow>) -> Result<Restrictions, StoreError> {
    let Some(row) = row.map(Row) else { return Ok(Restrictions::default()) };
    let (audio, video) = (row.flag("audio")?, row.flag("video")?);
    Ok(Restrictions { audio, video, screen: row.flag("screen")?, deafened: row.flag("deafened")? })
}
