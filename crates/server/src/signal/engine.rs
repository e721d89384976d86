//! engine.io (version 4), the transport below socket.io: WebSocket and long polling, the change from one to the other,
//! and the heartbeat of both.
//!
//! This is an implementation of its own because how a connection ended, a goodbye or a loss, shows in the way it is closed, a close
//! frame's code above all, and because the protocol above wants frames sent as they are, encoded once for all receivers.

mod carried;
mod polling;
mod socket;
#[cfg(test)]
mod tests;
mod websocket;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use parlor_proto::codec::engineio::{PING, Packet};
use serde::Serialize;

pub use self::socket::{CloseCode, End, Frame, Socket};
use crate::net::source::Source;

/// The protocol above engine.io.
pub trait Handler: Send + Sync + Sized + 'static {
    /// The data the protocol above keeps for each connection.
    type Data: Default + Send + Sync + 'static;

    /// Called when a connection begins. A connection that is closed here is refused.
    fn on_connect(&self, socket: &Arc<Socket<Self::Data>>);
    /// Called for each text message, in order of arrival.
    fn on_message(&self, message: &str, socket: &Arc<Socket<Self::Data>>);
    /// Called for each binary message.
    fn on_binary(&self, socket: &Arc<Socket<Self::Data>>);
    /// Called once, when a connection has ended.
    fn on_end(&self, socket: &Arc<Socket<Self::Data>>, end: End);
}

/// The timeouts and limits of the protocol.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The time between a sign of life and the next ping.
    pub ping_interval: Duration,
    /// The time to answer a ping.
    pub ping_timeout: Duration,
    /// The most bytes of a message, or of a poll's body.
    pub max_payload: usize,
    /// The most packets that wait for a client to read them.
    pub outgoing: usize,
}

/// The connections, and the protocol above them.
pub struct Engine<H: Handler> {
    handler: H,
    config: Config,
    sockets: Mutex<HashMap<String, Arc<Socket<H::Data>>>>,
}

/// The reason why a request is refused, as engine.io numbers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refusal {
    UnknownTransport,
    UnknownSession,
    BadMethod,
    BadRequest,
    UnknownVersion,
    /// The payload is larger than it may be.
    TooLarge,
    /// There is no place for another connection.
    Full,
}

/// The fields of a request's query.
struct Query<'a> {
    websocket: bool,
    session: Option<&'a str>,
}

impl<H: Handler> Engine<H> {
    /// An engine without connections.
    pub fn new(handler: H, config: Config) -> Self {
        Self { handler, config, sockets: Mutex::default() }
    }

    /// Answers a request to the path of socket.io.
    pub async fn serve(self: &Arc<Self>, request: Request) -> Response {
        match self.answer(request).await {
            Ok(response) => response,
            Err(refusal) => refusal.response(),
        }
    }

    async fn answer(self: &Arc<Self>, request: Request) -> Result<Response, Refusal> {
        let uri = request.uri().clone();
        let query = Query::read(&uri)?;
        let session = query.session.map(|session| self.socket(session).ok_or(Refusal::UnknownSession)).transpose()?;
        let source = request.extensions().get::<Source>().map(|source| source.0);
        if let Some(socket) = &session {
            socket.carried.note(request.extensions().get());
        }
        match (request.method(), session) {
            (&Method::GET, session) if query.websocket => self.upgrade(request, session, source),
            (&Method::GET, None) => self.open_polling(source),
            (&Method::GET, Some(socket)) => self.poll(&socket).await,
            (&Method::POST, Some(socket)) => self.post(&socket, request.into_body()).await,
            _ => Err(Refusal::BadMethod),
        }
    }

    /// Opens a new connection, if there is a place for it.
    fn open(self: &Arc<Self>, websocket: bool, source: Option<IpAddr>) -> Result<Arc<Socket<H::Data>>, Refusal> {
        let socket = Arc::new(Socket::new(websocket, source, self.config.outgoing));
        self.handler.on_connect(&socket);
        if socket.is_closed() {
            return Err(Refusal::Full);
        }
        self.sockets().insert(socket.id().to_owned(), Arc::clone(&socket));
        tokio::spawn(Arc::clone(self).keep(Arc::clone(&socket)));
        Ok(socket)
    }

    /// The first packet of a connection.
    fn hello(&self, socket: &Socket<H::Data>) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Open<'a> {
            sid: &'a str,
            upgrades: &'a [&'a str],
            ping_interval: u64,
            ping_timeout: u64,
            max_payload: usize,
        }
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let open = Open {
            sid: socket.id(),
            upgrades: if socket.is_websocket() { &[] } else { &["websocket"] },
            ping_interval: millis(self.config.ping_interval),
            ping_timeout: millis(self.config.ping_timeout),
            max_payload: self.config.max_payload,
        };
        format!("0{}", serde_json::to_string(&open).unwrap_or_default())
    }

    /// Keeps up the heartbeat of a connection, and tells the handler of its end.
    async fn keep(self: Arc<Self>, socket: Arc<Socket<H::Data>>) {
        let ended = socket.ended();
        tokio::pin!(ended);
        let end = loop {
            tokio::select! {
                end = &mut ended => break end,
                () = tokio::time::sleep(self.config.ping_interval) => {}
            }
            // If the queue is full, the ping is lost, and so is a client that reads nothing for so long.
            socket.forget_pong();
            let _ = socket.emit(Frame::from_static(PING));
            tokio::select! {
                end = &mut ended => break end,
                () = socket.pong() => {}
                () = tokio::time::sleep(self.config.ping_timeout) => socket.finish(End::Silent),
            }
        };
        self.sockets().remove(socket.id());
        socket.carried.forget();
        self.handler.on_end(&socket, end);
    }

    /// Handles a packet; an error is the way in which the packet ends the connection.
    fn receive(&self, packet: Option<Packet<'_>>, socket: &Arc<Socket<H::Data>>) -> Result<(), End> {
        match packet {
            Some(Packet::Message(message)) => self.handler.on_message(message, socket),
            Some(Packet::Binary) => self.handler.on_binary(socket),
            Some(Packet::Pong) => socket.heard_pong(),
            Some(Packet::Noop | Packet::Upgrade) => {}
            Some(Packet::Close) => return Err(End::Closed),
            None => return Err(End::Malformed),
        }
        Ok(())
    }

    /// Finds a connection that has not ended.
    fn socket(&self, id: &str) -> Option<Arc<Socket<H::Data>>> {
        self.sockets().get(id).filter(|socket| !socket.is_closed()).cloned()
    }

    fn sockets(&self) -> MutexGuard<'_, HashMap<String, Arc<Socket<H::Data>>>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Query<'a> {
    fn read(uri: &'a Uri) -> Result<Self, Refusal> {
        let query = uri.query().unwrap_or_default();
        let value =
            |name: &str| query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name)).map(|(_, value)| value);
        if value("EIO") != Some("4") {
            return Err(Refusal::UnknownVersion);
        }
        let websocket = match value("transport") {
            Some("websocket") => true,
            Some("polling") => false,
            _ => return Err(Refusal::UnknownTransport),
        };
        Ok(Self { websocket, session: value("sid") })
    }
}

impl Refusal {
    fn response(self) -> Response {
        let (status, code, message) = match self {
            Self::UnknownTransport => (StatusCode::BAD_REQUEST, 0, "Transport unknown"),
            Self::UnknownSession => (StatusCode::BAD_REQUEST, 1, "Session ID unknown"),
            Self::BadMethod => (StatusCode::BAD_REQUEST, 2, "Bad handshake method"),
            Self::BadRequest => (StatusCode::BAD_REQUEST, 3, "Bad request"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, 3, "Payload too large"),
            Self::Full => (StatusCode::SERVICE_UNAVAILABLE, 4, "Too many connections"),
            Self::UnknownVersion => (StatusCode::BAD_REQUEST, 5, "Unsupported protocol version"),
        };
        let body = format!(r#"{{"code":{code},"message":"{message}"}}"#);
        respond(status, "application/json", body)
    }
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
