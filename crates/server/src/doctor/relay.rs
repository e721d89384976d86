//! The STUN and TURN servers that clients are told, each way: whether it answers, takes the credential, and relays to a media port.

use std::net::SocketAddr;

use parlor_turn::client::{Answer, Ask, Client, Request, indication, read_indication};

use super::address::addresses;
use super::call::{Call, Server};
use super::connect::{Outcome, connect};
use super::finding::{Fault, Finding, Step};
use super::line::Line;
use super::tls::Trust;
use super::token::fresh_id;
use crate::config::ice_url::IceUrl;

/// The ports where none is written (RFC 7064, RFC 7065).
const PORT: u16 = 3478;
const TLS_PORT: u16 = 5349;
/// How often a request is begun anew with the nonce that came: once for the first, once for one that was too old.
const CHALLENGES: usize = 3;

/// How far one got at a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reached {
    /// Its name has no address.
    NoName(String),
    /// It does not answer.
    NoAnswer(Outcome),
    /// Its TLS is refused.
    NoTls(String, String),
    /// It refused this, with this code.
    Refused(Stage, u16),
    /// It relays, and nothing came back from the media port.
    NothingBack,
    /// All that was asked of it works. Without an address of media nothing is relayed.
    Works {
        /// Where one is seen from.
        seen_from: Option<SocketAddr>,
        /// The media port that answered through it.
        relayed_to: Option<SocketAddr>,
    },
}

/// What was asked of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// An allocation.
    Allocation,
    /// The permission to send to a media port.
    Permission,
}

/// Tries one server.
pub async fn examine(server: &Server, call: &Call, media: Option<SocketAddr>, trust: &Trust) -> Reached {
    go(server, call, media, trust).await.unwrap_or_else(|ended| ended)
}

async fn go(server: &Server, call: &Call, media: Option<SocketAddr>, trust: &Trust) -> Result<Reached, Reached> {
    let url = IceUrl::parse(&server.url).ok_or_else(|| Reached::NoName("it is no address of a STUN or TURN server".to_owned()))?;
    let mut line = open(&url, trust).await?;
    let binding = Request::binding();
    if !url.relay {
        let answer = line.exchange(&binding.bytes, |bytes| binding.hear(bytes)).await.map_err(Reached::NoAnswer)?;
        let Answer::Granted { mapped, .. } = answer else { return Err(Reached::NoAnswer(Outcome::Silent)) };
        return Ok(Reached::Works { seen_from: mapped, relayed_to: None });
    }
    let mut client = Client::new(&server.username, &server.credential);
    let granted = ask(&mut line, &mut client, Ask::Allocate, Stage::Allocation).await?;
    let Answer::Granted { mapped: seen_from, .. } = granted else { return Err(Reached::NoAnswer(Outcome::Silent)) };
    let through = match media {
        Some(media) => through(&mut line, &mut client, call, media).await.map(|()| Some(media)),
        None => Ok(None),
    };
    // The allocation is given back, so that it does not count against the user's quota.
    let end = client.request(Ask::Refresh(0));
    let _ = line.exchange(&end.bytes, |bytes| client.hear(&end, bytes)).await;
    Ok(Reached::Works { seen_from, relayed_to: through? })
}

/// Sends a connectivity check to a media port by the relay, and waits for what comes back.
async fn through(line: &mut Line, client: &mut Client, call: &Call, media: SocketAddr) -> Result<(), Reached> {
    ask(line, client, Ask::Permit(media), Stage::Permission).await?;
    let (name, password) = call.credentials.clone().unwrap_or_else(|| (fresh_id(), fresh_id()));
    let check = Request::check(&name, &password);
    let hear = |bytes: &[u8]| read_indication(bytes).and_then(|(_, data)| check.hear(&data));
    line.exchange(&indication(media, &check.bytes), hear).await.map(drop).map_err(|_| Reached::NothingBack)
}

async fn ask(line: &mut Line, client: &mut Client, ask: Ask, stage: Stage) -> Result<Answer, Reached> {
    for _ in 0..CHALLENGES {
        let request = client.request(ask);
        match line.exchange(&request.bytes, |bytes| client.hear(&request, bytes)).await.map_err(Reached::NoAnswer)? {
            Answer::Again => {}
            Answer::Refused(code) => return Err(Reached::Refused(stage, code)),
            granted @ Answer::Granted { .. } => return Ok(granted),
        }
    }
    Err(Reached::Refused(stage, 401))
}

async fn open(url: &IceUrl<'_>, trust: &Trust) -> Result<Line, Reached> {
    let (host, port) = host_and_port(url);
    let found = addresses(host, port).await.map_err(Reached::NoName)?;
    // A machine without IPv6 is told of it all the same.
    let Some(address) = found.iter().find(|address| address.is_ipv4()).or(found.first()).copied() else {
        return Err(Reached::NoName(format!("{host} has no address")));
    };
    if !url.tcp {
        return Line::udp(address).await.map_err(Reached::NoAnswer);
    }
    let stream = connect(address).await.map_err(Reached::NoAnswer)?;
    if !url.tls {
        return Ok(Line::messages(stream));
    }
    let shaken = trust.shake(host, stream).await.map_err(|problem| {
        let (_, seen, fix) = problem.explain(host);
        Reached::NoTls(seen, fix)
    })?;
    Ok(Line::messages(shaken))
}

fn host_and_port<'a>(url: &IceUrl<'a>) -> (&'a str, u16) {
    let default = if url.tls { TLS_PORT } else { PORT };
    let split = match url.authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => url.authority.split_once(':').map_or((url.authority, None), |(host, port)| (host, Some(port))),
    };
    (split.0, split.1.and_then(|port| port.parse().ok()).unwrap_or(default))
}

/// What was found at a server. `direct` is whether the media port answers without it, `clocks_differ` whether credentials can be good at all.
pub fn judge(server: &Server, reached: &Reached, direct: bool, clocks_differ: bool) -> Finding {
    let url = super::web::shown(&server.url);
    let broken = |fault, what: &str, fix: String| Finding::broken(Step::Turn, fault, format!("{url} {what}"), fix);
    match reached {
        Reached::Works { relayed_to: Some(media), .. } => Finding::ok(Step::Turn, format!("{url} relays to {media} and back")),
        Reached::Works { seen_from, .. } => {
            let from = seen_from.map(|from| format!(", and sees this machine at {from}")).unwrap_or_default();
            Finding::ok(Step::Turn, format!("{url} answers{from}"))
        }
        Reached::NoName(why) => broken(
            Fault::TurnUnknown,
            &format!("leads nowhere: {why}"),
            "Parlor: correct turn.urls (TURN_URL), or make a record for the name.".to_owned(),
        ),
        Reached::NoAnswer(outcome) => broken(
            Fault::TurnSilent,
            outcome.words(),
            "Host of the TURN server: see that it runs and listens there, and open this port and protocol to everybody; or correct turn.urls."
                .to_owned(),
        ),
        Reached::NoTls(seen, fix) => broken(Fault::TurnCertificate, &format!("is not trusted: {seen}"), format!("TURN server: {fix}.")),
        Reached::Refused(_, 486) => {
            let fix = "TURN server: this user has too many relays, or all have; raise user-quota and total-quota.";
            broken(Fault::TurnQuota, "refuses with 486", fix.to_owned())
        },
        Reached::Refused(Stage::Permission, code @ (403 | 443)) => broken(
            Fault::TurnDeniesMedia,
            &format!("refuses with {code} to relay to the media port"),
            "TURN server: its denied-peer-ip covers the address that Parlor announces for media. Announce a public one (media.announced_ip), or \
             name it in allowed-peer-ip (turn_allowed_peers of the playbook)."
                .to_owned(),
        ),
        Reached::Refused(_, code) => {
            let fix = if clocks_differ {
                "Clock: a credential ends at a time of day. Set the clocks first, those of Parlor and of the TURN server."
            } else {
                "Parlor and TURN server: they have different secrets. turn.secret (TURN_SECRET) and coturn's static-auth-secret have to be the same, \
                 with use-auth-secret; if they are, the clocks of the two differ."
            };
            broken(Fault::TurnRefused, &format!("refuses the credential with {code}"), fix.to_owned())
        }
        Reached::NothingBack => {
            let fix = if direct {
                "TURN server: its relayed packets do not reach Parlor's media port, or do not come back. Open 49152-65535/udp to it, let it \
                 send to the media ports, and set external-ip if it is behind a NAT; if both are behind one NAT, that must lead back \
                 inside (hairpin)."
            } else {
                "The media port answers nobody: mend media by UDP first."
            };
            broken(Fault::TurnRelaysNothing, "relays nothing back from the media port", fix.to_owned())
        }
    }
}

/// What it means that clients are told no TURN server.
pub fn judge_none(relay_only: bool) -> Finding {
    let fix = "Parlor: set turn.provider. docs/operate.md says which there are and what they need.";
    if relay_only {
        let seen = "clients are to use a relay only, and are told none: nobody connects";
        return Finding::broken(Step::Turn, Fault::NoTurn, seen, fix);
    }
    let seen = "clients are told no TURN server: people whose network lets out 443/tcp only do not connect";
    Finding::warning(Step::Turn, Fault::NoTurn, seen, fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_of_the_way_through_a_relay_is_told_from_the_others() {
        let server = Server { url: "turn:turn.example.com".into(), ..Server::default() };
        let judged = |reached: Reached| judge(&server, &reached, true, false).fault;
        assert_eq!(judged(Reached::NoAnswer(Outcome::Silent)), Some(Fault::TurnSilent));
        assert_eq!(judged(Reached::Refused(Stage::Allocation, 401)), Some(Fault::TurnRefused));
        assert_eq!(judged(Reached::Refused(Stage::Allocation, 486)), Some(Fault::TurnQuota));
        assert_eq!(judged(Reached::Refused(Stage::Permission, 403)), Some(Fault::TurnDeniesMedia));
        assert_eq!(judged(Reached::NothingBack), Some(Fault::TurnRelaysNothing));
        assert_eq!(judged(Reached::NoName("nothing".into())), Some(Fault::TurnUnknown));
        assert_eq!(judged(Reached::Works { seen_from: None, relayed_to: None }), None);
        let late = judge(&server, &Reached::Refused(Stage::Allocation, 401), true, true);
        assert!(late.fix.expect("one").starts_with("Clock: "));
    }

    #[test]
    fn the_port_is_the_written_one_or_that_of_the_scheme() {
        let of = |text: &'static str| host_and_port(&IceUrl::parse(text).expect("an address"));
        assert_eq!(of("turn:a.example"), ("a.example", 3478));
        assert_eq!(of("turns:a.example:443?transport=tcp"), ("a.example", 443));
        assert_eq!(of("turns:[::1]"), ("::1", 5349));
        assert_eq!(of("stun:[::1]:99"), ("::1", 99));
    }
}
