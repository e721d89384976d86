//! The main dialect's transport: socket.io over engine.io (WebSocket and long polling).
//!
//! engine.io is a library; the socket.io layer on top is [`super::packet`]. It is our own because a session's
//! messages must be handled in order of arrival, a refused token must carry data, and a broadcast is encoded
//! once, none of which the library of that layer can do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use engineioxide::config::EngineIoConfig;
use engineioxide::handler::EngineIoHandler;
use engineioxide::layer::EngineIoLayer;
use engineioxide::{DisconnectReason, Socket, Str};
use parlor_proto::{Error, ErrorCode, SessionId, limits};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::packet::{self, Packet};
use super::session::Session;
use super::waiting::{Full, Place, Waiting};
use crate::auth::{Authenticator, Checked, Pass};
use crate::http::Source;
use crate::rooms::{Ending, HEARTBEAT, Peer, Registry};

/// The path clients connect to.
pub const PATH: &str = "/socket.io";
/// Heartbeat: together below the 20 s within which a vanished client must be noticed.
const PING_INTERVAL: Duration = Duration::from_secs(8);
const PING_TIMEOUT: Duration = HEARTBEAT;
/// What is read of a WebSocket at once, and what every session has allocated for it: most messages are smaller, and
/// larger ones are read in pieces.
const READ_BUFFER: usize = 1024;
/// Packets that wait for a client to read them. A reply is up to 8 KiB, a push a few hundred bytes: a client this
/// far behind is not coming back.
const OUTGOING: usize = 512;
/// Time to show a token after connecting, or after leaving the namespace.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Tokens one connection may show. A bad one costs us a signature check, a good one a session: who leaves the
/// namespace and enters it again for ever is no client.
const CONNECT_TRIES: u32 = 5;
/// Characters of another namespace's name in its refusal: what is echoed is memory when the client does not read.
const MAX_ECHOED_CHARS: usize = 64;
/// Time for the store to say whether a token was revoked. Who is let in without its answer joins nothing: a join asks
/// it again.
const REVOKED_TIMEOUT: Duration = Duration::from_secs(2);
/// engine.io connections at the same time. One that polls holds no connection of the system while it waits, so
/// the limit of those does not bound it.
const MAX_CONNECTIONS: usize = 16_000;
/// One of so many is for connections without a session: strangers cannot take the places of those who have one.
const WAITING_SHARE: usize = 2;

/// The socket.io server.
#[derive(Clone, Debug)]
pub struct SocketIo(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    authenticator: Arc<Authenticator>,
    registry: Arc<Registry>,
    sessions: Mutex<HashMap<SessionId, Arc<Session>>>,
    places: Arc<Semaphore>,
    waiting: Waiting,
}

/// What belongs to one engine.io connection.
#[derive(Debug, Default)]
pub struct Connection {
    session: Mutex<Option<Arc<Session>>>,
    tries: AtomicU32,
    /// One of [`MAX_CONNECTIONS`], free again when the connection is dropped.
    place: OnceLock<OwnedSemaphorePermit>,
    /// Held while there is no session.
    waiting: Mutex<Option<Place>>,
}

/// Where a connection keeps its session.
type Slot<'a> = MutexGuard<'a, Option<Arc<Session>>>;

impl Connection {
    fn session(&self) -> Slot<'_> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Place>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SocketIo {
    /// A server for these tokens and rooms.
    pub fn new(authenticator: Arc<Authenticator>, registry: Arc<Registry>) -> Self {
        Self::with_places(authenticator, registry, MAX_CONNECTIONS)
    }

    fn with_places(authenticator: Arc<Authenticator>, registry: Arc<Registry>, places: usize) -> Self {
        let waiting = Waiting::new(places.div_ceil(WAITING_SHARE));
        Self(Arc::new(Shared { authenticator, registry, sessions: Mutex::default(), places: Arc::new(Semaphore::new(places)), waiting }))
    }

    /// The layer that takes requests below [`PATH`] and leaves the others alone.
    pub fn layer(&self) -> EngineIoLayer<Self> {
        let config = EngineIoConfig::builder()
            .req_path(PATH)
            .ping_interval(PING_INTERVAL)
            .ping_timeout(PING_TIMEOUT)
            .max_buffer_size(OUTGOING)
            .max_payload(limits::MAX_MESSAGE_BYTES as u64)
            .ws_max_message_size(limits::MAX_MESSAGE_BYTES)
            .ws_max_frame_size(limits::MAX_MESSAGE_BYTES)
            .ws_read_buffer_size(READ_BUFFER)
            .build();
        EngineIoLayer::from_config(Arc::new(self.clone()), config)
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.sessions_lock().len()
    }

    /// Says goodbye to everybody.
    pub fn close_all(&self) {
        let sessions: Vec<_> = self.sessions_lock().values().cloned().collect();
        sessions.iter().for_each(|session| session.close());
    }

    fn sessions_lock(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Session>>> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self, namespace: &str, auth: &str, socket: &Arc<Socket<Connection>>) {
        let slot = socket.data.session();
        let elsewhere = namespace != "/";
        // Connected twice: who one is stays as it was. And a body that is still being read when its connection
        // is closed may hold more packets: a session begun after the end would never be ended.
        if slot.is_some() && !elsewhere || socket.is_closed() {
            return;
        }
        let tries = socket.data.tries.fetch_add(1, Ordering::Relaxed) + 1;
        if tries > CONNECT_TRIES {
            drop(slot);
            socket.close(DisconnectReason::TransportClose);
            return;
        }
        if elsewhere {
            let echoed: String = namespace.chars().take(MAX_ECHOED_CHARS).collect();
            let _ = socket.emit(packet::connect_error(&echoed, "Invalid namespace", None::<&()>));
            return;
        }
        let token = match token(auth) {
            Ok(token) => token,
            Err(error) => return Self::refuse(&error, tries, socket),
        };
        match self.0.authenticator.check(&token) {
            Checked::Now(result) => self.finish(result, tries, socket, slot),
            Checked::UnknownKey => self.connect_later(token, tries, Arc::clone(socket)),
        }
    }

    /// Goes on when the token's key has been fetched.
    fn connect_later(&self, token: String, tries: u32, socket: Arc<Socket<Connection>>) {
        let this = self.clone();
        tokio::spawn(async move {
            let result = this.0.authenticator.verify(&token).await;
            let slot = socket.data.session();
            // Another token may have been taken meanwhile, or the connection may have ended.
            if slot.is_none() && !socket.is_closed() {
                this.finish(result, tries, &socket, slot);
            }
        });
    }

    fn finish(&self, result: Result<Pass, Error>, tries: u32, socket: &Arc<Socket<Connection>>, mut slot: Slot<'_>) {
        match result.and_then(|pass| self.begin(pass, socket)) {
            Ok(session) => {
                *slot = Some(Arc::clone(&session));
                *socket.data.waiting() = None;
                drop(slot);
                self.welcome(session, tries, Arc::clone(socket));
            }
            Err(error) => Self::refuse(&error, tries, socket),
        }
    }

    /// Lets a session's client in unless its token was revoked. The session is known by now, so that a revocation
    /// comes either before this look at the store or finds the session.
    fn welcome(&self, session: Arc<Session>, tries: u32, socket: Arc<Socket<Connection>>) {
        let this = self.clone();
        tokio::spawn(async move {
            let checked = this.0.registry.check_revoked(&session.pass().identity);
            let checked = tokio::time::timeout(REVOKED_TIMEOUT, checked).await.unwrap_or(Ok(()));
            // Its client may have left meanwhile, and even have begun another one.
            let is_current = |slot: &Slot<'_>| slot.as_ref().is_some_and(|current| current.id() == session.id());
            let mut slot = socket.data.session();
            if !is_current(&slot) {
                return;
            }
            let Err(error) = checked else {
                let _ = socket.emit(packet::connected(&socket.id.to_string()));
                return;
            };
            *slot = None;
            drop(slot);
            session.end(Ending::Goodbye);
            Self::refuse(&error, tries, &socket);
            this.wait(socket);
        });
    }

    /// Lets a connection be without a session for a while, if there is a place for it.
    fn wait(&self, socket: Arc<Socket<Connection>>) {
        let source = socket.req_parts.extensions.get::<Source>().map(|source| source.0);
        match self.0.waiting.place(source) {
            Ok(place) => {
                let slot = socket.data.session();
                // A session may have begun meanwhile.
                if slot.is_none() {
                    *socket.data.waiting() = Some(place);
                    drop(slot);
                    expect_session(socket);
                }
            }
            Err(full) => {
                match full {
                    Full::Source(source) => {
                        tracing::warn!(%source, "too many signaling connections without a token from one address: one was refused")
                    }
                    Full::All => tracing::warn!("too many signaling connections without a token: one was refused"),
                }
                socket.close(DisconnectReason::TransportClose);
            }
        }
    }

    fn refuse(error: &Error, tries: u32, socket: &Arc<Socket<Connection>>) {
        tracing::debug!(code = ?error.code, claim = ?error.details.get("claim"), reason = ?error.details.get("reason"), "a session was refused");
        let _ = socket.emit(packet::connect_error("/", &error.message, Some(error)));
        if tries == CONNECT_TRIES {
            socket.close(DisconnectReason::TransportClose);
        }
    }

    fn begin(&self, pass: Pass, socket: &Arc<Socket<Connection>>) -> Result<Arc<Session>, Error> {
        let (shared, registry) = (self.clone(), Arc::clone(&self.0.registry));
        // Held over the start, so that a session that ends at once is not added after its removal.
        let mut sessions = self.sessions_lock();
        let finished = move |id| drop(shared.sessions_lock().remove(&id));
        let session = Session::start(pass, Arc::clone(socket), registry, finished)?;
        sessions.insert(session.id(), Arc::clone(&session));
        Ok(session)
    }

    /// Ends the session of a connection; false if it has none.
    fn end(socket: &Socket<Connection>, ending: Ending) -> bool {
        let session = socket.data.session().take();
        session.is_some_and(|session| {
            session.end(ending);
            true
        })
    }
}

/// The token of a connect packet's payload.
fn token(auth: &str) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Auth {
        token: String,
    }
    let missing = |_| Error::new(ErrorCode::Unauthenticated).with("reason", "the auth payload has no token");
    serde_json::from_str(auth).map(|Auth { token }| token).map_err(missing)
}

/// Closes a connection that has no session when the time is up.
fn expect_session(socket: Arc<Socket<Connection>>) {
    tokio::spawn(async move {
        // What is closed before is let go at once.
        let waited = tokio::time::timeout(CONNECT_TIMEOUT, socket.closed()).await;
        if waited.is_err() && socket.data.session().is_none() {
            socket.close(DisconnectReason::TransportClose);
        }
    });
}

/// What the end of a connection means. A page that is closed sends a WebSocket close frame, or engine.io's close
/// packet; a network that went away sends nothing, or the system reports an error.
const fn ending(reason: &DisconnectReason) -> Ending {
    match reason {
        DisconnectReason::TransportClose | DisconnectReason::ClosingServer => Ending::Goodbye,
        DisconnectReason::TransportError => Ending::Lost,
        DisconnectReason::HeartbeatTimeout => Ending::Silent,
        DisconnectReason::MultipleHttpPollingError | DisconnectReason::PacketParsingError => Ending::CutOff,
    }
}

impl EngineIoHandler for SocketIo {
    type Data = Connection;

    fn on_connect(self: Arc<Self>, socket: Arc<Socket<Connection>>) {
        let Ok(place) = Arc::clone(&self.0.places).try_acquire_owned() else {
            tracing::warn!("too many signaling connections: one was refused");
            socket.close(DisconnectReason::TransportClose);
            return;
        };
        let _ = socket.data.place.set(place);
        self.wait(socket);
    }

    fn on_disconnect(&self, socket: Arc<Socket<Connection>>, reason: DisconnectReason) {
        Self::end(&socket, ending(&reason));
    }

    fn on_message(self: &Arc<Self>, message: Str, socket: Arc<Socket<Connection>>) {
        let session = socket.data.session().clone();
        let packet = packet::decode(&message);
        // Events are counted where they are answered, and leaving is always possible.
        let counted = !matches!(packet, None | Some(Packet::Event { namespace: "/", .. } | Packet::Disconnect { namespace: "/" }));
        if counted && session.as_ref().is_some_and(|session| !session.takes_another()) {
            return;
        }
        match packet {
            Some(Packet::Connect { namespace, auth }) => self.connect(namespace, auth, &socket),
            Some(Packet::Disconnect { namespace: "/" }) => {
                // Nobody to say goodbye, nobody to wait for: else a client could start any number of timers.
                if Self::end(&socket, Ending::Goodbye) {
                    self.wait(socket);
                }
            }
            Some(Packet::Event { namespace: "/", ack, arguments, binary }) => {
                if let Some(session) = session {
                    session.receive(ack, arguments, binary);
                }
            }
            Some(Packet::Disconnect { .. } | Packet::Event { .. } | Packet::Ack) => {}
            None => match session {
                Some(session) => session.receive_garbage(),
                None => socket.close(DisconnectReason::PacketParsingError),
            },
        }
    }

    /// Attachments of events that were refused when their text came.
    fn on_binary(self: &Arc<Self>, _data: bytes::Bytes, socket: Arc<Socket<Connection>>) {
        let session = socket.data.session().clone();
        if let Some(session) = session {
            session.takes_another();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Instant;

    use axum::Router;

    use super::*;
    use crate::config::{Config, Media};
    use crate::feed::FeedHandle;
    use crate::media::Pool;

    #[tokio::test]
    async fn a_connection_that_polls_takes_a_place_until_it_ends() {
        let media = Media { port: 0, workers: 1, listen_ip: vec![Ipv4Addr::LOCALHOST.into()], ..Media::default() };
        let config = Config { media, ..Config::default() };
        let pool = Arc::new(Pool::start(&config.media).expect("starts"));
        let store = parlor_store::Store::open("sqlite::memory:").await.expect("opens");
        let registry = Arc::new(Registry::new(&config, true, Arc::clone(&pool), store, FeedHandle::nowhere()));
        let authenticator = Arc::new(Authenticator::new(&config.auth, true).expect("makes a secret"));
        let socketio = SocketIo::with_places(authenticator, registry, 1);
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bind");
        let url = format!("http://{}{PATH}/?EIO=4&transport=polling", listener.local_addr().expect("address"));
        tokio::spawn(axum::serve(listener, Router::new().layer(socketio.layer())).into_future());
        let post = async |sid: &str, packet: &'static str| {
            let posted = reqwest::Client::new().post(format!("{url}&sid={sid}")).body(packet).send().await;
            posted.expect("answers").status().is_success()
        };
        // A pong shows whether the connection lives.
        let open = async || {
            let opened = reqwest::get(&url).await.expect("answers").text().await.expect("text");
            let sid = opened.split('"').nth(3).expect("0{\"sid\":\"…\"").to_owned();
            post(&sid, "3").await.then_some(sid)
        };
        let first = open().await.expect("the first has a place");
        assert_eq!(open().await, None, "the only place is taken");
        assert!(post(&first, "1").await, "the first says goodbye");
        let deadline = Instant::now() + Duration::from_secs(5);
        while open().await.is_none() {
            assert!(Instant::now() < deadline, "the place is free again");
        }
        tokio::task::spawn_blocking(move || pool.stop()).await.expect("stops");
    }
}
