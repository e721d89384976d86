//! Long lists in pages: `?limit=…&after=…` in, `{items, next}` out.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use parlor_proto::ids::check_id;
use parlor_store::Page;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::http::api::extract::query::Params;
use crate::http::api::problem::Problem;

/// The most items a page may have.
pub const MAX_LIMIT: i64 = 200;
/// The items of a page when the request does not say how many.
pub const DEFAULT_LIMIT: u32 = 50;

/// Which part of a list is wanted.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "the document reads its shape only")]
pub struct PageParams {
    /// The most items to answer.
    #[param(required = false, minimum = 1, maximum = 200, default = 50)]
    limit: u32,
    /// The `next` of the page before.
    #[param(required = false, value_type = crate::http::api::document::schema::Id)]
    after: String,
}

/// The page to read from the store. One item more than requested is read, to tell whether there are more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    limit: usize,
    /// What to ask the store for.
    pub page: Page,
}

impl Wanted {
    /// Reads the page from the checked parameters of a query.
    pub fn read(params: &Params) -> Result<Self, Problem> {
        let limit = params.number("limit", 1, MAX_LIMIT)?.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(DEFAULT_LIMIT);
        let after = params.text("after");
        if let Some(after) = after {
            // Ids and seats are the cursors: a text that cannot be one is refused before the store is asked.
            check_id(after).map_err(|reason| Problem::invalid("after", reason))?;
        }
        let page = Page { after: after.map(str::to_owned), limit: limit.saturating_add(1) };
        Ok(Self { limit: usize::try_from(limit).unwrap_or(1), page })
    }

    /// Makes the answer from the items the store found; `cursor` gives the place of an item in the list.
    pub fn answer<T, V>(&self, mut found: Vec<T>, cursor: impl Fn(&T) -> String, view: impl FnMut(T) -> V) -> List<V> {
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        let next = found.last().filter(|_| more).map(cursor);
        List { items: found.into_iter().map(view).collect(), next }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Wanted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::read(&Params::read(parts)?)
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// The `after` of the next page; null on the last one.
    #[schema(required = true)]
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(query: &str) -> Result<Wanted, Problem> {
        let (parts, ()) = axum::http::Request::get(format!("http://x/{query}")).body(()).expect("a request").into_parts();
        Wanted::read(&Params::read(&parts)?)
    }

    #[test]
    fn there_is_a_next_page_only_if_something_is_on_it() {
        let wanted = wanted("?limit=2&after=a").expect("valid");
        assert_eq!(wanted.page, Page { after: Some("a".to_owned()), limit: 3 });
        let list = wanted.answer(vec!["b", "c", "d"], |item| (*item).to_owned(), |item| item);
        assert_eq!((list.items, list.next.as_deref()), (vec!["b", "c"], Some("c")));
        let list = wanted.answer(vec!["b", "c"], |item| (*item).to_owned(), |item| item);
        assert_eq!((list.items, list.next), (vec!["b", "c"], None));
    }

    #[test]
    fn parameters_are_checked() {
        assert_eq!(wanted("").expect("valid").page.limit, DEFAULT_LIMIT + 1);
        for bad in ["?limit=0", "?limit=201", "?limit=-1", "?limit=+5", "?limit=", "?limit=1.0", "?after=", "?after=%00"] {
            assert!(wanted(bad).is_err(), "{bad}");
        }
    }
}
