//! The media sockets: UDP and TCP, on the addresses that clients are told.

pub mod addresses;
pub mod sockets;
pub mod tcp;
