//! The rules of a room, sans-IO: input and now in, outputs out.
//!
//! A [`Room`] is told what happens (`handle_*`) and asked what is to be done ([`Room::poll_output`]) and when
//! it wants to be woken ([`Room::poll_timeout`]). It does no I/O and reads no clock, so every rule is a test
//! that runs in no time.

#![forbid(unsafe_code)]

pub mod access;
pub mod connectivity;
mod core;
mod ending;
pub mod feed;
mod ids;
pub mod limit;
mod media;
mod mesh;
mod output;
mod pace;
mod participant;
pub mod permission;
pub mod policy;
mod room;
mod sfu;
pub mod slots;
pub mod whereabouts;

pub use access::{Admitted, Ban, Facts, Refused, admit};
pub use feed::{Happening, Ledger};
pub use limit::JoinLimiter;
pub use media::MediaConfig;
pub use output::{Join, Output, RequestId, Resume, RoomSize};
pub use policy::Policy;
pub use room::standing::Standing;
pub use room::{Room, RoomConfig};
pub use sfu::SfuConfig;
pub use slots::{Slot, SlotQueue};
pub use whereabouts::{Stay, Whereabouts};
