//! Virtual clock, lossy link, fake media plane and watched rooms, for the tests of the other crates; waiting, PostgreSQL
//! and Redis for those that are not sans-IO.

#![forbid(unsafe_code)]

pub mod client_model;
pub mod clock;
pub mod fake_media;
pub mod link;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
pub mod reports;
pub mod room_ops;
pub mod rtp;
pub mod test_room;
#[cfg(feature = "wait")]
pub mod wait;
