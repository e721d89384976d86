//! `[redis]`: a Redis in which other programs see who is in a call.

use std::path::PathBuf;
use std::time::Duration;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _};
use serde::{Deserialize, Serialize};

use crate::config::Secret;

/// The shortest and the longest `redis.call_state_ttl_s`: a shorter one would end in a hiccup, and after a longer one the people of a
/// server that died would be seen for more than a day.
const CALL_STATE_TTL_S: std::ops::RangeInclusive<u64> = 4..=86_400;

/// The section `[redis]`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// `redis://:password@host:6379/0`, `rediss://…` with TLS, or `unix:///path?db=0&pass=password`. Not set: no Redis. It is a
    /// secret because it may hold a password.
    pub url: Secret,
    /// What every key begins with, before `call:state:…`: several servers then share a Redis.
    pub prefix: String,
    /// The file with the certificates (PEM) of the authorities that `rediss://` trusts. Not set: those of the system.
    pub ca_file: PathBuf,
    /// Seconds for which the state of a call stays when this server does not refresh it, as after a crash, 4 to 86,400.
    pub call_state_ttl_s: u64,
}

impl Default for Redis {
    fn default() -> Self {
        Self { url: Secret::default(), prefix: String::new(), ca_file: PathBuf::new(), call_state_ttl_s: 3_600 }
    }
}

impl Redis {
    /// Whether there is a Redis.
    #[must_use]
    pub fn is_set(&self) -> bool {
        !self.url.reveal().is_empty()
    }

    /// How long the state of a call stays without a refresh: [`Redis::call_state_ttl_s`].
    #[must_use]
    pub const fn call_state_ttl(&self) -> Duration {
        Duration::from_secs(self.call_state_ttl_s)
    }

    /// Checks what types alone do not: returns the key, and what is wrong with it.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        if !CALL_STATE_TTL_S.contains(&self.call_state_ttl_s) {
            return Err(("redis.call_state_ttl_s", "must be from 4 to 86400".to_owned()));
        }
        if self.is_set() {
            self.connection_info().map_err(|reason| ("redis.url", reason))?;
        }
        Ok(())
    }

    /// Where Redis is. The error repeats nothing of the address, in which there may be a password.
    pub(crate) fn connection_info(&self) -> Result<ConnectionInfo, String> {
        let wrong = "is no address of a Redis: redis://:password@host:6379/0, rediss://… with TLS, or unix:///path";
        let info = self.url.reveal().into_connection_info().map_err(|_| wrong.to_owned())?;
        match info.addr() {
            ConnectionAddr::TcpTls { insecure: true, .. } => {
                Err("must not turn off the check of the certificate: name its authority in redis.ca_file".to_owned())
            }
            _ => Ok(info),
        }
    }
}
