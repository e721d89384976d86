//! The WebSocket of a connection: the only carrier from the start, or one that takes the place of polls.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use parlor_proto::codec::engineio::{NOOP, PROBE, PROBED, Packet};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use crate::net::places::PlaceOf;
use crate::signal::engine::{CloseCode, End, Engine, Frame, Handler, Refusal, Socket};
use crate::signal::upgrade::{Pending, Stream, is_malformed};

/// Time for a client that polls to complete the change to the WebSocket it tries.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a close frame after engine.io's close packet: both come together, or only the packet comes.
const WORD_TIMEOUT: Duration = Duration::from_millis(200);
/// Time to send the queued packets and the server's close frame when the connection ends.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

impl<H: Handler> Engine<H> {
    /// Answers a request for a WebSocket.
    pub(super) fn upgrade(
        self: &Arc<Self>,
        request: Request,
        session: Option<Arc<Socket<H::Data>>>,
        source: Option<IpAddr>,
    ) -> Result<Response, Refusal> {
        let place = request.extensions().get::<PlaceOf>().cloned();
        let (response, pending) = Pending::begin(request).ok_or(Refusal::BadRequest)?;
        let changes = session.is_some();
        let socket = match session {
            Some(socket) if socket.try_change() => socket,
            Some(_) => return Err(Refusal::BadRequest),
            None => {
                let socket = self.open(true, source)?;
                socket.carried.note(place.as_ref());
                let _ = socket.emit(self.hello(&socket).into());
                socket
            }
        };
        let engine = Arc::clone(self);
        tokio::spawn(async move {
            match (pending.open(engine.config.max_payload).await, changes) {
                (Some(stream), false) => engine.run(stream, &socket).await,
                (Some(stream), true) => engine.change(stream, &socket).await,
                (None, false) => socket.finish(End::Broken),
                (None, true) => socket.end_change(false),
            }
        });
        Ok(response)
    }

    /// Lets a WebSocket take the place of polls, if the client completes the change.
    async fn change(&self, mut stream: Stream, socket: &Arc<Socket<H::Data>>) {
        let probed = tokio::select! {
            _ = socket.ended() => false,
            probed = timeout(CHANGE_TIMEOUT, probe(&mut stream, socket)) => probed.unwrap_or(false),
        };
        socket.end_change(probed);
        if probed {
            self.run(stream, socket).await;
        } else {
            let _ = timeout(CLOSE_TIMEOUT, stream.close(None)).await;
        }
    }

    /// Carries packets in both directions until the connection ends.
    async fn run(&self, stream: Stream, socket: &Arc<Socket<H::Data>>) {
        let (mut sink, mut stream) = stream.split();
        // The waiting poll has been told to end, and releases the queue.
        let mut frames = socket.frames.lock().await;
        let end = tokio::select! {
            biased;
            end = socket.ended() => end,
            end = self.read(&mut stream, socket) => end,
            () = write(&mut sink, &mut frames) => End::Broken,
        };
        socket.finish(end);
        let _ = timeout(CLOSE_TIMEOUT, farewell(&mut sink, &mut frames, end)).await;
    }

    /// Reads packets until the connection ends; returns how it ended.
    async fn read(&self, stream: &mut SplitStream<Stream>, socket: &Arc<Socket<H::Data>>) -> End {
        while let Some(message) = stream.next().await {
            let packet = match &message {
                Ok(Message::Text(text)) => Packet::decode(text),
                Ok(Message::Binary(_)) => Some(Packet::Binary),
                Ok(Message::Close(frame)) => return if is_away(frame.as_ref()) { End::Away } else { End::Broken },
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
                Err(error) if is_malformed(error) => return End::Malformed,
                Err(_) => return End::Broken,
            };
            match self.receive(packet, socket) {
                // The message before was the last one that is handled.
                Ok(()) if socket.is_closed() => return socket.ended().await,
                Ok(()) => {}
                Err(End::Closed) => return last_word(stream).await,
                Err(end) => return end,
            }
        }
        End::Broken
    }
}

/// Waits for the client to try the WebSocket, and then to change to it for good. Returns whether it did.
async fn probe<D>(stream: &mut Stream, socket: &Socket<D>) -> bool {
    match stream.next().await {
        Some(Ok(Message::Text(text))) if text.as_str() == PROBE => {}
        _ => return false,
    }
    socket.begin_change();
    if stream.send(Message::Text(Utf8Bytes::from_static(PROBED))).await.is_err() {
        return false;
    }
    // The packet ends a waiting poll; the WebSocket does not pass it on.
    let _ = socket.emit(Frame::from_static(NOOP));
    matches!(stream.next().await, Some(Ok(Message::Text(text))) if Packet::decode(&text) == Some(Packet::Upgrade))
}

/// Sends packets, as many as there are before each flush, until the stream takes no more.
async fn write(sink: &mut SplitSink<Stream, Message>, frames: &mut mpsc::Receiver<Frame>) {
    while let Some(frame) = frames.recv().await {
        if feed(sink, frame).await.is_err() || drain(sink, frames).await.is_err() || sink.flush().await.is_err() {
            return;
        }
    }
}

async fn drain(sink: &mut SplitSink<Stream, Message>, frames: &mut mpsc::Receiver<Frame>) -> Result<(), Error> {
    while let Ok(frame) = frames.try_recv() {
        feed(sink, frame).await?;
    }
    Ok(())
}

async fn feed(sink: &mut SplitSink<Stream, Message>, frame: Frame) -> Result<(), Error> {
    if frame.as_str() == NOOP { Ok(()) } else { sink.feed(Message::Text(frame)).await }
}

/// If the server ends the connection, sends the remaining packets; in any case sends the close frame.
async fn farewell(sink: &mut SplitSink<Stream, Message>, frames: &mut mpsc::Receiver<Frame>, end: End) -> Result<(), Error> {
    let code = match end {
        End::Ours(code) => {
            drain(sink, frames).await?;
            code
        }
        End::Malformed => CloseCode::Protocol,
        // A client that closed first gets its own close frame back.
        End::Away | End::Broken | End::Goodbye => return sink.close().await,
        End::Closed | End::Silent => CloseCode::Normal,
    };
    sink.send(Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::default() }))).await?;
    sink.close().await
}

/// Reads what follows engine.io's close packet: the close frame of a page that goes away, or nothing of that kind.
async fn last_word(stream: &mut SplitStream<Stream>) -> End {
    let frame = timeout(WORD_TIMEOUT, async {
        while let Some(Ok(message)) = stream.next().await {
            if let Message::Close(frame) = message {
                return frame;
            }
        }
        None
    });
    match frame.await {
        Ok(frame) if is_away(frame.as_ref()) => End::Goodbye,
        _ => End::Closed,
    }
}

fn is_away(frame: Option<&CloseFrame>) -> bool {
    frame.is_some_and(|frame| frame.code == CloseCode::Away)
}
