//! Real WebRTC clients that join Parlor by its main dialect, and mesh calls by each of theirs ([`mesh::MeshBot`]): for integration tests, load and benchmarks.
//!
//! A [`Bot`] speaks socket.io by its own code and WebRTC by str0m (full ICE, DTLS, SRTP, RTCP), so it is an independent
//! peer of the server. All media runs on the thread of an [`Engine`].
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use parlor_bots::{AudioOptions, Bot, BotOptions, Engine};
//!
//! let engine = Engine::start(None)?;
//! let bot = Bot::join(&engine, BotOptions::new("http://localhost:7400", "test", "robby")).await?;
//! bot.produce_audio(AudioOptions::default()).await?;
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

pub mod affinity;
pub mod clock;
pub mod dialect;
pub mod janus;
pub mod source;
pub mod turn;

mod bot;
mod engine;
mod error;
mod forge;
mod frames;
mod marker;
pub mod mesh;
mod options;
mod ortc;
mod packet;
mod sending;
mod sequence;
mod socket;
mod token;

pub use bot::{Bot, BotStats, Consumer, Producer};
pub use engine::{Delays, Engine, PeerState, StreamStats, Totals};
pub use error::BotError;
pub use forge::{Forge, Sent};
pub use frames::FrameCounts;
pub use janus::{JanusBot, JanusOptions};
pub use options::{AudioOptions, BotOptions, VideoOptions};
pub use socket::{Pushed, Socket};
pub use source::VideoCodec;
pub use token::TokenSource;
