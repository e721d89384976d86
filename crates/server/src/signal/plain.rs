//! The transport of the dialects that need no more than a WebSocket: a message is a frame, and the token is in the request.
//!
//! A dialect says how its messages are read ([`Dialect::receive`]) and written ([`Dialect::Wire`]). This layer decides which
//! connection may have a session, keeps the heartbeat, and translates the end of a connection. Such a connection cannot be
//! resumed: whoever loses it has left.

mod connection;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Query, Request};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use parlor_proto::{ChannelId, Error, ErrorCode, SessionId};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::auth::{Authenticator, Pass};
use crate::net::places::PlaceOf;
use crate::rooms::{Peer, Registry};
use crate::signal::runner;
use crate::signal::session::Session;
use crate::signal::upgrade::Pending;
use crate::signal::wire::Wire;
use crate::tally::Tally;
pub use connection::{CUT_OFF, Connection, Incoming, Outgoing};

/// The most connections of these dialects at the same time.
const MAX_CONNECTIONS: usize = 16_000;

static OF_ALL: Tally = Tally::new("plain signaling connections were refused: too many");

/// A dialect of plain WebSockets.
pub trait Dialect: Send + Sync + 'static {
    /// How the dialect writes to a client.
    type Wire: Wire;

    /// Makes the way to a client. The channel is the one in the path, if the dialect has it there.
    fn wire(&self, connection: &Arc<Connection>) -> Self::Wire;
    /// Says in the words of the dialect why a connection is refused.
    fn refusal(&self, error: &Error) -> Outgoing;
    /// Takes a message of a client. Has to be called in order of arrival; never waits. Returns false if it is none of the dialect.
    fn receive(&self, session: &Session<Self::Wire>, connection: &Connection, message: Incoming<'_>) -> bool;
    /// What happens beside the messages for as long as a connection has a session; ends with the connection.
    fn accompany(&self, registry: &Arc<Registry>, pass: &Pass, connection: &Arc<Connection>) -> impl Future<Output = ()> + Send {
        let _ = (registry, pass, connection);
        std::future::pending()
    }
}

/// The connections of plain WebSockets, of all dialects.
#[derive(Clone, Debug)]
pub struct Plain(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    authenticator: Arc<Authenticator>,
    registry: Arc<Registry>,
    sessions: Mutex<HashMap<SessionId, Arc<dyn Running>>>,
    places: Arc<Semaphore>,
}

/// A session of any dialect, as far as the stop of the server is concerned.
trait Running: std::fmt::Debug + Send + Sync {
    fn shut_down(&self);
}

impl<W: Wire> Running for Session<W> {
    fn shut_down(&self) {
        Self::shut_down(self);
    }
}

impl Plain {
    /// Connections with tokens of this authenticator, to the rooms of this registry.
    pub fn new(authenticator: Arc<Authenticator>, registry: Arc<Registry>) -> Self {
        let (sessions, places) = (Mutex::default(), Arc::new(Semaphore::new(MAX_CONNECTIONS)));
        Self(Arc::new(Shared { authenticator, registry, sessions, places }))
    }

    /// Closes every session's connection, in a way that makes clients come back.
    pub fn close_all(&self) {
        let sessions: Vec<_> = self.sessions().values().cloned().collect();
        sessions.iter().for_each(|session| session.shut_down());
    }

    /// How many sessions there are.
    pub fn count(&self) -> usize {
        self.sessions().len()
    }

    /// Answers a request for a WebSocket of this dialect. `channel` is the one in the path, if the dialect has it there, or
    /// what is wrong with it. A request that may not have a session gets one all the same, and is told why, because a page
    /// sees nothing of an answer that is no WebSocket.
    pub async fn serve<D: Dialect>(&self, dialect: D, channel: Option<Result<ChannelId, Error>>, request: Request) -> Response {
        let Ok(place) = Arc::clone(&self.0.places).try_acquire_owned() else {
            OF_ALL.add();
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        };
        let admitted = self.admit(channel, request.uri(), request.headers()).await;
        let carrier = request.extensions().get::<PlaceOf>().and_then(|place| place.0.upgrade());
        let Some((response, pending)) = Pending::begin(request) else {
            return (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, "websocket")], "This is for WebSockets.\n").into_response();
        };
        if let (Ok(_), Some(carrier)) = (&admitted, &carrier) {
            carrier.know();
        }
        let this = self.clone();
        tokio::spawn(async move {
            connection::run(&this, dialect, admitted, pending).await;
            drop(place);
        });
        response
    }

    /// Checks the token of a request, and gives the identity with the channel.
    async fn admit(
        &self,
        channel: Option<Result<ChannelId, Error>>,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(Pass, Option<ChannelId>), Error> {
        let token = token(uri, headers).ok_or_else(|| Error::new(ErrorCode::Unauthenticated).with("reason", "there is no token"))?;
        let pass = self.0.authenticator.verify(&token).await?;
        let checked = self.0.registry.check_revoked(&pass.identity);
        timeout(runner::REVOKED_TIMEOUT, checked).await.unwrap_or(Ok(()))?;
        Ok((pass, channel.transpose()?))
    }

    fn registry(&self) -> &Arc<Registry> {
        &self.0.registry
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<dyn Running>>> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session, which is found until it has ended.
    fn begin<W: Wire>(&self, pass: Pass, wire: W) -> Result<Arc<Session<W>>, Error> {
        let shared = self.clone();
        // The lock is held over the start, so that a session that ends at once is not added after its removal.
        let mut sessions = self.sessions();
        let finished = move |id| drop(shared.sessions().remove(&id));
        let session = runner::start(pass, wire, Arc::clone(&self.0.registry), finished)?;
        sessions.insert(session.id(), Arc::clone(&session) as Arc<dyn Running>);
        Ok(session)
    }
}

/// The token of a request: in the query, because pages cannot set headers of a WebSocket, or as other clients send it.
fn token(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    #[derive(Deserialize)]
    struct Token {
        token: Option<String>,
    }
    let of_query = || Query::<Token>::try_from_uri(uri).ok().and_then(|Query(query)| query.token);
    let of_header = || headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(str::to_owned);
    of_query().or_else(of_header).filter(|token| !token.is_empty())
}
