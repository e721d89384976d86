//! Coming and going: join, leave, disconnect, and the end of the room.

use std::sync::Arc;

use parlor_proto::event::{Event, Joined, LeftReason, Policy, Reply};
use parlor_proto::transport::Direction;
use parlor_proto::{ChannelId, Error, ErrorCode, MediaCommand, RouterId, SessionId};

use crate::output::{Join, Output, RequestId};
use crate::participant::Participant;
use crate::permission::permissions;
use crate::room::{Answer, Room};

impl Room {
    pub(crate) fn join(&mut self, join: Join) {
        let Join { session, request, identity, banned, rtc_config, capabilities } = join;
        if let Err(error) = self.check_join(session, &identity.user, banned) {
            self.reply(session, request, Err(error));
            return;
        }
        let joined = Joined {
            channel_id: self.config.channel.id.clone(),
            channel_name: self.config.channel.name.clone(),
            sfu_endpoint: self.config.sfu_endpoint.clone(),
            user_id: identity.user.clone(),
            participants: self.participants(),
            permissions: permissions(&self.config.policy, identity.tier),
            rtc_config,
            turn_credential_expires_at: None,
            router_rtp_capabilities: Arc::clone(&self.config.capabilities),
            e2ee: Policy::Off,
            recording: Policy::Off,
        };
        self.joins += 1;
        let participant = Participant::new(identity, self.joins, joined.permissions, capabilities);
        let shown = participant.show();
        self.participants.insert(session, participant);
        self.reply(session, request, Ok(Reply::Joined(Box::new(joined))));
        self.tell_others(session, Event::ParticipantJoined(shown));
    }

    fn check_join(&self, session: SessionId, user: &parlor_proto::UserId, banned: bool) -> Result<(), Error> {
        if self.closed {
            return Err(Error::new(ErrorCode::ShuttingDown));
        }
        if banned {
            return Err(Error::new(ErrorCode::PermissionDenied));
        }
        if self.participants.contains_key(&session) || self.participants.values().any(|p| p.identity.user == *user) {
            return Err(Error::new(ErrorCode::AlreadyInChannel).with("reason", "already_in_channel"));
        }
        let channel = &self.config.channel;
        let max = channel.max_participants.unwrap_or_else(|| self.config.policy.participants(channel.tier));
        if u32::try_from(self.participants.len()).is_ok_and(|n| n < max) {
            Ok(())
        } else {
            Err(Error::new(ErrorCode::ChannelFull).with("current", self.participants.len()).with("max", max))
        }
    }

    pub(crate) fn leave(&mut self, session: SessionId, request: RequestId, channel: Option<&ChannelId>) -> Answer {
        if channel.is_some_and(|c| *c != self.config.channel.id) {
            return Err(Error::new(ErrorCode::NotInChannel));
        }
        self.remove(session, Some(request));
        self.close_if_empty();
        Ok(None)
    }

    /// Takes somebody out with all that is theirs; answers `leave` if there is one to answer.
    pub(crate) fn remove(&mut self, session: SessionId, leave: Option<RequestId>) {
        let Some(user) = self.participants.get(&session).map(|p| p.identity.user.clone()) else { return };
        let error = Error::new(ErrorCode::NotInChannel);
        self.close_transport(session, Direction::Send, &error);
        self.close_transport(session, Direction::Recv, &error);
        self.participants.remove(&session);
        if let Some(request) = leave {
            let channel_id = self.config.channel.id.clone();
            self.reply(session, request, Ok(Reply::Left { channel_id }));
        }
        self.tell_others(session, Event::ParticipantLeft { user_id: user });
        self.output(Output::Left { session });
    }

    /// An empty room frees everything: nothing outlives the last participant.
    pub(crate) fn close_if_empty(&mut self) {
        if self.participants.is_empty() && !self.closed {
            self.closed = true;
            let router = self.config.router;
            self.media(MediaCommand::CloseRouter { router });
            self.output(Output::Closed);
        }
    }

    /// The media thread died and took the router with it: there is nothing to close any more.
    pub(crate) fn router_lost(&mut self, router: RouterId) {
        if router != self.config.router || self.closed {
            return;
        }
        self.closed = true;
        self.evict(LeftReason::MediaLost, ErrorCode::ServerError);
        self.output(Output::Closed);
    }

    /// Puts everybody out at once; what still waits is answered with `code`.
    pub(crate) fn evict(&mut self, reason: LeftReason, code: ErrorCode) {
        for waiting in self.pending.drain() {
            self.reply(waiting.session, waiting.request, Err(Error::new(code)));
        }
        let to: Vec<SessionId> = std::mem::take(&mut self.participants).into_keys().collect();
        self.owners = crate::room::Owners::default();
        if to.is_empty() {
            return;
        }
        let channel_id = self.config.channel.id.clone();
        self.output(Output::Event { to: to.clone(), event: Event::Left { channel_id, reason, rejoin: true } });
        for session in to {
            self.output(Output::Left { session });
        }
    }
}
