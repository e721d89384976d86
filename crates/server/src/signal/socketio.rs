//! The main dialect's transport: socket.io over engine.io (WebSocket and long polling).
//!
//! engine.io is a library; the socket.io layer on top is [`super::packet`]. It is our own because a session's
//! messages must be handled in order of arrival, a refused token must carry data, and a broadcast is encoded
//! once, none of which the library of that layer can do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engineioxide::config::EngineIoConfig;
use engineioxide::handler::EngineIoHandler;
use engineioxide::layer::EngineIoLayer;
use engineioxide::{DisconnectReason, Socket, Str};
use parlor_proto::{Error, ErrorCode, SessionId, limits};
use serde::Deserialize;

use super::packet::{self, Packet};
use super::session::Session;
use crate::auth::{Authenticator, Pass};
use crate::rooms::Registry;

/// The path clients connect to.
const PATH: &str = "/socket.io";
/// Heartbeat: together below the 20 s within which a vanished client must be noticed.
const PING_INTERVAL: Duration = Duration::from_secs(8);
const PING_TIMEOUT: Duration = Duration::from_secs(8);
/// Packets that wait for a client to read them. A reply is up to 8 KiB, a push a few hundred bytes: a client this
/// far behind is not coming back.
const OUTGOING: usize = 512;
/// Time to show a token after connecting, or after leaving the namespace.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Tokens one connection may try.
const CONNECT_TRIES: u32 = 5;

/// The socket.io server.
#[derive(Clone, Debug)]
pub struct SocketIo(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    authenticator: Arc<Authenticator>,
    registry: Arc<Registry>,
    sessions: Mutex<HashMap<SessionId, Arc<Session>>>,
}

/// What belongs to one engine.io connection.
#[derive(Debug, Default)]
pub struct Connection {
    session: Mutex<Option<Arc<Session>>>,
    tries: AtomicU32,
}

impl Connection {
    fn session(&self) -> MutexGuard<'_, Option<Arc<Session>>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SocketIo {
    /// A server for these tokens and rooms.
    pub fn new(authenticator: Arc<Authenticator>, registry: Arc<Registry>) -> Self {
        Self(Arc::new(Shared { authenticator, registry, sessions: Mutex::default() }))
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
        if namespace != "/" {
            let _ = socket.emit(packet::connect_error(namespace, "Invalid namespace", None::<&()>));
            return;
        }
        let mut slot = socket.data.session();
        if slot.is_some() {
            // Connected twice: who one is stays as it was.
            return;
        }
        match self.authenticate(auth) {
            Ok(pass) => {
                let shared = self.clone();
                let registry = Arc::clone(&self.0.registry);
                // Held over the start, so that a session that ends at once is not added after its removal.
                let mut sessions = self.sessions_lock();
                let finished = move |id| drop(shared.sessions_lock().remove(&id));
                let session = Session::start(pass, Arc::clone(socket), registry, finished);
                sessions.insert(crate::rooms::Peer::id(&*session), Arc::clone(&session));
                *slot = Some(session);
                let _ = socket.emit(packet::connected(&socket.id.to_string()));
            }
            Err(error) => {
                tracing::debug!(reason = ?error.details.get("reason"), "a token was refused");
                let _ = socket.emit(packet::connect_error("/", &error.message, Some(&error)));
                if socket.data.tries.fetch_add(1, Ordering::Relaxed) + 1 >= CONNECT_TRIES {
                    socket.close(DisconnectReason::TransportClose);
                }
            }
        }
    }

    fn authenticate(&self, auth: &str) -> Result<Pass, Error> {
        #[derive(Deserialize)]
        struct Auth {
            token: String,
        }
        let missing = |_| Error::new(ErrorCode::Unauthenticated).with("reason", "the auth payload has no token");
        let Auth { token } = serde_json::from_str(auth).map_err(missing)?;
        self.0.authenticator.verify(&token)
    }

    fn end(socket: &Socket<Connection>, clean: bool) {
        if let Some(session) = socket.data.session().take() {
            session.end(clean);
        }
    }
}

/// Closes a connection that has no session when the time is up.
fn expect_session(socket: Arc<Socket<Connection>>) {
    tokio::spawn(async move {
        tokio::time::sleep(CONNECT_TIMEOUT).await;
        if socket.data.session().is_none() {
            socket.close(DisconnectReason::TransportClose);
        }
    });
}

impl EngineIoHandler for SocketIo {
    type Data = Connection;

    fn on_connect(self: Arc<Self>, socket: Arc<Socket<Connection>>) {
        expect_session(socket);
    }

    fn on_disconnect(&self, socket: Arc<Socket<Connection>>, _reason: DisconnectReason) {
        Self::end(&socket, false);
    }

    fn on_message(self: &Arc<Self>, message: Str, socket: Arc<Socket<Connection>>) {
        match packet::decode(&message) {
            Some(Packet::Connect { namespace, auth }) => self.connect(namespace, auth, &socket),
            Some(Packet::Disconnect { namespace: "/" }) => {
                Self::end(&socket, true);
                expect_session(socket);
            }
            Some(Packet::Event { namespace: "/", ack, arguments, binary }) => {
                let session = socket.data.session().clone();
                if let Some(session) = session {
                    session.receive(ack, arguments, binary);
                }
            }
            Some(Packet::Disconnect { .. } | Packet::Event { .. } | Packet::Ack) => {}
            None => {
                let session = socket.data.session().clone();
                match session {
                    Some(session) => session.receive_garbage(),
                    None => socket.close(DisconnectReason::PacketParsingError),
                }
            }
        }
    }

    /// Attachments of events that were refused when their text came.
    fn on_binary(self: &Arc<Self>, _data: bytes::Bytes, _socket: Arc<Socket<Connection>>) {}
}
