//! Long polling: packets come in as the bodies of requests, and go out in the answer to a request that waits for them.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::StatusCode;
use axum::response::Response;
use parlor_proto::codec::engineio::{CLOSE, NOOP, decode_payload, push_packet};

use crate::signal::engine::{End, Engine, Handler, Refusal, Socket, respond};

impl<H: Handler> Engine<H> {
    /// Opens a connection that polls.
    pub(super) fn open_polling(self: &Arc<Self>, source: Option<std::net::IpAddr>) -> Result<Response, Refusal> {
        let socket = self.open(false, source)?;
        Ok(text(self.hello(&socket)))
    }

    /// Takes the packets a client posts, one body at a time.
    pub(super) async fn post(&self, socket: &Arc<Socket<H::Data>>, body: Body) -> Result<Response, Refusal> {
        if socket.is_websocket() {
            return Err(Refusal::BadRequest);
        }
        let Ok(_turn) = socket.body.try_lock() else {
            // A body that came twice may be a proxy's second try: the client may continue with another connection.
            socket.finish(End::Broken);
            return Err(Refusal::BadRequest);
        };
        let body = tokio::select! {
            _ = socket.ended() => return Err(Refusal::UnknownSession),
            body = to_bytes(body, self.config.max_payload) => body,
        };
        let body = match body {
            Ok(body) => body,
            Err(error) if is_too_large(&error) => {
                socket.finish(End::Malformed);
                return Err(Refusal::TooLarge);
            }
            // The body did not arrive completely; the client knows that, and decides what becomes of the connection.
            Err(_) => return Err(Refusal::BadRequest),
        };
        let Ok(payload) = std::str::from_utf8(&body) else {
            socket.finish(End::Malformed);
            return Err(Refusal::BadRequest);
        };
        for packet in decode_payload(payload) {
            match self.receive(packet, socket) {
                Ok(()) if socket.is_closed() => break,
                Ok(()) => {}
                Err(end) => {
                    socket.finish(end);
                    if end == End::Malformed {
                        return Err(Refusal::BadRequest);
                    }
                    break;
                }
            }
        }
        Ok(text("ok".to_owned()))
    }

    /// Waits until there is a packet for the client, and answers with all there are.
    pub(super) async fn poll(&self, socket: &Socket<H::Data>) -> Result<Response, Refusal> {
        if socket.is_websocket() {
            return Err(Refusal::BadRequest);
        }
        let Ok(mut frames) = socket.frames.try_lock() else {
            // Two polls would share the packets between them, so the connection ends, and the other poll is told so.
            socket.finish(End::Broken);
            return Err(Refusal::BadRequest);
        };
        if socket.is_changing() {
            return Ok(text(NOOP.to_owned()));
        }
        let first = tokio::select! {
            biased;
            frame = frames.recv() => frame,
            _ = socket.ended() => None,
        };
        let mut payload = String::new();
        for frame in first.into_iter().chain(std::iter::from_fn(|| frames.try_recv().ok())) {
            push_packet(&mut payload, &frame);
        }
        if socket.is_closed() {
            let answer = if socket.ended().await == End::Closed { NOOP } else { CLOSE };
            push_packet(&mut payload, answer);
        }
        Ok(text(payload))
    }
}

fn text(payload: String) -> Response {
    respond(StatusCode::OK, "text/plain; charset=UTF-8", payload)
}

/// Whether a body was too large. The error of the limit is among the sources of axum's error.
fn is_too_large(error: &axum::Error) -> bool {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| error.source()).any(|error| error.is::<http_body_util::LengthLimitError>())
}
