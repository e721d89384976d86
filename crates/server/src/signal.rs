//! How clients talk to the server: one file a transport.

mod engine;
pub mod runner;
mod session;
pub mod socketio;
mod waiting;

pub use engine::Frame;
pub use socketio::{SocketIo, takes};
