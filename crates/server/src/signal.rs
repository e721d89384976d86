//! How clients talk to the server: one file a transport.

pub mod packet;
mod runner;
mod session;
pub mod socketio;
mod waiting;

pub use socketio::{PATH, SocketIo};
