//! The invitations to a channel, and how far each has come.

use parlor_proto::{Actor, ChannelId, Invitation, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::change_kind::ChangeKind;
use crate::rows::{Row, answer, each, word};
use crate::write::{Logged, Write};
use crate::{Page, Store, StoreError, What};

/// Somebody who was invited.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invitee {
    /// The user who is invited.
    pub user: UserId,
    /// How far the invitation has come.
    pub state: Invitation,
    /// The moment since which it is so.
    pub updated_at: Timestamp,
}

impl Store {
    /// Invites somebody; tells whether they were not invited before. Who has accepted already stays so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such channel, [`StoreError::Conflict`] if they left: the old invitation
    /// has to be removed first.
    pub async fn invite(&self, channel: &ChannelId, user: &UserId, by: &Actor, now: Timestamp) -> Result<bool, StoreError> {
        let mut write = self.write(by, now).await?;
        write.need_channel(channel).await?;
        match read(&mut write, channel, user).await? {
            Some(Invitation::Left) => {
                return Err(StoreError::Conflict("this person has left: remove the old invitation to invite them again"));
            }
            Some(_) => return Ok(false),
            None => {}
        }
        let insert = sqlx::query("INSERT INTO invitations (channel_id, user_id, state, updated_at) VALUES ($1, $2, $3, $4)");
        let insert = insert.bind(channel.as_str().to_owned()).bind(user.as_str().to_owned());
        answer(insert.bind(word(Invitation::Invited)).bind(now.0).execute(write.sql())).await?;
        write.commit(logged("invitation.create", channel, user, json!({ "state": Invitation::Invited }))).await?;
        Ok(true)
    }

    /// Takes an invitation a step on: from invited to present to left. In its state already, it stays as it is.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none, [`StoreError::Conflict`] for any other step.
    pub async fn set_invitation(
        &self,
        channel: &ChannelId,
        user: &UserId,
        state: Invitation,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.write(by, now).await?;
        let before = read(&mut write, channel, user).await?.ok_or(StoreError::NotFound(What::Invitation))?;
        match (before, state) {
            (before, after) if before == after => return Ok(()),
            (Invitation::Invited, Invitation::Present) | (Invitation::Present, Invitation::Left) => {}
            _ => return Err(StoreError::Conflict("an invitation goes from invited to present to left, and never back")),
        }
        let update = sqlx::query("UPDATE invitations SET state = $3, updated_at = $4 WHERE channel_id = $1 AND user_id = $2");
        let update = update.bind(channel.as_str().to_owned()).bind(user.as_str().to_owned());
        answer(update.bind(word(state)).bind(now.0).execute(write.sql())).await?;
        write.commit(logged("invitation.update", channel, user, json!({ "before": before, "state": state }))).await
    }

    /// Takes an invitation back, in whatever state.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn delete_invitation(&self, channel: &ChannelId, user: &UserId, by: &Actor, now: Timestamp) -> Result<(), StoreError> {
        let mut write = self.write(by, now).await?;
        let before = read(&mut write, channel, user).await?.ok_or(StoreError::NotFound(What::Invitation))?;
        let delete = sqlx::query("DELETE FROM invitations WHERE channel_id = $1 AND user_id = $2");
        let delete = delete.bind(channel.as_str().to_owned()).bind(user.as_str().to_owned());
        answer(delete.execute(write.sql())).await?;
        write.commit(logged("invitation.delete", channel, user, json!({ "before": before }))).await
    }

    /// The invitations to a channel, by user id.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn invitations(&self, channel: &ChannelId, page: &Page) -> Result<Vec<Invitee>, StoreError> {
        let list = sqlx::query(
            "SELECT user_id, state, updated_at FROM invitations WHERE channel_id = $1 AND user_id > $2 ORDER BY user_id LIMIT $3",
        );
        let list = list.bind(channel.as_str().to_owned()).bind(page.from()?).bind(page.rows());
        let invitee =
            |row: &Row| Ok(Invitee { user: row.user("user_id")?, state: row.word("state")?, updated_at: row.time("updated_at")? });
        each(answer(list.fetch_all(&self.pool)).await?, invitee)
    }
}

async fn read(write: &mut Write, channel: &ChannelId, user: &UserId) -> Result<Option<Invitation>, StoreError> {
    let read = sqlx::query("SELECT state FROM invitations WHERE channel_id = $1 AND user_id = $2");
    let read = read.bind(channel.as_str().to_owned()).bind(user.as_str().to_owned());
    answer(read.fetch_optional(write.sql())).await?.map(|row| Row(row).word("state")).transpose()
}

fn logged<'a>(action: &'a str, channel: &'a ChannelId, user: &'a UserId, details: serde_json::Value) -> Logged<'a> {
    Logged { action, change: Some(ChangeKind::Access), channel: Some(channel), user: Some(user), details }
}
