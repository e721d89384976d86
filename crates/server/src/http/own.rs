//! Signaling requests that own what they say.

use axum::extract::{OriginalUri, Request};
use axum::http::{HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::Response;

use crate::signal;

/// Lets a signaling request go on with copies of its own.
pub async fn let_go_of_buffer(mut request: Request, next: Next) -> Response {
    if request.uri().path().starts_with(signal::PATH) {
        copy(&mut request);
    }
    next.run(request).await
}

/// Address and headers of a request are slices of the buffer its connection was read into, 8 KiB, and a session keeps
/// its request for as long as it lives: without copies that buffer is the largest part of an idle session.
fn copy(request: &mut Request) {
    // What was an address or a header's value once is one again.
    if let Ok(own) = Uri::try_from(request.uri().to_string()) {
        *request.uri_mut() = own;
    }
    // The router keeps another one for handlers that ask for it, and none does here.
    request.extensions_mut().remove::<OriginalUri>();
    for value in request.headers_mut().values_mut() {
        if let Ok(own) = HeaderValue::from_bytes(value.as_bytes()) {
            *value = own;
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_copied_request_says_the_same_and_holds_no_buffer() {
        let buffer = Bytes::from(b"/socket.io/?EIO=4&transport=websocket a b".to_vec());
        let value = |from: usize| HeaderValue::from_maybe_shared(buffer.slice(from..=from)).expect("valid");
        let uri = Uri::from_maybe_shared(buffer.slice(..37)).expect("valid");
        let mut request = Request::builder().extension(OriginalUri(uri.clone())).uri(uri).body(Body::empty()).expect("valid");
        for from in [38, 40] {
            request.headers_mut().append("x-list", value(from));
        }
        assert!(!buffer.is_unique());
        copy(&mut request);
        assert!(buffer.is_unique(), "nothing refers to it any more");
        assert_eq!(request.uri(), "/socket.io/?EIO=4&transport=websocket");
        assert_eq!(request.headers().get_all("x-list").iter().collect::<Vec<_>>(), ["a", "b"]);
    }
}
