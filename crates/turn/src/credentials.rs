//! Who may ask: the time-limited credentials that coturn calls `use-auth-secret` (draft-uberti-behave-turn-rest).
//!
//! The user name is `<expiry>:<user id>`, the password base64(HMAC-SHA1(secret, user name)). Whoever hands out credentials and
//! this server share a secret and nothing else.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::limits::MAX_USERNAME;
use crate::policy::Peers;

/// The realm of every request. It is part of the first answer to strangers, which has to stay short (see [`crate::message`]).
pub const REALM: &str = "parlor";

/// What a credential allows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The user whose quota counts, and by whose name allocations are ended.
    pub user: String,
    /// The peers that may be relayed to.
    pub peers: Peers,
}

/// A user name that is good at this time, and the passwords that prove it: more than one while a secret is changed.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// What it allows.
    pub grant: Grant,
    /// Any of these passwords will do.
    pub passwords: Vec<String>,
}

/// Looks up user names. What is behind the names, and which peers they may have, is up to whoever implements it.
pub trait Authenticate: Send + Sync {
    /// The login of a user name at a time, in seconds since 1970; nothing for one that is malformed or has expired.
    fn login(&self, username: &str, unix: u64) -> Option<Login>;
}

/// The scheme of this module's first lines, with one secret or several.
#[derive(Clone)]
pub struct SharedSecrets {
    secrets: Vec<hmac::Key>,
    peers: Peers,
}

impl SharedSecrets {
    /// Makes it; every credential may have these peers.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>, peers: Peers) -> Self {
        Self { secrets: secrets.into_iter().map(key).collect(), peers }
    }
}

impl Authenticate for SharedSecrets {
    fn login(&self, username: &str, unix: u64) -> Option<Login> {
        let (expiry, user) = split(username)?;
        if expiry <= unix {
            return None;
        }
        let passwords = self.secrets.iter().map(|key| sign(key, username)).collect();
        Some(Login { grant: Grant { user: user.to_owned(), peers: self.peers }, passwords })
    }
}

/// The expiry and the user id in a user name.
#[must_use]
pub fn split(username: &str) -> Option<(u64, &str)> {
    let (expiry, user) = username.split_once(':')?;
    // `parse` takes a plus sign as well, and one name is to have one way to be written.
    let is_number = !expiry.is_empty() && expiry.bytes().all(|byte| byte.is_ascii_digit());
    let fits = is_number && !user.is_empty() && username.len() <= MAX_USERNAME;
    Some((expiry.parse().ok().filter(|_| fits)?, user))
}

/// The password of a user name.
#[must_use]
pub fn password(secret: &[u8], username: &str) -> String {
    sign(&key(secret), username)
}

fn key(secret: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret)
}

fn sign(key: &hmac::Key, username: &str) -> String {
    BASE64_STANDARD.encode(hmac::sign(key, username.as_bytes()))
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("grant", &self.grant).finish_non_exhaustive()
    }
}

impl fmt::Debug for SharedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSecrets").field("peers", &self.peers).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(all: &[&'static str]) -> SharedSecrets {
        SharedSecrets::new(all.iter().map(|text| text.as_bytes()), Peers::Mesh)
    }

    #[test]
    fn a_password_is_what_coturn_makes_of_the_same_secret() {
        // printf %s 1700000000:alice | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(password(b"north", "1700000000:alice"), "Cd/49soE35ICqcJF/bCTn8Z4OyE=");
    }

    #[test]
    fn a_name_is_good_until_its_second_begins() {
        let login = |unix| secrets(&["north"]).login("1000:alice", unix).map(|login| login.grant.user);
        assert_eq!(login(999).as_deref(), Some("alice"));
        assert_eq!(login(1_000), None);
        assert_eq!(login(1_001), None);
    }

    #[test]
    fn while_a_secret_is_changed_both_are_good() {
        let login = secrets(&["new", "old"]).login("1000:alice", 0).expect("good");
        assert_eq!(login.passwords, [password(b"new", "1000:alice"), password(b"old", "1000:alice")]);
    }

    #[test]
    fn a_user_id_may_have_colons_and_a_name_without_expiry_or_user_is_none() {
        assert_eq!(split("7:urn:user:1"), Some((7, "urn:user:1")));
        let long = format!("7:{}", "x".repeat(MAX_USERNAME));
        for wrong in ["", ":", "7", "7:", ":alice", "alice:7", "+7:alice", "-7:alice", "7.5:alice", "99999999999999999999:alice", &long] {
            assert_eq!(split(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn no_secret_and_no_password_is_shown() {
        let secrets = secrets(&["north-secret"]);
        let login = secrets.login("1000:alice", 0).expect("good");
        let shown = format!("{secrets:?} {login:?}");
        assert!(!shown.contains("north") && !login.passwords.iter().any(|password| shown.contains(password)), "{shown}");
    }
}
