//! `parlor doctor`: checks a server from outside in, one hop after the other, and names the one that is broken.
//!
//! Nobody is asked but the given server and what it names: its media ports, its STUN and TURN servers. All of them may be anybody's, so
//! what they answer is read within bounds and believed in nothing. What was seen is judged by functions without I/O, beside each check.

mod address;
mod call;
mod connect;
mod finding;
mod line;
mod media;
mod proxy;
mod relay;
mod socket;
mod tls;
mod token;
mod web;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use tokio::time::timeout;

use self::address::{Reach, Site, reach};
use self::call::Call;
use self::connect::Outcome;
use self::finding::{Notes, Step};
use self::media::{Protocol, Tried};
use self::relay::Reached;
use self::socket::Socket;
use self::tls::Trust;
use self::web::Web;
use crate::clock;

pub use finding::{Fault, Finding, Verdict};
pub use token::{NAME, Token, fresh_id};

/// The time for an answer on one step: somebody on the other side of the world is answered within one second, even if a packet is lost.
const STEP: Duration = Duration::from_secs(5);
/// The time for everything. A server that is dead ends it much sooner, on its first step; one that answers each request at the last
/// moment does not hold it up for longer.
const WHOLE: Duration = Duration::from_secs(30);

/// What is to be checked.
#[derive(Clone, Debug)]
pub struct Order {
    /// The address of the page, as people have it.
    pub url: String,
    /// The token to show.
    pub token: Token,
    /// The channel to join.
    pub channel: Option<String>,
    /// Certificates of authorities that are trusted beside those of the system.
    pub roots: Vec<CertificateDer<'static>>,
}

/// Whether this can be the address of a server; if not, what to give.
pub fn check_url(url: &str) -> Result<(), String> {
    Site::parse(url).map(drop)
}

/// Checks a server. Each finding is told as soon as it is there; all of them are returned.
pub async fn examine(order: &Order, tell: &mut dyn FnMut(&Finding)) -> anyhow::Result<Vec<Finding>> {
    let site = Site::parse(&order.url).map_err(|why| anyhow::anyhow!(why))?;
    let trust = Trust::new(order.roots.clone())?;
    let mut notes = Notes::new(tell);
    if timeout(WHOLE, walk(order, &site, &trust, &mut notes)).await.is_err() {
        let fix = "Network or server: each step is answered, but late. Look at the load of the server, and try again from nearer to it.";
        notes.add(Finding::broken(notes.last(), Fault::OutOfTime, format!("the time is up after {} s", WHOLE.as_secs()), fix));
    }
    Ok(notes.done())
}

async fn walk(order: &Order, site: &Site, trust: &Trust, notes: &mut Notes<'_>) {
    let Some(at) = reach_site(site, trust, notes).await else { return };
    let Some(web) = ask_parlor(site, &at, trust, notes).await else { return };
    let (polled, socket) = tokio::join!(socket::poll(&web), open_socket(site, &at, trust));
    notes.add(polled);
    notes.add(socket::judge_upgrade(socket.as_ref().map(drop)));
    let Some(token) = token_of(order, &web).await else {
        let why = "no token: give one with --token, or have the server's parlor.toml here (--config)";
        return notes.stop_behind(Step::Websocket, why);
    };
    let local = at.first().and_then(|first| connect::own_end(*first));
    let Some(seen) = Inside::look(order, &web, socket.ok(), &token, notes).await else { return };
    let others = Known { reached: at, local };
    check_media(&seen, &others, trust, notes).await;
    if let Some(socket) = seen.socket {
        socket.close().await;
    }
}

/// What is known of both ends by now.
struct Known {
    /// The addresses at which the server was reached.
    reached: Vec<SocketAddr>,
    /// This machine's address on the way there.
    local: Option<IpAddr>,
}

/// Name, connection and certificate; answers the addresses that work.
async fn reach_site(site: &Site, trust: &Trust, notes: &mut Notes<'_>) -> Option<Vec<SocketAddr>> {
    let found = address::addresses(&site.host, site.port).await;
    if !notes.add(address::judge(&site.host, &found)) {
        notes.stop_behind(Step::Name, "the name has no address");
        return None;
    }
    let tried = connect::connect_each(&found.unwrap_or_default()).await;
    if !notes.add(connect::judge(site.port, &tried)) {
        notes.stop_behind(Step::Tcp, "there is no connection");
        return None;
    }
    let at: Vec<_> = tried.into_iter().filter(|(_, outcome)| *outcome == Outcome::Answered).map(|(address, _)| address).collect();
    let first = at.first()?;
    if !site.tls {
        let here = reach(first.ip()) == Reach::Machine;
        notes.add(if here {
            Finding::skipped(Step::Tls, "no TLS, which is in order on the same machine")
        } else {
            let fix = "Proxy: put one with TLS in front, and give people its https address: browsers give microphones to no other page.";
            Finding::warning(Step::Tls, Fault::NoTls, "no TLS", fix)
        });
        return Some(at);
    }
    let shaken = match connect::connect(*first).await {
        Ok(stream) => trust.shake(&site.host, stream).await.map(|stream| trust.ends_soon(&site.host, &stream)),
        Err(outcome) => Err(tls::Problem::Failed(format!("{first} {} now", outcome.words()))),
    };
    if !notes.add(tls::judge(&site.host, &shaken)) {
        notes.stop_behind(Step::Tls, "there is no TLS that browsers take");
        return None;
    }
    Some(at)
}

/// Whether it is Parlor that answers, and what time it has.
async fn ask_parlor(site: &Site, at: &[SocketAddr], trust: &Trust, notes: &mut Notes<'_>) -> Option<Web> {
    let web = match Web::new(site, at, trust) {
        Ok(web) => web,
        Err(error) => {
            notes.add(Finding::broken(
                Step::Http,
                Fault::HttpSilent,
                format!("no HTTP client can be made: {error}"),
                "This machine: report this.",
            ));
            return None;
        }
    };
    let (health, ready) = tokio::join!(web.get("/healthz"), web.get("/readyz"));
    let now = clock::wall();
    let finding = web::judge(&health, &ready);
    let goes_on = finding.verdict != Verdict::Broken || finding.fault == Some(Fault::NotReady);
    notes.add(finding);
    if !goes_on {
        notes.stop_behind(Step::Http, "Parlor was not reached");
        return None;
    }
    notes.add(web::judge_clock(health.ok().and_then(|page| page.time()), now, "the server"));
    Some(web)
}

async fn open_socket(site: &Site, at: &[SocketAddr], trust: &Trust) -> Result<Socket, socket::NoSocket> {
    match at.first() {
        Some(first) => Socket::open(site, *first, trust).await,
        None => Err(socket::NoSocket::Failed("no address".to_owned())),
    }
}

async fn token_of(order: &Order, web: &Web) -> Option<String> {
    match &order.token {
        Token::Given(token) | Token::Signed(token) => Some(token.clone()),
        Token::Asked => token::ask(web).await,
    }
}

/// What a user with a token learns.
struct Inside {
    socket: Option<Socket>,
    call: Call,
    /// The addresses of all media ports.
    media: Vec<SocketAddr>,
    /// Whom the server takes us for.
    seen: Option<proxy::Seen>,
}

impl Inside {
    /// Shows the token, joins, and asks what users may ask. Without a WebSocket the same is asked by HTTP, as far as it goes.
    async fn look(order: &Order, web: &Web, mut socket: Option<Socket>, token: &str, notes: &mut Notes<'_>) -> Option<Self> {
        let page = web.get_as(token, "/api/voice/connection").await;
        let signed_in = match &mut socket {
            Some(socket) => socket.sign_in(token).await,
            None => refusal(&page),
        };
        if !notes.add(token::judge(&order.token, notes.has(Fault::ClocksDiffer), &signed_in)) {
            notes.stop_behind(Step::Token, "no token is accepted");
            return None;
        }
        let (seen, connection) = page.ok().as_ref().and_then(proxy::read).unzip();
        let mut call = None;
        if let Some(socket) = &mut socket {
            check_clock(socket, notes).await;
            let (finding, joined) = call::join(socket, order.channel.as_deref()).await;
            notes.add(finding);
            call = joined;
        } else {
            notes.add(Finding::skipped(Step::Join, "there is no WebSocket"));
        }
        let call = match call {
            Some(call) => call,
            None => Call { servers: servers_by_rest(web, token).await, ..Call::default() },
        };
        let media = connection.as_ref().map(call::media).unwrap_or_default();
        Some(Self { socket, call, media, seen })
    }
}

/// The refusal of a request by REST.
fn refusal(page: &Result<web::Page, String>) -> Result<(), socket::Refusal> {
    match page {
        Ok(page) if page.status == 401 => {
            let body: Value = serde_json::from_str(&page.body).unwrap_or_default();
            Err(socket::Refusal::read(&body).unwrap_or_default())
        }
        _ => Ok(()),
    }
}

/// Compares with Parlor's own clock: the time of HTTP answers may be the proxy's.
async fn check_clock(socket: &mut Socket, notes: &mut Notes<'_>) {
    let Ok(pong) = socket.ask("voice:ping", &json!({})).await else { return };
    let theirs = pong.get("serverTimeMs").and_then(Value::as_i64).map(parlor_proto::Timestamp);
    let finding = web::judge_clock(theirs, clock::wall(), "Parlor itself");
    if finding.verdict == Verdict::Broken {
        notes.add(finding);
    }
}

async fn servers_by_rest(web: &Web, token: &str) -> Vec<call::Server> {
    let page = web.get_as(token, "/api/voice/turn-credentials/").await.unwrap_or_default();
    let body: Value = serde_json::from_str(&page.body).unwrap_or_default();
    call::servers(body.get("iceServers"))
}

/// Media ports and TURN servers, all at the same time; then what they say of the way of requests.
async fn check_media(inside: &Inside, known: &Known, trust: &Trust, notes: &mut Notes<'_>) {
    let Inside { call, media, seen, .. } = inside;
    let announced = if call.udp.is_empty() { media } else { &call.udp };
    if announced.is_empty() && call.credentials.is_none() {
        notes.add(Finding::skipped(Step::Announced, "no address of media is known"));
    } else {
        notes.add(call::judge_announced(&known.reached, announced, call.relay_only));
    }
    let through = best(announced);
    let relays = join_all(call.servers.iter().map(async |server| (server, relay::examine(server, call, through, trust).await)));
    let (udp, tcp, relays) = tokio::join!(media::check(Protocol::Udp, call, media), media::check(Protocol::Tcp, call, media), relays);
    let answers = |tried: &[Tried]| tried.iter().any(|one| one.outcome == Outcome::Answered);
    let direct = answers(&udp);
    if call.relay_only {
        let why = "clients use a relay and nothing else here";
        notes.add(Finding::skipped(Step::MediaUdp, why));
        notes.add(Finding::skipped(Step::MediaTcp, why));
    } else if notes.has(Fault::AnnouncedUnreachable) && !direct && !answers(&tcp) {
        let why = "clients are told a wrong address: mend that first";
        notes.add(Finding::skipped(Step::MediaUdp, why));
        notes.add(Finding::skipped(Step::MediaTcp, why));
    } else {
        notes.add(media::judge(Protocol::Udp, &udp, answers(&tcp)));
        notes.add(media::judge(Protocol::Tcp, &tcp, direct));
    }
    let mapped = udp.iter().chain(&tcp).filter_map(|one| one.seen_from);
    let mapped = mapped.chain(relays.iter().filter_map(|(_, reached)| match reached {
        Reached::Works { seen_from, .. } => *seen_from,
        _ => None,
    }));
    let mut ours: Vec<IpAddr> = mapped.map(|address| address.ip().to_canonical()).chain(known.local).collect();
    ours.sort_unstable();
    ours.dedup();
    let reached: Vec<IpAddr> = known.reached.iter().map(SocketAddr::ip).collect();
    notes.add(proxy::judge(*seen, &ours, &reached));
    let clocks_differ = notes.has(Fault::ClocksDiffer);
    for (server, reached) in &relays {
        notes.add(relay::judge(server, reached, direct || call.relay_only, clocks_differ));
    }
    if !call.servers.iter().any(|server| server.url.starts_with("turn")) {
        notes.add(relay::judge_none(call.relay_only));
    }
}

/// The address of media that a relay is tried with: the one that is reached from furthest away, and IPv4 before IPv6, which not every
/// relay has.
fn best(announced: &[SocketAddr]) -> Option<SocketAddr> {
    announced.iter().copied().max_by_key(|address| (reach(address.ip()), address.is_ipv4()))
}
