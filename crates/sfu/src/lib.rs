//! The media plane, sans-IO: transports, producers, consumers and the forwarding between them.
//!
//! One [`Sfu`] is the media plane of one thread; a router (the media side of a room) lives on one of them.
//! Time and datagrams are inputs, transmits and events are outputs; nothing here opens a socket or reads a
//! clock.

#![forbid(unsafe_code)]

mod allowance;
mod arena;
mod arrive;
mod audio_level;
mod bandwidth;
mod bitrate;
mod budget;
mod candidate;
mod checks;
mod command;
mod config;
mod consumer;
mod demux;
mod emit;
mod extension;
mod failures;
mod forward;
pub mod framing;
#[doc(hidden)]
pub mod fuzzing;
mod incoming;
mod keyframe;
mod layers;
mod limit;
mod loss;
mod mirror;
pub mod ortc;
mod outgoing;
mod packet;
mod payload;
mod pipe;
mod producer;
mod protect;
mod red;
mod red_pack;
mod red_unpack;
mod repair;
mod reports;
mod resend;
mod rewrite;
mod rtcp;
mod rtp;
mod select;
mod sender_clock;
mod sfu;
mod sound;
mod srtp;
mod stats;
mod table;
mod talkers;
mod tick;
mod timers;
mod transport;
mod wall_clock;

pub use arena::{Batch, Segment};
pub use config::{LocalCandidate, SfuConfig, SfuError, TalkersConfig};
pub use pipe::{PipeBatch, WantedKeyFrame};
pub use sfu::{Datagram, Sfu, Transmit};
pub use stats::{Drops, SfuStats, Work};
