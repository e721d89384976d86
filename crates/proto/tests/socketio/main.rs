//! The main dialect: what is read, what is refused, and what is written.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "in a test, a broken expectation is the result")]

mod arbitrary;
mod examples;
mod lies;
mod requests;
mod written;

use parlor_proto::codec::socketio::decode_request;
use parlor_proto::{Error, ErrorCode};
use serde_json::Value;

/// The refusal of a payload; one that is read fails the test.
fn refusal(event: &str, payload: &Value) -> Error {
    match decode_request(event, payload) {
        Ok(request) => panic!("{event} {payload} was read as {request:?}"),
        Err(error) => error,
    }
}

/// The field and the reason of an `INVALID_REQUEST`.
fn invalid(event: &str, payload: &Value) -> (String, String) {
    let error = refusal(event, payload);
    assert_eq!(error.code, ErrorCode::InvalidRequest, "{event} {payload}");
    let text = |key: &str| error.details[key].as_str().expect("a text").to_owned();
    (text("field"), text("reason"))
}
