//! The WebSocket of a connection: the only carrier from the start, or one that takes the place of polls.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use parlor_proto::codec::engineio::{NOOP, PROBE, PROBED, Packet};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use crate::signal::engine::{CloseCode, End, Engine, Frame, Handler, Refusal, Socket};

type Stream = WebSocketStream<TokioIo<Upgraded>>;

/// The bytes that are read at once, which every session has allocated: most messages are smaller, and larger ones are
/// read in pieces.
const READ_BUFFER: usize = 1024;
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
        mut request: Request,
        session: Option<Arc<Socket<H::Data>>>,
        source: Option<IpAddr>,
    ) -> Result<Response, Refusal> {
        let response = switching(&request).ok_or(Refusal::BadRequest)?;
        let upgrading = request.extensions_mut().remove::<OnUpgrade>().ok_or(Refusal::BadRequest)?;
        let changes = session.is_some();
        let socket = match session {
            Some(socket) if socket.try_change() => socket,
            Some(_) => return Err(Refusal::BadRequest),
            None => {
                let socket = self.open(true, source)?;
                socket.carried.note(&request);
                let _ = socket.emit(self.hello(&socket).into());
                socket
            }
        };
        let engine = Arc::clone(self);
        tokio::spawn(async move {
            let stream = match upgrading.await {
                Ok(io) => Some(WebSocketStream::from_raw_socket(TokioIo::new(io), Role::Server, Some(engine.websocket_config())).await),
                Err(_) => None,
            };
            match (stream, changes) {
                (Some(stream), false) => engine.run(stream, &socket).await,
                (Some(stream), true) => engine.change(stream, &socket).await,
                (None, false) => socket.finish(End::Broken),
                (None, true) => socket.end_change(false),
            }
        });
        Ok(response)
    }

    fn websocket_config(&self) -> WebSocketConfig {
        let max = Some(self.config.max_payload);
        WebSocketConfig::default().read_buffer_size(READ_BUFFER).max_message_size(max).max_frame_size(max)
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
                Err(error) => return blame(error),
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

/// The answer to a request that asks for a WebSocket (RFC 6455, section 4.2); `None` if the request does not.
fn switching(request: &Request) -> Option<Response> {
    let headers = request.headers();
    let is = |name, value: &[u8]| headers.get(name).is_some_and(|found| found.as_bytes().eq_ignore_ascii_case(value));
    if !is(header::UPGRADE, b"websocket") || !is(header::SEC_WEBSOCKET_VERSION, b"13") {
        return None;
    }
    let accept = derive_accept_key(headers.get(header::SEC_WEBSOCKET_KEY)?.as_bytes());
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&accept).ok()?);
    Some(response)
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

/// Decides whether an error is the fault of the client or of the network.
const fn blame(error: &Error) -> End {
    match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => End::Broken,
        Error::Protocol(_) | Error::Capacity(_) | Error::Utf8(_) => End::Malformed,
        _ => End::Broken,
    }
}
