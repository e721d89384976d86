//! What addresses of other servers say of the way to them.

use std::net::IpAddr;

use reqwest::Url;

/// Whether an address is on this machine: nobody is between us and it.
pub fn is_loopback(url: &Url) -> bool {
    // IPv6 addresses stand in brackets in an address.
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
