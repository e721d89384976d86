//! The first step of every request: its source is noted, and its connection counted.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};

use crate::net::places::{Place, PlaceOf};
use crate::net::source::{PeerAddress, Source, Trusted};
use crate::signal;

/// Seconds after which a refused client is to try again: connections of strangers are gone by then, or have asked for something.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("10");

/// Lets a request in, unless its source has too many under way.
pub async fn enter(State(trusted): State<Trusted>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<PeerAddress>().map_or(([0; 4], 0).into(), |peer| peer.0);
    let source = trusted.source(peer, request.headers());
    let forwarded = trusted.forwarded(peer, request.headers());
    request.extensions_mut().insert(Source(source));
    request.extensions_mut().insert(forwarded);
    let place = request.extensions().get::<PlaceOf>().and_then(|place| place.0.upgrade());
    let Some(place) = place.filter(|place| place.is_proxy()) else { return next.run(request).await };
    if !belongs_to_signaling(&request)
        && let Err(full) = place.charge(source)
    {
        full.count();
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER)]).into_response();
    }
    let mut settled = Settled(Some(place));
    let response = next.run(request).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        // The connection keeps its place until it ends; it is not settled here.
        settled.0 = None;
        return response;
    }
    response.map(|body| Body::new(Held { body, _settled: settled }))
}

/// Whether a request belongs to a connection of engine.io that exists already. Those are counted there, and have one poll, one body and
/// one WebSocket at a time: a client with a session continues however many strangers come from its address.
fn belongs_to_signaling(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    signal::takes(request.uri().path()) && query.split('&').any(|pair| pair.starts_with("sid="))
}

/// Settles a place when it is dropped, which is when the answer was sent or given up.
struct Settled(Option<Arc<Place>>);

impl Drop for Settled {
    fn drop(&mut self) {
        if let Some(place) = &self.0 {
            place.settle();
        }
    }
}

/// The body of an answer, with the place that is settled when the body ends.
struct Held {
    body: Body,
    _settled: Settled,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_signaling_takes_is_counted_there() {
        let belongs = |uri: &str| belongs_to_signaling(&Request::get(uri).body(Body::empty()).expect("a request"));
        assert!(belongs("/socket.io/?EIO=4&sid=x") && belongs("/socket.io?sid=x"));
        for other in ["/socket.io/?EIO=4", "/socket.iox/page?sid=x", "/channel?sid=x"] {
            assert!(!belongs(other), "{other}");
        }
    }
}
