//! Reads `stun:` and `turn:` addresses (RFC 7064, RFC 7065): a browser refuses a whole call for one it cannot read.

use std::net::Ipv6Addr;

/// The longest host name there is (RFC 1035, 2.3.4).
const MAX_HOST: usize = 253;

/// A server's address, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IceUrl<'a> {
    /// Whether it relays (`turn:`, `turns:`), or only says where one is seen from (`stun:`, `stuns:`).
    pub relay: bool,
    /// Whether it is reached over TLS.
    pub tls: bool,
    /// Whether it is reached over TCP (`?transport=tcp`), and not over UDP.
    pub tcp: bool,
    /// Host and port as they are written.
    pub authority: &'a str,
}

impl<'a> IceUrl<'a> {
    /// Takes an address apart; `None` if a browser would not take it.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let (relay, tls) = match scheme {
            "stun" => (false, false),
            "stuns" => (false, true),
            "turn" => (true, false),
            "turns" => (true, true),
            _ => return None,
        };
        let (authority, transport) = rest.split_once('?').map_or((rest, None), |(authority, query)| (authority, Some(query)));
        let tcp = match transport {
            None => tls,
            Some("transport=udp") if relay => false,
            Some("transport=tcp") if relay => true,
            Some(_) => return None,
        };
        is_authority(authority).then_some(Self { relay, tls, tcp, authority })
    }

    /// The address at which the same server says where one is seen from: every TURN server over UDP does.
    #[must_use]
    pub fn stun(&self) -> Option<String> {
        (self.relay && !self.tls && !self.tcp).then(|| format!("stun:{}", self.authority))
    }
}

/// Why an address is refused, with how to write it.
#[must_use]
pub fn refusal(text: &str) -> String {
    format!("\"{text}\" is no address of a STUN or TURN server, as \"turn:turn.example.com:3478?transport=udp\" or \"stun:[2001:db8::9]\"")
}

fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, rest))) if host.parse::<Ipv6Addr>().is_ok() => match rest.strip_prefix(':') {
            Some(port) => return is_port(port),
            None => return rest.is_empty(),
        },
        Some(_) => return false,
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let of_a_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !host.is_empty() && host.len() <= MAX_HOST && host.bytes().all(of_a_name) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    // `parse` alone would also take a sign.
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_as_browsers_do() {
        let parts = |text: &str| IceUrl::parse(text).map(|url| (url.relay, url.tls, url.tcp));
        assert_eq!(parts("stun:stun.example.com"), Some((false, false, false)));
        assert_eq!(parts("turn:turn.example.com:3478"), Some((true, false, false)));
        assert_eq!(parts("turn:192.0.2.1:3478?transport=udp"), Some((true, false, false)));
        assert_eq!(parts("turn:[2001:db8::9]:3478?transport=tcp"), Some((true, false, true)));
        assert_eq!(parts("turns:turn.example.com:443?transport=tcp"), Some((true, true, true)));
        assert_eq!(parts("turns:turn.example.com"), Some((true, true, true)), "TLS goes over TCP");
        assert_eq!(parts("stuns:[::1]"), Some((false, true, true)));
    }

    #[test]
    fn what_a_browser_would_refuse_is_refused() {
        for wrong in [
            "",
            "turn:",
            "turn:?transport=udp",
            "turn://turn.example.com",
            "https://turn.example.com",
            "TURN:turn.example.com",
            "turn.example.com:3478",
            "turn:turn.example.com:0",
            "turn:turn.example.com:65536",
            "turn:turn.example.com:+1",
            "turn:turn.example.com:",
            "turn:turn.example.com?transport=sctp",
            "turn:turn.example.com?transport=udp&x=1",
            "stun:stun.example.com?transport=udp",
            "turn:2001:db8::9",
            "turn:[2001:db8::9",
            "turn:[turn.example.com]",
            "turn:[::1]3478",
            "turn:user@turn.example.com",
            "turn:turn example.com",
            "turn:bücher.example",
        ] {
            assert_eq!(IceUrl::parse(wrong), None, "{wrong}");
        }
        assert!(IceUrl::parse(&format!("turn:{}", "x".repeat(MAX_HOST + 1))).is_none());
    }

    #[test]
    fn the_stun_server_beside_a_turn_server_is_known() {
        let stun = |text: &str| IceUrl::parse(text).and_then(|url| url.stun());
        assert_eq!(stun("turn:turn.example.com:3478?transport=udp").as_deref(), Some("stun:turn.example.com:3478"));
        assert_eq!(stun("turn:[::1]").as_deref(), Some("stun:[::1]"));
        for other in ["turn:turn.example.com?transport=tcp", "turns:turn.example.com", "stun:stun.example.com"] {
            assert_eq!(stun(other), None, "{other}");
        }
    }
}
