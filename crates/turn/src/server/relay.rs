//! The way of a relayed packet, in both directions.

use std::net::SocketAddr;
use std::time::Instant;

use crate::outbox::Socket;
use crate::server::Turn;
use crate::table::ClientPath;
use crate::wire;

impl Turn {
    /// ChannelData of a client: a channel is bound to an allowed peer only, so its number is all there is to look up.
    pub(crate) fn relay_channel_data(&mut self, path: &ClientPath, bytes: &[u8], now: Instant) {
        let Some((number, data)) = wire::channel_data(bytes) else {
            self.stats.drops.malformed += 1;
            return;
        };
        let second = self.second(now);
        let found = self.allocation(path, now).and_then(|(index, a)| Some((index, a.peer_of(number, second)?)));
        match found {
            Some((index, peer)) => self.send(index, peer, data, now),
            None => self.stats.drops.unknown += 1,
        }
    }

    /// A Send indication: the peer needs a permission, and to be an allowed one, port and all.
    pub(crate) fn relay_send(&mut self, path: &ClientPath, bytes: &[u8], now: Instant) {
        let Some((peer, data)) = wire::send_indication(bytes) else {
            self.stats.drops.malformed += 1;
            return;
        };
        let second = self.second(now);
        let Some((index, allocation)) = self.allocation(path, now) else {
            self.stats.drops.unknown += 1;
            return;
        };
        let (permitted, peers) = (allocation.is_permitted(peer.ip(), second), allocation.peers);
        if !permitted {
            self.stats.drops.not_permitted += 1;
        } else if !self.policy.allows(peers, peer) {
            self.stats.drops.denied += 1;
        } else {
            self.send(index, peer, data, now);
        }
    }

    /// Sends to a peer from the relayed address; another allocation of this server is reached without any socket.
    fn send(&mut self, index: u32, peer: SocketAddr, data: &[u8], now: Instant) {
        let per_second = self.limits.bytes_per_second;
        let Some(allocation) = self.table.get_mut(index) else { return };
        if !allocation.up.take(data.len(), per_second, now) {
            self.stats.drops.over_bandwidth += 1;
            return;
        }
        self.stats.up.0 += 1;
        self.stats.up.1 += data.len() as u64;
        let (relay, relayed) = (allocation.relay, allocation.relayed);
        if !self.policy.is_relayed(peer) {
            self.outbox.push(Socket::Relay(relay), peer, index, |out| out.extend_from_slice(data));
        } else if let Some(other) = self.table.of_relayed(peer) {
            self.deliver(other, relayed, data, now);
        } else {
            self.stats.drops.unknown += 1;
        }
    }

    /// Hands a peer's packet to the client: on the peer's channel, or as an indication if the peer has a permission.
    pub(crate) fn deliver(&mut self, index: u32, from: SocketAddr, data: &[u8], now: Instant) {
        let (second, per_second) = (self.second(now), self.limits.bytes_per_second);
        let Some(allocation) = self.table.get_mut(index).filter(|a| a.waiting.is_none() && a.expires > now) else {
            self.stats.drops.unknown += 1;
            return;
        };
        let channel = allocation.channel_of(from, second);
        if channel.is_none() {
            if !allocation.is_permitted(from.ip(), second) {
                self.stats.drops.not_permitted += 1;
                return;
            }
            if !self.policy.allows(allocation.peers, from) {
                self.stats.drops.denied += 1;
                return;
            }
        }
        if !allocation.down.take(data.len(), per_second, now) {
            self.stats.drops.over_bandwidth += 1;
            return;
        }
        self.stats.down.0 += 1;
        self.stats.down.1 += data.len() as u64;
        let (path, padded, transaction) = (allocation.path, allocation.padded, self.stats.down.0);
        self.outbox.push(Socket::Listener(path.listener), path.remote, index, |out| match channel {
            Some(number) => wire::write_channel_data(number, data, padded, out),
            None => wire::write_data_indication(from, data, transaction, out),
        });
    }
}
