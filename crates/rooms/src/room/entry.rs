//! Coming and going: join, leave, disconnect, and the end of the room.

use std::time::Instant;

use parlor_proto::event::{Event, Joined, LeftReason, Policy, Reply, RtcConfig};
use parlor_proto::transport::Direction;
use parlor_proto::{ChannelId, Error, ErrorCode, Identity, MediaCommand, Role, SessionId, Timestamp, UserId};

use crate::access::pro_until;
use crate::ending::Departure;
use crate::feed::Happening;
use crate::output::{Join, Output, RequestId};
use crate::participant::{Entrant, Participant};
use crate::permission::{self, permissions};
use crate::room::{Answer, Room};

impl Room {
    pub(crate) fn join(&mut self, join: Join, wall: Timestamp, now: Instant) {
        let Join { session, request, identity, admitted, as_of, rtc_config, capabilities, take_over } = join;
        let pro_until = pro_until(admitted.entitlement, wall, now);
        if let Err(error) = self.check_join(session, &identity.user, admitted.role, take_over) {
            self.reply(session, request, Err(error));
            return;
        }
        self.remove_other(&identity.user);
        self.joins += 1;
        let permissions = permissions(&self.config.policy, admitted.role, admitted.entitlement);
        let (number, token) = (self.joins, self.ids.resume_token());
        let participant =
            Participant::new(Entrant { session, number, identity, admitted, as_of, permissions, pro_until, capabilities, token });
        let joined = self.show_to(&participant, rtc_config);
        let shown = participant.show();
        self.participants.insert(session, participant);
        self.reply(session, request, Ok(Reply::Joined(Box::new(joined))));
        if !std::mem::replace(&mut self.started, true) {
            self.feed(Happening::RoomStarted);
        }
        self.feed(Happening::ParticipantJoined { user: shown.user_id.clone(), name: shown.name.clone(), session });
        self.tell_others(session, Event::ParticipantJoined(shown));
    }

    /// Everything somebody needs to know who is, or is about to be, in the room.
    pub(crate) fn show_to(&self, participant: &Participant, rtc_config: RtcConfig) -> Joined {
        let user = &participant.identity.user;
        Joined {
            channel_id: self.config.channel.id.clone(),
            channel_name: self.config.channel.name.clone(),
            sfu_endpoint: self.config.sfu_endpoint.clone(),
            user_id: user.clone(),
            participants: self.participants().into_iter().filter(|p| p.user_id != *user).collect(),
            permissions: participant.permissions,
            rtc_config,
            turn_credential_expires_at: None,
            router_rtp_capabilities: permission::capabilities(&self.config.capabilities, participant.permissions),
            e2ee: Policy::Off,
            recording: Policy::Off,
            role: participant.role,
            moderator: participant.moderator,
            state: participant.state,
            video_slots: self.slots.slots(),
            resume_token: participant.token,
            resume_grace_ms: u64::try_from(self.config.policy.resume_grace.as_millis()).unwrap_or(u64::MAX),
            resumed: false,
        }
    }

    fn check_join(&self, session: SessionId, user: &UserId, role: Role, take_over: bool) -> Result<(), Error> {
        if self.closed {
            return Err(Error::new(ErrorCode::ShuttingDown));
        }
        let same = self.participants.values().find(|p| p.identity.user == *user);
        if self.participants.contains_key(&session) || same.is_some_and(|p| p.lost.is_none() && !take_over) {
            return Err(Error::new(ErrorCode::AlreadyInChannel).with("reason", "already_in_channel"));
        }
        let (channel, policy) = (&self.config.channel, &self.config.policy);
        let max = match role {
            Role::Speaker => channel.max_participants.unwrap_or_else(|| policy.participants(channel.tier)),
            Role::Spectator => channel.max_spectators.unwrap_or(policy.spectators),
        };
        // Spectators and the others take nobody's place among each other. The user's own connection that is
        // lost, or taken over, makes room for the new one.
        let current = self.participants.values().filter(|p| p.role == role && p.identity.user != *user).count();
        if u32::try_from(current).is_ok_and(|n| n < max) {
            Ok(())
        } else {
            let full = Error::new(ErrorCode::ChannelFull).with("current", current).with("max", max);
            let sentence = "All places of this channel's listeners are taken. Try again when one of them has left.";
            Err(if role == Role::Spectator { full.with("role", "spectator").say(sentence) } else { full })
        }
    }

    pub(crate) fn leave(&mut self, session: SessionId, request: RequestId, channel: Option<&ChannelId>) -> Answer {
        if channel.is_some_and(|c| *c != self.config.channel.id) {
            return Err(Error::new(ErrorCode::NotInChannel));
        }
        self.remove(session, Departure::Left(request));
        Ok(None)
    }

    /// Takes somebody out with all that is theirs.
    pub(crate) fn remove(&mut self, session: SessionId, departure: Departure) {
        let Some(participant) = self.participants.get(&session) else { return };
        let Identity { user, name, .. } = participant.identity.clone();
        let (stay, lost) = (participant.stay, participant.lost.is_some());
        let (ending, reason) = (departure.ending(), departure.reason());
        self.close_transport(session, Direction::Send, &ending);
        self.close_transport(session, Direction::Recv, &ending);
        self.slots.leave(session);
        match departure {
            Departure::Left(request) => {
                let channel_id = self.config.channel.id.clone();
                self.reply(session, request, Ok(Reply::Left { channel_id }));
            }
            Departure::PutOut(reason, to) => self.tell_left(session, reason, to),
            Departure::Goodbye | Departure::Disconnected | Departure::Replaced => {}
        }
        self.participants.remove(&session);
        self.feed(Happening::ParticipantLeft { user: user.clone(), name, session: stay, reason });
        self.tell_others(session, Event::ParticipantLeft { user_id: user });
        if !lost {
            self.output(Output::Left { session });
        }
    }

    /// An empty room frees everything: nothing outlives the last participant.
    pub(crate) fn close_if_empty(&mut self) {
        if self.participants.is_empty() && !self.closed {
            self.closed = true;
            self.media(MediaCommand::CloseRouter);
            self.finish();
        }
    }

    /// The media thread died and took the router with it: there is nothing to close any more.
    pub(crate) fn router_lost(&mut self) {
        if self.closed {
            return;
        }
        self.closed = true;
        self.evict(LeftReason::MediaLost, ErrorCode::ServerError);
        self.finish();
    }

    fn finish(&mut self) {
        if self.started {
            self.feed(Happening::RoomEnded);
        }
        self.output(Output::Closed);
    }

    /// Puts everybody out at once; what still waits is answered with `code`.
    pub(crate) fn evict(&mut self, reason: LeftReason, code: ErrorCode) {
        for waiting in self.pending.drain() {
            self.reply(waiting.session, waiting.request, Err(Error::new(code)));
        }
        let all = std::mem::take(&mut self.participants);
        self.owners = crate::room::Owners::default();
        self.slots = crate::slots::SlotQueue::new(self.slots.slots().max);
        let to: Vec<SessionId> = all.iter().filter(|(_, p)| p.lost.is_none()).map(|(session, _)| *session).collect();
        if !to.is_empty() {
            let channel_id = self.config.channel.id.clone();
            self.output(Output::Event { to: to.clone(), event: Event::Left { channel_id, reason, rejoin: reason.rejoin(), to: None } });
        }
        for participant in all.into_values() {
            let Identity { user, name, .. } = participant.identity;
            for producer in participant.producers.iter().filter(|p| p.live) {
                self.feed(producer.stopped(&user, reason.as_str()));
            }
            self.feed(Happening::ParticipantLeft { user, name, session: participant.stay, reason: reason.as_str() });
        }
        for session in to {
            self.output(Output::Left { session });
        }
    }
}
