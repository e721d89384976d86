//! One authenticated connection: its requests in order of arrival, its answers, and the room it is in.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use parlor_proto::event::Reply;
use parlor_proto::{Culprit, Error, ErrorCode, Request, RouterId, SessionId};
use parlor_rooms::RequestId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::auth::Pass;
use crate::clock;
use crate::rooms::{Broadcast, Ending, Peer};
use crate::signal::wire::{Asked, Closing, Wire};
use crate::tally::Tally;

/// The most requests of a session that wait for an answer. Entering a full room with three tracks each is 75 `consume`
/// at once; no client has a use for three times that.
const MAX_OUTSTANDING: usize = 256;
/// Messages a second that a session may send, on average and at once. A busy client sends a few a second; a join of a
/// full room is about 100 in a row.
const MESSAGES_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).unwrap();
const MESSAGES_AT_ONCE: NonZeroU32 = NonZeroU32::new(400).unwrap();
/// Requests a second of which everybody in the room is told, on average and at once: nobody toggles faster, and a few
/// who try must not fill the queues of the others.
const ANNOUNCED_PER_SECOND: NonZeroU32 = NonZeroU32::new(10).unwrap();
const ANNOUNCED_AT_ONCE: NonZeroU32 = NonZeroU32::new(40).unwrap();
/// Messages a second over that limit which are still answered; a client that goes on is not listening and is cut off.
const REFUSALS_PER_SECOND: NonZeroU32 = NonZeroU32::new(20).unwrap();
const REFUSALS_AT_ONCE: NonZeroU32 = NonZeroU32::new(1000).unwrap();

static TOO_MANY_MESSAGES: Tally = Tally::new("sessions were cut off: far too many messages");
static FAILED: Tally = Tally::new("requests failed, and not by what was asked; at the level debug each is there");

/// One authenticated connection.
pub struct Session<W: Wire> {
    id: SessionId,
    pass: Pass,
    wire: W,
    requests: mpsc::Sender<(RequestId, Request)>,
    /// The tag by which the answer to each waiting request finds its way.
    pending: Mutex<HashMap<RequestId, W::Tag>>,
    next_request: AtomicU64,
    messages: DefaultDirectRateLimiter,
    announced: DefaultDirectRateLimiter,
    refusals: DefaultDirectRateLimiter,
    gone: CancellationToken,
    /// The room that let the session in last.
    room: Mutex<Option<RouterId>>,
    /// The way in which the session ended, if it has; of several ways the most definite one.
    ending: Mutex<Ending>,
}

impl<W: Wire> std::fmt::Debug for Session<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Session").field(&self.id).finish()
    }
}

impl<W: Wire> Session<W> {
    /// Makes a session that no task runs yet, and the receiver of its requests. The dialect provides the wire.
    pub(super) fn new(pass: Pass, wire: W) -> (Arc<Self>, mpsc::Receiver<(RequestId, Request)>) {
        let (requests, inbox) = mpsc::channel(MAX_OUTSTANDING);
        let limiter = |rate, burst| RateLimiter::direct(Quota::per_second(rate).allow_burst(burst));
        let session = Self {
            id: SessionId::from_random(rand::random()),
            pass,
            wire,
            requests,
            pending: Mutex::default(),
            next_request: AtomicU64::new(0),
            messages: limiter(MESSAGES_PER_SECOND, MESSAGES_AT_ONCE),
            announced: limiter(ANNOUNCED_PER_SECOND, ANNOUNCED_AT_ONCE),
            refusals: limiter(REFUSALS_PER_SECOND, REFUSALS_AT_ONCE),
            gone: CancellationToken::new(),
            room: Mutex::default(),
            ending: Mutex::default(),
        };
        (Arc::new(session), inbox)
    }

    /// Ends the session: it leaves its room at once, unless only its connection was lost and it may be resumed.
    pub fn end(&self, ending: Ending) {
        {
            let mut known = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
            *known = ending.max(*known);
        }
        self.gone.cancel();
    }

    /// The way to the client.
    pub const fn wire(&self) -> &W {
        &self.wire
    }

    /// The verified token of the session.
    pub const fn pass(&self) -> &Pass {
        &self.pass
    }

    /// Waits until the session has ended, and returns how.
    pub async fn ended(&self) -> Ending {
        self.gone.cancelled().await;
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a request. Has to be called in order of arrival; never waits.
    pub fn take(&self, tag: W::Tag, asked: Asked) {
        match asked {
            Ok(request) if request.is_announced() && self.announced.check().is_err() => {
                self.refuse_at_once(tag, &rate_limited(ANNOUNCED_PER_SECOND))
            }
            // At once, whatever else waits: it is asked how long an answer takes.
            Ok(Request::Ping { echo }) => self.sent(self.wire.reply(tag, &Reply::Pong { echo, server_time_ms: clock::wall().0 })),
            Ok(request) => self.accept(tag, request),
            Err(error) => self.refuse_at_once(tag, &error),
        }
    }

    /// Counts a message that may be answered, before more of it is read than `tag` needs. Returns false if it is one
    /// too many; then it is refused here.
    pub fn counts(&self, tag: impl FnOnce() -> W::Tag) -> bool {
        let counted = self.messages.check().is_ok();
        if !counted && self.may_be_refused() {
            self.refuse_at_once(tag(), &rate_limited(MESSAGES_PER_SECOND));
        }
        counted
    }

    /// Counts a message to which no answer is due. Returns false if it is one too many.
    pub fn takes_another(&self) -> bool {
        self.messages.check().is_ok() || {
            self.may_be_refused();
            false
        }
    }

    /// Counts a message over the limit. Returns false, and cuts the client off, if the client goes on in spite of refusals.
    fn may_be_refused(&self) -> bool {
        let may = self.refusals.check().is_ok();
        if !may {
            tracing::debug!(session = ?self.id, "cut off: far too many messages");
            TOO_MANY_MESSAGES.add();
            self.cut_off(Ending::CutOff);
        }
        may
    }

    fn accept(&self, tag: W::Tag, request: Request) {
        let id = RequestId(self.next_request.fetch_add(1, Ordering::Relaxed));
        {
            let mut pending = self.pending();
            if pending.len() >= MAX_OUTSTANDING {
                drop(pending);
                return self.refuse_at_once(tag, &rate_limited(MESSAGES_PER_SECOND));
            }
            pending.insert(id, tag);
        }
        if self.requests.try_send((id, request)).is_err() {
            Peer::refuse(self, id, rate_limited(MESSAGES_PER_SECOND));
        }
    }

    fn refuse_at_once(&self, tag: W::Tag, error: &Error) {
        log_refusal(self.id, W::name(&tag), error);
        self.sent(self.wire.refuse(tag, error));
    }

    /// A client that lets its queue fill up does not read, and is cut off.
    fn sent(&self, sent: bool) {
        if !sent && !self.gone.is_cancelled() {
            tracing::debug!(session = ?self.id, "cut off: does not read");
            // The client's network may be at fault, so the client may come back.
            self.cut_off(Ending::Lost);
        }
    }

    fn cut_off(&self, ending: Ending) {
        self.end(ending);
        self.wire.close(Closing::CutOff);
    }

    /// Closes the connection because the server goes away.
    pub fn shut_down(&self) {
        self.end(Ending::Goodbye);
        self.wire.close(Closing::Restart);
    }

    fn room(&self) -> MutexGuard<'_, Option<RouterId>> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<RequestId, W::Tag>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Wire> Peer for Session<W> {
    fn id(&self) -> SessionId {
        self.id
    }

    fn reply(&self, room: RouterId, request: RequestId, reply: Reply) {
        // The lock is held until the answer is on its way: what the room tells after the answer must not be lost.
        let mut current = self.room();
        if matches!(reply, Reply::Joined(_) | Reply::Resumed(_)) {
            *current = Some(room);
        }
        let Some(tag) = self.pending().remove(&request) else { return };
        self.sent(self.wire.reply(tag, &reply));
    }

    fn refuse(&self, request: RequestId, error: Error) {
        let Some(tag) = self.pending().remove(&request) else { return };
        self.refuse_at_once(tag, &error);
    }

    fn push(&self, room: RouterId, broadcast: &Broadcast) {
        let current = self.room();
        if *current == Some(room) {
            self.sent(self.wire.push(broadcast));
        }
    }

    fn close(&self) {
        self.end(Ending::Goodbye);
        self.wire.close(Closing::SignedOut);
    }
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
        _ => tracing::debug!(?session, event, code = ?error.code, "a request was refused"),
    }
}
