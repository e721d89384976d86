//! Between rows and types: words for enumerations, and errors for what no Parlor wrote.

use std::future::Future;
use std::time::Duration;

use parlor_proto::{Actor, ChannelId, Timestamp, UserId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{Any, Decode, Row as _, Type};

use crate::StoreError;

/// How long an answer of the database may take.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Waits for the database, but not for ever: a connection whose other end is gone without a word says nothing.
pub(crate) async fn answer<T>(asked: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
        Ok(answered) => Ok(answered?),
        Err(_) => Err(StoreError::Unavailable("it took too long")),
    }
}

/// The word of an enumeration, as the API has it.
pub(crate) fn word<T: Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

/// One row of an answer.
pub(crate) struct Row(pub(crate) AnyRow);

impl Row {
    pub(crate) fn get<'r, T: Decode<'r, Any> + Type<Any>>(&'r self, column: &str) -> Result<T, StoreError> {
        self.0.try_get(column).map_err(StoreError::from)
    }

    /// A value of an enumeration, by its word.
    pub(crate) fn word<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        let word: String = self.get(column)?;
        serde_json::from_value(Value::String(word)).map_err(|_| foreign(column))
    }

    /// An enumeration, or null.
    pub(crate) fn word_or_null<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, StoreError> {
        let word: Option<String> = self.get(column)?;
        word.map(|word| serde_json::from_value(Value::String(word)).map_err(|_| foreign(column))).transpose()
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        serde_json::from_str(self.get(column)?).map_err(|_| foreign(column))
    }

    pub(crate) fn flag(&self, column: &str) -> Result<bool, StoreError> {
        Ok(self.get::<i64>(column)? != 0)
    }

    pub(crate) fn time(&self, column: &str) -> Result<Timestamp, StoreError> {
        self.get(column).map(Timestamp)
    }

    pub(crate) fn time_or_null(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.get::<Option<i64>>(column)?.map(Timestamp))
    }

    pub(crate) fn user(&self, column: &str) -> Result<UserId, StoreError> {
        self.user_or_null(column)?.ok_or_else(|| foreign(column))
    }

    pub(crate) fn user_or_null(&self, column: &str) -> Result<Option<UserId>, StoreError> {
        let text: Option<&str> = self.get(column)?;
        text.map(|text| UserId::new(text).map_err(|_| foreign(column))).transpose()
    }

    pub(crate) fn channel(&self, column: &str) -> Result<ChannelId, StoreError> {
        self.channel_or_null(column)?.ok_or_else(|| foreign(column))
    }

    pub(crate) fn channel_or_null(&self, column: &str) -> Result<Option<ChannelId>, StoreError> {
        let text: Option<&str> = self.get(column)?;
        text.map(|text| ChannelId::new(text).map_err(|_| foreign(column))).transpose()
    }

    pub(crate) fn actor(&self, column: &str) -> Result<Actor, StoreError> {
        Actor::parse(self.get(column)?).ok_or_else(|| foreign(column))
    }
}

/// Reads each row of an answer.
pub(crate) fn each<T>(rows: Vec<AnyRow>, read: impl Fn(&Row) -> Result<T, StoreError>) -> Result<Vec<T>, StoreError> {
    rows.into_iter().map(|row| read(&Row(row))).collect()
}

/// Something in the database that no Parlor put there.
pub(crate) fn foreign(column: &str) -> StoreError {
    tracing::error!(column, "the database has a value that Parlor does not know");
    StoreError::Failed("it has a value that Parlor does not know; the log says where")
}

/// Refuses what PostgreSQL cannot store, on both databases alike.
pub(crate) fn check_text(field: &'static str, text: &str) -> Result<(), StoreError> {
    if text.contains('\0') { Err(StoreError::Invalid { field, problem: "must not contain the character NUL" }) } else { Ok(()) }
}
