//! The media plane, sans-IO: transports, producers, consumers and the forwarding between them.
//!
//! One [`Sfu`] is the media plane of one thread; a router (the media side of a room) lives on one of them.
//! Time and datagrams are inputs, transmits and events are outputs; nothing here opens a socket or reads a
//! clock.

mod audio_level;
mod bitrate;
mod candidate;
mod command;
mod config;
mod consumer;
mod demux;
mod forward;
mod keyframe;
mod layers;
pub mod ortc;
mod payload;
mod producer;
mod rewrite;
mod sfu;
mod stats;
mod tick;
mod transport;

pub use config::{LocalCandidate, SfuConfig, SfuError};
pub use sfu::{Datagram, Sfu, Transmit};
pub use stats::{Drops, SfuStats};
