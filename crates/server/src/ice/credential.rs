//! Time-limited TURN credentials: `username = "<expiry>:<user id>"`, `credential = base64(HMAC-SHA1(secret, username))`, as coturn's
//! `use-auth-secret` and most other TURN servers take them.

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parlor_proto::{Timestamp, UserId};
use percent_encoding::percent_decode_str;

use crate::config::{Period, Secret};

/// The most bytes of a user name (RFC 8489, 14.3).
const MAX_USERNAME: usize = 508;
/// The end of a user name whose bearer may reach this server's media alone.
const ONLY_SFU: &str = ":sfu";
/// The end of a user name that was told outside of a call, and lasts as long as those do.
const ANY_CALL: &str = ":any";
/// The end of a user name that would otherwise be read as one of those.
const ANY_PEER: &str = ":mesh";
/// All of them.
const ENDS: [(&str, Kind); 3] = [(ONLY_SFU, Kind::Sfu), (ANY_CALL, Kind::Any), (ANY_PEER, Kind::Mesh)];

/// The kind of call that a credential is for: whom its bearer may reach through the relay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A call through this server: only its own media addresses.
    Sfu,
    /// A call between people: other people as well.
    Mesh,
    /// Whatever call its bearer is going to join; the same as between people, but it lasts longer.
    Any,
}

/// A user name and its password at a TURN server.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The user name, which says when it ends.
    pub username: String,
    /// The password.
    pub password: String,
    /// The end of the credential: whole seconds, as in the user name.
    pub expires_at: Timestamp,
}

/// The password never reaches a log, and neither does the user.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// Whether the kind of call is written into user names. The embedded server reads it; for all other servers a user name is
/// `<expiry>:<user id>` and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Marks {
    /// User names are the same for every kind.
    None,
    /// The user name of an SFU call ends in `:sfu`, that of a credential for any call in `:any`.
    Kind,
}

/// The characters of an id that are written as `%20`, in a user name: coturn refuses all but the last one, for fear of its database.
const QUOTED: [char; 5] = [' ', '\'', '"', '\\', '%'];

/// What a user name says. It is a claim until the password fits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim<'a> {
    /// The end of the credential.
    pub expires_at: Timestamp,
    /// The user id.
    pub user: Cow<'a, str>,
    /// The kind of call it is for.
    pub kind: Kind,
}

impl<'a> Claim<'a> {
    /// Reads a user name of [`Marks::Kind`]; `None` if it is not one.
    #[must_use]
    pub fn read(username: &'a str) -> Option<Self> {
        let (expiry, rest) = username.split_once(':')?;
        // `parse` alone would also take a sign.
        let seconds = expiry.bytes().all(|b| b.is_ascii_digit()).then(|| expiry.parse::<i64>().ok())??;
        let marked = ENDS.into_iter().find_map(|(end, kind)| Some((rest.strip_suffix(end)?, kind)));
        let (user, kind) = marked.unwrap_or((rest, Kind::Mesh));
        let user = percent_decode_str(user).decode_utf8_lossy();
        Some(Self { expires_at: Timestamp(seconds.checked_mul(1_000)?), user, kind })
    }
}

/// Signs credentials with a secret, and knows the passwords that older secrets gave.
pub struct Signer {
    signing: hmac::Key,
    older: Vec<hmac::Key>,
    marks: Marks,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("older", &self.older.len()).field("marks", &self.marks).finish_non_exhaustive()
    }
}

impl Signer {
    /// Signs with one secret; passwords of the others are right as well.
    pub fn new(secret: &Secret, older: &[Secret], marks: Marks) -> Self {
        let key = |secret: &Secret| hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.reveal().as_bytes());
        Self { signing: key(secret), older: older.iter().map(key).collect(), marks }
    }

    /// A credential for a user and a kind of call, that lasts for so long from now.
    #[must_use]
    pub fn issue(&self, user: &UserId, kind: Kind, ttl: Period, now: Timestamp) -> Credential {
        let seconds = now.0.div_euclid(1_000).saturating_add(i64::try_from(ttl.as_seconds()).unwrap_or(i64::MAX));
        let mark = match (self.marks, kind) {
            (Marks::None, _) => "",
            (Marks::Kind, Kind::Sfu) => ONLY_SFU,
            (Marks::Kind, Kind::Any) => ANY_CALL,
            (Marks::Kind, Kind::Mesh) if ENDS.iter().any(|(end, _)| user.as_str().ends_with(end)) => ANY_PEER,
            (Marks::Kind, Kind::Mesh) => "",
        };
        let expiry = format!("{seconds}:");
        // Ids of 128 of the longest characters are longer than a user name may be. What is left tells people apart well enough.
        let user = quoted(user.as_str());
        let fits = user.floor_char_boundary(MAX_USERNAME - expiry.len() - mark.len());
        let username = format!("{expiry}{}{mark}", user.get(..fits).unwrap_or_default());
        let password = password(&self.signing, &username);
        Credential { username, password, expires_at: Timestamp(seconds.saturating_mul(1_000)) }
    }

    /// The passwords that a user name may have: that of the newest secret first.
    pub fn passwords(&self, username: &str) -> impl Iterator<Item = String> {
        std::iter::once(&self.signing).chain(&self.older).map(move |key| password(key, username))
    }
}

/// An id as it stands in a user name.
fn quoted(id: &str) -> Cow<'_, str> {
    if !id.contains(QUOTED) {
        return Cow::Borrowed(id);
    }
    let mut text = String::with_capacity(id.len() + 2 * QUOTED.len());
    for character in id.chars() {
        match character {
            character if QUOTED.contains(&character) => text.push_str(&format!("%{:02X}", u32::from(character))),
            character => text.push(character),
        }
    }
    Cow::Owned(text)
}

fn password(key: &hmac::Key, username: &str) -> String {
    STANDARD.encode(hmac::sign(key, username.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_772_388_000_900);

    fn user(id: &str) -> UserId {
        UserId::new(id).expect("an id")
    }

    fn signer(marks: Marks) -> Signer {
        Signer::new(&Secret::new("north".into()), &[Secret::new("old-north".into())], marks)
    }

    #[test]
    fn a_credential_is_what_coturn_computes() {
        let credential = signer(Marks::None).issue(&user("alice"), Kind::Sfu, Period::hours(1), NOW);
        assert_eq!(credential.username, "1772391600:alice");
        // printf %s 1772391600:alice | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(credential.password, "b3kPR7h0fzy4pGaiE0wEC5hWATk=");
        assert_eq!(credential.expires_at, Timestamp(1_772_391_600_000), "whole seconds, as in the user name");
    }

    #[test]
    fn a_password_of_an_older_secret_is_right_and_the_newest_one_signs() {
        let credential = signer(Marks::None).issue(&user("alice"), Kind::Mesh, Period::hours(1), NOW);
        let all: Vec<_> = signer(Marks::None).passwords(&credential.username).collect();
        let before =
            Signer::new(&Secret::new("old-north".into()), &[], Marks::None).issue(&user("alice"), Kind::Mesh, Period::hours(1), NOW);
        assert_eq!(all, [credential.password, before.password]);
    }

    #[test]
    fn a_marked_name_says_when_it_ends_whose_it_is_and_for_what_kind_of_call() {
        for id in ["alice", "a:b", "alice:sfu", "alice:mesh", "alice:any", "sfu", "12:34", ":sfu", "ä b", "100%", "%20", "o'neil \"x\" \\"]
        {
            for kind in [Kind::Sfu, Kind::Mesh, Kind::Any] {
                let credential = signer(Marks::Kind).issue(&user(id), kind, Period::minutes(1), NOW);
                let claim = Claim { expires_at: credential.expires_at, user: id.into(), kind };
                assert_eq!(Claim::read(&credential.username), Some(claim), "{}", credential.username);
            }
        }
    }

    #[test]
    fn a_name_has_nothing_that_coturn_refuses() {
        let credential = signer(Marks::None).issue(&user("o'neil \"x\" \\ 50%"), Kind::Sfu, Period::hours(1), NOW);
        assert_eq!(credential.username, "1772391600:o%27neil%20%22x%22%20%5C%2050%25");
    }

    #[test]
    fn nobody_gets_out_of_an_sfu_call_by_the_choice_of_their_id() {
        for id in ["eve:mesh", "eve:sfu:mesh", "1:eve:mesh"] {
            let credential = signer(Marks::Kind).issue(&user(id), Kind::Sfu, Period::minutes(1), NOW);
            assert_eq!(Claim::read(&credential.username).map(|claim| claim.kind), Some(Kind::Sfu), "{}", credential.username);
        }
    }

    #[test]
    fn a_name_that_does_not_say_when_it_ends_is_none() {
        for wrong in ["", "alice", ":alice", "-1:alice", "+1:alice", "1.5:alice", "99999999999999999999:alice", "9223372036854775807:alice"]
        {
            assert_eq!(Claim::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_user_name_is_never_longer_than_turn_allows() {
        let id = "🦀".repeat(parlor_proto::limits::MAX_ID_CHARS);
        for kind in [Kind::Sfu, Kind::Mesh] {
            let credential = signer(Marks::Kind).issue(&user(&id), kind, Period::minutes(1), NOW);
            assert!(
                credential.username.len() <= MAX_USERNAME && credential.username.len() > MAX_USERNAME - 8,
                "{}",
                credential.username.len()
            );
            assert_eq!(Claim::read(&credential.username).map(|claim| claim.kind), Some(kind));
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let credential = signer(Marks::Kind).issue(&user("alice"), Kind::Sfu, Period::minutes(1), NOW);
        let shown = format!("{:?} {credential:?}", signer(Marks::Kind));
        assert!(!shown.contains("north") && !shown.contains(&credential.password) && !shown.contains("alice"), "{shown}");
    }
}
