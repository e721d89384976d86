//! Virtual clock, lossy link, fake media plane and watched rooms, for the tests of the other crates.

#![forbid(unsafe_code)]

pub mod client_model;
pub mod clock;
pub mod fake_media;
pub mod link;
pub mod room_ops;
pub mod rtp;
pub mod test_room;
