//! A server whose store others can open too: the command line, or another process.

use std::path::PathBuf;

use parlor::config::{Config, Store as StoreConfig};
use parlor::{Options, Server};
use parlor_proto::{Actor, Channel, ChannelId, MemberRole, Tier, Timestamp, UserId};
use parlor_store::Store;

use super::test_config;

/// The actor who writes to the store from outside.
pub const ADMIN: Actor = Actor::CommandLine;

/// A server in development mode, and its store as another process sees it.
pub struct Shared {
    pub server: Server,
    pub store: Store,
}

/// The file of the store of this name.
pub fn file_of(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("it-{name}-{}.db", std::process::id()))
}

/// A fresh file for a store.
pub fn fresh_file(name: &str) -> PathBuf {
    let path = file_of(name);
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
    path
}

impl Shared {
    /// Starts a server with a store in a fresh file of this name.
    pub async fn start(name: &str, change: impl FnOnce(&mut Config)) -> Self {
        let url = format!("sqlite:{}", fresh_file(name).display());
        let mut config = test_config();
        config.store = StoreConfig::at(&url);
        config.limits.joins_per_minute = 1000;
        config.limits.reconnect_interval_ms = 0;
        change(&mut config);
        let server = Server::start(&config, Options { dev: true, ..Options::default() }).await.expect("starts");
        Self { server, store: Store::open(&url).await.expect("opens") }
    }

    /// Makes a pro channel.
    pub async fn channel(&self, id: &str, change: impl FnOnce(&mut Channel)) -> ChannelId {
        let id = channel(id);
        let mut record = Channel { tier: Tier::Pro, ..Channel::new(id.clone(), id.as_str()) };
        change(&mut record);
        self.store.put_channel(&record, None, &ADMIN, now()).await.expect("is put");
        id
    }

    /// Makes somebody a member.
    pub async fn member(&self, channel: &ChannelId, name: &str, role: MemberRole) {
        self.store.put_member(channel, &user(name), role, &ADMIN, now()).await.expect("is put");
    }

    pub async fn stop(self) {
        self.server.shut_down().await;
        self.store.close().await;
    }
}

pub fn channel(id: &str) -> ChannelId {
    ChannelId::new(id).expect("an id")
}

pub fn user(id: &str) -> UserId {
    UserId::new(id).expect("an id")
}

pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    Timestamp(i64::try_from(since.as_millis()).expect("fits"))
}
