//! A channel as somebody who only listens sees it: the servers it is told, and the addresses of media.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};

use super::address::{Reach, list, reach};
use super::finding::{Fault, Finding, Step};
use super::socket::{Refusal, Socket};
use super::token::fresh_id;

/// The most addresses of media that are tried: sixteen are bound at the most, for each of a few workers.
const MAX_MEDIA: usize = 64;
/// The most STUN and TURN servers that are tried.
const MAX_SERVERS: usize = 16;

/// What a client learns of where media goes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Call {
    /// The addresses of the transport, for UDP.
    pub udp: Vec<SocketAddr>,
    /// The addresses of the transport, for TCP.
    pub tcp: Vec<SocketAddr>,
    /// The name and the password of the transport.
    pub credentials: Option<(String, String)>,
    /// The STUN and TURN servers.
    pub servers: Vec<Server>,
    /// Whether clients use a relay and nothing else.
    pub relay_only: bool,
}

/// A STUN or TURN server.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Server {
    /// Its address.
    pub url: String,
    /// The user name; empty if it needs none.
    pub username: String,
    /// The password.
    pub credential: String,
}

/// Joins a channel and has a transport made.
pub async fn join(socket: &mut Socket, channel: Option<&str>) -> (Finding, Option<Call>) {
    let id = channel.map_or_else(fresh_id, str::to_owned);
    let joined = match socket.ask("voice:join", &json!({ "channelId": id })).await {
        Ok(joined) => joined,
        Err(refusal) => return (judge_refusal(channel, &refusal), None),
    };
    let mut call = Call { servers: servers(joined.pointer("/rtcConfig/iceServers")), ..Call::default() };
    call.relay_only = joined.pointer("/rtcConfig/iceTransportPolicy").and_then(Value::as_str) == Some("relay");
    if joined.get("topology").and_then(Value::as_str) == Some("mesh") {
        return (Finding::ok(Step::Join, format!("joined {id}, where media goes from client to client")), Some(call));
    }
    let transport = match socket.ask("voice:rtc:createTransport", &json!({ "direction": "recv" })).await {
        Ok(transport) => transport,
        Err(refusal) => {
            let fix = "Parlor: it makes no transport; look at its log.";
            let seen = format!("joined {id}, and got no transport: {}", refusal.words());
            return (Finding::broken(Step::Join, Fault::JoinRefused, seen, fix), Some(call));
        }
    };
    (call.udp, call.tcp) = candidates(&transport);
    let text = |path| transport.pointer(path).and_then(Value::as_str).map(str::to_owned);
    call.credentials = text("/iceParameters/usernameFragment").zip(text("/iceParameters/password"));
    (Finding::ok(Step::Join, format!("joined {id}, and a transport was made")), Some(call))
}

fn judge_refusal(channel: Option<&str>, refusal: &Refusal) -> Finding {
    match channel {
        None if refusal.code == "CHANNEL_NOT_FOUND" => {
            let why = "channels are not made on the first join here: name one with --channel to have it tried";
            Finding::skipped(Step::Join, why)
        }
        _ => {
            let fix = "Channel: see that it exists, is open, and lets this user in (parlor channel show), or name another with --channel.";
            Finding::broken(Step::Join, Fault::JoinRefused, format!("the join is refused: {}", refusal.words()), fix)
        }
    }
}

/// The candidates of a transport, UDP and TCP.
fn candidates(transport: &Value) -> (Vec<SocketAddr>, Vec<SocketAddr>) {
    let all = transport.get("iceCandidates").and_then(Value::as_array).into_iter().flatten().take(MAX_MEDIA);
    let (mut udp, mut tcp) = (Vec::new(), Vec::new());
    for candidate in all {
        let Some(address) = address(candidate) else { continue };
        match candidate.get("protocol").and_then(Value::as_str) {
            Some("udp") => udp.push(address),
            Some("tcp") => tcp.push(address),
            _ => {}
        }
    }
    (udp, tcp)
}

/// The `ip` and `port` of something.
fn address(value: &Value) -> Option<SocketAddr> {
    let ip: IpAddr = value.get("ip")?.as_str()?.parse().ok()?;
    Some(SocketAddr::new(ip, u16::try_from(value.get("port")?.as_u64()?).ok().filter(|port| *port > 0)?))
}

/// The addresses of all media ports, of the answer to `GET /api/voice/connection`.
pub fn media(connection: &Value) -> Vec<SocketAddr> {
    connection.get("media").and_then(Value::as_array).into_iter().flatten().filter_map(address).take(MAX_MEDIA).collect()
}

/// The servers of an `iceServers`, one for each address.
pub fn servers(list: Option<&Value>) -> Vec<Server> {
    let mut all = Vec::new();
    for server in list.and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| server.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        for url in server.get("urls").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            all.push(Server { url: url.to_owned(), username: text("username"), credential: text("credential") });
        }
    }
    all.truncate(MAX_SERVERS);
    all
}

/// Whether somebody who reached the server at these addresses can reach its media at those.
pub fn judge_announced(reached: &[SocketAddr], announced: &[SocketAddr], relay_only: bool) -> Finding {
    let here = reached.iter().map(|address| reach(address.ip())).max().unwrap_or(Reach::Everybody);
    // A test network may use addresses for documentation throughout.
    let same = |address: &SocketAddr| reached.iter().any(|reached| reached.ip() == address.ip());
    let reachable = |address: &&SocketAddr| reach(address.ip()) >= here.max(Reach::Machine) || same(address);
    let seen = format!("clients are told {}", list(announced));
    let fix = format!(
        "Parlor: set media.announced_ip (PARLOR_MEDIA__ANNOUNCED_IP) to the address by which clients reach this machine, perhaps {}, and open \
         the media ports there.",
        list(reached.iter().map(SocketAddr::ip))
    );
    let usable: Vec<_> = announced.iter().filter(reachable).collect();
    if relay_only && !announced.is_empty() {
        return Finding::ok(Step::Announced, format!("{seen}; they reach it through TURN only"));
    }
    if usable.is_empty() {
        let seen = if announced.is_empty() {
            "clients are told no address for media".to_owned()
        } else {
            format!("{seen}, which nobody here can reach")
        };
        return Finding::broken(Step::Announced, Fault::AnnouncedUnreachable, seen, fix);
    }
    Finding::ok(Step::Announced, seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(all: &[&str]) -> Vec<SocketAddr> {
        all.iter().map(|one| one.parse().expect("an address")).collect()
    }

    #[test]
    fn who_came_by_a_public_address_needs_a_public_one_for_media() {
        let fault = |reached: &str, told: &[&str]| judge_announced(&addresses(&[reached]), &addresses(told), false).fault;
        let broken = Some(Fault::AnnouncedUnreachable);
        for told in ["10.0.0.5:1", "127.0.0.1:1", "0.0.0.0:1", "203.0.113.9:1", "[fd00::1]:1"] {
            assert_eq!(fault("8.8.8.8:443", &[told]), broken, "{told}");
        }
        assert_eq!(fault("8.8.8.8:443", &["10.0.0.5:1", "8.8.4.4:1"]), None, "one is enough");
        assert_eq!(fault("192.168.1.2:443", &["127.0.0.1:1"]), broken);
        assert_eq!(fault("192.168.1.2:443", &["192.168.1.2:1"]), None);
        assert_eq!(fault("127.0.0.1:7400", &["127.0.0.1:1"]), None);
        assert_eq!(fault("127.0.0.1:7400", &["0.0.0.0:1"]), broken);
        assert_eq!(fault("8.8.8.8:443", &[]), broken);
        assert_eq!(judge_announced(&addresses(&["8.8.8.8:1"]), &addresses(&["10.0.0.5:1"]), true).fault, None, "a relay may reach it");
    }

    #[test]
    fn what_a_server_answers_is_read_as_far_as_it_can_be() {
        let transport = json!({ "iceCandidates": [
            { "ip": "10.0.0.5", "port": 7401, "protocol": "udp" }, { "ip": "::1", "port": 7401, "protocol": "tcp" },
            { "ip": "nonsense", "port": 7401, "protocol": "udp" }, { "ip": "10.0.0.5", "port": 99_999, "protocol": "udp" }, 7, { "port": 1 },
        ] });
        assert_eq!(candidates(&transport), (addresses(&["10.0.0.5:7401"]), addresses(&["[::1]:7401"])));
        assert_eq!(candidates(&json!(null)), (Vec::new(), Vec::new()));
        let told = json!([{ "urls": ["turn:a", "turn:b"], "username": "u", "credential": "p" }, { "urls": "no list" }, 7]);
        assert_eq!(servers(Some(&told)).iter().map(|server| server.url.as_str()).collect::<Vec<_>>(), ["turn:a", "turn:b"]);
    }

    #[test]
    fn a_channel_that_nobody_named_may_be_missing() {
        let refusal = Refusal { code: "CHANNEL_NOT_FOUND".into(), ..Refusal::default() };
        assert_eq!(judge_refusal(None, &refusal).fault, None);
        assert_eq!(judge_refusal(Some("lobby"), &refusal).fault, Some(Fault::JoinRefused));
    }
}
