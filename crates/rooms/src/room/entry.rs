//! Coming and going: join, leave, disconnect, and the end of the room.

use std::time::Instant;

use parlor_proto::event::{Event, IceSetup, Joined, LeftReason, Policy, Reply};
use parlor_proto::{ChannelId, Error, ErrorCode, Identity, ResumeToken, Role, SessionId, Timestamp, UserId};

use crate::access::pro_until;
use crate::connectivity::{CallSummary, Connectivity};
use crate::core::{Answer, Asker};
use crate::ending::Departure;
use crate::feed::Happening;
use crate::media::{MediaDescription, MediaEntry};
use crate::output::{Join, Output};
use crate::participant::{Entrant, Participant};
use crate::permission::permissions;
use crate::room::Room;

impl Room {
    pub(crate) fn join(&mut self, join: Join, wall: Timestamp, now: Instant) {
        let Join { session, request, identity, admitted, as_of, ice, capabilities, take_over, mesh, dialect } = join;
        let asker = Asker { session, request };
        let pro_until = pro_until(admitted.entitlement, wall, now);
        let checked = self.media.check_terms(mesh).and_then(|()| self.check_join(session, &identity.user, admitted.role, take_over));
        if let Err(error) = checked {
            self.core.reply(asker, Err(error));
            return;
        }
        self.remove_other(&identity.user);
        self.core.joins += 1;
        let permissions = permissions(&self.core.policy, admitted.role, admitted.entitlement);
        let (number, token) = (self.core.joins, ResumeToken::from_random(self.core.ids.bits()));
        let connectivity = Connectivity::new(self.media.topology(), dialect, now);
        self.core.began.get_or_insert(now);
        let participant =
            Participant::new(Entrant { session, number, identity, admitted, as_of, permissions, pro_until, token, connectivity });
        let shown = participant.show(Vec::new());
        self.core.participants.insert(session, participant);
        self.media.joined(&mut self.core, session, MediaEntry { capabilities, offers: mesh.offers });
        let Some(joined) = self.show_to(session, ice) else { return };
        self.core.reply(asker, Ok(Reply::Joined(Box::new(joined))));
        if !std::mem::replace(&mut self.core.started, true) {
            self.core.feed(Happening::RoomStarted);
        }
        self.core.feed(Happening::ParticipantJoined { user: shown.user_id.clone(), name: shown.name.clone(), session });
        self.media.announce(&mut self.core, session, shown);
    }

    /// Everything somebody needs to know who is in the room.
    pub(crate) fn show_to(&self, session: SessionId, ice: IceSetup) -> Option<Joined> {
        let participant = self.core.participants.get(&session)?;
        let user = &participant.identity.user;
        let mut participants: Vec<_> = self.participants().into_iter().filter(|p| p.user_id != *user).collect();
        self.media.introduce(&self.core, session, &mut participants);
        let MediaDescription { topology, sfu_endpoint, router_rtp_capabilities, mesh } = self.media.describe(participant.permissions);
        Some(Joined {
            channel_id: self.core.channel.id.clone(),
            channel_name: self.core.channel.name.clone(),
            topology,
            sfu_endpoint,
            mesh,
            user_id: user.clone(),
            participants,
            permissions: participant.permissions,
            ice,
            router_rtp_capabilities,
            e2ee: Policy::Off,
            recording: Policy::Off,
            role: participant.role,
            moderator: participant.moderator,
            state: participant.state,
            video_slots: self.core.slots.slots(),
            resume_token: participant.token,
            resume_grace_ms: u64::try_from(self.core.policy.resume_grace.as_millis()).unwrap_or(u64::MAX),
            resumed: false,
        })
    }

    fn check_join(&self, session: SessionId, user: &UserId, role: Role, take_over: bool) -> Result<(), Error> {
        if self.core.closed {
            return Err(Error::new(ErrorCode::ShuttingDown));
        }
        let same = self.core.participants.values().find(|p| p.identity.user == *user);
        if self.core.participants.contains_key(&session) || same.is_some_and(|p| p.is_connected() && !take_over) {
            return Err(Error::new(ErrorCode::AlreadyInChannel).with("reason", "already_in_channel"));
        }
        let (channel, policy) = (&self.core.channel, &self.core.policy);
        let max = match role {
            Role::Speaker => channel.max_participants.unwrap_or_else(|| policy.participants(channel)),
            Role::Spectator => channel.max_spectators.unwrap_or(policy.spectators),
        };
        // Spectators and the others take nobody's place among each other. The user's own connection that is
        // lost, or taken over, makes room for the new one.
        let current = self.core.participants.values().filter(|p| p.role == role && p.identity.user != *user).count();
        if u32::try_from(current).is_ok_and(|n| n < max) {
            Ok(())
        } else {
            let full = Error::new(ErrorCode::ChannelFull).with("current", current).with("max", max);
            let sentence = "All places of this channel's listeners are taken. Try again when one of them has left.";
            Err(if role == Role::Spectator { full.with("role", "spectator").say(sentence) } else { full })
        }
    }

    pub(crate) fn leave(&mut self, asker: Asker, channel: Option<&ChannelId>) -> Answer {
        if channel.is_some_and(|c| *c != self.core.channel.id) {
            return Err(Error::new(ErrorCode::NotInChannel));
        }
        self.remove(asker.session, Departure::Left(asker.request));
        Ok(None)
    }

    /// Takes somebody out with all that is theirs.
    pub(crate) fn remove(&mut self, session: SessionId, departure: Departure) {
        let Some(participant) = self.core.participants.get(&session) else { return };
        let Identity { user, name, .. } = participant.identity.clone();
        let (stay, lost, peer_id) = (participant.stay, participant.lost.is_some(), self.media.peer_id(session));
        let (ending, reason) = (departure.ending(), departure.reason());
        self.media.leaving(&mut self.core, session, &ending);
        self.core.tell_stay(session, reason);
        self.core.slots.leave(session);
        match departure {
            Departure::Left(request) => {
                let channel_id = self.core.channel.id.clone();
                self.core.reply(Asker { session, request }, Ok(Reply::Left { channel_id }));
            }
            Departure::PutOut(reason, to) => {
                self.tell_left(session, reason, to);
                if reason.takes_access() {
                    self.core.output(Output::SentOut { user: user.clone() });
                }
            }
            Departure::Goodbye | Departure::Disconnected | Departure::Replaced => {}
        }
        self.core.participants.remove(&session);
        self.core.feed(Happening::ParticipantLeft { user: user.clone(), name: name.clone(), session: stay, reason });
        self.core.tell_others(session, Event::ParticipantLeft { user_id: user, name, peer_id });
        self.media.gone(&mut self.core);
        if !lost {
            self.core.output(Output::Left { session });
        }
    }

    /// An empty room frees everything: nothing outlives the last participant.
    pub(crate) fn close_if_empty(&mut self) {
        if self.core.participants.is_empty() && !self.core.closed {
            self.core.closed = true;
            self.media.close(&mut self.core);
            self.finish();
        }
    }

    /// What carried the media is gone, and all that was there for this room: there is nothing to close any more.
    pub(crate) fn media_lost(&mut self, reason: LeftReason) {
        if self.core.closed {
            return;
        }
        self.core.closed = true;
        self.evict(reason, ErrorCode::ServerError);
        self.finish();
    }

    fn finish(&mut self) {
        if self.core.started {
            self.core.feed(Happening::RoomEnded);
        }
        if let Some(began) = self.core.began {
            let (topology, lasted) = (self.media.topology(), self.core.now.saturating_duration_since(began));
            let (stays, tally) = (self.core.joins, self.core.connections);
            self.core.output(Output::CallEnded(CallSummary { topology, lasted, stays, tally }));
        }
        self.core.output(Output::Closed);
    }

    /// Puts everybody out at once; what still waits is answered with `code`.
    pub(crate) fn evict(&mut self, reason: LeftReason, code: ErrorCode) {
        let mut stopped = self.media.evicted(&mut self.core, &Error::new(code), reason.as_str());
        let everybody: Vec<SessionId> = self.core.participants.keys().copied().collect();
        for session in everybody {
            self.core.tell_stay(session, reason.as_str());
        }
        let to: Vec<SessionId> = self.core.connected().collect();
        let all = std::mem::take(&mut self.core.participants);
        self.core.slots = crate::slots::SlotQueue::new(self.core.slots.slots().max);
        if !to.is_empty() {
            let channel_id = self.core.channel.id.clone();
            self.core
                .output(Output::Event { to: to.clone(), event: Event::Left { channel_id, reason, rejoin: reason.rejoin(), to: None } });
        }
        for (session, participant) in all {
            for happening in stopped.remove(&session).into_iter().flatten() {
                self.core.feed(happening);
            }
            let Identity { user, name, .. } = participant.identity;
            self.core.feed(Happening::ParticipantLeft { user, name, session: participant.stay, reason: reason.as_str() });
        }
        for session in to {
            self.core.output(Output::Left { session });
        }
    }
}
