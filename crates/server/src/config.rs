//! The configuration of the server: every key with its default, from file, environment and flags.

mod address;
mod announced;
mod api;
mod auth;
mod channels;
pub mod ice_url;
mod limits;
mod list;
mod load;
mod node;
mod period;
mod ports;
mod redis;
mod store;
mod turn;
mod webhooks;

use std::net::{IpAddr, SocketAddr};

use parlor_proto::event::{IceServer, IceTransportPolicy};
use parlor_sfu::TalkersConfig;
use serde::{Deserialize, Serialize};

pub use crate::secret::Secret;
pub use address::is_loopback;
pub use announced::Announced;
pub use api::Api;
pub use auth::{Auth, KeySource, NamedSecret};
pub use channels::ChannelConfig;
pub use limits::Limits;
pub use list::written;
pub use load::{ConfigError, FILE_NAME, Sources, load, read_file};
pub use node::Node;
pub use period::Period;
pub use ports::PortRange;
pub use redis::Redis;
pub use store::Store;
pub use turn::{Provider, TURN_PORT, TURNS_PORT, Turn};
pub use webhooks::{Feed, Webhook};

/// The port of HTTP and WebSocket.
pub const HTTP_PORT: u16 = 7400;
/// The media port of the first worker; worker n has this number plus n.
pub const MEDIA_PORT: u16 = 7401;
/// The most media workers: each has a thread and a port, and a machine with more cores is split better.
pub const MAX_WORKERS: usize = 64;
/// The most `media.loudest_talkers`: nobody can tell more voices apart, and each packet is compared with all of them.
pub const MAX_LOUDEST_TALKERS: usize = 32;
/// The longest `media.flush_interval_us`: a longer one would be heard in a conversation before it saved anything.
pub const MAX_FLUSH_INTERVAL_US: u64 = 2_000;

/// The whole configuration. An empty text or list means "not set": the comment of a key says what holds then.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// This server among others.
    pub node: Node,
    /// The service of HTTP, WebSocket and the web app.
    pub http: Http,
    /// The media ports and threads.
    pub media: Media,
    /// The rate limits of the REST API.
    pub api: Api,
    /// The keys and rules by which tokens are verified.
    pub auth: Auth,
    /// The store of channels and people.
    pub store: Store,
    /// The Redis in which other programs see who is in a call.
    pub redis: Redis,
    /// How clients connect, and STUN and TURN servers they are told in any case.
    pub ice: Ice,
    /// The TURN servers for clients, with credentials for each of them.
    pub turn: Turn,
    /// The event feed.
    pub feed: Feed,
    /// The log.
    pub log: Log,
    /// The limits of channels and sessions.
    pub limits: Limits,
    /// Channels that exist from the start with these settings. Others are made at run time.
    pub channels: Vec<ChannelConfig>,
    /// The endpoints that are told of events.
    pub webhooks: Vec<Webhook>,
}

/// The section `[http]`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Addresses to listen on. Not set: port 7400 on every address, in development mode on localhost only.
    #[serde(deserialize_with = "list::one_or_many")]
    pub listen: Vec<SocketAddr>,
    /// Origins of other sites whose pages may read this server's answers (CORS): signaling, and what users ask with their
    /// tokens. Written as browsers do, scheme and host without a slash: `https://app.example.com`; a port only if it is not
    /// the usual one; no `*`. The server's own page needs none. In development mode every localhost origin may.
    #[serde(deserialize_with = "list::one_or_many")]
    pub cors_origins: Vec<String>,
}

/// The section `[media]`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Media {
    /// UDP and TCP port of the first worker; the next workers take the next ports. 0: any free ones.
    pub port: u16,
    /// Media threads. 0: one for each core.
    pub workers: usize,
    /// Addresses to bind. Not set: the addresses of the network interfaces, loopback included.
    #[serde(deserialize_with = "list::one_or_many")]
    pub listen_ip: Vec<IpAddr>,
    /// Addresses clients are told, when they differ from the bound ones (behind NAT: the public one), or host names: they are
    /// looked up at the start and every ten seconds.
    #[serde(deserialize_with = "list::one_or_many")]
    pub announced_ip: Vec<Announced>,
    /// Size of each UDP socket's receive buffer in bytes. The kernel doubles it and counts 832 bytes for a small
    /// packet, 2,304 for a full one: 1 MiB holds 2,500 packets of sound or 900 of video, about the key
    /// frames of ten to thirty cameras at once. Under overload it is always full: a larger one loses as many packets, and
    /// what gets through is late by the time its worker needs for all in it, tens of milliseconds in small rooms
    /// and up to a second where fifty talk to fifty. The kernel may grant less (`net.core.rmem_max`).
    pub socket_buffer: usize,
    /// Microseconds that packets always wait to be received and sent together, 0 to 2,000. 0: packets wait up to 1,000
    /// on a worker that gets more than 2,000 a second, or that is busy (above 30 % of a core, the longer the busier).
    pub flush_interval_us: u64,
    /// How many talkers, the loudest, are forwarded in rooms with more microphones than `all_talkers_up_to`. 0: always
    /// all.
    pub loudest_talkers: usize,
    /// Rooms with up to this many microphones forward all of them.
    pub all_talkers_up_to: usize,
}

impl Default for Media {
    fn default() -> Self {
        let TalkersConfig { loudest, all_up_to } = TalkersConfig::default();
        Self {
            port: MEDIA_PORT,
            workers: 0,
            listen_ip: Vec::new(),
            announced_ip: Vec::new(),
            socket_buffer: 1 << 20,
            flush_interval_us: 0,
            loudest_talkers: loudest,
            all_talkers_up_to: all_up_to,
        }
    }
}

/// The section `[ice]`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ice {
    /// STUN servers, and TURN servers with a password of their own, that clients are told beside those of `[turn]`. None
    /// are needed to reach this server itself.
    pub servers: Vec<IceServerConfig>,
    /// `all`, or `relay`: clients use TURN only and do not show their addresses.
    pub transport_policy: TransportPolicy,
}

/// An entry of `[[ice.servers]]`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IceServerConfig {
    /// `stun:`, `turn:` or `turns:` addresses.
    #[serde(deserialize_with = "list::one_or_many")]
    pub urls: Vec<String>,
    /// TURN user name.
    #[serde(default)]
    pub username: String,
    /// TURN password.
    #[serde(default)]
    pub credential: Secret,
}

/// The candidates that clients may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransportPolicy {
    /// Candidates of every kind.
    #[default]
    All,
    /// Candidates of relays only.
    Relay,
}

/// The section `[log]`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`; or directives such as `info,parlor=debug`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned() }
    }
}

impl Ice {
    /// The servers as clients are told them.
    pub fn servers(&self) -> impl Iterator<Item = IceServer> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        self.servers.iter().map(move |s| IceServer {
            urls: s.urls.clone(),
            username: some(&s.username),
            credential: some(s.credential.reveal()),
        })
    }

    /// The candidates that clients may use, as they are told.
    #[must_use]
    pub const fn policy(&self) -> IceTransportPolicy {
        match self.transport_policy {
            TransportPolicy::All => IceTransportPolicy::All,
            TransportPolicy::Relay => IceTransportPolicy::Relay,
        }
    }

    /// The first address that a browser would refuse.
    fn check(&self) -> Result<(), (String, String)> {
        let wrong = |url: &&String| ice_url::IceUrl::parse(url).is_none();
        for (index, server) in self.servers.iter().enumerate() {
            if let Some(url) = server.urls.iter().find(wrong) {
                return Err((format!("ice.servers[{index}].urls"), ice_url::refusal(url)));
            }
        }
        Ok(())
    }
}

impl Config {
    /// The effective configuration as TOML, secrets masked.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}
