//! What clients tell each other where nobody is to learn another's address: candidates of relays, and nothing with another address.
//!
//! Such a message is made anew from what is understood of it. Nobody can be kept from telling their own address in words of
//! their own; this keeps an app from doing it without its user's knowledge.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value};

use super::{CANDIDATE, SDP, Signal, read_candidate};

/// The type of a description that is an object (`RTCSessionDescriptionInit`).
const TYPE: &str = "type";
/// What of a candidate (`RTCIceCandidateInit`) is passed on beside its text.
const PLACES: [&str; 3] = ["sdpMid", "sdpMLineIndex", "usernameFragment"];
/// The longest `sdpMid` and `usernameFragment` that are passed on (RFC 8839, section 5.4, has 256 for the latter).
const MAX_PLACE_BYTES: usize = 256;

impl Signal {
    /// An offer or an answer with no address but those of relays; `None` if it shows another.
    #[must_use]
    pub fn relayed_description(&self) -> Option<Self> {
        let text = self.sdp().filter(|text| !description_shows_address(text))?;
        let sdp = match self.0.get(SDP)? {
            Value::Object(init) => {
                let kind = init.get(TYPE).and_then(Value::as_str).filter(|kind| matches!(*kind, "offer" | "answer" | "pranswer"));
                let kind = kind.map(|kind| (TYPE.to_owned(), kind.into()));
                Value::Object(kind.into_iter().chain([(SDP.to_owned(), text.into())]).collect())
            }
            _ => text.into(),
        };
        Some(Self(Map::from_iter([(SDP.to_owned(), sdp)])))
    }

    /// A candidate of a relay, or the word that there are no more; `None` if it is another candidate, or none at all.
    #[must_use]
    pub fn relayed_candidate(&self) -> Option<Self> {
        let written = match self.0.get(CANDIDATE)? {
            Value::Null => return Some(Self(Map::from_iter([(CANDIDATE.to_owned(), Value::Null)]))),
            Value::String(text) => read_candidate(text),
            other => other.clone(),
        };
        let text = written.get(CANDIDATE).and_then(Value::as_str)?;
        // An empty candidate says that a media description has no more (RFC 8838, section 8.2).
        if !text.is_empty() && relay_address(text).is_none() {
            return None;
        }
        let mut init = Map::from_iter([(CANDIDATE.to_owned(), text.into())]);
        for place in PLACES {
            match written.get(place) {
                Some(Value::String(name)) if name.len() > MAX_PLACE_BYTES || addresses(name).next().is_some() => return None,
                Some(value @ (Value::String(_) | Value::Number(_) | Value::Null)) => drop(init.insert(place.to_owned(), value.clone())),
                Some(_) => return None,
                None => {}
            }
        }
        Some(Self(Map::from_iter([(CANDIDATE.to_owned(), Value::Object(init))])))
    }
}

/// The address of a relay's candidate (RFC 8839, section 5.1) that names no address behind it; `None` if it is anything else.
fn relay_address(candidate: &str) -> Option<IpAddr> {
    if candidate.chars().any(|c| c.is_control() || !c.is_ascii()) {
        return None;
    }
    let candidate = candidate.strip_prefix("a=").unwrap_or(candidate);
    let mut words = candidate.strip_prefix("candidate:")?.split_ascii_whitespace();
    let (_foundation, _component, _transport, _priority) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let relay: IpAddr = words.next()?.parse().ok()?;
    let _port: u16 = words.next()?.parse().ok()?;
    if (words.next()?, words.next()?) != ("typ", "relay") {
        return None;
    }
    // What follows are names with values: the related address, which is to be none, and extensions.
    while let Some(name) = words.next() {
        let value = words.next()?;
        let is_type = name.eq_ignore_ascii_case("typ");
        let is_related = name.eq_ignore_ascii_case("raddr") && !is_none(value);
        if is_type || is_related || addresses(name).chain(addresses(value)).any(|ip| !ip.is_unspecified()) {
            return None;
        }
    }
    Some(relay)
}

/// Whether a description has a candidate that is not a relay's, an address that is not one of its relays, or lines that a reader
/// could take for other lines than we do.
fn description_shows_address(sdp: &str) -> bool {
    let (mut relays, mut others) = (Vec::new(), Vec::new());
    for line in sdp.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)) {
        if line.is_empty() {
            continue;
        }
        // A line is a small letter, `=`, and a text without characters that end one somewhere (RFC 8866, section 5).
        let is_line = matches!(line.as_bytes(), [b'a'..=b'z', b'=', rest @ ..] if !rest.first().is_some_and(u8::is_ascii_whitespace));
        if !is_line || line.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
            return true;
        }
        if line.starts_with("a=candidate:") {
            match relay_address(line) {
                Some(relay) => relays.push(relay),
                None => return true,
            }
        } else if line.get(2..11).is_some_and(|name| line.starts_with('a') && name.eq_ignore_ascii_case("candidate")) {
            return true;
        } else {
            others.extend(addresses(line));
        }
    }
    // The origin of a description has the loopback's address by custom (RFC 8829, section 5.2.1).
    others.into_iter().any(|ip| !ip.is_unspecified() && !ip.is_loopback() && !relays.contains(&ip))
}

/// Whether a word is the address that stands for none.
fn is_none(word: &str) -> bool {
    word.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
}

/// The IP addresses in a text, with or without a port behind or a name before them, as in `cname:192.0.2.1`.
fn addresses(text: &str) -> impl Iterator<Item = IpAddr> {
    let words = text.split(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':')));
    words.flat_map(|word| {
        let word = word.trim_matches('.');
        let (behind_name, before_port) =
            (word.split_once(':').map_or("", |(_, rest)| rest), word.rsplit_once(':').map_or("", |(rest, _)| rest));
        let between = before_port.split_once(':').map_or("", |(_, rest)| rest);
        let of_six =
            [word, word.trim_matches(':'), behind_name, before_port, between].into_iter().find_map(|word| word.parse::<Ipv6Addr>().ok());
        let of_four = word.split(':').filter_map(|part| part.trim_matches('.').parse::<Ipv4Addr>().ok());
        of_four.map(IpAddr::from).chain(of_six.map(IpAddr::from))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RELAY: &str = "candidate:1 1 udp 1 198.51.100.7 50000 typ relay raddr 0.0.0.0 rport 0 generation 0 ufrag aB3d network-cost 999";

    fn fields(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    fn candidate(value: Value) -> Option<Value> {
        let signal = Signal::candidate(fields(value)).expect("a candidate");
        signal.relayed_candidate().map(|signal| Value::Object(signal.fields().clone()))
    }

    fn of_text(text: &str) -> bool {
        candidate(json!({"candidate": {"candidate": text}})).is_some()
    }

    #[test]
    fn the_candidate_of_a_relay_is_passed_on_and_no_other() {
        assert!(of_text(RELAY) && of_text("") && of_text(&format!("a={RELAY}")));
        assert!(of_text("candidate:1 1 udp 1 198.51.100.7 50000 typ relay raddr :: rport 0"));
        assert!(of_text("candidate:1 1 udp 1 2001:db8::7 50000 typ relay"));
        assert_eq!(candidate(json!({"candidate": null, "x": 1})), Some(json!({"candidate": null})));
        for shown in [
            "candidate:1 1 udp 1 192.168.1.23 5000 typ host",
            "candidate:1 1 udp 1 203.0.113.9 5000 typ srflx raddr 0.0.0.0 rport 0",
            "candidate:1 1 udp 1 198.51.100.7 50000 typ relay raddr 203.0.113.9 rport 5000",
            "candidate:1 1 udp 1 198.51.100.7 50000 typ relay RADDR 203.0.113.9 rport 5000",
            "candidate:1 1 udp 1 198.51.100.7 50000 typ relay raddr",
            "candidate:1 1 udp 1 198.51.100.7 50000 typ relay x 203.0.113.9",
            "candidate:1 1 udp 1 198.51.100.7 50000 typ relay x [2001:db8::9]:5000",
            "candidate:1 1 udp 1 192.168.1.23 5000 typ host typ relay",
            "candidate:1 1 udp 1 192.168.1.23 5000 typ relay typ host",
            "candidate:1 1 udp 1 abc.local 5000 typ relay",
            "candidate:1 1 udp 1 198.51.100.7 50000 typ relay\r\na=candidate:1 1 udp 1 192.168.1.23 5000 typ host",
            "candidate:1 1 udp 1 198.51.100.7 50000 typ relay\u{b}x 1",
            "192.168.1.23 typ relay",
            "nonsense",
        ] {
            assert!(!of_text(shown), "{shown}");
        }
    }

    #[test]
    fn of_a_candidate_only_what_is_understood_is_passed_on() {
        let written = json!({
            "candidate": {"candidate": RELAY, "sdpMid": "0", "sdpMLineIndex": 0, "address": "192.168.1.23", "relatedAddress": "::9"},
            "sdp": "", "candidates": ["192.168.1.23"],
        });
        let told = json!({"candidate": {"candidate": RELAY, "sdpMid": "0", "sdpMLineIndex": 0}});
        assert_eq!(candidate(written), Some(told.clone()));
        let text = json!({"candidate": RELAY, "sdpMid": "0", "sdpMLineIndex": 0, "address": "192.168.1.23"}).to_string();
        assert_eq!(candidate(json!({ "candidate": text })), Some(told), "also of JSON in a text");
        for hidden in [
            json!({"candidate": {"candidate": RELAY, "sdpMid": "192.168.1.23"}}),
            json!({"candidate": {"candidate": RELAY, "sdpMid": ["192.168.1.23"]}}),
            json!({"candidate": {"candidate": RELAY, "usernameFragment": "x".repeat(300)}}),
            json!({"sdp": "v=0", "candidate": {"candidate": "candidate:1 1 udp 1 192.168.1.23 5000 typ host"}}),
            json!({"sdp": "", "candidate": {"candidate": "candidate:1 1 udp 1 192.168.1.23 5000 typ host"}}),
            json!({"candidate": "{\"candidate\":\"192.168.1.23 typ relay \",\"x\":1e999}"}),
            json!({"candidate": "[\"192.168.1.23 typ relay \"]"}),
        ] {
            assert_eq!(candidate(hidden.clone()), None, "{hidden}");
        }
    }

    fn description(text: &str) -> bool {
        Signal::of_sdp(text).expect("a description").relayed_description().is_some()
    }

    #[test]
    fn a_description_has_no_address_but_its_relays() {
        let head = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=fingerprint:sha-256 A1:B2:C3:D4:E5:F6:07:18:29:3A:4B:5C:6D:7E:8F:90:A1:B2:C3:D4:E5:F6:07:18:29:3A:4B:5C:6D:7E:8F:90\r\n";
        let media = "m=audio 50000 UDP/TLS/RTP/SAVPF 111\r\na=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=ssrc:1001 cname:cafe\r\n";
        let fine = [
            format!("{head}{media}c=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n"),
            format!("{head}{media}c=IN IP4 198.51.100.7\r\na=rtcp:9 IN IP4 0.0.0.0\r\na={RELAY}\r\na=end-of-candidates\r\n"),
            format!("{head}{media}c=IN IP6 ::\na={RELAY}\n"),
        ];
        assert!(fine.iter().all(|text| description(text)));
        for shown in [
            "c=IN IP4 203.0.113.9\r\n",
            &format!("c=IN IP4 203.0.113.9\r\na={RELAY}\r\n"),
            &format!("a=rtcp:5000 IN IP4 203.0.113.9\r\na={RELAY}\r\n"),
            "a=candidate:1 1 udp 1 192.168.1.23 5000 typ host\r\n",
            "a=candidate:1 1 udp 1 192.168.1.23 5000 typ host typ relay\r\n",
            "a=candidate:1 1 udp 1 abc.local 5000 typ host\r\n",
            "a = candidate:1 1 udp 1 192.168.1.23 5000 typ host\r\n",
            "a= candidate:1 1 udp 1 abc.local 5000 typ host\r\n",
            " a=candidate:1 1 udp 1 abc.local 5000 typ host\r\n",
            "A=CANDIDATE:1 1 udp 1 abc.local 5000 typ host\r\n",
            "a=Candidate:1 1 udp 1 abc.local 5000 typ host\r\n",
            "a=x\ra=candidate:1 1 udp 1 abc.local 5000 typ host\r\n",
            "a=x\u{b}a=candidate:1 1 udp 1 abc.local 5000 typ host\r\n",
            "a=x\u{85}a=candidate:1 1 udp 1 abc.local 5000 typ host\r\n",
            "a=x\u{2028}a=candidate:1 1 udp 1 abc.local 5000 typ host\r\n",
            "c=IN IP4 203.0.113.9 0.0.0.0\r\n",
            "s=203.0.113.9\r\n",
            "a=ssrc:1 cname:203.0.113.9\r\n",
            "a=remote-candidates:1 203.0.113.9 5000\r\n",
            "a=source-filter: incl IN IP4 * 203.0.113.9\r\n",
            "a=alt:1 1 : x y 2001:db8::9 5000\r\n",
            "a=x:[2001:db8::9]:5000\r\n",
            "a=x:203.0.113.9:5000\r\n",
            "a=x:(203.0.113.9)\r\n",
            "a=face:2001:db8:0:0:0:0:0:9\r\n",
            "a=x:2001:db8:0:0:0:0:0:9:5000\r\n",
            "a=x:::ffff:203.0.113.9\r\n",
        ] {
            assert!(!description(&format!("{head}{media}{shown}")), "{shown}");
        }
        let origin = head.replace("127.0.0.1", "203.0.113.9");
        assert!(!description(&format!("{origin}{media}")));
    }

    #[test]
    fn of_a_description_only_its_text_and_its_type_are_passed_on() {
        let signal = |value| Signal::description(fields(value)).expect("a description");
        let told = |value| signal(value).relayed_description().map(|signal| Value::Object(signal.fields().clone()));
        assert_eq!(told(json!({"sdp": "v=0", "candidates": ["192.168.1.23"]})), Some(json!({"sdp": "v=0"})));
        let written = json!({"sdp": {"type": "offer", "sdp": "v=0", "address": "192.168.1.23"}, "candidate": "192.168.1.23"});
        assert_eq!(told(written), Some(json!({"sdp": {"type": "offer", "sdp": "v=0"}})));
        assert_eq!(told(json!({"sdp": {"type": "192.168.1.23", "sdp": "v=0"}})), Some(json!({"sdp": {"sdp": "v=0"}})));
    }
}
