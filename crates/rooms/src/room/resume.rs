//! A lost connection, and the session that goes on with another: the others notice nothing.

use std::time::{Duration, Instant};

use parlor_proto::event::{EntitlementReason, Event, Joined, LeftReason, Own, Reply, Resumed};
use parlor_proto::{Error, ErrorCode, Identity, ResumeToken, SessionId, Timestamp, UserId};

use crate::access::pro_until;
use crate::ending::{Departure, Ending};
use crate::output::{Output, Resume};
use crate::room::Room;
use crate::sfu::pending::Operation;

impl Room {
    /// Whether there is a stay of this user with this token: without one there is nothing to resume, whatever they
    /// may do now.
    #[must_use]
    pub fn has_stay(&self, user: &UserId, token: ResumeToken) -> bool {
        self.participants.values().any(|p| p.identity.user == *user && p.token == token)
    }

    /// Keeps somebody whose connection is gone for a while. What is held stays; what is waited for is given up.
    pub(crate) fn lose(&mut self, session: SessionId, silent: Duration, now: Instant) {
        let grace = self.config.policy.resume_grace.saturating_sub(silent);
        if grace.is_zero() {
            return self.remove(session, Departure::Disconnected);
        }
        let deadline = now + grace;
        match self.participants.get_mut(&session) {
            Some(participant) if participant.lost.is_none() => participant.lost = Some(deadline),
            _ => return,
        }
        self.drop_waiting(session);
        self.slots.leave_queue(session);
        self.output(Output::Left { session });
    }

    /// Ends the requests of a session that nobody waits for any more. Of what they would have made, the client
    /// never learns, so it is not kept.
    fn drop_waiting(&mut self, session: SessionId) {
        let error = Error::new(ErrorCode::SessionExpired);
        for operation in self.pending.of(session) {
            match operation {
                // A transport half connected cannot be connected again.
                Operation::CreateTransport(id) | Operation::ConnectTransport(id) => {
                    let ending = Ending::media(error.clone());
                    if let Some(direction) = self.participants.get(&session).and_then(|p| p.direction(id)) {
                        self.close_transport(session, direction, &ending);
                    }
                }
                Operation::RestartIce(_) => self.settle(operation, Err(error.clone())),
                Operation::Produce(id) => self.give_up_producer(id, error.clone()),
                Operation::Consume(id) => self.give_up_consumer(id, error.clone()),
            }
        }
    }

    pub(crate) fn resume(&mut self, resume: Resume, wall: Timestamp, now: Instant) {
        let (session, request) = (resume.session, resume.request);
        let Some(old) = self.resumable(&resume) else {
            let code = if self.participants.contains_key(&session) { ErrorCode::InvalidState } else { ErrorCode::SessionExpired };
            return self.reply(session, request, Err(Error::new(code)));
        };
        // The server may not know yet that the old connection is dead; or the client was copied, and goes on here.
        if self.participants.get(&old).is_some_and(|p| p.lost.is_none()) {
            self.tell_left(old, LeftReason::Replaced, None);
            if let Some(participant) = self.participants.get_mut(&old) {
                participant.lost = Some(now);
            }
            self.drop_waiting(old);
            self.slots.leave_queue(old);
            self.output(Output::Left { session: old });
        }
        if let Some(participant) = self.participants.get_mut(&old) {
            // By their new token they may stay longer; the others know them by the name they came with.
            let name = std::mem::take(&mut participant.identity.name);
            participant.identity = Identity { name, ..resume.identity };
            (participant.moderates, participant.as_of) = (resume.admitted.moderator, resume.as_of);
        }
        let entitlement = resume.admitted.entitlement;
        // While it still counts as lost, the client is not told: the reply says how things are.
        self.set_entitlement(old, entitlement, pro_until(entitlement, wall, now), EntitlementReason::Changed);
        self.rename(old, session);
        let resumed = self.participants.get(&session).map(|p| {
            let own = Own {
                transports: p.send.iter().chain(&p.recv).map(|t| t.id).collect(),
                producers: p.producers.iter().map(|p| p.id).collect(),
                consumers: p.consumers.ids(),
                slots: self.slots.held_by(session),
            };
            let joined = Joined { resumed: true, ..self.show_to(p, resume.rtc_config) };
            Resumed { joined, own }
        });
        if let Some(resumed) = resumed {
            self.reply(session, request, Ok(Reply::Resumed(Box::new(resumed))));
        }
        self.want_slots_again(session);
    }

    /// The session that may be resumed: of the same user, with the token, and with the same rights as then. Who may do
    /// more or less than before joins anew, so that the others see it.
    fn resumable(&self, resume: &Resume) -> Option<SessionId> {
        if self.participants.contains_key(&resume.session) {
            return None;
        }
        let same = |p: &&crate::participant::Participant| {
            p.identity.user == resume.identity.user
                && p.token == resume.token
                && p.role == resume.admitted.role
                && p.moderator == resume.admitted.moderator
        };
        self.participants.iter().find(|(_, p)| same(p)).map(|(session, _)| *session)
    }

    /// Everything of one session is another's from now on.
    fn rename(&mut self, from: SessionId, to: SessionId) {
        let Some(mut participant) = self.participants.remove(&from) else { return };
        participant.lost = None;
        for transport in participant.send.iter().chain(&participant.recv) {
            self.owners.transports.insert(transport.id, to);
        }
        for producer in &participant.producers {
            self.owners.producers.insert(producer.id, to);
        }
        for consumer in participant.consumers.ids() {
            self.owners.consumers.insert(consumer, to);
        }
        self.slots.rename(from, to);
        self.participants.insert(to, participant);
    }

    /// Somebody's session makes room for another one of the same user: lost and not back, or put out by the user's own wish.
    pub(crate) fn remove_other(&mut self, user: &UserId) {
        let Some((session, other)) = self.participants.iter().find(|(_, p)| p.identity.user == *user) else { return };
        let (session, lost) = (*session, other.lost.is_some());
        self.remove(session, if lost { Departure::Replaced } else { Departure::PutOut(LeftReason::MovedDevice, None) });
    }

    /// Takes out those who did not come back in time.
    pub(crate) fn remove_overdue(&mut self, now: Instant) {
        let overdue = |p: &crate::participant::Participant| p.lost.is_some_and(|deadline| deadline <= now);
        let gone: Vec<SessionId> = self.participants.iter().filter(|(_, p)| overdue(p)).map(|(session, _)| *session).collect();
        for session in gone {
            self.remove(session, Departure::Disconnected);
        }
    }

    /// Tells somebody that they are out, unless nobody listens there.
    pub(crate) fn tell_left(&mut self, session: SessionId, reason: LeftReason, to: Option<parlor_proto::ChannelId>) {
        let channel_id = self.config.channel.id.clone();
        self.tell(session, Event::Left { channel_id, reason, rejoin: reason.rejoin(), to });
    }
}
