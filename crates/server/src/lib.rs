//! The Parlor server as a library, so that the binary, integration tests and benchmarks can start it.

#![forbid(unsafe_code)]

pub mod auth;
pub mod cli;
mod clock;
pub mod config;
mod counters;
mod cryptography;
pub mod doctor;
mod feed;
mod hook;
mod http;
pub mod ice;
mod media;
mod mirror;
mod net;
mod node;
mod rooms;
mod secret;
mod server;
pub mod signal;
mod store;
mod tally;
mod turn;

pub use server::{Options, Server};
