//! Bodies of the fuzz targets: each turns arbitrary bytes into inputs of one part and checks what must always hold.
//!
//! They are plain functions, so that the same code runs under libFuzzer (`fuzz/`, nightly) and, for a short while, under
//! `cargo test` on stable (`tests/smoke.rs`). A body that finds something panics: that is its only way to report.

#![forbid(unsafe_code)]
#![allow(clippy::panic, clippy::expect_used, reason = "a fuzz target reports by a panic")]

mod bytes;
mod client;
mod common;
pub mod datagrams;
pub mod engineio;
pub mod envelope;
pub mod media;
pub mod operations;
pub mod packets;
pub mod readers;
pub mod rooms;
pub mod socketio;
mod stun;
pub mod text;
pub mod turn;
