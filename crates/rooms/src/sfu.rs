//! What the SFU has of a room: transports, producers, consumers, and the requests that wait for it.

pub(crate) mod consumers;
pub(crate) mod pending;
pub(crate) mod producers;
mod transports;
