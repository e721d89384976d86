//! The STUN and TURN server (RFC 8489, RFC 8656), sans-IO: allocations, permissions, channels, and who may be relayed to.
//!
//! Datagrams, frames of streams, sockets that were opened and the time are inputs of a [`Turn`]; what is to be sent
//! ([`Batch`]) and what is to be done with sockets ([`Event`]) are its outputs. Nothing here opens a socket or reads a clock.
//!
//! Modules use those below them, and never the other way round:
//!
//! - [`server`]: what a `Turn` does with a message, from its bytes to the answer or the relayed packet
//! - [`table`]: the allocations, and how many each user and address has
//! - [`message`]: requests read and answers written, on the codecs of stun-types and turn-types
//! - [`wire`]: the few bytes of a relayed packet, read and written by hand
//! - [`framing`]: where a message ends on a stream
//! - [`policy`]: who may be relayed to; [`credentials`]: who may ask; [`nonce`]: that the asking is recent
//! - [`client`]: the other side, for checks and measurements of servers
//! - [`limits`], [`budget`], [`outbox`]: numbers with their reasons, token buckets, what is to be sent

#![forbid(unsafe_code)]

mod budget;
pub mod client;
pub mod credentials;
pub mod framing;
pub mod limits;
mod message;
mod nonce;
mod outbox;
pub mod policy;
mod server;
mod table;
mod wire;

pub use credentials::{Authenticate, Grant, Login, SharedSecrets};
pub use limits::Limits;
pub use outbox::{Batch, Segment, Socket};
pub use policy::{PeerPolicy, Peers};
pub use server::{Config, Drops, Ended, Event, Stats, Turn};
pub use table::{ClientPath, Listener, Protocol, RelayId};
