//! The HTTP sockets: where the server listens, how many are connected, and where a request comes from.

pub mod guard;
pub mod listen;
pub mod open_files;
pub mod places;
pub mod source;
