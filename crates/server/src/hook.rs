//! Shared parts of webhooks: types of events, and signatures.

pub mod kind;
pub mod sign;
