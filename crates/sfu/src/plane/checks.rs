//! STUN checks: who asks to be heard where, what it is answered, and which path of a transport is sent to.

use std::time::{Duration, Instant};

use parlor_proto::transport::{IceCandidate, TransportFailure};

use crate::plane::{Datagram, Sfu};
use crate::table::TransportIndex;
use crate::transport::{Check, Path};
use crate::wire::stun::{Answer, Refusal, Request, Stun, probe};

/// Refusals to strangers in a second. Clients with an old name get them while a call ends or a server restarts; a thousandth of what a
/// thread can do is enough for that, and of no use to who would have others flooded.
const REFUSALS_A_SECOND: u32 = 100;

/// How many strangers may be told that they are refused.
#[derive(Debug)]
pub(crate) struct Refusals {
    since: Instant,
    left: u32,
}

impl Refusals {
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, left: REFUSALS_A_SECOND }
    }

    fn take(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
        let taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        taken
    }
}

impl Sfu {
    /// Takes what looks like STUN. Nothing changes before its integrity is verified.
    pub(crate) fn handle_stun(&mut self, datagram: Datagram<'_>, now: Instant) {
        match Stun::parse(datagram.bytes) {
            Some(Stun::Request(request)) => self.handle_check(&datagram, &request, now),
            Some(Stun::Answer(answer)) => self.handle_answer(&datagram, answer, now),
            None => self.stats.drops.malformed += 1,
        }
    }

    fn handle_check(&mut self, datagram: &Datagram<'_>, request: &Request<'_>, now: Instant) {
        let Some((ours, theirs)) = request.ufrags() else {
            self.stats.drops.malformed += 1;
            return self.refuse_stranger(datagram, request, Refusal::BadRequest, now);
        };
        let Some(index) = self.demux.by_ufrag(ours) else {
            self.stats.drops.unknown_ufrag += 1;
            return self.refuse_stranger(datagram, request, Refusal::Unauthenticated, now);
        };
        let in_use = self.is_used_by_another(index, datagram, now);
        let Some(transport) = self.transports.get_mut(index) else { return };
        let Some(password) = transport.ice.password(ours).filter(|password| request.verify(password)) else {
            self.stats.drops.bad_integrity += 1;
            return self.refuse_stranger(datagram, request, Refusal::Unauthenticated, now);
        };
        if !transport.allowances.checks.take(1, now) {
            self.stats.drops.over_checks += 1;
            return;
        }
        self.stats.work.checks += 1;
        let path = datagram.path();
        if let Some(refusal) = request.objection() {
            return self.send_buffer.push(path, &request.refuse(refusal, Some(password)));
        }
        if in_use {
            self.stats.drops.taken_address += 1;
            if transport.ice.turn_away(now) {
                transport.failed(TransportFailure::AddressInUse);
                self.update_state(index, now);
            }
            return;
        }
        let reply = request.reply(datagram.remote, password);
        let priority = pair_priority(request.priority(), local_priority(&self.candidates, &path));
        let check = Check { path, ours, theirs, nomination: request.nomination(), priority, bytes: datagram.bytes.len() };
        let changes = transport.ice.accept(check, now);
        if let Some(evicted) = changes.evicted {
            self.stats.drops.too_many_addresses += 1;
            self.demux.unbind(evicted, index);
        }
        if let Some(ufrag) = changes.retired {
            self.demux.remove_ufrag(&ufrag);
        }
        if let Some(other) = self.demux.bind(path, index) {
            if let Some(transport) = self.transports.get_mut(other) {
                transport.ice.remove(|gone| (gone.protocol, gone.remote) == (path.protocol, path.remote));
            }
            self.look_after_paths(other, now);
        }
        self.send_buffer.push(path, &reply);
        self.look_after_paths(index, now);
        self.update_state(index, now);
        // A handshake message may have waited for somewhere to go.
        self.drive_handshake(index, now);
    }

    /// An address that is somebody else's, and in use, is not given away: whoever can write it as a source could keep its owner from the
    /// call. One that a NAT gave to another is silent first.
    fn is_used_by_another(&self, index: TransportIndex, datagram: &Datagram<'_>, now: Instant) -> bool {
        let owner = self.demux.by_address(datagram.protocol, datagram.remote).filter(|owner| *owner != index);
        let owner = owner.and_then(|owner| self.transports.get(owner));
        owner.is_some_and(|owner| owner.ice.uses(datagram.protocol, datagram.remote, now))
    }

    /// Tells somebody who did not show a password that this is why there is no answer (RFC 8489, section 9.1.3). Never with more bytes than
    /// came, and not without end: the address may be forged.
    fn refuse_stranger(&mut self, datagram: &Datagram<'_>, request: &Request<'_>, refusal: Refusal, now: Instant) {
        if !request.has_fingerprint() || !self.refusals.take(now) {
            return;
        }
        let answer = request.refuse(refusal, None);
        if answer.len() <= datagram.bytes.len() {
            self.send_buffer.push(datagram.path(), &answer);
        }
    }

    fn handle_answer(&mut self, datagram: &Datagram<'_>, answer: Answer, now: Instant) {
        let Some(index) = self.demux.by_address(datagram.protocol, datagram.remote) else {
            self.stats.drops.unknown_address += 1;
            return;
        };
        let Some(transport) = self.transports.get_mut(index) else { return };
        if answer.is_of_ice_agent && transport.ice.probe_answered(&datagram.path(), &answer.id) {
            tracing::debug!(transport = ?transport.id, "the answer to a probe proved a path");
            self.look_after_paths(index, now);
        }
    }

    /// Has a transport decide where to send, and asks the path it would like to use for a proof if there is none.
    pub(crate) fn look_after_paths(&mut self, index: TransportIndex, now: Instant) {
        let Some(transport) = self.transports.get_mut(index) else { return };
        let changed = transport.ice.choose(now);
        if let Some((path, id, theirs, ours)) = transport.ice.next_probe(now) {
            self.send_buffer.push(path, &probe(id, theirs, ours));
        }
        if changed {
            self.follow_path(index);
        }
    }
}

/// RFC 8445, section 6.1.2.3; the client is the controlling agent.
fn pair_priority(theirs: u32, ours: u32) -> u64 {
    let (low, high) = (u64::from(theirs.min(ours)), u64::from(theirs.max(ours)));
    (low << 32) + 2 * high + u64::from(theirs > ours)
}

/// The priority of the candidate that a check came to.
fn local_priority(candidates: &[IceCandidate], path: &Path) -> u32 {
    let same = |candidate: &&IceCandidate| {
        (candidate.protocol, candidate.address, candidate.port) == (path.protocol, path.local.ip(), path.local.port())
    };
    candidates.iter().find(same).map_or(0, |candidate| candidate.priority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_priority_of_a_pair_is_that_of_rfc_8445() {
        assert_eq!(pair_priority(1, 2), (1 << 32) + 4);
        assert_eq!(pair_priority(2, 1), (1 << 32) + 5, "the controlling agent's is the higher one");
        assert!(pair_priority(1 << 30, 7) < pair_priority(8, 8), "the worse end decides");
    }
}
