//! What webhooks are made of: types of events, and signatures.

pub mod kind;
pub mod sign;
