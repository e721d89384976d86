//! Refresh requests (RFC 8656, section 8): an allocation lasts longer, or ends.

use std::time::Duration;

use stun_types::AddressFamily;
use turn_types::attribute::{Lifetime, RequestedAddressFamily};

use crate::limits::LIFETIME;
use crate::message::Problem;
use crate::server::requests::Asked;
use crate::server::{Ended, Turn};

impl Turn {
    pub(crate) fn handle_refresh(&mut self, asked: &Asked<'_>) -> Result<(), Problem> {
        let index = self.own_allocation(asked)?;
        let asked_for = asked.message.get::<Lifetime>()?.map_or(LIFETIME, |wanted| Duration::from_secs(wanted.seconds().into()));
        let family = asked.message.get::<RequestedAddressFamily>()?.map(|wanted| wanted.family());
        let allocation = self.table.get_mut(index).ok_or(Problem::AllocationMismatch)?;
        if family.is_some_and(|family| (family == AddressFamily::IPV6) != allocation.relayed.is_ipv6()) {
            return Err(Problem::PeerFamilyMismatch);
        }
        let granted = if asked_for.is_zero() { asked_for } else { LIFETIME };
        if granted.is_zero() {
            self.end(index, Ended::ByClient);
        } else {
            allocation.expires = asked.now + granted;
        }
        let mut answer = asked.message.success();
        answer.add(&Lifetime::new(u32::try_from(granted.as_secs()).unwrap_or(u32::MAX)));
        self.accept(asked, answer);
        Ok(())
    }

    /// The allocation of a request, if it is of the same user. The user name may have changed: a newer credential of the
    /// same user carries a call on when the old one expires.
    pub(crate) fn own_allocation(&self, asked: &Asked<'_>) -> Result<u32, Problem> {
        let (index, allocation) = self.allocation(&asked.path, asked.now).ok_or(Problem::AllocationMismatch)?;
        let is_same = *allocation.user == asked.grant.user && allocation.peers == asked.grant.peers;
        if is_same { Ok(index) } else { Err(Problem::WrongCredentials) }
    }
}
