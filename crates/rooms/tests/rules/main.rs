//! The rules of a room in virtual time: one test a rule, named after it.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "in a test, a broken expectation is the result")]

mod access;
mod connectivity;
mod deadlines;
mod entitlement;
mod entry;
mod feed;
mod join_limit;
mod media_loss;
mod mesh;
mod moderation;
mod ownership;
mod permission;
mod presence;
mod queue;
mod receiving;
mod resume;
mod sending;
mod slot_queue;
mod standing;

mod transports;
mod whereabouts;

use parlor_proto::{Error, ErrorCode};

/// The code of a refusal; a request that was granted fails the test.
fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorCode {
    result.expect_err("should have been refused").code
}
