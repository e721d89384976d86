//! Where a packet is opened: its datagram belongs to the caller.

/// Longer packets come from nobody: what fits an Ethernet frame, with some room for tunnels that carry more.
const MAX_PACKET: usize = 2_048;

/// Where a packet is opened: its datagram belongs to the caller.
pub(crate) struct Scratch(Vec<u8>);

impl Default for Scratch {
    /// A scratch buffer without room: what stands in while the real one is in use.
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(vec![0; MAX_PACKET])
    }

    /// Copies a datagram, if it is not too long.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> Option<&mut [u8]> {
        let room = self.0.get_mut(..bytes.len())?;
        room.copy_from_slice(bytes);
        Some(room)
    }
}
