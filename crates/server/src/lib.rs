//! The Parlor server as a library, so that the binary, integration tests and benchmarks can start it.

pub mod auth;
pub mod cli;
pub mod config;
mod http;
mod media;
mod rooms;
mod server;
pub mod signal;

pub use server::{Options, Server};
