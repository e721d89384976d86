//! Where a request comes from, also behind proxies we trust.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::HeaderMap;

/// Proxies a request may have come through that are looked at; more is nonsense somebody made up.
const MAX_HOPS: usize = 16;

/// The address of a connection's other end; the listener puts it into each request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerAddress(pub SocketAddr);

/// Where a request comes from; limits go by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Source(pub IpAddr);

/// Where a request comes from: its peer, or what proxies we trust say of it. An IPv6 site has 2^64 addresses to
/// choose from and counts as one.
pub fn source(peer: SocketAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let lists = headers.get_all("x-forwarded-for").iter().rev().filter_map(|list| list.to_str().ok());
    let hops = lists.flat_map(|list| list.rsplit(',')).take(MAX_HOPS);
    let mut source = peer.ip().to_canonical();
    // Each proxy adds whom it got the request from at the end; what stands before the first stranger is hearsay.
    for hop in hops {
        match hop.trim().parse::<IpAddr>() {
            Ok(hop) if trusted.contains(&source) => source = hop.to_canonical(),
            _ => break,
        }
    }
    site(source)
}

fn site(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, lists: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for list in lists {
            headers.append("x-forwarded-for", list.parse().expect("a header"));
        }
        let trusted = ["10.0.0.1".parse().expect("ip"), "10.0.0.2".parse().expect("ip")];
        source(peer.parse().expect("address"), &headers, &trusted).to_string()
    }

    #[test]
    fn a_stranger_cannot_say_where_it_comes_from() {
        assert_eq!(seen("203.0.113.9:1", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(seen("203.0.113.9:1", &[]), "203.0.113.9");
    }

    #[test]
    fn a_trusted_proxy_can_and_what_its_client_says_is_hearsay() {
        assert_eq!(seen("10.0.0.1:1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1:1", &["1.1.1.1, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1:1", &["1.1.1.1, 198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1:1", &["1.1.1.1, 198.51.100.1", "10.0.0.2"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1:1", &["198.51.100.1, nonsense"]), "10.0.0.1");
        assert_eq!(seen("[::ffff:10.0.0.1]:1", &["198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn a_site_counts_as_one() {
        assert_eq!(seen("[2001:db8:1:2:3:4:5:6]:1", &[]), "2001:db8:1:2::");
        assert_eq!(seen("[2001:db8:1:2:9:9:9:9]:1", &[]), "2001:db8:1:2::");
    }
}
