//! One connection of a plain WebSocket: what waits to be sent, the heartbeat, and how it ends.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use parlor_proto::{ChannelId, Error, ErrorCode, limits};
use parlor_rooms::access::Refused;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Bytes, Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;

use super::{Dialect, Plain};
use crate::auth::Pass;
use crate::rooms::{Ending, HEARTBEAT};
use crate::signal::upgrade::{Pending, Stream, is_malformed};
use crate::signal::wire::Closing;

/// The most messages that wait for a client to read them: as for the main dialect.
const OUTGOING: usize = 512;
/// The time without a message after which the client is asked for a sign of life; it has [`HEARTBEAT`] to give one.
const PING_INTERVAL: Duration = Duration::from_secs(8);
/// Time to send the queued messages and the close frame when the connection ends.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The code for a client that breaks the rules, or does not read.
pub const CUT_OFF: u16 = 1008;

/// What is sent to a client. A copy costs no copy of its text.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// A text message.
    Text(Utf8Bytes),
    /// A binary message.
    Binary(Bytes),
    /// A request for a sign of life.
    Ping,
}

/// What a client sends.
#[derive(Clone, Copy, Debug)]
pub enum Incoming<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    channel: Option<ChannelId>,
    queue: mpsc::Sender<Outgoing>,
    /// The code with which the server closes it.
    code: OnceLock<u16>,
    closed: CancellationToken,
}

impl Connection {
    /// The channel in the path of the request, if the dialect has it there.
    pub const fn channel(&self) -> Option<&ChannelId> {
        self.channel.as_ref()
    }

    /// Queues a message. Returns false if the connection is over, or if the queue is full because the client does not read.
    #[must_use]
    pub fn send(&self, message: Outgoing) -> bool {
        !self.closed.is_cancelled() && self.queue.try_send(message).is_ok()
    }

    /// Closes the connection with this code (RFC 6455, section 7.4) once the queued messages have been sent.
    pub fn close_with(&self, code: u16) {
        let _ = self.code.set(code);
        self.closed.cancel();
    }

    /// Closes the connection for a reason that every dialect has; `say` writes an error in the words of this one.
    pub fn close(&self, closing: Closing, say: impl FnOnce(&Error) -> Outgoing) {
        self.close_with(match closing {
            Closing::SignedOut => {
                let error = Error::from(Refused::Revoked);
                let _ = self.send(say(&error));
                Self::code_of(&error)
            }
            Closing::CutOff => CUT_OFF,
            Closing::Restart => 1012,
        });
    }

    /// The code that tells a client why it is refused: 4000 and the status that HTTP has for such a thing.
    pub const fn code_of(error: &Error) -> u16 {
        match (error.code, error.code.status()) {
            // Too many at once, while HTTP has a conflict for it.
            (ErrorCode::LimitExceeded, _) => 4429,
            (_, 500..) => 1013,
            (_, status) => 4000 + status,
        }
    }
}

/// How a connection ended.
enum End {
    /// The client closed it.
    Closed,
    /// It broke, or nothing was heard of the client for the time of a heartbeat.
    Broken,
    /// The client sent something that is no message.
    Malformed,
    /// The client sent a message that is too long.
    TooLong,
    /// The server closed it.
    Ours,
}

/// Opens a WebSocket, and carries its messages until it ends; or says why it is refused.
pub(super) async fn run<D: Dialect>(plain: &Plain, dialect: D, admitted: Result<(Pass, Option<ChannelId>), Error>, pending: Pending) {
    let Some(stream) = pending.open(limits::MAX_MESSAGE_BYTES).await else { return };
    let (pass, channel) = match admitted {
        Ok(admitted) => admitted,
        Err(error) => return refuse(stream, &dialect, &error).await,
    };
    let (queue, mut frames) = mpsc::channel(OUTGOING);
    let connection = Arc::new(Connection { channel, queue, code: OnceLock::new(), closed: CancellationToken::new() });
    let session = match plain.begin(pass.clone(), dialect.wire(&connection)) {
        Ok(session) => session,
        Err(error) => return refuse(stream, &dialect, &error).await,
    };
    let (mut sink, mut stream) = stream.split();
    let receive = |message: Incoming<'_>| dialect.receive(&session, &connection, message);
    let end = tokio::select! {
        biased;
        () = connection.closed.cancelled() => End::Ours,
        end = read(&mut stream, &connection, receive) => end,
        () = write(&mut sink, &mut frames) => End::Broken,
        () = dialect.accompany(plain.registry(), &pass, &connection) => End::Ours,
    };
    session.end(match end {
        End::Closed => Ending::Goodbye,
        End::Broken | End::Malformed | End::TooLong | End::Ours => Ending::CutOff,
    });
    connection.closed.cancel();
    let code = match end {
        End::Malformed => 1003,
        End::TooLong => 1009,
        End::Closed | End::Broken | End::Ours => connection.code.get().copied().unwrap_or(1000),
    };
    let _ = timeout(CLOSE_TIMEOUT, farewell(&mut sink, &mut frames, code)).await;
}

/// Says why a connection is refused, and closes it.
async fn refuse<D: Dialect>(mut stream: Stream, dialect: &D, error: &Error) {
    tracing::debug!(code = ?error.code, "a connection was refused");
    let said = async {
        stream.send(message(dialect.refusal(error))).await?;
        stream.close(Some(frame(Connection::code_of(error), &error.message))).await
    };
    let _ = timeout(CLOSE_TIMEOUT, said).await;
}

/// Reads messages until the connection ends; returns how it ended.
async fn read(stream: &mut SplitStream<Stream>, connection: &Connection, receive: impl Fn(Incoming<'_>) -> bool) -> End {
    loop {
        let next = match timeout(PING_INTERVAL, stream.next()).await {
            Ok(next) => next,
            Err(_) if !connection.send(Outgoing::Ping) => return End::Broken,
            Err(_) => match timeout(HEARTBEAT, stream.next()).await {
                Ok(next) => next,
                Err(_) => return End::Broken,
            },
        };
        let taken = match &next {
            Some(Ok(Message::Text(text))) => receive(Incoming::Text(text)),
            Some(Ok(Message::Binary(bytes))) => receive(Incoming::Binary(bytes)),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => true,
            Some(Ok(Message::Close(_))) => return End::Closed,
            Some(Err(tungstenite::Error::Capacity(_))) => return End::TooLong,
            Some(Err(error)) if is_malformed(error) => false,
            Some(Err(_)) | None => return End::Broken,
        };
        if !taken {
            return End::Malformed;
        }
        // The message before was the last one that is handled.
        if connection.closed.is_cancelled() {
            return End::Ours;
        }
    }
}

/// Sends messages, as many as there are before each flush, until the stream takes no more.
async fn write(sink: &mut SplitSink<Stream, Message>, frames: &mut mpsc::Receiver<Outgoing>) {
    while let Some(first) = frames.recv().await {
        let sent = async {
            sink.feed(message(first)).await?;
            drain(sink, frames).await?;
            sink.flush().await
        };
        if sent.await.is_err() {
            return;
        }
    }
}

type Sent = Result<(), tokio_tungstenite::tungstenite::Error>;

async fn drain(sink: &mut SplitSink<Stream, Message>, frames: &mut mpsc::Receiver<Outgoing>) -> Sent {
    while let Ok(next) = frames.try_recv() {
        sink.feed(message(next)).await?;
    }
    Ok(())
}

/// Sends what still waits, and the close frame.
async fn farewell(sink: &mut SplitSink<Stream, Message>, frames: &mut mpsc::Receiver<Outgoing>, code: u16) -> Sent {
    drain(sink, frames).await?;
    sink.send(Message::Close(Some(frame(code, "")))).await?;
    sink.close().await
}

/// The longest reason of a close frame, in bytes (RFC 6455, section 5.5: 125 with the code).
const MAX_REASON: usize = 123;

fn frame(code: u16, reason: &str) -> CloseFrame {
    let fits = reason.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= MAX_REASON).last().unwrap_or(0);
    CloseFrame { code: code.into(), reason: reason.get(..fits).unwrap_or_default().into() }
}

fn message(outgoing: Outgoing) -> Message {
    match outgoing {
        Outgoing::Text(text) => Message::Text(text),
        Outgoing::Binary(bytes) => Message::Binary(bytes),
        Outgoing::Ping => Message::Ping(Bytes::new()),
    }
}
