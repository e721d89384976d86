//! The STUN and TURN servers that clients are told, with credentials for each of them.

pub mod credential;
mod metered;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parlor_proto::event::{IceServer, IceSetup, IceTransportPolicy, RtcConfig};
use parlor_proto::{Channel, Timestamp, Topology, UserId};

use self::credential::{Kind, Marks, Signer};
use self::metered::Metered;
use crate::config::ice_url::IceUrl;
use crate::config::{Announced, Config, Period, Provider, Secret, Turn};
use crate::net::fetch::Document;
use crate::tally::Tally;

/// The bytes of a secret below which it can be guessed from one of its credentials, which every user has: 128 bits, if they
/// are random.
const MIN_SECRET_BYTES: usize = 16;

static WITHOUT_TURN: Tally = Tally::new("people were told no TURN server, because its provider failed");
static UNREACHABLE: Tally = Tally::new("people who may connect through a TURN server only were told none: they hear nobody");

/// Tells clients their servers.
#[derive(Debug)]
pub struct Ice {
    /// Told in any case.
    always: Vec<IceServer>,
    policy: IceTransportPolicy,
    relay: Relay,
    /// Whether relays are told to nobody in a call who may connect without one.
    reluctant: bool,
    ttl: Period,
    rest_ttl: Period,
}

/// The source of TURN servers.
#[derive(Debug)]
enum Relay {
    None,
    /// The same for everybody, for ever.
    Fixed(IceServer),
    /// Credentials of one's own.
    Signed {
        urls: Vec<String>,
        signer: Arc<Signer>,
        /// Whether the server in this program takes them.
        embedded: bool,
    },
    Metered(Metered),
}

impl Ice {
    /// Prepares what `[ice]` and `[turn]` say. In development mode there is the embedded server for who needs it, if nothing is said.
    pub fn new(config: &Config, dev: bool) -> Result<Self, String> {
        let Config { ice, turn, .. } = config;
        let by_default = dev && turn.provider == Provider::Unset;
        let provider = if by_default { Provider::Embedded } else { turn.provider };
        Ok(Self {
            always: ice.servers().collect(),
            policy: ice.policy(),
            relay: Relay::new(turn, provider)?,
            reluctant: by_default,
            ttl: turn.ttl,
            rest_ttl: turn.rest_ttl,
        })
    }

    /// The servers of a user in a call.
    pub async fn for_call(&self, channel: &Channel, user: &UserId, now: Timestamp) -> IceSetup {
        let policy = self.policy.within(channel);
        let kind = match channel.topology {
            Topology::Sfu => Kind::Sfu,
            Topology::Mesh | Topology::Auto => Kind::Mesh,
        };
        let relays = !self.reluctant || policy == IceTransportPolicy::Relay;
        self.setup(user, kind, policy, relays.then_some(self.ttl), now).await
    }

    /// The servers of a user in any call.
    pub async fn for_user(&self, user: &UserId, now: Timestamp) -> IceSetup {
        self.setup(user, Kind::Any, self.policy, Some(self.rest_ttl), now).await
    }

    /// What signs the credentials of the embedded server, and knows their passwords; `None` if that is not used.
    #[must_use]
    pub fn embedded(&self) -> Option<Arc<Signer>> {
        match &self.relay {
            Relay::Signed { signer, embedded: true, .. } => Some(Arc::clone(signer)),
            Relay::None | Relay::Fixed(_) | Relay::Signed { .. } | Relay::Metered(_) => None,
        }
    }

    /// Learns where the embedded server is reached, unless that is configured: by a name of this server if it has one, or at
    /// `announced`, the addresses of its media as clients are told them. `listening` is what the embedded server is bound to.
    pub fn is_reached_at(&mut self, configured: &[Announced], announced: &[SocketAddr], listening: &[SocketAddr]) -> Result<(), String> {
        let Relay::Signed { urls, embedded: true, .. } = &mut self.relay else { return Ok(()) };
        if urls.is_empty() {
            let name = configured.iter().find(|told| matches!(told, Announced::Name(_)));
            *urls = match (name, listening.first()) {
                (Some(name), Some(at)) => both_transports(&format!("{name}:{}", at.port())).into(),
                _ => own_urls(announced, listening),
            };
        }
        if urls.is_empty() {
            return Err("the embedded TURN server has no address; set turn.urls, or media.announced_ip".to_owned());
        }
        Ok(())
    }

    /// How long what [`Ice::for_user`] gives is good.
    #[must_use]
    pub const fn rest_ttl(&self) -> Period {
        self.rest_ttl
    }

    /// The servers of a user; relays with a credential that lasts this long, or none.
    async fn setup(&self, user: &UserId, kind: Kind, policy: IceTransportPolicy, relays: Option<Period>, now: Timestamp) -> IceSetup {
        let (relays, expires_at) = match (&self.relay, relays) {
            (Relay::None, _) | (_, None) => (Vec::new(), None),
            (Relay::Fixed(server), _) => (vec![server.clone()], None),
            (Relay::Signed { urls, signer, .. }, Some(ttl)) => {
                let credential = signer.issue(user, kind, ttl, now);
                let (username, password) = (Some(credential.username), Some(credential.password));
                (vec![IceServer { urls: urls.clone(), username, credential: password }], Some(credential.expires_at))
            }
            (Relay::Metered(metered), Some(ttl)) => match metered.servers().await {
                Some(servers) => (servers.to_vec(), Some(after(ttl, now))),
                None => {
                    WITHOUT_TURN.add();
                    (Vec::new(), None)
                }
            },
        };
        let mut servers: Vec<_> = self.always.iter().cloned().chain(relays).collect();
        match policy {
            IceTransportPolicy::All => servers.extend(stun_beside(&servers)),
            IceTransportPolicy::Relay => {
                keep_relays(&mut servers);
                if servers.is_empty() {
                    UNREACHABLE.add();
                }
            }
        }
        let left = |at: Timestamp| u32::try_from(now.millis_until(at).div_ceil(1_000)).unwrap_or(u32::MAX);
        IceSetup {
            rtc_config: RtcConfig { ice_servers: servers, ice_transport_policy: policy },
            turn_credential_expires_at: expires_at.map(Timestamp::to_rfc3339),
            turn_credential_ttl: expires_at.map(left),
        }
    }
}

impl Relay {
    fn new(turn: &Turn, provider: Provider) -> Result<Self, String> {
        let signed = |secret: &Secret, marks, embedded| {
            let signer = Arc::new(Signer::new(secret, &turn.old_secrets, marks));
            Ok(Self::Signed { urls: turn.urls.clone(), signer, embedded })
        };
        match provider {
            Provider::Unset | Provider::None => Ok(Self::None),
            Provider::Static => {
                let (username, credential) = (turn.username.clone(), turn.credential.reveal().to_owned());
                Ok(Self::Fixed(IceServer { urls: turn.urls.clone(), username: Some(username), credential: Some(credential) }))
            }
            Provider::Coturn => {
                if turn.secret.reveal().len() < MIN_SECRET_BYTES {
                    tracing::warn!("turn.secret is so short that a user could guess it; `openssl rand -hex 32` makes a good one");
                }
                signed(&turn.secret, Marks::None, false)
            }
            Provider::Embedded => signed(&embedded_secret(turn), Marks::Kind, true),
            Provider::Metered => {
                let url = turn.api().map_err(|reason| format!("turn.api_url {reason}"))?;
                Ok(Self::Metered(Metered::start(Document::new(url)?, turn.ttl.duration())))
            }
        }
    }
}

/// The secret of the embedded server; a new one for this run if none is configured.
fn embedded_secret(turn: &Turn) -> Secret {
    if !turn.secret.reveal().is_empty() {
        return turn.secret.clone();
    }
    Secret::new(format!("{:032x}", rand::random::<u128>()))
}

/// The addresses of the embedded server: one of each family is enough, and browsers try every one. Its port is that on the same
/// address, or on any of the family behind NAT.
fn own_urls(announced: &[SocketAddr], listening: &[SocketAddr]) -> Vec<String> {
    let best = |family: fn(&IpAddr) -> bool| {
        let all = || announced.iter().map(SocketAddr::ip).filter(family);
        let ip = all().find(|ip| !ip.is_loopback()).or_else(|| all().next())?;
        let of_family = |address: &&SocketAddr| family(&address.ip());
        let at = listening.iter().find(|address| address.ip() == ip).or_else(|| listening.iter().find(of_family))?;
        Some(SocketAddr::new(ip, at.port()))
    };
    let hosts = [best(IpAddr::is_ipv4), best(IpAddr::is_ipv6)].into_iter().flatten();
    hosts.flat_map(|address| both_transports(&address.to_string())).collect()
}

fn both_transports(authority: &str) -> [String; 2] {
    ["udp", "tcp"].map(|transport| format!("turn:{authority}?transport={transport}"))
}

/// The STUN server beside a TURN server, if there is no other: whoever has no use for a relay learns their address from it.
fn stun_beside(servers: &[IceServer]) -> Option<IceServer> {
    let urls = || servers.iter().flat_map(|server| &server.urls).filter_map(|url| IceUrl::parse(url));
    if urls().any(|url| !url.relay) {
        return None;
    }
    let url = urls().find_map(|url| url.stun())?;
    Some(IceServer { urls: vec![url], username: None, credential: None })
}

/// Takes out every address that would have a client show its own.
fn keep_relays(servers: &mut Vec<IceServer>) {
    for server in &mut *servers {
        server.urls.retain(|url| IceUrl::parse(url).is_some_and(|url| url.relay));
    }
    servers.retain(|server| !server.urls.is_empty());
}

fn after(ttl: Period, now: Timestamp) -> Timestamp {
    Timestamp(now.0.saturating_add(ttl.as_millis()))
}

#[cfg(test)]
mod tests;
