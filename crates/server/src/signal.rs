//! How clients talk to the server: one file a transport.

pub mod packet;
mod session;
pub mod socketio;

pub use socketio::SocketIo;
