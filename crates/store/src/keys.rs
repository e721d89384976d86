//! API keys for administration: what may be done with them, and a hash to know them by.

use parlor_proto::ids::{check_id, check_name};
use parlor_proto::{Actor, Timestamp, limits};
use serde::Serialize;
use serde_json::json;

use crate::change_kind::ChangeKind;
use crate::key_text::KeyText;
use crate::rows::{Row, answer, check_text, each, foreign};
use crate::write::Logged;
use crate::{Page, Store, StoreError, What};

/// A key to store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewKey {
    /// The id of the key: [`KeyText::id`].
    pub id: String,
    /// What it is for, in words.
    pub name: String,
    /// SHA-256 of its text: [`KeyText::hash`].
    pub hash: [u8; 32],
    /// What may be done with it.
    pub scopes: Vec<String>,
}

/// A stored key. The key itself is not: only its bearer has that.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// The id of the key, the second part of its text.
    pub id: String,
    /// What it is for, in words.
    pub name: String,
    /// SHA-256 of its text.
    #[serde(skip)]
    pub hash: [u8; 32],
    /// What may be done with it.
    pub scopes: Vec<String>,
    /// The one who made it.
    pub by: Actor,
    /// When it was made.
    pub created_at: Timestamp,
}

impl ApiKey {
    /// Whether a text is this key. Takes as long for a good guess as for a bad one.
    #[must_use]
    pub fn matches(&self, text: &KeyText) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.hash, &text.hash()).is_ok()
    }
}

impl Store {
    /// Stores a new key.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if there is one with this id.
    pub async fn create_key(&self, key: &NewKey, by: &Actor, now: Timestamp) -> Result<ApiKey, StoreError> {
        check_id(&key.id).map_err(|problem| StoreError::Invalid { field: "id", problem })?;
        check_name(&key.name, limits::MAX_NAME_CHARS).map_err(|problem| StoreError::Invalid { field: "name", problem })?;
        for scope in &key.scopes {
            check_text("scopes", scope)?;
        }
        let mut write = self.write(by, now).await?;
        let found = sqlx::query("SELECT id FROM api_keys WHERE id = $1").bind(key.id.clone());
        if answer(found.fetch_optional(write.sql())).await?.is_some() {
            return Err(StoreError::Exists(What::Key));
        }
        let insert = sqlx::query("INSERT INTO api_keys (id, name, hash, scopes, actor, created_at) VALUES ($1, $2, $3, $4, $5, $6)");
        let insert = insert.bind(key.id.clone()).bind(key.name.clone()).bind(key.hash.to_vec());
        let insert = insert.bind(json!(key.scopes).to_string()).bind(write.by.clone()).bind(now.0);
        answer(insert.execute(write.sql())).await?;
        let details = json!({ "key": key.id, "name": key.name, "scopes": key.scopes });
        write.commit(logged("key.create", details)).await?;
        let NewKey { id, name, hash, scopes } = key.clone();
        Ok(ApiKey { id, name, hash, scopes, by: by.clone(), created_at: now })
    }

    /// The key with this id.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn key(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        check_text("id", id)?;
        let read = sqlx::query("SELECT id, name, hash, scopes, actor, created_at FROM api_keys WHERE id = $1");
        answer(read.bind(id.to_owned()).fetch_optional(&self.pool)).await?.map(|row| key(&Row(row))).transpose()
    }

    /// The keys, by id.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the database does not answer.
    pub async fn keys(&self, page: &Page) -> Result<Vec<ApiKey>, StoreError> {
        let list = sqlx::query("SELECT id, name, hash, scopes, actor, created_at FROM api_keys WHERE id > $1 ORDER BY id LIMIT $2");
        each(answer(list.bind(page.from()?).bind(page.rows()).fetch_all(&self.pool)).await?, key)
    }

    /// Removes a key: whoever has it can do nothing with it any more.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none.
    pub async fn delete_key(&self, id: &str, by: &Actor, now: Timestamp) -> Result<(), StoreError> {
        check_text("id", id)?;
        let mut write = self.write(by, now).await?;
        let delete = sqlx::query("DELETE FROM api_keys WHERE id = $1").bind(id.to_owned());
        if answer(delete.execute(write.sql())).await?.rows_affected() == 0 {
            return Err(StoreError::NotFound(What::Key));
        }
        write.commit(logged("key.delete", json!({ "key": id }))).await
    }
}

fn key(row: &Row) -> Result<ApiKey, StoreError> {
    let hash: Vec<u8> = row.get("hash")?;
    Ok(ApiKey {
        id: row.get("id")?,
        name: row.get("name")?,
        hash: hash.try_into().map_err(|_| foreign("hash"))?,
        scopes: row.json("scopes")?,
        by: row.actor("actor")?,
        created_at: row.time("created_at")?,
    })
}

fn logged(action: &str, details: serde_json::Value) -> Logged<'_> {
    Logged { action, change: Some(ChangeKind::Key), channel: None, user: None, details }
}
