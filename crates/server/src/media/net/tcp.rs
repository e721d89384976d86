//! ICE over TCP: RFC 4571 framing, with a bound on everything a peer can make the server hold.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use parlor_sfu::framing;

use crate::net::source::site;

/// The most unsent bytes of a connection: a second of 4 Mbit/s. A peer that is further behind loses frames, as on UDP.
const MAX_UNSENT: usize = 512 * 1024;
/// The most connections of one worker: TCP is the way out for the few whose UDP is blocked.
const MAX_CONNECTIONS: usize = 1024;
/// The most connections from one address or IPv6 site: an office behind NAT, two for each person.
const MAX_FROM_SOURCE: usize = 128;
/// The most connections from one address or site that have not shown a valid STUN request yet: a client needs one for
/// the time of a round trip. With what a connection may send before ([`MAX_UNCONFIRMED`]), all that a stranger can make
/// a worker hold is 1 MiB.
const MAX_STRANGERS_FROM_SOURCE: usize = 64;
/// The most connections without a valid STUN request from everywhere. The other half of the places is for calls:
/// strangers cannot take it.
const MAX_STRANGERS: usize = MAX_CONNECTIONS / 2;
/// Time for the first valid STUN request. A client sends it at once.
const FIRST_STUN: Duration = Duration::from_secs(10);
/// Silence after which a connection is closed; ICE consent checks come every few seconds (RFC 7675).
const IDLE: Duration = Duration::from_secs(30);
/// How often one connection is read in a row, so that a fast sender does not keep the others waiting.
const READ_CHUNKS: usize = 4;
/// The most connections accepted in a row, so that a client that opens more and more of them keeps nobody waiting.
const ACCEPTS: usize = 32;
/// What a connection may send before its first valid STUN request is answered: a hundred requests. A stranger's
/// connection carries no flood for longer than that.
const MAX_UNCONFIRMED: usize = 16 * 1024;

/// The TCP connections of one worker.
#[derive(Debug, Default)]
pub struct Connections {
    by_token: HashMap<Token, Connection>,
    by_remote: HashMap<SocketAddr, Token>,
    next: usize,
    /// Frames dropped because a peer did not read fast enough.
    pub dropped: u64,
    /// Connections that the system failed to accept.
    pub not_accepted: u64,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    local: SocketAddr,
    remote: SocketAddr,
    unread: Vec<u8>,
    unsent: Vec<u8>,
    /// Whether the connection is a client's: the media plane found its STUN valid. A STUN answer alone does not show
    /// that, because strangers are answered with a refusal.
    confirmed: bool,
    /// Bytes that came before the connection was confirmed.
    strange: usize,
    heard: Instant,
}

/// Whether a connection may stay open after it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Everything that had arrived has been read.
    Drained,
    /// There may be more to read later.
    More,
    /// The connection is to be closed: it ended, broke, or sent something malformed.
    Over,
}

impl Connections {
    /// The number of connections.
    pub fn len(&self) -> usize {
        self.by_token.len()
    }

    /// Accepts a bounded number of connections that wait at a listener; returns whether more may be waiting. `first` is
    /// the first token for connections.
    pub fn accept(&mut self, listener: &TcpListener, local: SocketAddr, registry: &Registry, first: Token, now: Instant) -> bool {
        for _ in 0..ACCEPTS {
            match listener.accept() {
                Ok((stream, remote)) => self.add(stream, local, remote, registry, first, now),
                // This connection failed, and the next one may be fine.
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return false,
                Err(e) => {
                    // The system may be out of open files, for example. A debug line only, because this happens as
                    // often as somebody tries.
                    tracing::debug!(error = %e, "cannot accept a media connection");
                    self.not_accepted += 1;
                    return false;
                }
            }
        }
        true
    }

    fn add(&mut self, mut stream: TcpStream, local: SocketAddr, remote: SocketAddr, registry: &Registry, first: Token, now: Instant) {
        if !self.has_room(remote) {
            return;
        }
        // Small packets must not wait for each other.
        let _ = stream.set_nodelay(true);
        let token = Token(first.0 + self.next);
        self.next += 1;
        if registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE).is_err() {
            return;
        }
        let connection =
            Connection { stream, local, remote, unread: Vec::new(), unsent: Vec::new(), confirmed: false, strange: 0, heard: now };
        self.by_token.insert(token, connection);
        self.by_remote.insert(remote, token);
    }

    /// Whether one more connection from this address fits.
    fn has_room(&self, remote: SocketAddr) -> bool {
        let (mut strangers, mut from_source, mut strangers_from_source) = (0, 0, 0);
        for connection in self.by_token.values() {
            let stranger = usize::from(!connection.confirmed);
            strangers += stranger;
            if site(connection.remote.ip()) == site(remote.ip()) {
                from_source += 1;
                strangers_from_source += stranger;
            }
        }
        self.by_token.len() < MAX_CONNECTIONS
            && strangers < MAX_STRANGERS
            && from_source < MAX_FROM_SOURCE
            && strangers_from_source < MAX_STRANGERS_FROM_SOURCE
            && !self.by_remote.contains_key(&remote)
    }

    /// Reads frames and hands each to `take(local, remote, frame)`, which returns whether the connection is a client's after it.
    pub fn read(&mut self, token: Token, now: Instant, mut take: impl FnMut(SocketAddr, SocketAddr, &[u8]) -> bool) -> Progress {
        let Some(connection) = self.by_token.get_mut(&token) else { return Progress::Drained };
        for _ in 0..READ_CHUNKS {
            match connection.read(now) {
                Progress::Over => return Progress::Over,
                Progress::Drained => return Progress::Drained,
                Progress::More => {}
            }
            let (local, remote) = (connection.local, connection.remote);
            let (was_confirmed, mut confirmed) = (connection.confirmed, connection.confirmed);
            let in_order = framing::split(&mut connection.unread, |frame| confirmed = take(local, remote, frame));
            connection.confirmed = confirmed;
            // A confirmed connection whose transport has other addresses by now, or is gone, is of no use any more.
            if !in_order || was_confirmed && !confirmed {
                return Progress::Over;
            }
        }
        Progress::More
    }

    /// Sends a frame into the connection from `remote`, if there is one.
    pub fn send(&mut self, remote: SocketAddr, bytes: &[u8]) {
        let Some(connection) = self.by_remote.get(&remote).and_then(|token| self.by_token.get_mut(token)) else {
            self.dropped += 1;
            return;
        };
        let Ok(length) = u16::try_from(bytes.len()) else { return };
        if connection.unsent.len() + bytes.len() + 2 > MAX_UNSENT {
            self.dropped += 1;
            return;
        }
        connection.unsent.extend_from_slice(&length.to_be_bytes());
        connection.unsent.extend_from_slice(bytes);
    }

    /// Writes the bytes that wait; returns the connections that broke.
    pub fn flush(&mut self) -> Vec<Token> {
        self.by_token.iter_mut().filter_map(|(token, c)| (!c.unsent.is_empty() && !c.write()).then_some(*token)).collect()
    }

    /// Closes a connection and returns the address of its peer.
    pub fn close(&mut self, token: Token, registry: &Registry) -> Option<SocketAddr> {
        let mut connection = self.by_token.remove(&token)?;
        self.by_remote.remove(&connection.remote);
        let _ = registry.deregister(&mut connection.stream);
        Some(connection.remote)
    }

    /// The connections that were silent for too long, or that do not belong to a client any more.
    pub fn idle(&self, now: Instant, is_clients: impl Fn(SocketAddr) -> bool) -> Vec<Token> {
        let silent = |c: &Connection| now.saturating_duration_since(c.heard) > if c.confirmed { IDLE } else { FIRST_STUN };
        let over = |c: &Connection| silent(c) || c.confirmed && !is_clients(c.remote);
        self.by_token.iter().filter_map(|(token, c)| over(c).then_some(*token)).collect()
    }
}

impl Connection {
    fn read(&mut self, now: Instant) -> Progress {
        let mut chunk = [0; 4096];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Progress::Over,
                Ok(count) => {
                    // An unconfirmed peer that trickles bytes must not live for ever: only frames of a peer the media
                    // plane knows count as a sign of life.
                    if self.confirmed {
                        self.heard = now;
                    } else {
                        self.strange += count;
                        if self.strange > MAX_UNCONFIRMED {
                            return Progress::Over;
                        }
                    }
                    self.unread.extend_from_slice(chunk.get(..count).unwrap_or_default());
                    return Progress::More;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Progress::Drained,
                Err(_) => return Progress::Over,
            }
        }
    }

    fn write(&mut self) -> bool {
        let mut written = 0;
        let alive = loop {
            let rest = self.unsent.get(written..).unwrap_or_default();
            if rest.is_empty() {
                break true;
            }
            match self.stream.write(rest) {
                Ok(0) => break false,
                Ok(count) => written += count,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break true,
                Err(_) => break false,
            }
        };
        self.unsent.drain(..written);
        alive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_is_let_in_by_turns() {
        let poll = mio::Poll::new().expect("polls");
        let listener = TcpListener::bind("127.0.0.1:0".parse().expect("an address")).expect("binds");
        let address = listener.local_addr().expect("bound");
        let crowd: Vec<_> = (0..=ACCEPTS).map(|_| std::net::TcpStream::connect(address).expect("connects")).collect();
        let mut connections = Connections::default();
        let mut turn = || {
            let more = connections.accept(&listener, address, poll.registry(), Token(2), Instant::now());
            (more, connections.len())
        };
        assert_eq!(turn(), (true, ACCEPTS));
        assert_eq!(turn(), (false, crowd.len()));
    }

    fn connections(of: &[(&str, bool)]) -> Connections {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        let mut connections = Connections::default();
        for (n, (remote, confirmed)) in of.iter().enumerate() {
            let remote: SocketAddr = remote.parse().expect("an address");
            let stream = std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
            let (stream, local) = (TcpStream::from_std(stream), listener.local_addr().expect("bound"));
            let (unread, unsent, confirmed) = (Vec::new(), Vec::new(), *confirmed);
            let connection = Connection { stream, local, remote, unread, unsent, confirmed, strange: 0, heard: Instant::now() };
            connections.by_token.insert(Token(n), connection);
            connections.by_remote.insert(remote, Token(n));
        }
        connections
    }

    #[test]
    fn a_site_counts_as_one_and_strangers_have_less_than_who_is_in_a_call() {
        let from = |n: usize, confirmed: bool| (0..n).map(|n| (format!("[2001:db8:1:2::{n:x}]:1"), confirmed)).collect::<Vec<_>>();
        let room = |of: &[(String, bool)], remote: &str| {
            let of: Vec<_> = of.iter().map(|(remote, confirmed)| (remote.as_str(), *confirmed)).collect();
            connections(&of).has_room(remote.parse().expect("an address"))
        };
        let strangers = from(MAX_STRANGERS_FROM_SOURCE, false);
        assert!(!room(&strangers, "[2001:db8:1:2:f::]:1"), "another address of the same site");
        assert!(room(&strangers, "[2001:db8:1:3::]:1"), "another site");
        assert!(room(&from(MAX_STRANGERS_FROM_SOURCE, true), "[2001:db8:1:2:f::]:1"), "those are in a call");
        assert!(!room(&from(MAX_FROM_SOURCE, true), "[2001:db8:1:2:f::]:1"));
    }
}
