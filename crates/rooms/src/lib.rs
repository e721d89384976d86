//! The rules of a room, sans-IO: input and now in, outputs out.
//!
//! A [`Room`] is told what happens (`handle_*`) and asked what is to be done ([`Room::poll_output`]) and when
//! it wants to be woken ([`Room::poll_timeout`]). It does no I/O and reads no clock, so every rule is a test
//! that runs in no time.

mod consumers;
mod entry;
mod ids;
pub mod limit;
mod output;
mod participant;
mod pending;
pub mod permission;
pub mod policy;
mod presence;
mod producers;
mod room;
mod transports;

pub use limit::JoinLimiter;
pub use output::{Join, Output, RequestId};
pub use policy::Policy;
pub use room::{Room, RoomConfig, RoomSize};
