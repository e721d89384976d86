//! A lost connection, and the session that goes on with another: the others notice nothing.

use std::time::{Duration, Instant};

use parlor_proto::event::{EntitlementReason, Event, Joined, LeftReason, Own, Reply, Resumed};
use parlor_proto::{Error, ErrorCode, Identity, ResumeToken, SessionId, Timestamp, UserId};

use crate::access::pro_until;
use crate::core::Asker;
use crate::ending::Departure;
use crate::output::{Output, Resume};
use crate::room::Room;

impl Room {
    /// Whether there is a stay of this user with this token: without one there is nothing to resume, whatever they
    /// may do now.
    #[must_use]
    pub fn has_stay(&self, user: &UserId, token: ResumeToken) -> bool {
        self.core.participants.values().any(|p| p.identity.user == *user && p.token == token)
    }

    /// Keeps somebody whose connection is gone for a while. What is held stays; what is waited for is given up.
    pub(crate) fn lose(&mut self, session: SessionId, silent: Duration, now: Instant) {
        let grace = self.core.policy.resume_grace.saturating_sub(silent);
        if grace.is_zero() {
            return self.remove(session, Departure::Disconnected);
        }
        let deadline = now + grace;
        match self.core.participants.get_mut(&session) {
            Some(participant) if participant.is_connected() => participant.lost = Some(deadline),
            _ => return,
        }
        self.media.lost(&mut self.core, session);
        self.core.slots.leave_queue(session);
        self.core.output(Output::Left { session });
    }

    pub(crate) fn resume(&mut self, resume: Resume, wall: Timestamp, now: Instant) {
        let session = resume.session;
        let asker = Asker { session, request: resume.request };
        let Some(old) = self.resumable(&resume) else {
            let code = if self.core.participants.contains_key(&session) { ErrorCode::InvalidState } else { ErrorCode::SessionExpired };
            return self.core.reply(asker, Err(Error::new(code)));
        };
        // The server may not know yet that the old connection is dead; or the client was copied, and goes on here.
        if self.core.participants.get(&old).is_some_and(|p| p.is_connected()) {
            self.tell_left(old, LeftReason::Replaced, None);
            if let Some(participant) = self.core.participants.get_mut(&old) {
                participant.lost = Some(now);
            }
            self.media.lost(&mut self.core, old);
            self.core.slots.leave_queue(old);
            self.core.output(Output::Left { session: old });
        }
        if let Some(participant) = self.core.participants.get_mut(&old) {
            // By their new token they may stay longer; the others know them by the name they came with.
            let name = std::mem::take(&mut participant.identity.name);
            participant.identity = Identity { name, ..resume.identity };
            (participant.moderates, participant.as_of) = (resume.admitted.moderator, resume.as_of);
        }
        let entitlement = resume.admitted.entitlement;
        // While it still counts as lost, the client is not told: the reply says how things are.
        self.set_entitlement(old, entitlement, pro_until(entitlement, wall, now), EntitlementReason::Changed);
        self.rename(old, session);
        let resumed = self.show_to(session, resume.ice).map(|joined| {
            let own = Own { slots: self.core.slots.held_by(session), ..self.media.own(session) };
            Resumed { joined: Joined { resumed: true, ..joined }, own }
        });
        if let Some(resumed) = resumed {
            self.core.reply(asker, Ok(Reply::Resumed(Box::new(resumed))));
        }
        self.media.back(&mut self.core, session);
        self.want_slots_again(session);
    }

    /// The session that may be resumed: of the same user, with the token, and with the same rights as then. Who may do
    /// more or less than before joins anew, so that the others see it.
    fn resumable(&self, resume: &Resume) -> Option<SessionId> {
        if self.core.participants.contains_key(&resume.session) {
            return None;
        }
        let same = |p: &&crate::participant::Participant| {
            p.identity.user == resume.identity.user
                && p.token == resume.token
                && p.role == resume.admitted.role
                && p.moderator == resume.admitted.moderator
        };
        self.core.participants.iter().find(|(_, p)| same(p)).map(|(session, _)| *session)
    }

    /// Everything of one session is another's from now on.
    fn rename(&mut self, from: SessionId, to: SessionId) {
        let Some(mut participant) = self.core.participants.remove(&from) else { return };
        participant.lost = None;
        self.media.resumed(from, to);
        self.core.slots.rename(from, to);
        self.core.participants.insert(to, participant);
    }

    /// Somebody's session makes room for another one of the same user: lost and not back, or put out by the user's own wish.
    pub(crate) fn remove_other(&mut self, user: &UserId) {
        let Some((session, other)) = self.core.participants.iter().find(|(_, p)| p.identity.user == *user) else { return };
        let (session, lost) = (*session, other.lost.is_some());
        self.remove(session, if lost { Departure::Replaced } else { Departure::PutOut(LeftReason::MovedDevice, None) });
    }

    /// Takes out those who did not come back in time.
    pub(crate) fn remove_overdue(&mut self, now: Instant) {
        let overdue = |p: &crate::participant::Participant| p.lost.is_some_and(|deadline| deadline <= now);
        let gone: Vec<SessionId> = self.core.participants.iter().filter(|(_, p)| overdue(p)).map(|(session, _)| *session).collect();
        for session in gone {
            self.remove(session, Departure::Disconnected);
        }
    }

    /// Tells somebody that they are out, unless nobody listens there.
    pub(crate) fn tell_left(&mut self, session: SessionId, reason: LeftReason, to: Option<parlor_proto::ChannelId>) {
        let channel_id = self.core.channel.id.clone();
        self.core.tell(session, Event::Left { channel_id, reason, rejoin: reason.rejoin(), to });
    }
}
