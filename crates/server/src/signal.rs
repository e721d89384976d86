//! Signaling: the ways in which clients talk to the server, in a file for each transport.

mod engine;
mod runner;
mod session;
pub mod socketio;
#[cfg(test)]
mod tests;
mod upgrade;
mod waiting;
mod wire;

pub use socketio::{SocketIo, takes};
