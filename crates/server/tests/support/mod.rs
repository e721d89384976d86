//! Helpers that the server's tests share. They are not in the testkit, which must not depend on the server: the
//! server's own tests use it.

use parlor::config::{Config, Store};

/// A configuration for tests: any free ports, one media worker, on this machine only, and a store in memory.
pub fn test_config() -> Config {
    let mut config = Config::default();
    config.http.listen = vec!["127.0.0.1:0".parse().expect("address")];
    config.media.port = 0;
    config.media.workers = 1;
    config.media.listen_ip = vec!["127.0.0.1".parse().expect("address")];
    config.store = Store::at("sqlite::memory:");
    config
}
