//! The parameters of a query: no route takes a parameter that the document does not name for it, and none takes one twice.

use std::collections::HashMap;

use axum::extract::Query;
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, PathItem, RefOr};

use crate::http::api::problem::{Answer, Problem};

/// The parameters each operation has, by its path as it is routed and its method.
#[derive(Clone, Debug, Default)]
pub struct Known(HashMap<(String, Method), Vec<String>>);

impl Known {
    /// Reads the parameters of all operations from the document.
    pub fn of(document: &OpenApi) -> Self {
        let mut known = HashMap::new();
        for (path, item) in &document.paths.paths {
            for (method, operation) in methods(item) {
                known.insert((path.clone(), method), names(operation));
            }
        }
        Self(known)
    }

    /// Refuses parameters the operation does not have. A path or a method that is not in the document is refused elsewhere.
    pub fn check(&self, path: &str, method: &Method, uri: &Uri) -> Answer<()> {
        // A HEAD request asks for what a GET would answer.
        let method = if method == Method::HEAD { Method::GET } else { method.clone() };
        match self.0.get(&(path.to_owned(), method)) {
            Some(known) => Params::check(uri, known),
            None => Ok(()),
        }
    }
}

fn methods(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let each = [(Method::GET, get), (Method::PUT, put), (Method::POST, post), (Method::DELETE, delete), (Method::PATCH, patch)];
    each.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

fn names(operation: &Operation) -> Vec<String> {
    let parameters = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
        _ => None,
    });
    parameters.collect()
}

/// The parameters of a query, each at most once.
#[derive(Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Splits the query of a request. The names of its parameters have been checked before.
    pub fn read(parts: &Parts) -> Answer<Self> {
        Self::split(&parts.uri)
    }

    fn split(uri: &Uri) -> Answer<Self> {
        let pairs = Query::try_from_uri(uri).map_err(|_| Problem::invalid("query", "cannot be read"))?;
        Ok(Self(pairs.0))
    }

    pub fn check(uri: &Uri, known: &[String]) -> Answer<()> {
        let Self(pairs) = Self::split(uri)?;
        for (n, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(name) {
                let there = if known.is_empty() { "it has none".to_owned() } else { format!("there are {}", known.join(", ")) };
                return Err(Problem::invalid(name, &format!("is not a parameter of this request; {there}")));
            }
            if pairs.iter().take(n).any(|(earlier, _)| earlier == name) {
                return Err(Problem::invalid(name, "is there twice"));
            }
        }
        Ok(())
    }

    /// The text of a parameter, if it is given.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    /// The number of a parameter, within bounds.
    pub fn number(&self, name: &str, least: i64, most: i64) -> Answer<Option<i64>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        // `parse` also takes a plus sign, and zeros in front: here one number has one spelling.
        let number = text.parse::<i64>().ok().filter(|number| number.to_string() == text && (least..=most).contains(number));
        number.map(Some).ok_or_else(|| Problem::invalid(name, &format!("must be a whole number from {least} to {most}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_known_and_there_once() {
        let known = Known(HashMap::from([(("/a".to_owned(), Method::GET), vec!["limit".to_owned()])]));
        let check =
            |path: &str, method: Method, query: &str| known.check(path, &method, &format!("/a{query}").parse().expect("an address"));
        for fine in ["", "?", "?limit=1", "?limit"] {
            assert!(check("/a", Method::GET, fine).is_ok(), "{fine}");
        }
        for bad in ["?limit=1&limit=1", "?page=1", "?Limit=1", "?limit=1&x", "?="] {
            assert!(check("/a", Method::GET, bad).is_err(), "{bad}");
            assert!(check("/a", Method::HEAD, bad).is_err(), "{bad}");
        }
        assert!(check("/a", Method::DELETE, "?x=1").is_ok(), "there is no such operation");
    }
}
