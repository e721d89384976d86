//! What becomes of somebody in a call when what the store has of them, or of the channel, has changed.

use std::time::Instant;

use parlor_proto::event::LeftReason;
use parlor_proto::{Actor, Channel, Identity, Moderation, Restrictions, Role, Timestamp, UserId, Window};

use crate::access::{Admitted, Ban, Facts, Refused, admit, pro_until};
use crate::room::Room;

/// What becomes of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// They stay in the role in which they came, with what they may do from now on.
    Stays(Admitted),
    /// They have to leave the channel.
    Out(LeftReason),
    /// They were banned from the channel.
    Banned(Ban),
}

impl Standing {
    /// Judges somebody who came as `before`. Without a channel, it was deleted. A window that closes ends no call.
    #[must_use]
    pub fn of(before: Role, identity: &Identity, found: Option<(&Channel, &Facts)>, wall: Timestamp) -> Self {
        let Some((channel, facts)) = found else { return Self::Out(LeftReason::ChannelDeleted) };
        let always = Channel { window: Window::default(), ..channel.clone() };
        match admit(&always, identity, facts, wall) {
            // What they send would have to be taken from them piece by piece: they come back as who may listen.
            Ok(admitted) if (before, admitted.role) == (Role::Speaker, Role::Spectator) => Self::Out(LeftReason::AccessLost),
            Ok(admitted) => Self::Stays(Admitted { role: before, ..admitted }),
            Err(Refused::Revoked) => Self::Out(LeftReason::SessionRevoked),
            Err(Refused::Banned(ban)) => Self::Banned(ban),
            Err(_) => Self::Out(LeftReason::AccessLost),
        }
    }
}

impl Room {
    /// What the store has of a user, and of the channel, as of a write: they stay, or not. Older than what they were let in
    /// with, it says nothing. Without a channel there is none any more.
    pub fn handle_facts(&mut self, user: &UserId, found: Option<(&Channel, &Facts, i64)>, wall: Timestamp, now: Instant) {
        let Some(participant) = self.core.session_of(user).and_then(|session| self.core.participants.get_mut(&session)) else { return };
        if found.is_some_and(|(_, _, as_of)| as_of < participant.as_of) {
            return;
        }
        let judged = found.map(|(channel, facts, _)| (channel, facts));
        match Standing::of(participant.role, &participant.identity, judged, wall) {
            Standing::Stays(admitted) => {
                participant.moderates = admitted.moderator;
                self.follow_restrictions(user, admitted.restrictions, now);
                self.handle_entitlement(user, admitted.entitlement, pro_until(admitted.entitlement, wall, now), now);
            }
            Standing::Out(reason) => self.handle_eviction(user, reason, now),
            Standing::Banned(Ban { until, reason }) => {
                self.handle_moderation(&Moderation::Ban { user: user.clone(), until, reason }, &Actor::Server, now);
            }
        }
    }

    /// A ban was written with this number, and may have been lifted since: whoever was let in before is put out.
    pub fn handle_ban_written(&mut self, seq: i64, ban: &Moderation, now: Instant) {
        let participant = ban.user().and_then(|user| self.core.session_of(user)).and_then(|session| self.core.participants.get(&session));
        if participant.is_some_and(|p| p.as_of < seq) {
            self.handle_moderation(ban, &Actor::Server, now);
        }
    }

    /// Restrictions that were written elsewhere, as the acts that lead to them.
    fn follow_restrictions(&mut self, user: &UserId, wanted: Restrictions, now: Instant) {
        let Some(present) = self.restrictions_of(user) else { return };
        if (Restrictions { deafened: wanted.deafened, ..present }) != wanted {
            let (audio, video, screen) = (Some(wanted.audio), Some(wanted.video), Some(wanted.screen));
            self.handle_moderation(&Moderation::Mute { user: user.clone(), audio, video, screen }, &Actor::Server, now);
        }
        if present.deafened != wanted.deafened {
            let deafened = wanted.deafened;
            self.handle_moderation(&Moderation::Deafen { user: user.clone(), deafened }, &Actor::Server, now);
        }
    }
}
