//! Clients on TCP and TLS, with a bound on everything that one of them can make the server hold.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use parlor_turn::{ClientPath, framing};
use rustls::{ServerConfig, ServerConnection};

use crate::net::source::site;

/// The first token of a connection: above every relay's.
pub const FIRST: usize = 1 << 32;
/// The most unsent bytes of a connection: a second of 4 Mbit/s. A client that is further behind loses packets, as on UDP.
const MAX_UNSENT: usize = 512 * 1024;
/// The most connections: TCP is the way out for the few whose UDP is blocked. With TLS each holds some 40 KiB.
const MAX_CONNECTIONS: usize = 2_048;
/// The most connections from one address or IPv6 site: an office behind a firewall, two for each person.
const MAX_FROM_SOURCE: usize = 256;
/// The most connections without an allocation from everywhere. The other half of the places is for clients: strangers cannot
/// take it.
const MAX_STRANGERS: usize = MAX_CONNECTIONS / 2;
/// The most connections without an allocation from one address or site: a client has none for a few round trips.
const MAX_STRANGERS_FROM_SOURCE: usize = 64;
/// Time for an allocation. A client asks for it at once, and has it after three round trips, with TLS after five.
const FIRST_ALLOCATION: Duration = Duration::from_secs(10);
/// What a connection may send before it has an allocation: a TLS handshake and thirty requests.
const MAX_UNCONFIRMED: usize = 16 * 1024;
/// How often one connection is read in a row, so that a fast sender does not keep the others waiting.
const READ_CHUNKS: usize = 4;
/// The most connections accepted in a row.
const ACCEPTS: usize = 32;
/// Bytes that TLS adds to a message.
const RECORD: usize = 32;
/// Bytes read at once.
const CHUNK: usize = 16 * 1024;

/// The connections.
#[derive(Debug, Default)]
pub struct Streams {
    by_token: HashMap<Token, Connection>,
    by_path: HashMap<ClientPath, Token>,
    next: usize,
    /// Frames dropped because a client did not read fast enough.
    pub dropped: u64,
    /// Connections that have something to write.
    waiting: Vec<Token>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    tls: Option<Box<ServerConnection>>,
    path: ClientPath,
    unread: Vec<u8>,
    unsent: Vec<u8>,
    /// About as many bytes wait encrypted.
    sealed: usize,
    /// Whether it has an allocation.
    confirmed: bool,
    /// Bytes that came without one.
    strange: usize,
    /// When it had an allocation last, or was opened.
    known: Instant,
    /// Whether it is among those that have something to write.
    waits: bool,
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

impl Streams {
    /// Accepts a bounded number of connections; returns whether more may be waiting.
    pub fn accept(
        &mut self,
        listener: &TcpListener,
        number: u16,
        tls: Option<&Arc<ServerConfig>>,
        registry: &Registry,
        now: Instant,
    ) -> bool {
        for _ in 0..ACCEPTS {
            match listener.accept() {
                Ok((stream, remote)) => self.add(stream, ClientPath { listener: number, remote }, tls, registry, now),
                // This connection failed, and the next one may be fine.
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(e) => {
                    if e.kind() != ErrorKind::WouldBlock {
                        tracing::debug!(error = %e, "cannot accept a TURN connection");
                    }
                    return false;
                }
            }
        }
        true
    }

    fn add(&mut self, mut stream: TcpStream, path: ClientPath, tls: Option<&Arc<ServerConfig>>, registry: &Registry, now: Instant) {
        if !self.has_room(path.remote.ip()) || self.by_path.contains_key(&path) {
            return;
        }
        let Ok(mut tls) = tls.map(|config| ServerConnection::new(Arc::clone(config)).map(Box::new)).transpose() else { return };
        if let Some(tls) = &mut tls {
            // The bound is ours: a message is taken whole or not at all.
            tls.set_buffer_limit(None);
        }
        // Small packets must not wait for each other.
        let _ = stream.set_nodelay(true);
        let token = Token(FIRST + self.next);
        self.next += 1;
        if registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE).is_err() {
            return;
        }
        let (unread, unsent) = (Vec::new(), Vec::new());
        self.by_path.insert(path, token);
        self.by_token.insert(
            token,
            Connection { stream, tls, path, unread, unsent, sealed: 0, confirmed: false, strange: 0, known: now, waits: false },
        );
    }

    fn has_room(&self, ip: IpAddr) -> bool {
        let (mut strangers, mut from_source, mut strangers_from_source) = (0, 0, 0);
        for connection in self.by_token.values() {
            let stranger = usize::from(!connection.confirmed);
            strangers += stranger;
            if site(connection.path.remote.ip()) == site(ip) {
                from_source += 1;
                strangers_from_source += stranger;
            }
        }
        self.by_token.len() < MAX_CONNECTIONS
            && strangers < MAX_STRANGERS
            && from_source < MAX_FROM_SOURCE
            && strangers_from_source < MAX_STRANGERS_FROM_SOURCE
    }

    /// Reads messages and hands each to `take`, which returns whether the client has an allocation after it.
    pub fn read(&mut self, token: Token, mut take: impl FnMut(ClientPath, &[u8]) -> bool) -> Progress {
        let Some(connection) = self.by_token.get_mut(&token) else { return Progress::Drained };
        for _ in 0..READ_CHUNKS {
            let progress = connection.read();
            let path = connection.path;
            let mut confirmed = connection.confirmed;
            let in_order = framing::split(&mut connection.unread, |message| confirmed = take(path, message));
            connection.confirmed = confirmed;
            if connection.tls.as_ref().is_some_and(|tls| tls.wants_write()) && !connection.waits {
                connection.waits = true;
                self.waiting.push(token);
            }
            if !in_order || progress == Progress::Over {
                return Progress::Over;
            }
            if progress == Progress::Drained {
                return Progress::Drained;
            }
        }
        Progress::More
    }

    /// Takes a message for a client, if it is still there and not too far behind.
    pub fn send(&mut self, path: &ClientPath, bytes: &[u8]) {
        let found = self.by_path.get(path).and_then(|token| Some((*token, self.by_token.get_mut(token)?)));
        let Some((token, connection)) = found else { return };
        if !connection.take(bytes) {
            self.dropped += 1;
            return;
        }
        if !std::mem::replace(&mut connection.waits, true) {
            self.waiting.push(token);
        }
    }

    /// Notes that a connection can be written to again.
    pub fn writable(&mut self, token: Token) {
        if let Some(connection) = self.by_token.get_mut(&token)
            && !std::mem::replace(&mut connection.waits, true)
        {
            self.waiting.push(token);
        }
    }

    /// Writes what waits; returns the connections that broke.
    pub fn flush(&mut self) -> Vec<Token> {
        let mut broken = Vec::new();
        for token in self.waiting.drain(..) {
            let Some(connection) = self.by_token.get_mut(&token) else { continue };
            connection.waits = false;
            if connection.write().is_err() {
                broken.push(token);
            }
        }
        broken
    }

    /// Closes a connection and returns the way to its client.
    pub fn close(&mut self, token: Token, registry: &Registry) -> Option<ClientPath> {
        let mut connection = self.by_token.remove(&token)?;
        self.by_path.remove(&connection.path);
        // What is written already, a last answer for one, still goes out.
        if let Some(tls) = &mut connection.tls {
            tls.send_close_notify();
        }
        let _ = connection.write();
        let _ = registry.deregister(&mut connection.stream);
        Some(connection.path)
    }

    /// The connection of a client.
    pub fn of(&self, path: &ClientPath) -> Option<Token> {
        self.by_path.get(path).copied()
    }

    /// The connections that are without an allocation for too long.
    pub fn idle(&mut self, now: Instant, is_client: impl Fn(&ClientPath) -> bool) -> Vec<Token> {
        let mut idle = Vec::new();
        for (token, connection) in &mut self.by_token {
            connection.confirmed = is_client(&connection.path);
            if connection.confirmed {
                (connection.known, connection.strange) = (now, 0);
            } else if now.saturating_duration_since(connection.known) > FIRST_ALLOCATION {
                idle.push(*token);
            }
        }
        idle
    }
}

impl Connection {
    /// Reads once; what came is in `unread`, decrypted.
    fn read(&mut self) -> Progress {
        let (progress, count) = match &mut self.tls {
            None => Self::read_plain(&mut self.stream, &mut self.unread),
            Some(tls) => Self::read_tls(&mut self.stream, tls, &mut self.unread),
        };
        if !self.confirmed {
            self.strange += count;
            if self.strange > MAX_UNCONFIRMED {
                return Progress::Over;
            }
        }
        progress
    }

    fn read_plain(stream: &mut TcpStream, unread: &mut Vec<u8>) -> (Progress, usize) {
        let mut chunk = [0; CHUNK];
        loop {
            match stream.read(&mut chunk) {
                Ok(0) => return (Progress::Over, 0),
                Ok(count) => {
                    unread.extend_from_slice(chunk.get(..count).unwrap_or_default());
                    return (Progress::More, count);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return (Progress::Drained, 0),
                Err(_) => return (Progress::Over, 0),
            }
        }
    }

    fn read_tls(stream: &mut TcpStream, tls: &mut ServerConnection, unread: &mut Vec<u8>) -> (Progress, usize) {
        let count = loop {
            match tls.read_tls(stream) {
                Ok(0) => return (Progress::Over, 0),
                Ok(count) => break count,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return (Progress::Drained, 0),
                Err(_) => return (Progress::Over, 0),
            }
        };
        let Ok(state) = tls.process_new_packets() else {
            // The alert that says why.
            let _ = tls.write_tls(stream);
            return (Progress::Over, count);
        };
        let start = unread.len();
        unread.resize(start + state.plaintext_bytes_to_read(), 0);
        let read = tls.reader().read(unread.get_mut(start..).unwrap_or_default()).unwrap_or(0);
        unread.truncate(start + read);
        (if state.peer_has_closed() { Progress::Over } else { Progress::More }, count)
    }

    /// Takes a message to be written, unless too much waits already. In TLS each is a record of its own, because some clients
    /// take what a record holds for one message (coturn's own among them).
    fn take(&mut self, message: &[u8]) -> bool {
        if self.unsent.len() + self.sealed + message.len() > MAX_UNSENT {
            return false;
        }
        match &mut self.tls {
            None => {
                self.unsent.extend_from_slice(message);
                true
            }
            Some(tls) => {
                self.sealed += message.len() + RECORD;
                tls.writer().write_all(message).is_ok()
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            return write_all(&mut self.stream, &mut self.unsent);
        };
        while tls.wants_write() {
            match tls.write_tls(&mut self.stream) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.sealed = self.sealed.saturating_sub(count),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        self.sealed = 0;
        Ok(())
    }
}

fn write_all(stream: &mut TcpStream, unsent: &mut Vec<u8>) -> io::Result<()> {
    let mut written = 0;
    let result = loop {
        let rest = unsent.get(written..).unwrap_or_default();
        if rest.is_empty() {
            break Ok(());
        }
        match stream.write(rest) {
            Ok(0) => break Err(ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => break Ok(()),
            Err(e) => break Err(e),
        }
    };
    unsent.drain(..written);
    result
}
