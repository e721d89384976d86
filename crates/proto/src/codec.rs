//! The dialects: pure translations between wire messages and [`crate::Request`], [`crate::Reply`], [`crate::Event`].

pub mod engineio;
pub mod socketio;
