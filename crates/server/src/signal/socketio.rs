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
/// Tokens one connection may show. A bad one costs us a signature check, a good one a session: who leaves the
/// namespace and enters it again for ever is no client.
const CONNECT_TRIES: u32 = 5;
/// engine.io connections at the same time. One that polls holds no connection of the system while it waits, so
/// the limit of those does not bound it.
const MAX_CONNECTIONS: usize = 16_000;

/// The socket.io server.
#[derive(Clone, Debug)]
pub struct SocketIo(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    authenticator: Arc<Authenticator>,
    registry: Arc<Registry>,
    sessions: Mutex<HashMap<SessionId, Arc<Session>>>,
    places: Arc<Semaphore>,
}

/// What belongs to one engine.io connection.
#[derive(Debug, Default)]
pub struct Connection {
    session: Mutex<Option<Arc<Session>>>,
    tries: AtomicU32,
    /// One of [`MAX_CONNECTIONS`], free again when the connection is dropped.
    place: OnceLock<OwnedSemaphorePermit>,
}

impl Connection {
    fn session(&self) -> MutexGuard<'_, Option<Arc<Session>>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SocketIo {
    /// A server for these tokens and rooms.
    pub fn new(authenticator: Arc<Authenticator>, registry: Arc<Registry>) -> Self {
        Self::with_places(authenticator, registry, MAX_CONNECTIONS)
    }

    fn with_places(authenticator: Arc<Authenticator>, registry: Arc<Registry>, places: usize) -> Self {
        Self(Arc::new(Shared { authenticator, registry, sessions: Mutex::default(), places: Arc::new(Semaphore::new(places)) }))
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
        // Connected twice: who one is stays as it was. And a body that is still being read when its connection
        // is closed may hold more packets: a session begun after the end would never be ended.
        if slot.is_some() || socket.is_closed() {
            return;
        }
        let tries = socket.data.tries.fetch_add(1, Ordering::Relaxed) + 1;
        if tries > CONNECT_TRIES {
            socket.close(DisconnectReason::TransportClose);
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
                if tries == CONNECT_TRIES {
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

    /// Ends the session of a connection; false if it has none.
    fn end(socket: &Socket<Connection>, clean: bool) -> bool {
        let session = socket.data.session().take();
        session.is_some_and(|session| {
            session.end(clean);
            true
        })
    }
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

impl EngineIoHandler for SocketIo {
    type Data = Connection;

    fn on_connect(self: Arc<Self>, socket: Arc<Socket<Connection>>) {
        let Ok(place) = Arc::clone(&self.0.places).try_acquire_owned() else {
            tracing::warn!("too many signaling connections: one was refused");
            socket.close(DisconnectReason::TransportClose);
            return;
        };
        let _ = socket.data.place.set(place);
        expect_session(socket);
    }

    fn on_disconnect(&self, socket: Arc<Socket<Connection>>, _reason: DisconnectReason) {
        Self::end(&socket, false);
    }

    fn on_message(self: &Arc<Self>, message: Str, socket: Arc<Socket<Connection>>) {
        match packet::decode(&message) {
            Some(Packet::Connect { namespace, auth }) => self.connect(namespace, auth, &socket),
            Some(Packet::Disconnect { namespace: "/" }) => {
                // Nobody to say goodbye, nobody to wait for: else a client could start any number of timers.
                if Self::end(&socket, true) {
                    expect_session(socket);
                }
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Instant;

    use axum::Router;

    use super::*;
    use crate::config::{Config, Media};
    use crate::media::Pool;

    #[tokio::test]
    async fn a_connection_that_polls_takes_a_place_until_it_ends() {
        let media = Media { port: 0, workers: 1, listen_ip: vec![Ipv4Addr::LOCALHOST.into()], ..Media::default() };
        let config = Config { media, ..Config::default() };
        let pool = Arc::new(Pool::start(&config.media).expect("starts"));
        let registry = Arc::new(Registry::new(&config, true, Arc::clone(&pool)));
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
