//! The members of a channel.

use parlor_proto::{Actor, ChannelId, MemberRole, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::change_kind::ChangeKind;
use crate::rows::{Row, answer, each, word};
use crate::write::{Logged, Write};
use crate::{Page, Store, StoreError, What};

/// A member of a channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The user who is a member.
    pub user: UserId,
    /// The role of the member.
    pub role: MemberRole,
    /// Since when in this role.
    pub updated_at: Timestamp,
}

impl Store {
    /// Makes somebody a member, or gives a member this role; tells whether they were none before.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such channel.
    pub async fn put_member(
        &self,
        channel: &ChannelId,
        user: &UserId,
        role: MemberRole,
        by: &Actor,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut write = self.write(by, now).await?;
        write.need_channel(channel).await?;
        let before = read(&mut write, channel, user).await?;
        if before == Some(role) {
            return Ok(false);
        }
        let put = sqlx::query(
            "INSERT INTO members (channel_id, user_id, role, updated_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (channel_id, user_id) DO UPDATE SET role = excluded.role, updated_at = excluded.updated_at",
        );
        let put = put.bind(channel.as_str().to_owned()).bind(user.as_str().to_owned()).bind(word(role)).bind(now.0);
        answer(put.execute(write.sql())).await?;
        write.commit(logged("member.put", channel, user, json!({ "before": before, "role": role }))).await?;
        Ok(before.is_none())
    }

    /// Ends a user's membership.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn delete_member(&self, channel: &ChannelId, user: &UserId, by: &Actor, now: Timestamp) -> Result<(), StoreError> {
        let mut write = self.write(by, now).await?;
        let before = read(&mut write, channel, user).await?.ok_or(StoreError::NotFound(What::Member))?;
        let delete = sqlx::query("DELETE FROM members WHERE channel_id = $1 AND user_id = $2");
        let delete = delete.bind(channel.as_str().to_owned()).bind(user.as_str().to_owned());
        answer(delete.execute(write.sql())).await?;
        write.commit(logged("member.delete", channel, user, json!({ "before": before }))).await
    }

    /// The members of a channel, by user id.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn members(&self, channel: &ChannelId, page: &Page) -> Result<Vec<Member>, StoreError> {
        let list =
            sqlx::query("SELECT user_id, role, updated_at FROM members WHERE channel_id = $1 AND user_id > $2 ORDER BY user_id LIMIT $3");
        let list = list.bind(channel.as_str().to_owned()).bind(page.from()?).bind(page.rows());
        let member = |row: &Row| Ok(Member { user: row.user("user_id")?, role: row.word("role")?, updated_at: row.time("updated_at")? });
        each(answer(list.fetch_all(&self.pool)).await?, member)
    }
}

async fn read(write: &mut Write, channel: &ChannelId, user: &UserId) -> Result<Option<MemberRole>, StoreError> {
    let read = sqlx::query("SELECT role FROM members WHERE channel_id = $1 AND user_id = $2");
    let read = read.bind(channel.as_str().to_owned()).bind(user.as_str().to_owned());
    answer(read.fetch_optional(write.sql())).await?.map(|row| Row(row).word("role")).transpose()
}

fn logged<'a>(action: &'a str, channel: &'a ChannelId, user: &'a UserId, details: serde_json::Value) -> Logged<'a> {
    Logged { action, change: Some(ChangeKind::Access), channel: Some(channel), user: Some(user), details }
}
