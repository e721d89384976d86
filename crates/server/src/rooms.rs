//! The rooms of this process, the ways into them, and what reaches them from outside.

mod calls;
mod channel_locks;
mod directory;
mod enter;
mod follow_store;
mod handle;
mod mail;
mod moderation;
mod open;
mod peer;
mod registry;
mod task;
#[cfg(test)]
mod tests;

pub use calls::EveryCall;
pub use directory::history::{CallParticipant, CallStage, CallState};
pub use directory::presence::SessionInfo;
pub use enter::{JoinTerms, JoinWish, ResumeWish};
pub use handle::RoomHandle;
pub use mail::{Ending, HEARTBEAT};
pub use peer::{Broadcast, Peer};
pub use registry::Registry;
