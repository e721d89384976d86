//! The media plane, sans-IO: transports, producers, consumers and the forwarding between them.
//!
//! One [`Sfu`] is the media plane of one thread; a router (the media side of a room) lives on one of them.
//! Time and datagrams are inputs, transmits and events are outputs; nothing here opens a socket or reads a
//! clock.
//!
//! Modules use those below them, and never the other way round:
//!
//! - [`plane`]: what an `Sfu` does, from a datagram or an order to what is to be sent
//! - [`consumer`]: a track somebody receives; [`pipe`]: what goes to other threads
//! - [`transport`]: a connection to one client
//! - [`producer`]: a track somebody sends
//! - [`audio`], [`video`]: what is special about sound and pictures
//! - [`packet`], [`payload`], [`wire`], [`bandwidth`], [`ortc`]: packets and their contents, estimates, capabilities
//! - [`table`], [`budget`]: tables with indexes of their own, and token buckets

#![forbid(unsafe_code)]

mod audio;
mod bandwidth;
mod budget;
mod consumer;
#[doc(hidden)]
pub mod fuzzing;
pub mod ortc;
mod packet;
mod payload;
mod pipe;
mod plane;
mod producer;
mod table;
mod transport;
mod video;
mod wire;

pub use pipe::{PipeBatch, WantedKeyFrame};
pub use plane::config::{LocalCandidate, SfuConfig, SfuError, TalkersConfig};
pub use plane::stats::{Drops, SfuStats, Work};
pub use plane::{Datagram, Sfu, Transmit};
pub use transport::send_buffer::{Batch, Segment};
pub use wire::framing;
