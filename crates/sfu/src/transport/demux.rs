//! Which transport a datagram belongs to: by the address it comes from, or by the ufrag of its first STUN.

use std::collections::HashMap;
use std::net::SocketAddr;

use parlor_proto::transport::Protocol;

use crate::table::TransportIndex;
use crate::transport::Path;

/// Addresses and ufrags of all transports, as indexes. An entry is made only after a check was verified, and
/// each transport has a bounded number of them.
#[derive(Debug, Default)]
pub(crate) struct Demux {
    addresses: HashMap<(Protocol, SocketAddr), TransportIndex>,
    ufrags: HashMap<String, TransportIndex>,
}

impl Demux {
    pub(crate) fn by_address(&self, protocol: Protocol, remote: SocketAddr) -> Option<TransportIndex> {
        self.addresses.get(&(protocol, remote)).copied()
    }

    pub(crate) fn by_ufrag(&self, ufrag: &str) -> Option<TransportIndex> {
        self.ufrags.get(ufrag).copied()
    }

    pub(crate) fn add_ufrag(&mut self, ufrag: String, transport: TransportIndex) {
        self.ufrags.insert(ufrag, transport);
    }

    pub(crate) fn remove_ufrag(&mut self, ufrag: &str) {
        self.ufrags.remove(ufrag);
    }

    /// From now on the address is this transport's. Returns the one it was of before: a NAT gave its port away.
    pub(crate) fn bind(&mut self, path: Path, transport: TransportIndex) -> Option<TransportIndex> {
        self.addresses.insert((path.protocol, path.remote), transport).filter(|other| *other != transport)
    }

    /// Forgets an address, if it is this transport's.
    pub(crate) fn unbind(&mut self, path: Path, transport: TransportIndex) {
        if self.by_address(path.protocol, path.remote) == Some(transport) {
            self.addresses.remove(&(path.protocol, path.remote));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Index;

    #[test]
    fn an_address_belongs_to_the_transport_that_proved_it_last() {
        let mut demux = Demux::default();
        let [one, two] = [1, 2].map(TransportIndex::at);
        let path = Path { protocol: Protocol::Udp, local: ([10, 0, 0, 1], 7401).into(), remote: ([10, 0, 0, 2], 9).into() };
        assert_eq!(demux.bind(path, one), None);
        assert_eq!(demux.bind(path, one), None);
        assert_eq!(demux.bind(path, two), Some(one));
        demux.unbind(path, one);
        assert_eq!(demux.by_address(Protocol::Udp, path.remote), Some(two), "the first has no say in it any more");
        assert_eq!(demux.by_address(Protocol::Tcp, path.remote), None);
    }
}
