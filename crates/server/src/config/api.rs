//! `[api]`: the rate limits of the REST API.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::config::list;

/// The section `[api]`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// Requests a second of one API key, at least 1.
    pub requests_per_second_key: u32,
    /// Requests a second from one address, or one IPv6 site (/64), at least 1.
    pub requests_per_second_address: u32,
    /// Invalid API keys and tokens a minute from one address, at least 1.
    pub failed_keys_per_minute: u32,
    /// Proxies in front of this server whose `X-Forwarded-For` is believed. Not set: proxies on this machine if `http.listen` has
    /// loopback addresses only; otherwise none, and all that comes through a proxy counts as one address.
    #[serde(deserialize_with = "list::one_or_many")]
    pub trusted_proxies: Vec<IpAddr>,
}

impl Default for Api {
    fn default() -> Self {
        Self { requests_per_second_key: 100, requests_per_second_address: 200, failed_keys_per_minute: 20, trusted_proxies: Vec::new() }
    }
}
