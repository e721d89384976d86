//! One authenticated connection: its requests in order of arrival, its answers, and the room it is in.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use parlor_proto::codec::socketio::{self as dialect, packet};
use parlor_proto::event::Reply;
use parlor_proto::{Culprit, Error, ErrorCode, Request, SessionId};
use parlor_rooms::RequestId;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::engine::{CloseCode, Frame, Socket};
use super::runner::Runner;
use super::socketio::Connection;
use crate::auth::Pass;
use crate::clock;
use crate::rooms::{Broadcast, Ending, Peer, Registry};
use crate::tally::Tally;

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
/// Of an event that is JSON and more than can be kept of it.
const UNREADABLE: &str = "nested too deep, or with half a surrogate pair or a number that is too large";

static TOO_MANY_MESSAGES: Tally = Tally::new("sessions were cut off: far too many messages");
static FAILED: Tally = Tally::new("requests failed, and not by what was asked; at the level debug each is there");

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
    /// The last of its seats, and the one that pushes are taken from; 0 for none.
    seats: AtomicU64,
    seated: Mutex<u64>,
    /// How it ended, if it has; of several ways the most definite.
    ending: Mutex<Ending>,
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
    /// Starts a session; its task ends when [`Session::end`] is called. Refused if its user has too many.
    pub fn start(
        pass: Pass,
        socket: Arc<Socket<Connection>>,
        registry: Arc<Registry>,
        finished: impl FnOnce(SessionId) + Send + 'static,
    ) -> Result<Arc<Self>, Error> {
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
            seats: AtomicU64::new(0),
            seated: Mutex::new(0),
            ending: Mutex::default(),
        });
        registry.connected(&session.pass.identity, Arc::clone(&session) as Arc<dyn Peer>, clock::wall())?;
        tracing::debug!(session = ?session.id, "a session begins");
        let task = Arc::clone(&session);
        tokio::spawn(async move {
            Runner::new(Arc::clone(&task), Arc::clone(&registry)).run(inbox).await;
            registry.disconnected(&task.pass.identity.user, task.id);
            tracing::debug!(session = ?task.id, "a session ends");
            finished(task.id);
        });
        Ok(session)
    }

    /// Ends the session: it leaves its room at once, unless it was only lost and may be taken up again.
    pub fn end(&self, ending: Ending) {
        {
            let mut known = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
            *known = ending.max(*known);
        }
        self.gone.cancel();
    }

    /// Who it is.
    pub const fn pass(&self) -> &Pass {
        &self.pass
    }

    /// A seat in the room it is about to enter.
    pub fn seat(self: &Arc<Self>) -> Arc<dyn Peer> {
        let number = self.seats.fetch_add(1, Ordering::Relaxed) + 1;
        Arc::new(Seat { session: Arc::clone(self), number })
    }

    fn seated(&self) -> MutexGuard<'_, u64> {
        self.seated.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it has ended; says how.
    pub async fn ended(&self) -> Ending {
        self.gone.cancelled().await;
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event off the wire. Called in order of arrival; never waits. False if it is none.
    #[must_use]
    pub fn receive(&self, ack: Option<u64>, arguments: &str, binary: bool) -> bool {
        if self.messages.check().is_err() {
            if self.may_be_refused() {
                let name = packet::decode_arguments(arguments).map(|(name, _)| known_name(&name)).unwrap_or_default();
                self.refuse(name, ack, rate_limited(MESSAGES_PER_SECOND));
            }
            return true;
        }
        let Some((name, arguments)) = packet::decode_arguments(arguments) else {
            let is_event = packet::is_event(arguments);
            if is_event {
                self.refuse("", ack, Error::invalid("", UNREADABLE));
            }
            return is_event;
        };
        self.take(&name, &arguments, ack, binary);
        true
    }

    fn take(&self, name: &str, arguments: &[Value], ack: Option<u64>, binary: bool) {
        let event = known_name(name);
        if event.is_empty() {
            // As much of it as is needed to recognize it: what is echoed is memory when the client does not read.
            let echoed: String = name.chars().take(MAX_ECHOED_CHARS).collect();
            return self.refuse(&echoed, ack, ErrorCode::UnknownEvent.into());
        }
        let request = match arguments {
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

    /// Counts a packet that is no event; false if it is one too many. Nobody waits for an answer to those.
    pub fn takes_another(&self) -> bool {
        self.messages.check().is_ok() || {
            self.may_be_refused();
            false
        }
    }

    /// Counts a packet over the limit. Who goes on is cut off, and this is false.
    fn may_be_refused(&self) -> bool {
        let may = self.refusals.check().is_ok();
        if !may {
            tracing::debug!(session = ?self.id, "cut off: far too many messages");
            TOO_MANY_MESSAGES.add();
            self.cut_off(Ending::CutOff);
        }
        may
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
    fn send(&self, frame: impl Into<Frame>) {
        if !self.socket.emit(frame.into()) && !self.gone.is_cancelled() {
            tracing::debug!(session = ?self.id, "cut off: does not read");
            // Its network may be at fault: it may come back.
            self.cut_off(Ending::Lost);
        }
    }

    fn cut_off(&self, ending: Ending) {
        self.end(ending);
        self.socket.close(CloseCode::Policy);
    }

    /// Closes the connection because the server goes away, and says nothing in socket.io: its clients take that for a
    /// connection that broke, and come back by themselves.
    pub fn shut_down(&self) {
        self.end(Ending::Goodbye);
        self.socket.close(CloseCode::Restart);
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<RequestId, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session as the room sees it that it wants to enter. Only the room entered last pushes anything: one is out of the other
/// at the moment at which one is told to be in this one, however long it takes until that room knows.
#[derive(Debug)]
struct Seat {
    session: Arc<Session>,
    number: u64,
}

impl Peer for Seat {
    fn id(&self) -> SessionId {
        self.session.id
    }

    fn reply(&self, request: RequestId, result: Result<Reply, Error>) {
        let mut seated = self.session.seated();
        if matches!(result, Ok(Reply::Joined(_) | Reply::Resumed(_))) {
            *seated = self.number;
        }
        self.session.reply(request, result);
    }

    fn push(&self, broadcast: &Broadcast) {
        let seated = self.session.seated();
        if *seated == self.number {
            self.session.push(broadcast);
        }
    }

    fn close(&self) {
        self.session.close();
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

    fn close(&self) {
        self.send(Frame::from_static(packet::DISCONNECT));
        self.end(Ending::Goodbye);
        self.socket.close(CloseCode::Normal);
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
            | Request::RequestSlot { .. }
            | Request::ReleaseSlot { .. }
            | Request::Moderate { .. }
    )
}

fn rate_limited(per_second: NonZeroU32) -> Error {
    Error::new(ErrorCode::RateLimited).with("retryAfterMs", 1000 / per_second.get())
}

fn log_refusal(session: SessionId, event: &str, error: &Error) {
    match error.code.culprit() {
        Culprit::Us if error.code != ErrorCode::ShuttingDown => {
            tracing::debug!(?session, event, code = ?error.code, "a request failed");
            FAILED.add();
        }
        _ => tracing::debug!(?session, event = known_name(event), code = ?error.code, "a request was refused"),
    }
}
