//! The transport of the main dialect: socket.io over engine.io (WebSocket and long polling).
//!
//! engine.io is `signal/engine.rs`, the packets are those of `proto/src/codec/socketio/packet.rs`. This layer decides
//! which connection may have a session, and what the end of a connection means.

mod events;

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use parlor_proto::codec::socketio::packet::{self, Packet};
use parlor_proto::{Error, ErrorCode, SessionId, limits};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::auth::{Authenticator, Checked, Pass};
use crate::rooms::{Ending, HEARTBEAT, Peer, Registry};
use crate::signal::engine::{CloseCode, Config, End, Engine, Handler, Socket};
use crate::signal::runner;
use crate::signal::waiting::{Full, Waiting};
use crate::tally::Tally;
use events::{Connection, Events, Session, Slot};

/// The path clients connect to.
const PATH: &str = "/socket.io";
/// Heartbeat: both times together are below the 20 s within which a vanished client must be noticed.
const PING_INTERVAL: Duration = Duration::from_secs(8);
const PING_TIMEOUT: Duration = HEARTBEAT;
/// The most packets that wait for a client to read them. A reply is up to 8 KiB, a push a few hundred bytes: a client
/// this far behind is not coming back.
const OUTGOING: usize = 512;
/// Time to show a token after connecting, or after leaving the namespace.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The most tokens one connection may show. A bad one costs a signature check, a good one a session: no real client
/// leaves the namespace and enters it again for ever.
const CONNECT_TRIES: u32 = 5;
/// The most characters of another namespace's name in its refusal: echoed text is memory while the client does not read.
const MAX_ECHOED_CHARS: usize = 64;
/// The most engine.io connections at the same time. A polling one holds no connection of the system between polls, so
/// the limit of those does not bound the number.
const MAX_CONNECTIONS: usize = 16_000;
/// Of the connections, one in so many may be without a session: strangers cannot take the places of those with a session.
const WAITING_SHARE: usize = 2;

static FROM_ONE_SOURCE: Tally = Tally::new("signaling connections without a token were refused: too many from one address");
static OF_STRANGERS: Tally = Tally::new("signaling connections without a token were refused: too many");
static OF_ALL: Tally = Tally::new("signaling connections were refused: too many");

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

impl SocketIo {
    /// Makes a server for the tokens of this authenticator and the rooms of this registry.
    pub fn new(authenticator: Arc<Authenticator>, registry: Arc<Registry>) -> Self {
        Self::with_places(authenticator, registry, MAX_CONNECTIONS)
    }

    fn with_places(authenticator: Arc<Authenticator>, registry: Arc<Registry>, places: usize) -> Self {
        let waiting = Waiting::new(places.div_ceil(WAITING_SHARE));
        let (sessions, places) = (Mutex::default(), Arc::new(Semaphore::new(places)));
        Self(Arc::new(Shared { authenticator, registry, sessions, places, waiting }))
    }

    /// Takes the requests below `PATH` and leaves the others to the router.
    pub fn mount(&self, router: Router) -> Router {
        let config =
            Config { ping_interval: PING_INTERVAL, ping_timeout: PING_TIMEOUT, max_payload: limits::MAX_MESSAGE_BYTES, outgoing: OUTGOING };
        let engine = Arc::new(Engine::new(self.clone(), config));
        router.layer(middleware::from_fn(move |request: Request, next: Next| {
            let engine = Arc::clone(&engine);
            async move { if takes(request.uri().path()) { engine.serve(request).await } else { next.run(request).await } }
        }))
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.sessions_lock().len()
    }

    /// Closes every session's connection, in a way that makes clients come back.
    pub fn close_all(&self) {
        let sessions: Vec<_> = self.sessions_lock().values().cloned().collect();
        sessions.iter().for_each(|session| session.shut_down());
    }

    fn sessions_lock(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Session>>> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self, namespace: &str, auth: &str, socket: &Arc<Socket<Connection>>) {
        let slot = socket.data.session();
        let elsewhere = namespace != "/";
        // The namespace was entered twice: the session's identity stays as it was. A body that is still being read when
        // its connection is closed may also hold more packets: a session begun after the end would never be ended.
        if slot.is_some() && !elsewhere || socket.is_closed() {
            return;
        }
        let tries = socket.data.tries.fetch_add(1, Ordering::Relaxed) + 1;
        if tries > CONNECT_TRIES {
            drop(slot);
            Self::end(socket, Ending::CutOff);
            socket.close(CloseCode::Policy);
            return;
        }
        if elsewhere {
            let echoed: String = namespace.chars().take(MAX_ECHOED_CHARS).collect();
            let _ = socket.emit(packet::connect_error(&echoed, "Invalid namespace", None::<&()>).into());
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

    /// Continues the connect when the token's key has been fetched.
    fn connect_later(&self, token: String, tries: u32, socket: Arc<Socket<Connection>>) {
        let this = self.clone();
        tokio::spawn(async move {
            let result = this.0.authenticator.verify(&token).await;
            let slot = socket.data.session();
            // Another token may have been accepted meanwhile, or the connection may have ended.
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
                socket.carried.know();
                drop(slot);
                self.welcome(session, tries, Arc::clone(socket));
            }
            Err(error) => Self::refuse(&error, tries, socket),
        }
    }

    /// Lets a session's client in unless its token was revoked. The session is registered by now, so that a revocation
    /// either comes before this look at the store or finds the session.
    fn welcome(&self, session: Arc<Session>, tries: u32, socket: Arc<Socket<Connection>>) {
        let this = self.clone();
        tokio::spawn(async move {
            let checked = this.0.registry.check_revoked(&session.pass().identity);
            let checked = tokio::time::timeout(runner::REVOKED_TIMEOUT, checked).await.unwrap_or(Ok(()));
            // The client may have left meanwhile, and even have begun another session.
            let is_current = |slot: &Slot<'_>| slot.as_ref().is_some_and(|current| current.id() == session.id());
            let mut slot = socket.data.session();
            if !is_current(&slot) {
                return;
            }
            let Err(error) = checked else {
                // socket.io's id is a new one, because the id of the connection below is a secret.
                let id = format!("{:032x}", rand::random::<u128>());
                let _ = socket.emit(packet::connected(&id).into());
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
        match self.0.waiting.place(socket.source()) {
            Ok(place) => {
                let slot = socket.data.session();
                // A session may have begun meanwhile.
                if slot.is_none() {
                    *socket.data.waiting() = Some(place);
                    socket.carried.forget();
                    drop(slot);
                    expect_session(socket);
                }
            }
            Err(full) => {
                match full {
                    Full::Source => FROM_ONE_SOURCE.add(),
                    Full::All => OF_STRANGERS.add(),
                }
                socket.close(CloseCode::Again);
            }
        }
    }

    fn refuse(error: &Error, tries: u32, socket: &Arc<Socket<Connection>>) {
        tracing::debug!(code = ?error.code, claim = ?error.details.get("claim"), reason = ?error.details.get("reason"), "a session was refused");
        let _ = socket.emit(packet::connect_error("/", &error.message, Some(error)).into());
        if tries == CONNECT_TRIES {
            socket.close(CloseCode::Policy);
        }
    }

    fn begin(&self, pass: Pass, socket: &Arc<Socket<Connection>>) -> Result<Arc<Session>, Error> {
        let (shared, registry) = (self.clone(), Arc::clone(&self.0.registry));
        // The lock is held over the start, so that a session that ends at once is not added after its removal.
        let mut sessions = self.sessions_lock();
        let finished = move |id| drop(shared.sessions_lock().remove(&id));
        let session = runner::start(pass, Events(Arc::clone(socket)), registry, finished)?;
        sessions.insert(session.id(), Arc::clone(&session));
        Ok(session)
    }

    /// Ends the session of a connection. Returns false if it has none.
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
        // A connection that is closed earlier is let go at once.
        let waited = tokio::time::timeout(CONNECT_TIMEOUT, socket.ended()).await;
        if waited.is_err() && socket.data.session().is_none() {
            socket.close(CloseCode::Policy);
        }
    });
}

/// Translates the end of a connection. Only a client that says goodbye leaves at once: clients of socket.io close a connection, with a
/// close frame or engine.io's close packet, also when a poll failed or the system says that it is offline.
const fn ending(end: End) -> Ending {
    match end {
        End::Goodbye => Ending::Goodbye,
        End::Away => Ending::Away,
        End::Silent => Ending::Silent,
        End::Malformed => Ending::CutOff,
        // If the server closes the connection, it has said why before.
        End::Broken | End::Closed | End::Ours(_) => Ending::Lost,
    }
}

/// Whether requests to a path are for this transport.
pub fn takes(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl SocketIo {
    /// Closes a connection that sent something which is no packet: no real client does that.
    fn malformed(socket: &Socket<Connection>) {
        Self::end(socket, Ending::CutOff);
        socket.close(CloseCode::Protocol);
    }
}

impl Handler for SocketIo {
    type Data = Connection;

    fn on_connect(&self, socket: &Arc<Socket<Connection>>) {
        let Ok(place) = Arc::clone(&self.0.places).try_acquire_owned() else {
            OF_ALL.add();
            socket.close(CloseCode::Again);
            return;
        };
        let _ = socket.data.place.set(place);
        self.wait(Arc::clone(socket));
    }

    fn on_end(&self, socket: &Arc<Socket<Connection>>, end: End) {
        Self::end(socket, ending(end));
    }

    fn on_message(&self, message: &str, socket: &Arc<Socket<Connection>>) {
        let session = socket.data.session().clone();
        let packet = packet::decode(message).filter(|_| socket.data.attachments.load(Ordering::Relaxed) == 0);
        // Events are counted where they are answered, and leaving the namespace is always possible.
        let counted = !matches!(packet, None | Some(Packet::Event { namespace: "/", .. } | Packet::Disconnect { namespace: "/" }));
        if counted && session.as_ref().is_some_and(|session| !session.takes_another()) {
            return;
        }
        match packet {
            Some(Packet::Connect { namespace, auth }) => self.connect(namespace, auth, socket),
            Some(Packet::Disconnect { namespace: "/" }) => {
                // Without a session there is nothing to wait for: otherwise a client could start any number of timers.
                if Self::end(socket, Ending::Goodbye) {
                    self.wait(Arc::clone(socket));
                }
            }
            Some(Packet::Event { namespace, ack, arguments, attachments }) => {
                socket.data.attachments.store(attachments.unwrap_or_default(), Ordering::Relaxed);
                if namespace == "/"
                    && let Some(session) = session
                    && !session.receive(ack, arguments, attachments.is_some())
                {
                    Self::malformed(socket);
                }
            }
            Some(Packet::Disconnect { .. } | Packet::Ack) => {}
            None => Self::malformed(socket),
        }
    }

    /// Takes the attachments of events that were refused when their text came.
    fn on_binary(&self, socket: &Arc<Socket<Connection>>) {
        let one_less = |left: u32| left.checked_sub(1);
        if socket.data.attachments.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_err() {
            return Self::malformed(socket);
        }
        let session = socket.data.session().clone();
        if let Some(session) = session {
            session.takes_another();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use parlor_testkit::wait::until;

    use super::*;
    use crate::config::{Config, Media};
    use crate::feed::FeedHandle;
    use crate::media::{Pool, Told};

    #[tokio::test]
    async fn a_connection_that_polls_takes_a_place_until_it_ends() {
        let media = Media { port: 0, workers: 1, listen_ip: vec![Ipv4Addr::LOCALHOST.into()], ..Media::default() };
        let config = Config { media, ..Config::default() };
        let pool = Arc::new(Pool::start(&config.media, &Told::default(), &[]).expect("starts"));
        let store = parlor_store::Store::open("sqlite::memory:").await.expect("opens");
        let ice = crate::ice::Ice::new(&config, false).expect("no provider");
        let registry = Arc::new(Registry::new(&config, true, Arc::clone(&pool), store, FeedHandle::nowhere(), ice));
        let authenticator = Arc::new(Authenticator::new(&config.auth, true).expect("makes a secret"));
        let socketio = SocketIo::with_places(authenticator, registry, 1);
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bind");
        let url = format!("http://{}{PATH}/?EIO=4&transport=polling", listener.local_addr().expect("address"));
        tokio::spawn(axum::serve(listener, socketio.mount(Router::new())).into_future());
        let post = async |sid: &str, packet: &'static str| {
            let posted = reqwest::Client::new().post(format!("{url}&sid={sid}")).body(packet).send().await;
            posted.expect("answers").status().is_success()
        };
        // The pong shows whether the connection is still open.
        let open = async || {
            let opened = reqwest::get(&url).await.expect("answers").text().await.expect("text");
            let sid = opened.strip_prefix("0{\"sid\":\"")?.split('"').next()?.to_owned();
            post(&sid, "3").await.then_some(sid)
        };
        let first = open().await.expect("the first has a place");
        assert_eq!(open().await, None, "the only place is taken");
        assert!(post(&first, "1").await, "the first says goodbye");
        until("the place is free again", async || open().await.is_some()).await;
        tokio::task::spawn_blocking(move || pool.stop(std::time::Instant::now() + Duration::from_secs(10))).await.expect("stops");
    }
}
