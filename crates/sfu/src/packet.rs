//! A packet of media on its way from its sender's transport to those of its receivers.

/// A packet of a producer, opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) payload_type: u8,
    /// The packet was lost, and came by the repair stream (RFC 4588).
    pub(crate) repaired: bool,
    /// A later packet came before this one.
    pub(crate) late: bool,
    /// The sequence number with its rollovers.
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// dBov and voice activity (RFC 6464).
    pub(crate) level: Option<(i8, bool)>,
    /// Quarter turns, as in the packet.
    pub(crate) orientation: Option<u8>,
    /// The dependency descriptor of AV1.
    pub(crate) descriptor: Option<&'a [u8]>,
    pub(crate) payload: &'a [u8],
    /// Bytes it took on the wire, with all around it; nothing if it came another way.
    pub(crate) wire: usize,
}
