//! From HTTP to a WebSocket (RFC 6455): the answer to the request, and the stream that follows.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// An open WebSocket.
pub type Stream = WebSocketStream<TokioIo<Upgraded>>;

/// The bytes that are read at once, which every session has allocated: most messages are smaller, and larger ones are
/// read in pieces.
const READ_BUFFER: usize = 1024;

/// A WebSocket that was asked for and not opened yet.
pub struct Pending(OnUpgrade);

impl Pending {
    /// The answer that opens a WebSocket, and the WebSocket to be; `None` if the request does not ask for one.
    pub fn begin(mut request: Request) -> Option<(Response, Self)> {
        let response = switching(&request)?;
        let upgrading = request.extensions_mut().remove::<OnUpgrade>()?;
        Some((response, Self(upgrading)))
    }

    /// Waits until the answer was sent. There is no WebSocket if the connection broke. Messages may have so many bytes.
    pub async fn open(self, max_message: usize) -> Option<Stream> {
        let io = self.0.await.ok()?;
        let max = Some(max_message);
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER).max_message_size(max).max_frame_size(max);
        Some(WebSocketStream::from_raw_socket(TokioIo::new(io), Role::Server, Some(config)).await)
    }
}

/// Whether an error is the fault of the client, which broke the protocol, and not of the network.
pub const fn is_malformed(error: &Error) -> bool {
    match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => false,
        Error::Protocol(_) | Error::Capacity(_) | Error::Utf8(_) => true,
        _ => false,
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
