//! What somebody has paid for changes while they are in a call: nobody is dropped, and no sound stops.

use std::time::Instant;

use parlor_proto::event::{EntitlementReason, Event};
use parlor_proto::{Entitlement, SessionId, UserId};

use crate::permission::permissions;
use crate::room::Room;

impl Room {
    pub(crate) fn entitlement_changed(&mut self, user: &UserId, entitlement: Entitlement, until: Option<Instant>) {
        if let Some(session) = self.core.session_of(user) {
            self.set_entitlement(session, entitlement, until, EntitlementReason::Changed);
        }
    }

    /// Ends the entitlements whose time has come.
    pub(crate) fn expire_entitlements(&mut self, now: Instant) {
        let over = |until: Option<Instant>| until.is_some_and(|at| at <= now);
        let ended: Vec<SessionId> = self.core.participants.iter().filter(|(_, p)| over(p.pro_until)).map(|(session, _)| *session).collect();
        for session in ended {
            self.set_entitlement(session, Entitlement::FREE, None, EntitlementReason::Expired);
        }
    }

    pub(crate) fn set_entitlement(
        &mut self,
        session: SessionId,
        entitlement: Entitlement,
        until: Option<Instant>,
        reason: EntitlementReason,
    ) {
        let Some(participant) = self.core.participants.get_mut(&session) else { return };
        let before = participant.permissions;
        let after = permissions(&self.core.policy, participant.role, entitlement);
        participant.pro_until = until.filter(|_| entitlement.pro);
        participant.permissions = after;
        if before == after {
            return;
        }
        self.core.tell(session, Event::Entitlement { permissions: after, reason });
        self.media.permissions_changed(&mut self.core, session, before, after);
        if before.video && !after.video {
            self.core.slots.leave(session);
        }
    }
}
