//! ICE-lite: answers checks, remembers the paths they came by, and which of them the client chose.
//!
//! The client's ufrag is never signaled; that it knows our password is all there is to verify
//! (RFC 8445, section 2.5: a lite agent makes no checks of its own).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parlor_proto::transport::{IceParameters, Protocol};

/// Addresses a client may have checks from at once. A laptop on Wi-Fi, Ethernet and VPN, over UDP and TCP,
/// uses about eight; the one unheard of for longest makes room.
const MAX_PATHS: usize = 12;
/// Browsers check the path they use every 2.5 to 6 s: without one for this long something is wrong.
const DISCONNECTED_AFTER: Duration = Duration::from_secs(8);
/// RFC 7675 lets consent live for 30 s; a room should not keep a dead participant that long.
const FAILED_AFTER: Duration = Duration::from_secs(16);

/// 32 characters to choose from: 5 bits each, and no character that looks like another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 80 bits: a ufrag also tells transports apart, so it must not repeat.
const UFRAG_CHARS: usize = 16;
/// 160 bits, above the 128 that RFC 8445 section 5.3 asks for.
const PASSWORD_CHARS: usize = 32;

/// Between which addresses, by what.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Path {
    pub(crate) protocol: Protocol,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

/// One generation of credentials.
pub(crate) struct Credentials {
    pub(crate) ufrag: String,
    pub(crate) password: String,
}

impl Credentials {
    /// From the operating system's random source by way of a cryptographic generator.
    pub(crate) fn random() -> Self {
        let text = |chars: usize| {
            let mut bytes = vec![0_u8; chars];
            rand::fill(bytes.as_mut_slice());
            bytes.iter().map(|byte| char::from(ALPHABET.get(usize::from(byte & 31)).copied().unwrap_or(b'a'))).collect()
        };
        Self { ufrag: text(UFRAG_CHARS), password: text(PASSWORD_CHARS) }
    }

    pub(crate) fn parameters(&self) -> IceParameters {
        IceParameters { username_fragment: self.ufrag.clone(), password: self.password.clone(), ice_lite: true }
    }
}

/// What a verified check changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// A path whose remote address is not this transport's any more.
    pub(crate) evicted: Option<Path>,
    /// A ufrag that is not valid any more.
    pub(crate) retired: Option<String>,
}

/// Whether the client is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Liveness {
    /// No check has arrived yet.
    Unknown,
    Alive,
    /// It may come back.
    Silent,
    Gone,
}

/// The ICE side of one transport.
pub(crate) struct Ice {
    current: Credentials,
    /// Valid until the current ones are used: a restart must not cut the path that is in use.
    previous: Option<Credentials>,
    paths: Vec<(Path, Instant)>,
    selected: Option<Path>,
    last_heard: Option<Instant>,
}

impl Ice {
    pub(crate) fn new(credentials: Credentials) -> Self {
        Self { current: credentials, previous: None, paths: Vec::new(), selected: None, last_heard: None }
    }

    pub(crate) fn parameters(&self) -> IceParameters {
        self.current.parameters()
    }

    /// Every ufrag that is valid.
    pub(crate) fn ufrags(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.current).chain(&self.previous).map(|credentials| credentials.ufrag.as_str())
    }

    pub(crate) fn password(&self, ufrag: &str) -> Option<&str> {
        std::iter::once(&self.current).chain(&self.previous).find(|c| c.ufrag == ufrag).map(|c| c.password.as_str())
    }

    /// New credentials; the ones in use stay valid until the new ones are used. Returns a ufrag that is
    /// not valid any more: that of a restart the client never followed.
    pub(crate) fn restart(&mut self, credentials: Credentials) -> Option<String> {
        let replaced = std::mem::replace(&mut self.current, credentials);
        if self.previous.is_some() {
            return Some(replaced.ufrag);
        }
        self.previous = Some(replaced);
        None
    }

    /// A check whose integrity was verified with the password of `ufrag`.
    pub(crate) fn accept(&mut self, path: Path, ufrag: &str, use_candidate: bool, now: Instant) -> Changes {
        let mut changes = Changes::default();
        let is_new_generation = self.previous.is_some() && ufrag == self.current.ufrag;
        if is_new_generation {
            changes.retired = self.previous.take().map(|previous| previous.ufrag);
        }
        self.last_heard = Some(now);
        match self.paths.iter_mut().find(|(known, _)| *known == path) {
            Some((_, heard)) => *heard = now,
            None => {
                if self.paths.len() >= MAX_PATHS {
                    changes.evicted = self.evict();
                }
                self.paths.push((path, now));
            }
        }
        if use_candidate || self.selected.is_none() || is_new_generation {
            self.selected = Some(path);
        }
        changes
    }

    /// Packets that could be decrypted show as well as a check does that the client is there.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.last_heard = Some(now);
    }

    /// Where to send.
    pub(crate) fn selected(&self) -> Option<Path> {
        self.selected
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = Path> + '_ {
        self.paths.iter().map(|(path, _)| *path)
    }

    /// Whether a check came from there not long ago.
    pub(crate) fn uses(&self, protocol: Protocol, remote: SocketAddr, now: Instant) -> bool {
        let recent = |heard: Instant| now.saturating_duration_since(heard) < DISCONNECTED_AFTER;
        self.paths.iter().any(|(path, heard)| (path.protocol, path.remote) == (protocol, remote) && recent(*heard))
    }

    /// A path that cannot be used any more. The most recently heard one takes its place.
    pub(crate) fn remove(&mut self, gone: impl Fn(&Path) -> bool) {
        self.paths.retain(|(path, _)| !gone(path));
        if self.selected.as_ref().is_some_and(&gone) {
            self.selected = self.paths.iter().max_by_key(|(_, heard)| *heard).map(|(path, _)| *path);
        }
    }

    pub(crate) fn liveness(&self, now: Instant) -> Liveness {
        match self.last_heard.map(|last| now.saturating_duration_since(last)) {
            None => Liveness::Unknown,
            Some(silence) if silence >= FAILED_AFTER => Liveness::Gone,
            Some(silence) if silence >= DISCONNECTED_AFTER => Liveness::Silent,
            Some(_) => Liveness::Alive,
        }
    }

    fn evict(&mut self) -> Option<Path> {
        let selected = self.selected;
        let oldest = self.paths.iter().filter(|(path, _)| Some(*path) != selected).min_by_key(|(_, heard)| *heard)?.0;
        self.paths.retain(|(path, _)| *path != oldest);
        let still_used = self.paths.iter().any(|(path, _)| (path.protocol, path.remote) == (oldest.protocol, oldest.remote));
        (!still_used).then_some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        parlor_testkit::clock::Clock::new().now()
    }

    fn path(port: u16) -> Path {
        Path { protocol: Protocol::Udp, local: ([10, 0, 0, 1], 7401).into(), remote: ([10, 0, 0, 2], port).into() }
    }

    #[test]
    fn the_first_path_is_used_until_the_client_chooses() {
        let mut ice = Ice::new(Credentials::random());
        let (ufrag, now) = (ice.parameters().username_fragment, start());
        ice.accept(path(1), &ufrag, false, now);
        ice.accept(path(2), &ufrag, false, now);
        assert_eq!(ice.selected(), Some(path(1)));
        ice.accept(path(2), &ufrag, true, now);
        assert_eq!(ice.selected(), Some(path(2)));
    }

    #[test]
    fn a_restart_keeps_the_old_credentials_until_the_new_are_used() {
        let mut ice = Ice::new(Credentials::random());
        let (old, now) = (ice.parameters().username_fragment, start());
        ice.accept(path(1), &old, true, now);
        assert_eq!(ice.restart(Credentials::random()), None);
        assert!(ice.password(&old).is_some());
        let unused = ice.parameters().username_fragment;
        assert_eq!(ice.restart(Credentials::random()), Some(unused), "a restart nobody followed is replaced");
        assert!(ice.password(&old).is_some());
        let new = ice.parameters().username_fragment;
        assert_eq!(ice.accept(path(2), &new, false, now).retired, Some(old.clone()));
        assert!(ice.password(&old).is_none());
        assert_eq!(ice.selected(), Some(path(2)));
    }

    #[test]
    fn paths_are_bounded_and_the_selected_one_stays() {
        let mut ice = Ice::new(Credentials::random());
        let (ufrag, now) = (ice.parameters().username_fragment, start());
        ice.accept(path(1), &ufrag, true, now);
        for port in 2..200 {
            ice.accept(path(port), &ufrag, false, now + Duration::from_millis(port.into()));
        }
        assert_eq!(ice.paths().count(), MAX_PATHS);
        assert_eq!(ice.selected(), Some(path(1)));
    }

    #[test]
    fn a_silent_client_is_given_up_within_twenty_seconds() {
        let mut ice = Ice::new(Credentials::random());
        let (ufrag, now) = (ice.parameters().username_fragment, start());
        assert_eq!(ice.liveness(now), Liveness::Unknown);
        ice.accept(path(1), &ufrag, true, now);
        assert_eq!(ice.liveness(now + Duration::from_secs(7)), Liveness::Alive);
        assert_eq!(ice.liveness(now + Duration::from_secs(9)), Liveness::Silent);
        assert_eq!(ice.liveness(now + Duration::from_secs(20)), Liveness::Gone);
    }

    #[test]
    fn a_closed_tcp_path_hands_over_to_another() {
        let mut ice = Ice::new(Credentials::random());
        let (ufrag, now) = (ice.parameters().username_fragment, start());
        let tcp = Path { protocol: Protocol::Tcp, ..path(3) };
        ice.accept(path(1), &ufrag, false, now);
        ice.accept(tcp, &ufrag, true, now);
        ice.remove(|path| path.protocol == Protocol::Tcp);
        assert_eq!(ice.selected(), Some(path(1)));
    }
}
