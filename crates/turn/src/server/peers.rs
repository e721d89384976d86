//! CreatePermission and ChannelBind requests (RFC 8656, sections 10 and 12): the peers of an allocation.

use std::net::{IpAddr, SocketAddr};

use turn_types::attribute::{ChannelNumber, XorPeerAddress};

use crate::limits::{CHANNEL, PERMISSION};
use crate::message::Problem;
use crate::server::Turn;
use crate::server::requests::Asked;
use crate::table::Refused;
use crate::wire::CHANNELS;

impl Turn {
    /// Permissions are installed all or none.
    pub(crate) fn handle_create_permission(&mut self, asked: &Asked<'_>) -> Result<(), Problem> {
        let index = self.own_allocation(asked)?;
        let transaction = asked.message.transaction();
        let peers: Vec<SocketAddr> = asked.message.all::<XorPeerAddress>()?.iter().map(|peer| peer.addr(transaction)).collect();
        if peers.is_empty() {
            return Err(Problem::BadRequest);
        }
        let (second, until) = (self.second(asked.now), self.over(asked.now, PERMISSION));
        let allocation = self.table.get_mut(index).ok_or(Problem::AllocationMismatch)?;
        if peers.iter().any(|peer| peer.is_ipv6() != allocation.relayed.is_ipv6()) {
            return Err(Problem::PeerFamilyMismatch);
        }
        if !peers.iter().all(|peer| self.policy.allows_permission(allocation.peers, *peer)) {
            return Err(Problem::Forbidden);
        }
        let ips: Vec<IpAddr> = peers.iter().map(SocketAddr::ip).collect();
        if !allocation.has_room_for(&ips, second) {
            return Err(Problem::InsufficientCapacity);
        }
        for ip in ips {
            allocation.permit(ip, second, until);
        }
        let answer = asked.message.success();
        self.accept(asked, answer);
        Ok(())
    }

    /// A channel is for one peer and its permission, and both for as long as nobody says otherwise.
    pub(crate) fn handle_channel_bind(&mut self, asked: &Asked<'_>) -> Result<(), Problem> {
        let index = self.own_allocation(asked)?;
        let number = asked.message.get::<ChannelNumber>()?.ok_or(Problem::BadRequest)?.channel();
        let peer = asked.message.get::<XorPeerAddress>()?.ok_or(Problem::BadRequest)?.addr(asked.message.transaction());
        if !CHANNELS.contains(&number) {
            return Err(Problem::BadRequest);
        }
        let second = self.second(asked.now);
        let (until, permitted_until) = (self.over(asked.now, CHANNEL), self.over(asked.now, PERMISSION));
        let allocation = self.table.get_mut(index).ok_or(Problem::AllocationMismatch)?;
        if peer.is_ipv6() != allocation.relayed.is_ipv6() {
            return Err(Problem::PeerFamilyMismatch);
        }
        if !self.policy.allows(allocation.peers, peer) {
            return Err(Problem::Forbidden);
        }
        allocation.may_bind(number, peer, second).map_err(|refused| match refused {
            Refused::BoundOtherwise => Problem::BadRequest,
            Refused::Full => Problem::InsufficientCapacity,
        })?;
        if !allocation.has_room_for(&[peer.ip()], second) {
            return Err(Problem::InsufficientCapacity);
        }
        allocation.bind(number, peer, second, until);
        allocation.permit(peer.ip(), second, permitted_until);
        let answer = asked.message.success();
        self.accept(asked, answer);
        Ok(())
    }
}
