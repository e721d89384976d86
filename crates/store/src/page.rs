//! Pieces of long lists.

use crate::StoreError;
use crate::rows::check_text;

/// Rows in one page at the most: some hundred kilobytes of JSON.
pub const MAX_PAGE: u32 = 1_000;

/// The piece of a list that is wanted. Lists are sorted by the bytes of their id, so that what is added or removed
/// meanwhile neither repeats nor hides the rest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// The id of the last row of the page before; `None`: from the beginning.
    pub after: Option<String>,
    /// So many rows at the most; 1 to [`MAX_PAGE`], others are brought into this range.
    pub limit: u32,
}

impl Page {
    /// The first `limit` rows.
    #[must_use]
    pub const fn first(limit: u32) -> Self {
        Self { after: None, limit }
    }

    /// The `limit` rows that follow the one with this id.
    #[must_use]
    pub fn after(id: impl Into<String>, limit: u32) -> Self {
        Self { after: Some(id.into()), limit }
    }

    /// What every id is greater than on this page: no id is empty.
    pub(crate) fn from(&self) -> Result<String, StoreError> {
        let after = self.after.clone().unwrap_or_default();
        check_text("after", &after)?;
        Ok(after)
    }

    pub(crate) fn rows(&self) -> i64 {
        self.limit.clamp(1, MAX_PAGE).into()
    }
}
