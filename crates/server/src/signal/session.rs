//! One authenticated connection: its requests in order of arrival, its answers, and the room it is in.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engineioxide::{DisconnectReason, Socket};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use parlor_proto::codec::socketio as dialect;
use parlor_proto::event::Reply;
use parlor_proto::rtp::RtpCapabilities;
use parlor_proto::{ChannelId, Culprit, Error, ErrorCode, Request, SessionId};
use parlor_rooms::RequestId;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::packet;
use super::socketio::Connection;
use crate::auth::Pass;
use crate::rooms::{Broadcast, JoinWish, Peer, Registry, RoomHandle};

/// Requests of a session that wait for an answer. Entering a full room with three tracks each is 75 `consume`
/// at once; nobody has a use for three times that.
const MAX_OUTSTANDING: usize = 256;
/// Messages a second that a session may send for long, and at once. A busy client sends a few a second; a join
/// of a full room is about 100 in a row.
const MESSAGES_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).unwrap();
const MESSAGES_AT_ONCE: NonZeroU32 = NonZeroU32::new(400).unwrap();
/// Requests that everybody in the room is told of, a second for long and at once: nobody toggles faster, and a few
/// who try must not fill the queues of those who listen.
const ANNOUNCED_PER_SECOND: NonZeroU32 = NonZeroU32::new(10).unwrap();
const ANNOUNCED_AT_ONCE: NonZeroU32 = NonZeroU32::new(40).unwrap();
/// Messages over that limit which are still answered; who goes on is not listening and is cut off.
const REFUSALS_PER_SECOND: NonZeroU32 = NonZeroU32::new(20).unwrap();
const REFUSALS_AT_ONCE: NonZeroU32 = NonZeroU32::new(1000).unwrap();
/// Characters of an unknown event's name in its refusal: every name there is has less.
const MAX_ECHOED_CHARS: usize = 64;
/// A join takes no longer (features 4).
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

/// One authenticated connection.
pub struct Session {
    id: SessionId,
    pass: Pass,
    socket: Arc<Socket<Connection>>,
    requests: mpsc::Sender<(RequestId, Request)>,
    pending: Mutex<HashMap<RequestId, Pending>>,
    next_request: AtomicU64,
    messages: DefaultDirectRateLimiter,
    announced: DefaultDirectRateLimiter,
    refusals: DefaultDirectRateLimiter,
    gone: CancellationToken,
    /// The client said goodbye itself; coming back is no reconnect then.
    clean: AtomicBool,
}

/// What an answer needs to find its way.
struct Pending {
    event: &'static str,
    ack: Option<u64>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Session").field(&self.id).finish()
    }
}

impl Session {
    /// Starts a session; its task ends when [`Session::end`] is called.
    pub fn start(
        pass: Pass,
        socket: Arc<Socket<Connection>>,
        registry: Arc<Registry>,
        finished: impl FnOnce(SessionId) + Send + 'static,
    ) -> Arc<Self> {
        let (requests, inbox) = mpsc::channel(MAX_OUTSTANDING);
        let limiter = |rate, burst| RateLimiter::direct(Quota::per_second(rate).allow_burst(burst));
        let session = Arc::new(Self {
            id: SessionId::from_random(rand::random()),
            pass,
            socket,
            requests,
            pending: Mutex::default(),
            next_request: AtomicU64::new(0),
            messages: limiter(MESSAGES_PER_SECOND, MESSAGES_AT_ONCE),
            announced: limiter(ANNOUNCED_PER_SECOND, ANNOUNCED_AT_ONCE),
            refusals: limiter(REFUSALS_PER_SECOND, REFUSALS_AT_ONCE),
            gone: CancellationToken::new(),
            clean: AtomicBool::new(false),
        });
        tracing::debug!(session = ?session.id, "a session begins");
        let task = Arc::clone(&session);
        tokio::spawn(async move {
            Runner { session: Arc::clone(&task), registry, room: None }.run(inbox).await;
            tracing::debug!(session = ?task.id, "a session ends");
            finished(task.id);
        });
        session
    }

    /// Ends the session: it leaves its room at once.
    pub fn end(&self, clean: bool) {
        self.clean.fetch_or(clean, Ordering::Relaxed);
        self.gone.cancel();
    }

    /// Takes an event off the wire. Called in order of arrival; never waits.
    pub fn receive(&self, ack: Option<u64>, arguments: &str, binary: bool) {
        if self.messages.check().is_err() {
            if self.refusals.check().is_err() {
                tracing::info!(session = ?self.id, "cut off: far too many messages");
                self.cut_off();
            } else {
                let name = packet::decode_arguments(arguments).map(|(name, _)| known_name(&name)).unwrap_or_default();
                self.refuse(name, ack, rate_limited(MESSAGES_PER_SECOND));
            }
            return;
        }
        let Some((name, arguments)) = packet::decode_arguments(arguments) else {
            return self.refuse("", ack, Error::invalid("", "not a JSON array that begins with an event name"));
        };
        let event = known_name(&name);
        if event.is_empty() {
            // As much of it as is needed to recognize it: what is echoed is memory when the client does not read.
            let echoed: String = name.chars().take(MAX_ECHOED_CHARS).collect();
            return self.refuse(&echoed, ack, ErrorCode::UnknownEvent.into());
        }
        let request = match arguments.as_slice() {
            _ if binary => Err(Error::invalid("", "binary attachments are not taken")),
            [payload @ Value::Object(_)] => dialect::decode_request(event, payload),
            // Where nothing is needed, nothing need be sent; where something is, the error names the field.
            [] => dialect::decode_request(event, &Value::Object(serde_json::Map::new())),
            _ => Err(Error::invalid("", "the payload must be one JSON object")),
        };
        match request {
            Ok(request) if is_announced(&request) && self.announced.check().is_err() => {
                self.refuse(event, ack, rate_limited(ANNOUNCED_PER_SECOND));
            }
            Ok(request) => self.accept(event, ack, request),
            Err(error) => self.refuse(event, ack, error),
        }
    }

    /// Answers something that is not even an event.
    pub fn receive_garbage(&self) {
        self.receive(None, "", false);
    }

    /// Sends the last word and closes the connection.
    pub fn close(&self) {
        self.send(packet::DISCONNECT);
        self.socket.close(DisconnectReason::ClosingServer);
    }

    fn accept(&self, event: &'static str, ack: Option<u64>, request: Request) {
        let id = RequestId(self.next_request.fetch_add(1, Ordering::Relaxed));
        let fits = {
            let mut pending = self.pending();
            let fits = pending.len() < MAX_OUTSTANDING;
            if fits {
                pending.insert(id, Pending { event, ack });
            }
            fits
        };
        if !fits {
            self.refuse(event, ack, rate_limited(MESSAGES_PER_SECOND));
        } else if self.requests.try_send((id, request)).is_err() {
            self.reply(id, Err(rate_limited(MESSAGES_PER_SECOND)));
        }
    }

    fn refuse(&self, event: &str, ack: Option<u64>, error: Error) {
        log_refusal(self.id, event, &error);
        self.send_error(event, ack, &error);
    }

    fn send_error(&self, event: &str, ack: Option<u64>, error: &Error) {
        #[derive(Serialize)]
        struct Named<'a> {
            #[serde(flatten)]
            error: &'a Error,
            event: &'a str,
        }
        match ack {
            Some(number) => self.send(packet::ack(number, error)),
            None => self.send(packet::event(dialect::ERROR_EVENT, &Named { error, event })),
        }
    }

    /// Queues a packet. A client that lets the queue fill up does not read, and is cut off.
    fn send(&self, text: impl Into<engineioxide::Str>) {
        if self.socket.emit(text).is_err() && !self.gone.is_cancelled() {
            tracing::debug!(session = ?self.id, "cut off: does not read");
            self.cut_off();
        }
    }

    fn cut_off(&self) {
        self.end(false);
        self.socket.close(DisconnectReason::TransportError);
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<RequestId, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peer for Session {
    fn id(&self) -> SessionId {
        self.id
    }

    fn reply(&self, request: RequestId, result: Result<Reply, Error>) {
        let Some(Pending { event, ack }) = self.pending().remove(&request) else { return };
        match (result, ack) {
            (Ok(reply), Some(number)) => self.send(packet::ack(number, &reply)),
            (Ok(reply), None) => self.send(packet::event(dialect::reply_name(&reply), &reply)),
            (Err(error), ack) => {
                log_refusal(self.id, event, &error);
                self.send_error(event, ack, &error);
            }
        }
    }

    fn push(&self, broadcast: &Broadcast) {
        self.send(broadcast.socketio(packet::event));
    }
}

/// The event's name if it is one of ours, else nothing.
fn known_name(name: &str) -> &'static str {
    dialect::REQUEST_EVENTS.iter().find(|known| **known == name).copied().unwrap_or_default()
}

/// Whether everybody else in the room is told of it.
const fn is_announced(request: &Request) -> bool {
    matches!(
        request,
        Request::UpdateState { .. }
            | Request::Produce { .. }
            | Request::PauseProducer { .. }
            | Request::ResumeProducer { .. }
            | Request::CloseProducer { .. }
    )
}

fn rate_limited(per_second: NonZeroU32) -> Error {
    Error::new(ErrorCode::RateLimited).with("retryAfterMs", 1000 / per_second.get())
}

fn log_refusal(session: SessionId, event: &str, error: &Error) {
    match error.code.culprit() {
        Culprit::Us if error.code != ErrorCode::ShuttingDown => tracing::error!(?session, event, code = ?error.code, "a request failed"),
        _ => tracing::debug!(?session, event = known_name(event), code = ?error.code, "a request was refused"),
    }
}

/// The task of a session: one request after the other.
struct Runner {
    session: Arc<Session>,
    registry: Arc<Registry>,
    room: Option<RoomHandle>,
}

impl Runner {
    async fn run(mut self, mut inbox: mpsc::Receiver<(RequestId, Request)>) {
        loop {
            tokio::select! {
                biased;
                () = self.session.gone.cancelled() => break,
                request = inbox.recv() => match request {
                    Some((id, request)) => self.handle(id, request).await,
                    None => break,
                },
            }
        }
        let clean = self.session.clean.load(Ordering::Relaxed);
        if let Some(room) = self.room.take()
            && room.disconnect(self.session.id).await
            && !clean
        {
            self.registry.left_uncleanly(&self.session.pass.identity.user);
        }
    }

    async fn handle(&mut self, id: RequestId, request: Request) {
        if let Request::Join { channel, capabilities } = request {
            return self.join(id, &channel, capabilities).await;
        }
        let passed = match &self.room {
            Some(room) => room.request(self.peer(), id, request).await,
            None => false,
        };
        if !passed {
            self.room = None;
            self.session.reply(id, Err(ErrorCode::NotInChannel.into()));
        }
    }

    async fn join(&mut self, id: RequestId, channel: &ChannelId, capabilities: Option<Arc<RtpCapabilities>>) {
        let admission = match self.session.pass.check().and_then(|()| self.registry.admit(channel, &self.session.pass.identity.user)) {
            Ok(admission) => admission,
            Err(error) => return self.session.reply(id, Err(error)),
        };
        // One channel at a time: the other one is left before this one is entered (features 2).
        if let Some(room) = self.room.take_if(|room| room.channel() != admission.channel()) {
            room.disconnect(self.session.id).await;
        }
        let wish = JoinWish { request: id, identity: self.session.pass.identity.clone(), capabilities };
        // In a task of its own: when the time is up it goes on, and what it still achieves can be undone.
        let (registry, peer) = (Arc::clone(&self.registry), self.peer());
        let mut joining = tokio::spawn(async move { registry.join(peer, &admission, wish).await });
        match tokio::time::timeout(JOIN_TIMEOUT, &mut joining).await {
            Ok(joined) => self.room = joined.unwrap_or(None),
            Err(_) => {
                self.session.reply(id, Err(ErrorCode::Timeout.into()));
                let session = self.session.id;
                tokio::spawn(async move {
                    if let Ok(Some(room)) = joining.await {
                        room.disconnect(session).await;
                    }
                });
            }
        }
    }

    fn peer(&self) -> Arc<dyn Peer> {
        Arc::clone(&self.session) as Arc<dyn Peer>
    }
}
