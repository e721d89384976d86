//! `[turn]`: the TURN servers that clients are told, and the secrets of their credentials.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use parlor_turn::Limits;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::config::ice_url::{self, IceUrl};
use crate::config::{Period, PortRange, Secret, is_loopback, list};
use crate::secret::without_query;

/// The port of STUN and TURN (RFC 8656, 4.1).
pub const TURN_PORT: u16 = 3478;
/// The port of TURN over TLS.
pub const TURNS_PORT: u16 = 5349;
/// The most old secrets: each is another hash for each request nobody signed, and one is enough to change a secret.
const MAX_OLD_SECRETS: usize = 4;
/// The most addresses: browsers try each of them at every connection, and warn of more than a handful.
const MAX_URLS: usize = 16;
/// The limits of the embedded server if nothing is configured.
const LIMITS: Limits = Limits::DEFAULT;
/// The shortest life of a credential: a client needs a few seconds to use it, and to get the next.
const MIN_TTL: Period = Period::seconds(10);
/// The longest life of a credential: it works until its end for whoever has it, a banned user included.
const MAX_TTL: Period = Period::hours(30 * 24);

/// The section `[turn]`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Turn {
    /// Who relays for clients that cannot reach the server themselves, or do not want to show their address. Not set: nobody, in
    /// development mode the embedded server, on free ports.
    pub provider: Provider,
    /// The addresses of the TURN servers: `turn:turn.example.com:3478?transport=udp`, `turns:…:443?transport=tcp`. For the
    /// embedded server not set: those of this server.
    #[serde(deserialize_with = "list::one_or_many")]
    pub urls: Vec<String>,
    /// The secret that is shared with coturn (`static-auth-secret`). For the embedded server not set: a new one at every
    /// start.
    pub secret: Secret,
    /// Secrets that the embedded server accepts as well, until what was signed with them has ended.
    #[serde(deserialize_with = "list::one_or_many")]
    pub old_secrets: Vec<Secret>,
    /// The address of Metered's REST API: `https://APP.metered.live/api/v1/turn/credentials`.
    #[serde(serialize_with = "without_query")]
    pub api_url: String,
    /// The API key of a credential at Metered.
    pub api_key: Secret,
    /// The user name of `static`.
    pub username: String,
    /// The password of `static`.
    pub credential: Secret,
    /// How long the credential in the reply to a join lasts. A client in a call asks for the next one before that.
    pub ttl: Period,
    /// How long a credential from `GET /api/voice/turn-credentials/` lasts.
    pub rest_ttl: Period,
    /// Addresses on which the embedded server listens, UDP and TCP. Not set: port 3478 on the addresses of the network interfaces.
    #[serde(deserialize_with = "list::one_or_many")]
    pub listen: Vec<SocketAddr>,
    /// Addresses for TLS, if there is a certificate. Not set: port 5349 on the addresses of the network interfaces.
    #[serde(deserialize_with = "list::one_or_many")]
    pub tls_listen: Vec<SocketAddr>,
    /// The file with the certificate for TLS and those of its issuers (PEM). It is read again when it changes. Not set: no TLS.
    pub tls_cert: String,
    /// The file with the key of the certificate (PEM).
    pub tls_key: String,
    /// Addresses from which the embedded server relays, one of a family. Not set: the first interface address of each.
    #[serde(deserialize_with = "list::one_or_many")]
    pub relay_ip: Vec<IpAddr>,
    /// The same addresses as others see them, behind NAT. Not set: `media.announced_ip`, or else as they are.
    #[serde(deserialize_with = "list::one_or_many")]
    pub external_ip: Vec<IpAddr>,
    /// UDP ports of relayed addresses, from and to.
    pub relay_ports: PortRange,
    /// Exact addresses that may be relayed to beside this server's own media: that of other servers of the same deployment.
    #[serde(deserialize_with = "list::one_or_many")]
    pub allowed_peers: Vec<SocketAddr>,
    /// Networks that are not relayed to, beside those that never are: neighbours of this server with public addresses.
    #[serde(deserialize_with = "list::one_or_many")]
    pub denied_peers: Vec<IpNet>,
    /// The most allocations. Each is an open file.
    pub max_allocations: usize,
    /// The most allocations of a user.
    pub max_allocations_user: usize,
    /// The most allocations from an address (IPv6: /64).
    pub max_allocations_address: usize,
    /// The most that is relayed for an allocation in each direction, in kbit/s. 0: no limit.
    pub max_bitrate_kbps: u64,
}

/// Who relays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Nobody; in development mode the server in this program, for those who may use nothing else.
    #[default]
    #[serde(rename = "")]
    Unset,
    /// Nobody: clients get STUN servers at the most.
    None,
    /// A coturn, or another server that knows its `use-auth-secret`.
    Coturn,
    /// The TURN server in this program.
    Embedded,
    /// Metered, by its REST API.
    Metered,
    /// Servers with one user name and password for everybody.
    Static,
}

impl Default for Turn {
    fn default() -> Self {
        Self {
            provider: Provider::Unset,
            urls: Vec::new(),
            secret: Secret::default(),
            old_secrets: Vec::new(),
            api_url: String::new(),
            api_key: Secret::default(),
            username: String::new(),
            credential: Secret::default(),
            ttl: Period::hours(1),
            rest_ttl: Period::hours(24),
            listen: Vec::new(),
            tls_listen: Vec::new(),
            tls_cert: String::new(),
            tls_key: String::new(),
            relay_ip: Vec::new(),
            external_ip: Vec::new(),
            relay_ports: PortRange::default(),
            allowed_peers: Vec::new(),
            denied_peers: Vec::new(),
            max_allocations: LIMITS.allocations,
            max_allocations_user: LIMITS.per_user,
            max_allocations_address: LIMITS.per_address,
            max_bitrate_kbps: LIMITS.bytes_per_second * 8 / 1_000,
        }
    }
}

impl Turn {
    /// The address at which Metered is asked, with the key in it.
    pub fn api(&self) -> Result<Url, &'static str> {
        const HOW: &str = "must be the address of the API, as https://APP.metered.live/api/v1/turn/credentials";
        let mut url = Url::parse(&self.api_url).map_err(|_| HOW)?;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(HOW);
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            _ => return Err("must be https, except on this machine itself: the key is in it"),
        }
        url.query_pairs_mut().append_pair("apiKey", self.api_key.reveal());
        Ok(url)
    }

    /// All secrets, the one that signs first.
    pub fn all_secrets(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.secret).chain(&self.old_secrets)
    }

    /// Checks what types alone do not: the error names the wrong key, and says why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let wrong = |key: &'static str, reason: &str| Err((key, reason.to_owned()));
        if let Some(url) = self.urls.iter().find(|url| IceUrl::parse(url).is_none()) {
            return Err(("turn.urls", ice_url::refusal(url)));
        }
        if self.urls.len() > MAX_URLS {
            return wrong("turn.urls", "must not be over 16");
        }
        if self.old_secrets.len() > MAX_OLD_SECRETS {
            return wrong("turn.old_secrets", "must not be over 4");
        }
        if self.old_secrets.iter().any(|secret| secret.reveal().is_empty()) {
            return wrong("turn.old_secrets", "has an empty secret: everybody could sign with it");
        }
        for (key, ttl) in [("turn.ttl", self.ttl), ("turn.rest_ttl", self.rest_ttl)] {
            if !(MIN_TTL..=MAX_TTL).contains(&ttl) {
                return wrong(key, "must be from 10s to 30d");
            }
        }
        if self.tls_cert.is_empty() != self.tls_key.is_empty() {
            return wrong("turn.tls_cert", "and tls_key must both be set, or none of them");
        }
        if !self.tls_listen.is_empty() && self.tls_cert.is_empty() {
            return wrong("turn.tls_listen", "needs a certificate: set tls_cert and tls_key");
        }
        if [self.max_allocations, self.max_allocations_user, self.max_allocations_address].contains(&0) {
            return wrong("turn.max_allocations", "max_allocations_user and max_allocations_address must be at least 1");
        }
        let relays = self.urls.iter().any(|url| IceUrl::parse(url).is_some_and(|url| url.relay));
        match self.provider {
            Provider::Unset | Provider::None => Ok(()),
            Provider::Coturn | Provider::Static if !relays => {
                wrong("turn.urls", "must have the address of a TURN server, as \"turn:turn.example.com:3478\" (TURN_URL)")
            }
            Provider::Coturn if self.secret.reveal().is_empty() => {
                wrong("turn.secret", "must be the static-auth-secret of coturn (TURN_SECRET)")
            }
            Provider::Static if self.username.is_empty() => wrong("turn.username", "must be the user name at the TURN server"),
            Provider::Static if self.credential.reveal().is_empty() => wrong("turn.credential", "must be the password at the TURN server"),
            Provider::Embedded if !self.urls.is_empty() && !relays => wrong("turn.urls", "must have a turn: address, or be left out"),
            Provider::Metered if self.api_key.reveal().is_empty() => {
                wrong("turn.api_key", "must be the API key of a credential at Metered (TURN_API_KEY)")
            }
            Provider::Metered => self.api().map(drop).map_err(|reason| ("turn.api_url", reason.to_owned())),
            Provider::Coturn | Provider::Static | Provider::Embedded => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> Option<&'static str> {
        let turn: Turn = toml::from_str(text).expect("of the right types");
        turn.check().err().map(|(key, _)| key)
    }

    #[test]
    fn each_provider_needs_what_it_cannot_be_without() {
        assert_eq!(wrong(""), None, "without a provider there is STUN only");
        assert_eq!(wrong("provider = \"\""), None);
        let url = "urls = \"turn:turn.example.com\"\n";
        assert_eq!(wrong("provider = \"coturn\"\nsecret = \"s\""), Some("turn.urls"));
        assert_eq!(wrong("provider = \"coturn\"\nsecret = \"s\"\nurls = \"stun:stun.example.com\""), Some("turn.urls"));
        assert_eq!(wrong(&format!("provider = \"coturn\"\n{url}")), Some("turn.secret"));
        assert_eq!(wrong(&format!("provider = \"coturn\"\nsecret = \"s\"\n{url}")), None);
        assert_eq!(wrong(&format!("provider = \"static\"\n{url}")), Some("turn.username"));
        assert_eq!(wrong(&format!("provider = \"static\"\n{url}username = \"u\"")), Some("turn.credential"));
        assert_eq!(wrong(&format!("provider = \"static\"\n{url}username = \"u\"\ncredential = \"p\"")), None);
        assert_eq!(wrong("provider = \"embedded\""), None);
        assert_eq!(wrong("provider = \"embedded\"\nurls = \"stun:turn.example.com\""), Some("turn.urls"));
        assert_eq!(wrong("provider = \"metered\""), Some("turn.api_key"));
        assert_eq!(wrong("provider = \"metered\"\napi_key = \"k\""), Some("turn.api_url"));
        assert_eq!(wrong("provider = \"metered\"\napi_key = \"k\"\napi_url = \"http://app.metered.live/\""), Some("turn.api_url"));
        assert_eq!(wrong("provider = \"metered\"\napi_key = \"k\"\napi_url = \"https://me:x@app.metered.live/\""), Some("turn.api_url"));
        assert_eq!(wrong("provider = \"metered\"\napi_key = \"k\"\napi_url = \"https://app.metered.live/api/v1/turn/credentials\""), None);
    }

    #[test]
    fn what_would_not_work_is_refused_and_named() {
        assert_eq!(wrong("urls = \"turn.example.com:3478\""), Some("turn.urls"));
        assert_eq!(wrong("ttl = \"9s\""), Some("turn.ttl"));
        assert_eq!(wrong("rest_ttl = \"31d\""), Some("turn.rest_ttl"));
        assert_eq!(wrong("old_secrets = [\"\"]"), Some("turn.old_secrets"));
        assert_eq!(wrong("old_secrets = [\"1\", \"2\", \"3\", \"4\", \"5\"]"), Some("turn.old_secrets"));
    }

    #[test]
    fn the_embedded_server_has_a_whole_certificate_and_room_for_somebody() {
        assert_eq!(wrong("tls_cert = \"a.pem\""), Some("turn.tls_cert"));
        assert_eq!(wrong("tls_key = \"a.pem\""), Some("turn.tls_cert"));
        assert_eq!(wrong("tls_cert = \"a.pem\"\ntls_key = \"b.pem\"\ntls_listen = \"0.0.0.0:443\""), None);
        assert_eq!(wrong("tls_listen = \"0.0.0.0:443\""), Some("turn.tls_listen"));
        assert_eq!(wrong("max_allocations_user = 0"), Some("turn.max_allocations"));
    }

    #[test]
    fn the_key_of_the_api_is_a_part_of_the_address_and_never_shown() {
        let text = "provider = \"metered\"\napi_key = \"hush&x\"\napi_url = \"https://app.metered.live/c?region=eu\"\nsecret = \"hush\"\n\
             old_secrets = \"hush\"\ncredential = \"hush\"\n";
        let turn: Turn = toml::from_str(text).expect("valid");
        assert_eq!(turn.api().expect("valid").as_str(), "https://app.metered.live/c?region=eu&apiKey=hush%26x");
        for shown in [toml::to_string(&turn).expect("prints"), format!("{turn:?}")] {
            assert!(!shown.contains("hush"), "{shown}");
        }
    }
}
