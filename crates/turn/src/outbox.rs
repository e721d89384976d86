//! What is to be sent: datagrams one behind the other, and where each goes.

use std::net::SocketAddr;

use crate::table::RelayId;

/// A socket to send from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Socket {
    /// A listener, by its number; on a stream, the connection from the address that is sent to.
    Listener(u16),
    /// The socket of a relayed address.
    Relay(RelayId),
}

/// One datagram, or message of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// The socket it leaves from.
    pub from: Socket,
    /// The address it goes to.
    pub to: SocketAddr,
    /// The number of the allocation, for grouping; [`u32::MAX`] for a client that has none.
    pub destination: u32,
    /// Its place in the bytes of the batch.
    pub start: usize,
    /// How long it is.
    pub len: usize,
}

/// Everything that is to be sent, in order.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The bytes of all segments.
    pub bytes: &'a [u8],
    /// What they are.
    pub segments: &'a [Segment],
}

/// Gathers a batch.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    segments: Vec<Segment>,
}

impl Outbox {
    /// Adds what `write` appends.
    #[inline]
    pub(crate) fn push(&mut self, from: Socket, to: SocketAddr, destination: u32, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.segments.push(Segment { from, to, destination, start, len: self.bytes.len() - start });
    }

    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch { bytes: &self.bytes, segments: &self.segments }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.segments.clear();
    }
}
