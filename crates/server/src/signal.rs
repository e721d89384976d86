//! How clients talk to the server: one file a transport.

mod engine;
mod runner;
mod session;
pub mod socketio;
#[cfg(test)]
mod tests;
mod waiting;
mod wire;

pub use socketio::{SocketIo, takes};
