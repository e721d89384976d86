//! One connection of engine.io: the packets that wait to be sent, the HTTP connections that carry it, and how it ends.

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
/// The code of the close frame with which the server closes a WebSocket.
pub type CloseCode = coding::CloseCode;

/// One connection, with the data of the protocol above.
pub struct Socket<D> {
    id: String,
    source: Option<IpAddr>,
    /// The data of the protocol above.
    pub data: D,
    /// The HTTP connections that carry this connection.
    pub carried: Carried,
    queue: mpsc::Sender<Frame>,
    /// Locked by the carrier that takes packets from the queue: the waiting poll, or the WebSocket.
    pub(super) frames: Mutex<mpsc::Receiver<Frame>>,
    /// Locked while a poll's body is read: one body at a time, which bounds the memory.
    pub(super) body: Mutex<()>,
    carrier: AtomicU8,
    pong: Notify,
    end: OnceLock<End>,
    ended: CancellationToken,
}

/// The way in which a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The connection broke, or was closed without a reason.
    Broken,
    /// Nothing was heard of the client for the time of a heartbeat.
    Silent,
    /// The client closed the connection in engine.io. It does so too when a poll failed, or the system says that it is offline.
    Closed,
    /// The WebSocket was closed with the code of a page that goes away (RFC 6455, 1001): by the page, or by a proxy that goes away.
    Away,
    /// The client closed the connection in engine.io, and then the WebSocket as a page that goes away does.
    Goodbye,
    /// The client sent something that is no packet.
    Malformed,
    /// The server closed the connection.
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
            // Whoever knows the id may post packets for a client that polls, so only that client is told it.
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
    /// The id of this connection, a secret between client and server.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The address of the connection's first request, as limits count it.
    pub const fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// Queues a packet. Returns false if the connection is over, or if the queue is full because the client does not read.
    #[must_use]
    pub fn emit(&self, frame: Frame) -> bool {
        !self.is_closed() && self.queue.try_send(frame).is_ok()
    }

    /// Closes the connection once the queued packets have been sent.
    pub fn close(&self, code: CloseCode) {
        self.finish(End::Ours(code));
    }

    /// Whether the connection is over.
    pub fn is_closed(&self) -> bool {
        self.end.get().is_some()
    }

    /// Waits until the connection is over, and returns how it ended.
    pub async fn ended(&self) -> End {
        self.ended.cancelled().await;
        self.end.get().copied().unwrap_or(End::Broken)
    }

    /// Notes that the connection is over; the first way in which it ended counts.
    pub(super) fn finish(&self, end: End) {
        let _ = self.end.set(end);
        self.ended.cancel();
    }

    pub(super) fn is_websocket(&self) -> bool {
        self.carrier.load(Ordering::Acquire) == WEBSOCKET
    }

    /// Whether a WebSocket is about to take the poll's place: polls bring no packets any more.
    pub(super) fn is_changing(&self) -> bool {
        self.carrier.load(Ordering::Acquire) == CHANGING
    }

    /// Begins to try a WebSocket beside the polls, which continue: on some networks a WebSocket can be opened and
    /// carries nothing. Returns false if the connection has a WebSocket, or is trying one already.
    pub(super) fn try_change(&self) -> bool {
        self.carrier.compare_exchange(POLLING, TRYING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Notes that the WebSocket being tried has carried a packet: it is taking the poll's place.
    pub(super) fn begin_change(&self) {
        self.carrier.store(CHANGING, Ordering::Release);
    }

    /// Ends the change: the connection goes on with the WebSocket, or with polls as before.
    pub(super) fn end_change(&self, changed: bool) {
        self.carrier.store(if changed { WEBSOCKET } else { POLLING }, Ordering::Release);
    }

    pub(super) fn heard_pong(&self) {
        self.pong.notify_one();
    }

    /// Forgets the last pong: a pong that came before a ping is no answer to it.
    pub(super) fn forget_pong(&self) {
        let _ = self.pong.notified().now_or_never();
    }

    pub(super) async fn pong(&self) {
        self.pong.notified().await;
    }
}
