//! Allocate requests (RFC 8656, section 7): the checks, the choice of a port, and the answer when its socket is open.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use rand::RngExt;
use stun_types::AddressFamily;
use stun_types::attribute::{ErrorCode, XorMappedAddress};
use stun_types::message::TransactionId;
use stun_types::prelude::*;
use turn_types::attribute::{
    AdditionalAddressFamily, AddressErrorCode, EvenPort, Lifetime, RequestedAddressFamily, RequestedTransport, ReservationToken,
    XorRelayedAddress,
};
use turn_types::message::ALLOCATE;

use crate::limits::{LIFETIME, OPEN_TRIES, PORT_TRIES};
use crate::message::{Answer, Problem};
use crate::server::requests::Asked;
use crate::server::{Ended, Event, Turn};
use crate::table::{Allocation, ClientPath, RelayId, Waiting};

/// What a request asks for.
struct Wish {
    ip: IpAddr,
    even: bool,
    additional: bool,
}

impl Turn {
    pub(crate) fn handle_allocate(&mut self, asked: &Asked<'_>) -> Result<(), Problem> {
        self.forget_expired(&asked.path, asked.now);
        if let Some(index) = self.table.of_client(&asked.path) {
            return self.repeat_allocation(index, asked);
        }
        let wish = self.wish(asked)?;
        let limits = self.limits;
        if self.table.count_of_user(&asked.grant.user) >= limits.per_user
            || self.table.count_of_site(asked.path.remote.ip()) >= limits.per_address
        {
            return Err(Problem::QuotaReached);
        }
        if self.table.len() >= limits.allocations {
            return Err(Problem::InsufficientCapacity);
        }
        let relayed = self.free_address(wish.ip, wish.even).ok_or(Problem::InsufficientCapacity)?;
        let who = (self.table.user(&asked.grant.user), asked.grant.peers);
        let padded = self.is_stream(&asked.path);
        let mut allocation = Allocation::new(asked.path, padded, relayed, who, asked.message.transaction(), asked.now, &limits);
        allocation.waiting = Some(Box::new(Waiting {
            key: asked.key.clone(),
            fingerprint: asked.message.has_fingerprint,
            additional: wish.additional,
            even: wish.even,
            tries: 0,
        }));
        let relay = self.table.insert(allocation).ok_or(Problem::InsufficientCapacity)?;
        self.events.push_back(Event::OpenRelay { relay, relayed });
        Ok(())
    }

    /// Goes on with an allocation when its socket is open, or tries another port.
    pub(crate) fn finish_allocation(&mut self, relay: RelayId, opened: bool, now: Instant) {
        let Some(index) = self.table.of_relay(relay) else { return };
        let Some(allocation) = self.table.get_mut(index) else { return };
        let Some(mut waiting) = allocation.waiting.take() else { return };
        let (path, relayed, transaction) = (allocation.path, allocation.relayed, allocation.transaction);
        if opened {
            allocation.expires = now + LIFETIME;
            self.stats.made += 1;
            let answer = allocated(&path, relayed, transaction, waiting.fingerprint, waiting.additional).finish(Some(&waiting.key));
            return self.answer(path, &answer);
        }
        waiting.tries += 1;
        let again = if waiting.tries < OPEN_TRIES { self.free_address(relayed.ip(), waiting.even) } else { None };
        if let Some((relay, relayed)) = again.and_then(|address| Some((self.table.move_to(index, address)?, address))) {
            if let Some(allocation) = self.table.get_mut(index) {
                allocation.waiting = Some(waiting);
            }
            self.events.push_back(Event::OpenRelay { relay, relayed });
            return;
        }
        let mut answer = Answer::error(ALLOCATE, transaction, waiting.fingerprint);
        answer.problem(Problem::InsufficientCapacity, ErrorCode::default_reason_for_code(Problem::InsufficientCapacity.code()));
        let answer = answer.finish(Some(&waiting.key));
        self.end(index, Ended::NoPort);
        self.stats.refused += 1;
        self.answer(path, &answer);
    }

    /// The same request again gets the same answer, as the first one may be lost; another one is too many.
    fn repeat_allocation(&mut self, index: u32, asked: &Asked<'_>) -> Result<(), Problem> {
        let allocation = self.table.get(index).ok_or(Problem::AllocationMismatch)?;
        if allocation.transaction != asked.message.transaction() || *allocation.user != asked.grant.user {
            return Err(Problem::AllocationMismatch);
        }
        if allocation.waiting.is_none() {
            let additional = asked.message.has(AdditionalAddressFamily::TYPE);
            let answer = allocated(&asked.path, allocation.relayed, allocation.transaction, asked.message.has_fingerprint, additional);
            self.accept(asked, answer);
        }
        Ok(())
    }

    /// Reads what is asked for; what there is none of is refused.
    fn wish(&self, asked: &Asked<'_>) -> Result<Wish, Problem> {
        let message = &asked.message;
        let transport = message.get::<RequestedTransport>()?.ok_or(Problem::BadRequest)?;
        if transport.protocol() != RequestedTransport::UDP {
            return Err(Problem::TransportNotSupported);
        }
        // A family that nobody knows is one that is not supported.
        let family = message.get::<RequestedAddressFamily>().map_err(|_| Problem::FamilyNotSupported)?.map(|wanted| wanted.family());
        let even = message.get::<EvenPort>()?;
        let reserves = even.as_ref().is_some_and(EvenPort::requested);
        let additional = message.get::<AdditionalAddressFamily>()?.is_some();
        let token = message.get::<ReservationToken>()?.is_some();
        if token && (even.is_some() || family.is_some() || additional) || additional && (family.is_some() || reserves) {
            return Err(Problem::BadRequest);
        }
        // No port is ever reserved: RTP and RTCP share one (RFC 8834, section 4.5), so there is no token either.
        if token || reserves {
            return Err(Problem::InsufficientCapacity);
        }
        let wants_v6 = family == Some(AddressFamily::IPV6);
        let ip = self.relays.iter().find(|ip| ip.is_ipv6() == wants_v6).ok_or(Problem::FamilyNotSupported)?;
        Ok(Wish { ip: *ip, even: even.is_some(), additional })
    }

    /// A relayed address that is free here, at random: who knows one is not to know the next.
    fn free_address(&mut self, ip: IpAddr, even: bool) -> Option<SocketAddr> {
        let ports = self.ports.clone();
        let mut draw = || {
            let port: u16 = self.random.random_range(ports.clone());
            SocketAddr::new(ip, if even { port & !1 } else { port })
        };
        let mut tries = std::iter::repeat_with(&mut draw).take(PORT_TRIES);
        tries.find(|address| self.ports.contains(&address.port()) && self.table.of_relayed(*address).is_none())
    }

    /// Ends an allocation that is over and was not swept away yet.
    pub(crate) fn forget_expired(&mut self, path: &ClientPath, now: Instant) {
        let Some(index) = self.table.of_client(path) else { return };
        if self.table.get(index).is_some_and(|a| a.waiting.is_none() && a.expires <= now) {
            self.end(index, Ended::Expired);
        }
    }
}

/// The success response.
fn allocated(path: &ClientPath, relayed: SocketAddr, transaction: TransactionId, fingerprint: bool, additional: bool) -> Answer {
    let mut answer = Answer::success(ALLOCATE, transaction, fingerprint);
    answer.add(&XorRelayedAddress::new(relayed, transaction));
    answer.add(&Lifetime::new(u32::try_from(LIFETIME.as_secs()).unwrap_or(u32::MAX)));
    answer.add(&XorMappedAddress::new(path.remote, transaction));
    if additional && let Ok(code) = ErrorCode::new(Problem::FamilyNotSupported.code(), "") {
        answer.add(&AddressErrorCode::new(AddressFamily::IPV6, code));
    }
    answer
}
