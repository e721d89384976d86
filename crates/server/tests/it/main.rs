//! The server from outside: over real sockets, started in-process on ports of its own.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod binary;
mod changes;
mod cli;
mod client;
mod config;
mod configured;
mod coturn;
mod crash;
mod documents;
mod envelope;
mod feed;
mod hold;
mod http;
mod log;
mod media;
mod mesh;
mod mirror;
mod moderation;
mod node;
mod ownership;
mod process;
mod ready;
mod rest;
mod resume;
mod rooms;
mod slots;
mod spread;
mod stop;
mod stored;
mod strangers;
mod stun;
#[path = "../support/mod.rs"]
mod support;
mod turn;
mod turn_credentials;

use parlor::{Options, Server};

use self::support::test_config;

/// A server in development mode.
async fn dev_server() -> Server {
    Server::start(&test_config(), Options { dev: true, ..Options::default() }).await.expect("starts")
}

/// A server without the limit of joins for each user, for tests that join often.
async fn server_without_join_limit() -> Server {
    let mut config = test_config();
    config.limits.joins_per_minute = 1000;
    config.limits.reconnect_interval_ms = 0;
    Server::start(&config, Options { dev: true, ..Options::default() }).await.expect("starts")
}

/// A server on which a lost connection is a leave at once, for tests of how a loss is noticed.
async fn server_without_resumption() -> Server {
    let mut config = test_config();
    config.limits.joins_per_minute = 1000;
    config.limits.reconnect_interval_ms = 0;
    config.limits.resume_grace_ms = 0;
    Server::start(&config, Options { dev: true, ..Options::default() }).await.expect("starts")
}

/// The address of a server in URLs.
fn base(server: &Server) -> String {
    format!("http://{}", server.http_addresses()[0])
}
