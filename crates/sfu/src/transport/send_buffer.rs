//! What is to be sent: one block of bytes, written and sealed in place, and where each piece of it goes.

use std::net::SocketAddr;

use parlor_proto::transport::Protocol;

use crate::transport::Path;

/// Nothing longer leaves. A sender may fill an Ethernet frame to the last byte, and a packet of it may grow by what another cipher adds:
/// rather than to be dropped it leaves as two fragments then.
pub(crate) const MAX_DATAGRAM: usize = 1_500;
/// Between two flushes. A thousand receivers of a batch of key frames stay below; beyond it the network could
/// not take it in time either.
const MAX_BYTES: usize = 32 << 20;
/// What an idle worker keeps of a burst.
const KEPT_BYTES: usize = 1 << 20;
/// Destinations of replies to unselected paths are numbered from here; each is its own.
const FIRST_LOOSE: u32 = 1 << 31;

/// One datagram or frame to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Two with the same number have the same protocol and addresses; so a sender need not compare these.
    pub destination: u32,
    /// What is to carry it. On TCP it goes into the connection from `remote`.
    pub protocol: Protocol,
    /// The announced candidate to send from.
    pub local: SocketAddr,
    /// The address to send to.
    pub remote: SocketAddr,
    /// Where the datagram begins in [`Batch::bytes`].
    pub start: usize,
    /// The length of the datagram.
    pub len: usize,
}

/// All that is to be sent. Order matters only among the segments of one destination.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The contents of all segments.
    pub bytes: &'a [u8],
    /// Where each piece of `bytes` goes.
    pub segments: &'a [Segment],
}

/// Where something goes, with the number that tells it from other destinations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Destination {
    pub(crate) number: u32,
    pub(crate) path: Path,
}

/// Collects what is to be sent until it is taken.
#[derive(Debug, Default)]
pub(crate) struct SendBuffer {
    /// Grows, and keeps what it has: room is not cleared again for each packet.
    bytes: Vec<u8>,
    used: usize,
    segments: Vec<Segment>,
    loose: u32,
}

impl SendBuffer {
    /// Room for one datagram; `None` when there is too much already.
    pub(crate) fn room(&mut self) -> Option<&mut [u8]> {
        let end = self.used + MAX_DATAGRAM;
        if self.bytes.len() < end {
            if end > MAX_BYTES {
                return None;
            }
            let grown = (self.bytes.len() * 2).clamp(end, MAX_BYTES);
            self.bytes.resize(grown, 0);
        }
        self.bytes.get_mut(self.used..end)
    }

    /// The first `len` bytes of the room are complete.
    pub(crate) fn commit(&mut self, to: Destination, len: usize) {
        let Path { protocol, local, remote } = to.path;
        let len = len.min(MAX_DATAGRAM);
        self.segments.push(Segment { destination: to.number, protocol, local, remote, start: self.used, len });
        self.used += len;
    }

    /// What fits an Ethernet frame on the way to a path, behind the headers of IP and UDP. TCP has no such border.
    pub(crate) const fn longest_unfragmented(path: &Path) -> usize {
        match (path.protocol, path.remote) {
            (Protocol::Tcp, _) => MAX_DATAGRAM,
            (Protocol::Udp, SocketAddr::V4(_)) => 1_472,
            (Protocol::Udp, SocketAddr::V6(_)) => 1_452,
        }
    }

    /// Adds a datagram to a path that is perhaps not the selected one.
    pub(crate) fn push(&mut self, path: Path, bytes: &[u8]) {
        let Some(room) = self.room().and_then(|room| room.get_mut(..bytes.len())) else { return };
        room.copy_from_slice(bytes);
        self.loose = self.loose.wrapping_add(1) % FIRST_LOOSE;
        self.commit(Destination { number: FIRST_LOOSE + self.loose, path }, bytes.len());
    }

    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch { bytes: self.bytes.get(..self.used).unwrap_or_default(), segments: &self.segments }
    }

    pub(crate) fn clear(&mut self) {
        if self.bytes.len() > KEPT_BYTES && self.used < KEPT_BYTES / 4 {
            self.bytes.truncate(KEPT_BYTES);
            self.bytes.shrink_to_fit();
        }
        self.used = 0;
        self.segments.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        Path { protocol: Protocol::Udp, local: ([10, 0, 0, 1], 7401).into(), remote: ([10, 0, 0, 2], port).into() }
    }

    #[test]
    fn what_is_written_is_found_where_its_segment_says() {
        let mut send_buffer = SendBuffer::default();
        for n in 0..200_u8 {
            let room = send_buffer.room().expect("room");
            room[..usize::from(n)].fill(n);
            send_buffer.commit(Destination { number: u32::from(n), path: path(1) }, usize::from(n));
        }
        let batch = send_buffer.batch();
        assert_eq!(batch.segments.len(), 200);
        for (n, segment) in (0..200_u8).zip(batch.segments) {
            assert_eq!(segment.destination, u32::from(n));
            assert!(batch.bytes[segment.start..segment.start + segment.len].iter().all(|byte| *byte == n));
        }
        send_buffer.clear();
        assert!(send_buffer.batch().segments.is_empty() && send_buffer.batch().bytes.is_empty());
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let mut send_buffer = SendBuffer::default();
        let written = std::iter::from_fn(|| {
            send_buffer.room()?;
            send_buffer.commit(Destination { number: 1, path: path(1) }, MAX_DATAGRAM);
            Some(())
        });
        assert!(written.count() <= MAX_BYTES / MAX_DATAGRAM);
        send_buffer.clear();
        send_buffer.clear();
        assert!(send_buffer.bytes.capacity() <= KEPT_BYTES, "an idle worker gives back what a burst took");
    }
}
