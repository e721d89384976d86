//! The HTTP sockets: where the server listens, how many are connected, where a request comes from; and documents of others.

pub mod fetch;
pub mod guard;
pub mod listen;
pub mod open_files;
pub mod places;
pub mod source;
