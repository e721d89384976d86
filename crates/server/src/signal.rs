//! Signaling: the ways in which clients talk to the server, in a file for each transport.

mod engine;
mod envelope;
pub mod plain;
mod runner;
mod session;
pub mod socketio;
#[cfg(test)]
mod tests;
mod text;
mod upgrade;
mod waiting;
mod wire;

pub use envelope::Envelopes;
pub use plain::Plain;
pub use socketio::{SocketIo, takes};
pub use text::Text;
