//! What a server does around a room: it looks facts up, keeps what outlives a call, and takes sessions up again.

use std::time::Duration;

use parlor_proto::event::{IceSetup, LeftReason, Reply, Resumed};
use parlor_proto::{Actor, Channel, Entitlement, Error, Identity, Moderation, Request, ResumeToken, SessionId};
use parlor_rooms::{Admitted, Ban, Output, RequestId, Resume, access, admit};

use super::{TestRoom, user_id};

impl TestRoom {
    /// The connection breaks, but its client may come back.
    pub fn lose(&mut self, session: SessionId) {
        self.lose_silent(session, Duration::ZERO);
    }

    /// Loses a connection that has been silent for a while before that was noticed.
    pub fn lose_silent(&mut self, session: SessionId, silent: Duration) {
        self.room.handle_lost(session, silent, self.clock.now());
        self.pump();
    }

    /// The connection was closed because its page, or a proxy on the way, goes away.
    pub fn go_away(&mut self, session: SessionId) {
        self.room.handle_away(session, self.clock.now());
        self.pump();
    }

    /// Tells the room that the session's user joined another channel with another connection.
    pub fn move_device(&mut self, session: SessionId) {
        self.room.handle_moved_device(session, self.clock.now());
        self.pump();
    }

    /// A new connection goes on where another broke off, with the token that one was given.
    pub fn send_resume(&mut self, old: SessionId, new: SessionId) -> Option<RequestId> {
        let client = self.clients.get(&old)?;
        let (identity, token) = (client.identity.clone()?, client.token?);
        Some(self.send_resume_as(new, identity, token))
    }

    fn send_resume_as(&mut self, session: SessionId, identity: Identity, token: ResumeToken) -> RequestId {
        // Whoever had the session last is the client that comes back.
        let last = self.clients.values().find(|c| c.inside && c.token == Some(token)).map(|c| c.model.clone());
        let memory = last.or_else(|| self.memories.get(&token).cloned()).unwrap_or_default();
        let request = RequestId(self.count());
        if let Some(client) = self.clients.get_mut(&session) {
            client.asked.insert(request, Request::Resume { channel: self.channel.id.clone(), token });
            if !client.inside {
                (client.model, client.identity) = (memory, Some(identity.clone()));
            }
        }
        match self.admitted(&identity) {
            Ok(admitted) => {
                let resume = Resume { session, request, identity, admitted, as_of: 0, token, ice: IceSetup::default() };
                self.room.handle_resume(resume, self.wall(), self.clock.now());
                self.pump();
            }
            Err(error) => self.carry_out(Output::Reply { session, request, result: Err(error) }),
        }
        request
    }

    /// A session comes back on a new connection with its own token; gives the answer.
    pub fn resume(&mut self, old: SessionId, new: SessionId) -> Result<Resumed, Error> {
        let request = self.send_resume(old, new).unwrap_or_else(|| panic!("{old:?} was never in"));
        self.resumed(new, request)
    }

    /// Somebody shows the token of another.
    pub fn resume_as(&mut self, identity: Identity, token: ResumeToken) -> Result<Resumed, Error> {
        let session = self.connect();
        let request = self.send_resume_as(session, identity, token);
        self.resumed(session, request)
    }

    fn resumed(&self, session: SessionId, request: RequestId) -> Result<Resumed, Error> {
        match self.reply(session, request) {
            Some(Ok(Reply::Resumed(resumed))) => Ok(*resumed),
            Some(Err(error)) => Err(error),
            other => panic!("a resumption was answered with {other:?}"),
        }
    }

    /// The host application says what a user has paid for.
    pub fn entitle(&mut self, user: &str, entitlement: Entitlement) {
        self.facts(user).entitlement = Some(entitlement);
        let entitlement = entitlement.at(self.wall());
        let until = access::pro_until(entitlement, self.wall(), self.clock.now());
        self.room.handle_entitlement(&user_id(user), entitlement, until, self.clock.now());
        self.pump();
    }

    /// Somebody moderates from outside.
    pub fn moderate(&mut self, action: &Moderation, by: &Actor) {
        self.keep(action);
        self.room.handle_moderation(action, by, self.clock.now());
        self.pump();
    }

    /// A user has to go.
    pub fn evict(&mut self, user: &str, reason: LeftReason) {
        self.room.handle_eviction(&user_id(user), reason, self.clock.now());
        self.pump();
    }

    /// The channel's record changes.
    pub fn change_channel(&mut self, channel: Channel) {
        self.channel = channel.clone();
        self.room.handle_channel(channel, self.clock.now());
        self.pump();
    }

    /// What of an act outlives the call is kept.
    pub(super) fn keep(&mut self, action: &Moderation) {
        let Some(user) = action.user() else { return };
        let facts = self.facts.entry(user.clone()).or_default();
        facts.restrictions = facts.restrictions.after(action);
        if let Moderation::Ban { until, reason, .. } = action {
            facts.ban = Some(Ban { until: *until, reason: reason.clone() });
        }
    }

    pub(super) fn admitted(&self, identity: &Identity) -> Result<Admitted, Error> {
        let facts = self.facts.get(&identity.user).cloned().unwrap_or_default();
        Ok(admit(&self.channel, identity, &facts, self.wall())?)
    }
}
