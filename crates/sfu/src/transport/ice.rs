//! ICE-lite: answers checks, and decides which of the paths they came by is sent to.
//!
//! The client's password is never signaled; that it knows ours is all there is to verify (RFC 8445, section 2.5: a lite
//! agent makes no checks of its own). Whoever knows ours can write any address as the source of a check. So a path is used
//! without limit only once it is proved: something that cannot be guessed was sent there, and came back ([`proof`]).

mod nomination;
mod path;
mod proof;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parlor_proto::transport::{IceParameters, Protocol};

use path::Known;
pub(crate) use path::Path;
use proof::{Challenge, Flights};

use crate::wire::stun::TransactionId;

/// Addresses a client may have checks from at once. A laptop on Wi-Fi, Ethernet and VPN, over UDP and TCP,
/// uses about eight; the one unheard of for longest makes room.
const MAX_PATHS: usize = 12;
/// Browsers check the path they use every 2.5 to 6 s: without one for this long something is wrong.
const DISCONNECTED_AFTER: Duration = Duration::from_secs(8);
/// RFC 7675 lets consent live for 30 s; a room should not keep a dead participant that long.
const FAILED_AFTER: Duration = Duration::from_secs(16);
/// A transport whose checks all come from an address of another will not connect: by then that one would have been taken for dead. Two transports
/// behind one socket of a client cannot be told apart: DTLS and SRTP name neither.
const HOPELESS_AFTER: Duration = Duration::from_secs(10);
/// A path that has brought nothing for this long gives way to one that is checked. Firefox checks the one it uses every 4 to 6 s, and
/// sends reports in between.
const SILENT: Duration = Duration::from_secs(5);
/// Clients send media by the path they use and by no other, and its packets cannot be recorded and sent again.
const SILENT_WHILE_MEDIA_COMES: Duration = Duration::from_secs(1);

/// 32 characters to choose from: 5 bits each, and no character that looks like another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 80 bits: a ufrag also tells transports apart, so it must not repeat.
const UFRAG_CHARS: usize = 16;
/// 160 bits, above the 128 that RFC 8445 section 5.3 asks for.
const PASSWORD_CHARS: usize = 32;
/// The longest ufrag (RFC 8839, section 5.4).
const MAX_UFRAG: usize = 256;

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
            bytes.iter().map(|byte| letter(*byte)).collect()
        };
        Self { ufrag: text(UFRAG_CHARS), password: text(PASSWORD_CHARS) }
    }

    pub(crate) fn parameters(&self) -> IceParameters {
        IceParameters { username_fragment: self.ufrag.clone(), password: self.password.clone(), ice_lite: true }
    }
}

/// Five bits of a byte as a character.
pub(super) fn letter(byte: u8) -> char {
    char::from(ALPHABET.get(usize::from(byte & 31)).copied().unwrap_or(b'a'))
}

/// A check whose integrity was verified with the password of `ours`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check<'a> {
    pub(crate) path: Path,
    pub(crate) ours: &'a str,
    pub(crate) theirs: &'a str,
    /// The number of the nomination, if it is one.
    pub(crate) nomination: Option<u32>,
    /// The priority of the pair (RFC 8445, section 6.1.2.3).
    pub(crate) priority: u64,
    pub(crate) bytes: usize,
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
    /// The client was not heard for a while, and may come back.
    Silent,
    Gone,
}

/// The ICE side of one transport.
pub(crate) struct Ice {
    current: Credentials,
    /// Valid until the current ones are used: a restart must not cut the path that is in use.
    previous: Option<Credentials>,
    /// The client's ufrag, to be named in probes.
    theirs: String,
    paths: Vec<Known>,
    /// Index of the path that is sent to.
    selected: Option<usize>,
    /// Index of the one that the client is taken to use.
    wanted: Option<usize>,
    last_heard: Option<Instant>,
    /// When the first check came from an address that another transport uses, if none has come from elsewhere.
    turned_away: Option<Instant>,
    flights: Flights,
    /// There are keys: more than a handshake is sent from now on.
    established: bool,
    challenge: Challenge,
}

impl Ice {
    pub(crate) fn new(credentials: Credentials) -> Self {
        Self {
            current: credentials,
            previous: None,
            theirs: String::new(),
            paths: Vec::new(),
            selected: None,
            wanted: None,
            last_heard: None,
            turned_away: None,
            flights: Flights::default(),
            established: false,
            challenge: Challenge::default(),
        }
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

    /// Takes a check. [`Self::choose`] is to be called after it.
    pub(crate) fn accept(&mut self, check: Check<'_>, now: Instant) -> Changes {
        let mut changes = Changes::default();
        let is_new_generation = self.previous.is_some() && check.ours == self.current.ufrag;
        if is_new_generation {
            changes.retired = self.previous.take().map(|previous| previous.ufrag);
            // Numbers of nominations begin anew.
            self.paths.iter_mut().for_each(|known| known.nomination = None);
        }
        if self.theirs != check.theirs && check.theirs.len() <= MAX_UFRAG {
            check.theirs.clone_into(&mut self.theirs);
        }
        self.last_heard = Some(now);
        self.turned_away = None;
        let at = match self.position(&check.path) {
            Some(at) => at,
            None => {
                if self.paths.len() >= MAX_PATHS {
                    changes.evicted = self.evict();
                }
                self.paths.push(Known::new(check.path, now));
                self.paths.len() - 1
            }
        };
        if let Some(known) = self.paths.get_mut(at) {
            known.heard(check.bytes, now);
        }
        if self.wanted.is_none() || is_new_generation {
            self.wanted = Some(at);
        }
        self.nominate(at, check.nomination, check.priority, now);
        changes
    }

    /// An authentic check came from an address that another transport uses. True if there is no hope that it becomes free.
    pub(crate) fn turn_away(&mut self, now: Instant) -> bool {
        let since = *self.turned_away.get_or_insert(now);
        self.paths.is_empty() && now.saturating_duration_since(since) >= HOPELESS_AFTER
    }

    /// A packet that could be opened shows as well as a check does that the client is there, and that it uses the path.
    pub(crate) fn heard(&mut self, path: &Path, bytes: usize, now: Instant) {
        self.last_heard = Some(now);
        let selected = self.selected.and_then(|at| self.paths.get(at)).is_some_and(|known| known.path == *path);
        let at = if selected { self.selected } else { self.position(path) };
        if let Some(known) = at.and_then(|at| self.paths.get_mut(at)) {
            known.heard(bytes, now);
            known.media = Some(now);
        }
    }

    /// Decides anew where to send. True if that changed.
    pub(crate) fn choose(&mut self, now: Instant) -> bool {
        self.give_up_silent(now);
        let Some(wanted) = self.wanted else { return self.select(None) };
        let target = match self.paths.get(wanted) {
            Some(known) if self.established && !known.proved => self.proved_instead(known, now).unwrap_or(wanted),
            _ => wanted,
        };
        self.select(Some(target))
    }

    /// The path to send by.
    pub(crate) fn selected(&self) -> Option<Path> {
        self.selected.and_then(|at| self.paths.get(at)).map(|known| known.path)
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = Path> + '_ {
        self.paths.iter().map(|known| known.path)
    }

    /// Whether something authentic came from there not long ago.
    pub(crate) fn uses(&self, protocol: Protocol, remote: SocketAddr, now: Instant) -> bool {
        let mut there = self.paths.iter().filter(|known| (known.path.protocol, known.path.remote) == (protocol, remote));
        there.any(|known| known.silence(now) < DISCONNECTED_AFTER)
    }

    /// A path that cannot be used any more. [`Self::choose`] is to be called after it.
    pub(crate) fn remove(&mut self, gone: impl Fn(&Path) -> bool) {
        let kept = |at: Option<usize>, paths: &[Known]| at.and_then(|at| paths.get(at)).map(|known| known.path);
        let (selected, wanted) = (kept(self.selected, &self.paths), kept(self.wanted, &self.paths));
        self.paths.retain(|known| !gone(&known.path));
        self.selected = selected.and_then(|path| self.position(&path));
        self.wanted = wanted.and_then(|path| self.position(&path));
        if self.wanted.is_none() {
            self.wanted = (0..self.paths.len()).max_by_key(|at| self.paths.get(*at).map(|known| known.last_heard));
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

    /// The path the client used has fallen silent while another is heard: it uses that one now, whether it says so or not.
    fn give_up_silent(&mut self, now: Instant) {
        let Some(used) = self.wanted.and_then(|at| self.paths.get(at)) else { return };
        let silence = used.silence(now);
        if silence < SILENT_WHILE_MEDIA_COMES {
            return;
        }
        let heard_since = |known: &Known| match known.media {
            Some(media) if media > used.last_heard => true,
            _ => silence >= SILENT && known.last_heard > used.last_heard && known.silence(now) < SILENT,
        };
        let others = self.paths.iter().enumerate().filter(|(_, known)| heard_since(known));
        self.wanted = others.max_by_key(|(_, known)| known.last_heard).map(|(at, _)| at).or(self.wanted);
    }

    /// While the one that is wanted is not proved, the one that is goes on, as long as it lives.
    fn proved_instead(&self, wanted: &Known, now: Instant) -> Option<usize> {
        let lives = |known: &Known| {
            let media_comes_elsewhere = wanted.media.is_some_and(|media| media > known.last_heard);
            known.silence(now) < if media_comes_elsewhere { SILENT_WHILE_MEDIA_COMES } else { SILENT }
        };
        let proved = self.paths.iter().enumerate().filter(|(_, known)| known.proved && lives(known));
        proved.max_by_key(|(_, known)| known.last_heard).map(|(at, _)| at)
    }

    fn select(&mut self, at: Option<usize>) -> bool {
        if self.selected == at {
            return false;
        }
        self.selected = at;
        self.challenge = Challenge::default();
        true
    }

    fn position(&self, path: &Path) -> Option<usize> {
        self.paths.iter().position(|known| known.path == *path)
    }

    fn evict(&mut self) -> Option<Path> {
        let free = |at: &usize| Some(*at) != self.selected && Some(*at) != self.wanted;
        let oldest = (0..self.paths.len()).filter(free).min_by_key(|at| self.paths.get(*at).map(|known| known.last_heard))?;
        let oldest = self.paths.get(oldest)?.path;
        self.remove(|path| *path == oldest);
        let still_used = self.paths().any(|path| (path.protocol, path.remote) == (oldest.protocol, oldest.remote));
        (!still_used).then_some(oldest)
    }
}
