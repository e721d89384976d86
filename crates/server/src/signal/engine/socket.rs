//! One connection: what waits to be sent, what carries it, and how it ends.

use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use futures_util::FutureExt as _;
use tokio::sync::{Mutex, Notify, mpsc};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding;
use tokio_util::sync::CancellationToken;

use crate::signal::engine::carried::Carried;

/// A packet of engine.io as it is sent. A copy of it costs no copy of its text.
pub type Frame = Utf8Bytes;
/// What a WebSocket is told when the server closes it.
pub type CloseCode = coding::CloseCode;

/// One connection, with what is kept for it above.
pub struct Socket<D> {
    id: String,
    source: Option<IpAddr>,
    /// What the protocol above keeps.
    pub data: D,
    /// The HTTP connections it comes by.
    pub carried: Carried,
    queue: mpsc::Sender<Frame>,
    /// Held by what carries them: the poll that waits, or the WebSocket.
    pub(super) frames: Mutex<mpsc::Receiver<Frame>>,
    /// Held while a poll's body is read: one at a time, so that they bind no memory.
    pub(super) body: Mutex<()>,
    carrier: AtomicU8,
    pong: Notify,
    end: OnceLock<End>,
    ended: CancellationToken,
}

/// How a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It broke, or was closed without a word on why.
    Broken,
    /// Nothing was heard of the client for the time of a heartbeat.
    Silent,
    /// The client closed it in engine.io. It does that too when a poll failed, or the system says that it is offline.
    Closed,
    /// A WebSocket was closed as that of a page that goes away (RFC 6455, 1001): by the page, or by a proxy that does.
    Away,
    /// The client closed it in engine.io and went away.
    Goodbye,
    /// The client sent what is no packet.
    Malformed,
    /// The server closed it.
    Ours(CloseCode),
}

const POLLING: u8 = 0;
const TRYING: u8 = 1;
const CHANGING: u8 = 2;
const WEBSOCKET: u8 = 3;

impl<D> std::fmt::Debug for Socket<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket").field("end", &self.end).finish_non_exhaustive()
    }
}

impl<D: Default> Socket<D> {
    pub(super) fn new(websocket: bool, source: Option<IpAddr>, outgoing: usize) -> Self {
        let (queue, frames) = mpsc::channel(outgoing);
        Self {
            // Whoever knows it may post packets for a client that polls: it is told to that client alone.
            id: format!("{:032x}", rand::random::<u128>()),
            source,
            data: D::default(),
            carried: Carried::default(),
            queue,
            frames: Mutex::new(frames),
            body: Mutex::default(),
            carrier: AtomicU8::new(if websocket { WEBSOCKET } else { POLLING }),
            pong: Notify::new(),
            end: OnceLock::new(),
            ended: CancellationToken::new(),
        }
    }
}

impl<D> Socket<D> {
    /// The secret between client and server that names this connection.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where its first request came from, as limits count it.
    pub const fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// Queues a packet; false if the connection is over, or the client has so much to read that this finds no place.
    #[must_use]
    pub fn emit(&self, frame: Frame) -> bool {
        !self.is_closed() && self.queue.try_send(frame).is_ok()
    }

    /// Closes it once what is queued has been sent.
    pub fn close(&self, code: CloseCode) {
        self.finish(End::Ours(code));
    }

    /// Whether it is over.
    pub fn is_closed(&self) -> bool {
        self.end.get().is_some()
    }

    /// Waits until it is over.
    pub async fn ended(&self) -> End {
        self.ended.cancelled().await;
        self.end.get().copied().unwrap_or(End::Broken)
    }

    /// It is over; the first word on how counts.
    pub(super) fn finish(&self, end: End) {
        let _ = self.end.set(end);
        self.ended.cancel();
    }

    pub(super) fn is_websocket(&self) -> bool {
        self.carrier.load(Ordering::Acquire) == WEBSOCKET
    }

    /// A WebSocket is about to take the poll's place: polls bring nothing any more.
    pub(super) fn is_changing(&self) -> bool {
        self.carrier.load(Ordering::Acquire) == CHANGING
    }

    /// A WebSocket is tried beside the polls, which go on: on some networks one can be opened and carries nothing. False if
    /// there is one, or another is tried.
    pub(super) fn try_change(&self) -> bool {
        self.carrier.compare_exchange(POLLING, TRYING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The one that is tried has carried something: it takes the poll's place.
    pub(super) fn begin_change(&self) {
        self.carrier.store(CHANGING, Ordering::Release);
    }

    /// Ends that: with the WebSocket, or with polls as before.
    pub(super) fn end_change(&self, changed: bool) {
        self.carrier.store(if changed { WEBSOCKET } else { POLLING }, Ordering::Release);
    }

    pub(super) fn heard_pong(&self) {
        self.pong.notify_one();
    }

    /// A pong that answers no ping is no answer to the next one.
    pub(super) fn forget_pong(&self) {
        let _ = self.pong.notified().now_or_never();
    }

    pub(super) async fn pong(&self) {
        self.pong.notified().await;
    }
}
