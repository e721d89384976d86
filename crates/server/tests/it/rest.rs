//! The REST API from outside: a server with a store of its own, a key, and a check that every answer is in the document.

mod bad_input;
mod calls;
mod channels;
mod connection;
mod connections;
mod document;
mod holds;
mod keys;
mod limits;
mod people;
mod races;
mod tour;
mod window;

use std::path::PathBuf;

use parlor::config::{Config, Secret, Store as StoreConfig};
use parlor::{Options, Server};
use parlor_proto::{Actor, Timestamp};
use parlor_store::{KeyText, NewKey, Store};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{base, test_config};

/// A server, a key that may do everything, and the server's own document.
pub struct Rest {
    pub server: Server,
    pub key: String,
    pub store: Store,
    http: reqwest::Client,
    document: Value,
    directory: Option<PathBuf>,
}

/// The answer to a request.
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub headers: HeaderMap,
}

impl Answer {
    /// A header's text; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// Asserts the status; returns the body.
    #[track_caller]
    pub fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// Asserts a refusal with everything it must have.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!(self.header("content-type"), "application/problem+json", "{status}: {}", self.body);
        let body = self.is(status);
        assert_eq!((&body["code"], &body["status"], &body["type"]), (&json!(code), &json!(status), &json!("about:blank")), "{body}");
        assert!(body["detail"].as_str().is_some_and(|detail| detail.ends_with('.')) && body["title"].is_string(), "{body}");
        body
    }

    /// Asserts an invalid request, and the field to blame.
    #[track_caller]
    pub fn blames(self, status: u16, field: &str) {
        let body = self.refused(status, "INVALID_REQUEST");
        assert_eq!(body["field"].as_str().unwrap_or_default(), field, "{body}");
    }
}

impl Rest {
    /// Starts a server with a store in a file of its own.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts a server with another configuration.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = std::env::temp_dir().join(format!("parlor-rest-{:016x}", rand::random::<u64>()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let url = format!("sqlite:{}", directory.join("parlor.db").display());
        Self::start_on(&url, Some(directory), change).await
    }

    /// Starts a server with any store.
    pub async fn start_on(url: &str, directory: Option<PathBuf>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = test_config();
        config.store = StoreConfig::at(url);
        config.auth.secret = Secret::new("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c".into());
        config.limits.joins_per_minute = 1000;
        config.limits.reconnect_interval_ms = 0;
        // Limits that are out of the way, because tests ask fast, and often wrongly.
        config.api.requests_per_second_key = 10_000;
        config.api.requests_per_second_address = 10_000;
        config.api.failed_keys_per_minute = 10_000;
        change(&mut config);
        let server = Server::start(&config, Options::default()).await.expect("starts");
        let store = Store::open(url).await.expect("opens");
        let http = reqwest::Client::new();
        let document = http.get(base(&server) + "/api/openapi.json").send().await.expect("answers").json().await.expect("json");
        let mut rest = Self { server, key: String::new(), store, http, document, directory };
        rest.key = rest.key_with(&["*"]).await;
        rest
    }

    /// A key with these scopes, made as `parlor key create` does.
    pub async fn key_with(&self, scopes: &[&str]) -> String {
        let text = KeyText::generate().expect("random");
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let key = NewKey { id: text.id().to_owned(), name: "test".into(), hash: text.hash(), scopes };
        self.store.create_key(&key, &Actor::CommandLine, Timestamp(1)).await.expect("stored");
        text.expose().to_owned()
    }

    /// A request without a key or token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, base(&self.server) + path)
    }

    /// Sends a request, and checks that the document describes its answer.
    pub async fn send(&self, method: &Method, path: &str, request: RequestBuilder) -> Answer {
        let response = request.send().await.expect("answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("text");
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
        if let Some(operation) = self.operation(method, path) {
            let described = &operation["responses"][status.to_string()];
            assert!(described.is_object(), "{method} {path} answered {status}, which the document does not have: {body}");
            let kind = headers.get(CONTENT_TYPE).map_or("", |kind| kind.to_str().expect("text"));
            let kind = kind.split(';').next().expect("one");
            assert!(kind.is_empty() || described["content"][kind].is_object(), "{method} {path} {status} is {kind}: {described}");
        }
        Answer { status, body, headers }
    }

    /// Sends a request with the key.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.call_as(&self.key, method, path, body).await
    }

    /// Sends a request with another key or a token.
    pub async fn call_as(&self, bearer: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.request(method.clone(), path).header(AUTHORIZATION, format!("Bearer {bearer}"));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        self.send(&method, path, request).await
    }

    /// Sends a request with a body as written, and more headers.
    pub async fn call_raw(&self, method: Method, path: &str, headers: &[(&'static str, &str)], body: impl Into<reqwest::Body>) -> Answer {
        let request = self.request(method.clone(), path).header(AUTHORIZATION, format!("Bearer {}", self.key));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.send(&method, path, request.body(body)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// A token of a user.
    pub fn token(&self, user: &str) -> String {
        self.server.issue_token(user, None, true).expect("token")
    }

    /// The operation that the document has for a request.
    fn operation(&self, method: &Method, path: &str) -> Option<&Value> {
        let path = path.split('?').next().expect("one");
        let fits = |template: &str| {
            let (wanted, given): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
            wanted.len() == given.len() && wanted.iter().zip(given).all(|(want, has)| want.starts_with('{') || *want == has)
        };
        let paths = self.document["paths"].as_object().expect("paths");
        // A path that is written out comes before one with a parameter in its place.
        let exact = paths.get(path);
        let item = exact.or_else(|| paths.iter().find(|(template, _)| fits(template)).map(|(_, item)| item))?;
        item.get(method.as_str().to_lowercase())
    }

    /// Ends the server, and removes its file.
    pub async fn end(self) {
        self.server.shut_down().await;
        self.store.close().await;
        if let Some(directory) = self.directory {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}
