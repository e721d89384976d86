//! The source of a request: its address, also behind trusted proxies.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::HeaderMap;

/// The most proxies of a request's path that are looked at; a longer path is made up.
const MAX_HOPS: usize = 16;
/// The one header that is read.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// The headers in which proxies name the source of a request. Only the first is read.
const FORWARDED: [&str; 3] = [FORWARDED_FOR, "forwarded", "x-real-ip"];

/// The address of a connection's other end; the listener puts it into each request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerAddress(pub SocketAddr);

/// The source of a request, by which limits count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Source(pub IpAddr);

/// What becomes of the header in which a proxy names the source of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Forwarded {
    /// There is none.
    None,
    /// Whoever sent it is not trusted.
    Ignored,
    /// A trusted proxy sent it.
    Believed,
}

/// The proxies that are believed when they name the source of a request. Clones share whether a warning was given.
#[derive(Clone, Debug, Default)]
pub struct Trusted(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    proxies: Vec<IpAddr>,
    loopback: bool,
    warned: AtomicBool,
}

impl Trusted {
    /// Trusts these proxies. If only this machine can connect, any peer is a proxy or the operator, and is trusted too.
    pub fn new(proxies: &[IpAddr], listening: &[SocketAddr]) -> Self {
        let proxies = proxies.iter().map(IpAddr::to_canonical).collect();
        let loopback = !listening.is_empty() && listening.iter().all(|address| address.ip().to_canonical().is_loopback());
        Self(Arc::new(Inner { proxies, loopback, warned: AtomicBool::new(false) }))
    }

    /// Whether the peer with this address is believed.
    pub fn trusts(&self, ip: IpAddr) -> bool {
        self.0.loopback && ip.is_loopback() || self.0.proxies.contains(&ip)
    }

    /// The source of a request: its peer, or the address that trusted proxies name. An IPv6 site has 2^64 addresses to
    /// choose from and counts as one.
    pub fn source(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let mut source = peer.ip().to_canonical();
        if !self.trusts(source) {
            self.warn(source, headers);
        }
        // Read as bytes, because the header also contains what a client made up, which need not be text.
        let lists = headers.get_all(FORWARDED_FOR).iter().rev();
        let hops = lists.flat_map(|list| list.as_bytes().rsplit(|byte| *byte == b',')).take(MAX_HOPS);
        // Each proxy appends the address from which it got the request; entries before the first stranger are hearsay.
        for hop in hops {
            match str::from_utf8(hop).ok().and_then(|hop| address(hop.trim())) {
                Some(hop) if self.trusts(source) => source = hop,
                _ => break,
            }
        }
        site(source)
    }

    /// What becomes of a request's `X-Forwarded-For`.
    pub fn forwarded(&self, peer: SocketAddr, headers: &HeaderMap) -> Forwarded {
        match (headers.contains_key(FORWARDED_FOR), self.trusts(peer.ip().to_canonical())) {
            (false, _) => Forwarded::None,
            (true, false) => Forwarded::Ignored,
            (true, true) => Forwarded::Believed,
        }
    }

    /// Warns of a proxy nearby that is not configured: it makes everybody behind it one address, so that one person can lock out all.
    fn warn(&self, peer: IpAddr, headers: &HeaderMap) {
        let beside_us = peer.is_loopback() || is_private(peer);
        if beside_us && FORWARDED.iter().any(|name| headers.contains_key(*name)) && !self.0.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a proxy at {peer} forwards requests and is not trusted: everybody behind it counts as one address, and shares its limits. \
                 If it is yours, set api.trusted_proxies = [\"{peer}\"] (PARLOR_API__TRUSTED_PROXIES={peer}), or listen on localhost only"
            );
        }
    }
}

/// Reads `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`: some proxies add the port.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let ip = bare.parse::<IpAddr>().or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()));
    ip.ok().map(|ip| ip.to_canonical())
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// The unit by which addresses are counted: an IPv4 address, or an IPv6 site (/64).
pub fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(lists: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for list in lists {
            headers.append("x-forwarded-for", HeaderValue::from_bytes(list.as_bytes()).expect("a header"));
        }
        headers
    }

    fn seen(peer: &str, lists: &[&str]) -> String {
        let trusted = Trusted::new(&["10.0.0.1".parse().expect("ip"), "10.0.0.2".parse().expect("ip")], &[]);
        trusted.source(peer.parse().expect("address"), &headers(lists)).to_string()
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
        // A proxy passes on what the client wrote before its own entry; that must not hide the entry of the proxy.
        assert_eq!(seen("10.0.0.1:1", &["\u{fc}, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("[::ffff:10.0.0.1]:1", &["198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn a_proxy_may_add_the_port() {
        assert_eq!(seen("10.0.0.1:1", &["198.51.100.1:5678"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1:1", &["198.51.100.1:5678, 10.0.0.2:443"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1:1", &["[2001:db8:1:2::3]:5678"]), "2001:db8:1:2::");
        assert_eq!(seen("10.0.0.1:1", &["[2001:db8:1:2::3]"]), "2001:db8:1:2::");
        assert_eq!(seen("10.0.0.1:1", &["2001:db8:1:2::3"]), "2001:db8:1:2::");
        assert_eq!(seen("10.0.0.1:1", &["[::ffff:198.51.100.1]:5678"]), "198.51.100.1");
        for nonsense in ["198.51.100.1:", "198.51.100.1:99999", "[198.51.100.1", "[]", "[]:1", ":1", "host:1"] {
            assert_eq!(seen("10.0.0.1:1", &[nonsense]), "10.0.0.1", "{nonsense}");
        }
    }

    #[test]
    fn a_site_counts_as_one() {
        assert_eq!(seen("[2001:db8:1:2:3:4:5:6]:1", &[]), "2001:db8:1:2::");
        assert_eq!(seen("[2001:db8:1:2:9:9:9:9]:1", &[]), "2001:db8:1:2::");
    }

    #[test]
    fn listening_on_loopback_only_trusts_loopback() {
        let listening = |addresses: &[&str]| {
            let addresses: Vec<_> = addresses.iter().map(|address| address.parse().expect("an address")).collect();
            Trusted::new(&[], &addresses)
        };
        let from = |trusted: &Trusted, peer: &str| trusted.source(peer.parse().expect("address"), &headers(&["198.51.100.1"])).to_string();
        let alone = listening(&["127.0.0.1:7400", "[::1]:7400"]);
        assert_eq!(from(&alone, "127.0.0.1:1"), "198.51.100.1");
        assert_eq!(from(&alone, "[::1]:1"), "198.51.100.1");
        for open in [&["0.0.0.0:7400"][..], &["127.0.0.1:7400", "192.0.2.1:7400"], &["[::]:7400"], &[]] {
            assert_eq!(from(&listening(open), "127.0.0.1:1"), "127.0.0.1", "{open:?}");
        }
    }

    #[test]
    fn a_proxy_beside_us_that_is_not_trusted_is_warned_of_once() {
        let trusted = Trusted::new(&["10.0.0.1".parse().expect("ip")], &[]);
        let warned = |peer: &str, lists: &[&str]| {
            trusted.source(peer.parse().expect("address"), &headers(lists));
            trusted.0.warned.load(Ordering::Relaxed)
        };
        assert!(!warned("10.0.0.1:1", &["198.51.100.1"]), "that one is");
        assert!(!warned("203.0.113.9:1", &["198.51.100.1"]), "a stranger from far away is no proxy of ours");
        assert!(!warned("127.0.0.1:1", &[]), "no proxy at all");
        assert!(warned("127.0.0.1:1", &["198.51.100.1"]));
    }
}
