//! What holds for a person in every channel: an entitlement, and since when their tokens count.

use parlor_proto::{Actor, Entitlement, Timestamp, UserId};
use serde_json::json;
use sqlx::any::AnyRow;

use crate::change_kind::ChangeKind;
use crate::rows::{Row, answer};
use crate::write::{Logged, Write};
use crate::{Store, StoreError, What};

/// What the store has on somebody.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Person {
    /// Stronger than what a token says; `None`: the token decides.
    pub entitlement: Option<Entitlement>,
    /// Tokens made before this moment are refused.
    pub revoked_before: Option<Timestamp>,
}

const SELECT: &str = "SELECT pro, pro_until, revoked_before FROM people WHERE user_id = $1";

impl Store {
    /// Sets what somebody has paid for, whatever their token says.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn put_entitlement(&self, user: &UserId, entitlement: &Entitlement, by: &Actor, now: Timestamp) -> Result<(), StoreError> {
        let mut write = self.write(by, now).await?;
        let before = read(&mut write, user).await?.entitlement;
        if before.as_ref() == Some(entitlement) {
            return Ok(());
        }
        let put = sqlx::query(
            "INSERT INTO people (user_id, pro, pro_until, updated_at) VALUES ($1, $2, $3, $4) ON CONFLICT (user_id) \
             DO UPDATE SET pro = excluded.pro, pro_until = excluded.pro_until, updated_at = excluded.updated_at",
        );
        let put = put.bind(user.as_str().to_owned()).bind(i64::from(entitlement.pro));
        answer(put.bind(entitlement.expires_at.map(|t| t.0)).bind(now.0).execute(write.sql())).await?;
        let details = json!({ "before": before, "after": entitlement });
        write.commit(logged("entitlement.put", ChangeKind::Entitlement, user, details)).await
    }

    /// Lets the token decide again what somebody has paid for.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it does already.
    pub async fn delete_entitlement(&self, user: &UserId, by: &Actor, now: Timestamp) -> Result<(), StoreError> {
        let mut write = self.write(by, now).await?;
        let before = read(&mut write, user).await?.entitlement.ok_or(StoreError::NotFound(What::Entitlement))?;
        let delete = sqlx::query("UPDATE people SET pro = NULL, pro_until = NULL, updated_at = $2 WHERE user_id = $1");
        answer(delete.bind(user.as_str().to_owned()).bind(now.0).execute(write.sql())).await?;
        write.commit(logged("entitlement.delete", ChangeKind::Entitlement, user, json!({ "before": before }))).await
    }

    /// What somebody has paid for by the store; `None`: their token decides.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn entitlement(&self, user: &UserId) -> Result<Option<Entitlement>, StoreError> {
        Ok(self.person(user).await?.entitlement)
    }

    /// What the store has on somebody, for the moment they connect.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn person(&self, user: &UserId) -> Result<Person, StoreError> {
        of_row(answer(sqlx::query(SELECT).bind(user.as_str().to_owned()).fetch_optional(&self.pool)).await?)
    }

    /// Makes every token of somebody void that was made before this moment. It never goes back to an earlier one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn revoke(&self, user: &UserId, before: Timestamp, by: &Actor, now: Timestamp) -> Result<(), StoreError> {
        let mut write = self.write(by, now).await?;
        if read(&mut write, user).await?.revoked_before.is_some_and(|already| before <= already) {
            return Ok(());
        }
        let put = sqlx::query(
            "INSERT INTO people (user_id, revoked_before, updated_at) VALUES ($1, $2, $3) ON CONFLICT (user_id) \
             DO UPDATE SET revoked_before = excluded.revoked_before, updated_at = excluded.updated_at",
        );
        answer(put.bind(user.as_str().to_owned()).bind(before.0).bind(now.0).execute(write.sql())).await?;
        write.commit(logged("sessions.revoke", ChangeKind::Revoked, user, json!({ "before": before }))).await
    }
}

async fn read(write: &mut Write, user: &UserId) -> Result<Person, StoreError> {
    of_row(answer(sqlx::query(SELECT).bind(user.as_str().to_owned()).fetch_optional(write.sql())).await?)
}

fn of_row(row: Option<AnyRow>) -> Result<Person, StoreError> {
    row.map_or(Ok(Person::default()), |row| of_columns(&Row(row)))
}

/// Reads the columns `pro`, `pro_until` and `revoked_before`.
pub(crate) fn of_columns(row: &Row) -> Result<Person, StoreError> {
    let pro: Option<i64> = row.get("pro")?;
    let expires_at = row.time_or_null("pro_until")?;
    let entitlement = pro.map(|pro| Entitlement { pro: pro != 0, expires_at });
    Ok(Person { entitlement, revoked_before: row.time_or_null("revoked_before")? })
}

fn logged<'a>(action: &'a str, kind: ChangeKind, user: &'a UserId, details: serde_json::Value) -> Logged<'a> {
    Logged { action, change: Some(kind), channel: None, user: Some(user), details }
}
