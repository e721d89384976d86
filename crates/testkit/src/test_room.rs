//! A room with a fake media plane, a virtual clock and clients that remember what they were told.
//!
//! It watches the room all the time: one reply to each request, nothing to those who are not in, no
//! contradiction. What it finds is in [`TestRoom::problems`], and fails the test when the room is dropped.
#![allow(clippy::panic, reason = "test support: a broken expectation is meant to end the test")]

mod check;
mod helpers;
mod shell;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parlor_proto::event::{Event, IceSetup, Joined, LeftReason, Reply};
use parlor_proto::rtp::RtpCapabilities;
use parlor_proto::transport::{DtlsFingerprint, DtlsParameters, DtlsRole};
use parlor_proto::{
    Actor, Channel, ChannelId, Entitlement, Error, Identity, MediaEvent, MeshTerms, Moderation, Request, ResumeToken, RouterId, SessionId,
    Tier, Timestamp, Topology, UserId,
};
use parlor_rooms::{Facts, Happening, Join, Ledger, MediaConfig, Output, Policy, RequestId, Room, RoomConfig, SfuConfig};

use crate::client_model::ClientModel;
use crate::clock::Clock;
use crate::fake_media::FakeMedia;
use crate::reports::Account;
use crate::rtp;

/// The room and all around it.
#[derive(Debug)]
pub struct TestRoom {
    /// The room that is tested.
    pub room: Room,
    /// The media plane it commands.
    pub media: FakeMedia,
    /// The time the room is told.
    pub clock: Clock,
    /// Everything the room said to clients, in order.
    pub said: Vec<Output>,
    /// What was wrong so far.
    pub problems: Vec<String>,
    /// The room said that it is finished.
    pub closed: bool,
    /// What the host application was told, in order.
    pub feed: Vec<Happening>,
    /// The channel as its record is.
    pub channel: Channel,
    /// What the store knows of each user.
    pub facts: BTreeMap<UserId, Facts>,
    /// What the clients of those who join from now on can do with mesh calls.
    pub mesh: MeshTerms,
    ledger: Ledger,
    account: Account,
    clients: BTreeMap<SessionId, Client>,
    /// What the client of each stay knew when its connection was lost.
    memories: BTreeMap<ResumeToken, ClientModel>,
    /// Answers the shell owes.
    owed: Vec<Output>,
    next: u64,
}

/// One connection to the room.
#[derive(Debug, Default)]
struct Client {
    model: ClientModel,
    identity: Option<Identity>,
    token: Option<ResumeToken>,
    inside: bool,
    asked: BTreeMap<RequestId, Request>,
    replies: BTreeMap<RequestId, Result<Reply, Error>>,
    events: Vec<Event>,
}

/// The configuration of a test room: a free channel, default numbers, a fixed seed.
#[must_use]
pub fn config(channel: &str, seed: u8) -> RoomConfig {
    RoomConfig {
        channel: Channel::new(channel_id(channel), format!("The {channel}")),
        media: MediaConfig::Sfu(SfuConfig {
            router: RouterId::from_random(u128::from(seed) + 1),
            capabilities: Arc::new(rtp::capabilities()),
            endpoint: "sfu-1".into(),
        }),
        policy: Policy::default(),
        seed: [seed; 32],
    }
}

/// A user id from a text that is fit for one.
#[must_use]
pub fn user_id(text: &str) -> UserId {
    UserId::new(text).unwrap_or_else(|wrong| panic!("{text}: {wrong}"))
}

/// A channel id from a text that is fit for one.
#[must_use]
pub fn channel_id(text: &str) -> ChannelId {
    ChannelId::new(text).unwrap_or_else(|wrong| panic!("{text}: {wrong}"))
}

/// Somebody whose name is the user id with a capital.
#[must_use]
pub fn identity(user: &str, tier: Tier) -> Identity {
    let mut chars = user.chars();
    let name: String = chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect();
    let entitlement = if tier == Tier::Pro { Entitlement::PRO } else { Entitlement::FREE };
    Identity { entitlement, ..Identity::new(user_id(user), name) }
}

/// DTLS parameters as a browser sends them.
#[must_use]
pub fn client_dtls() -> DtlsParameters {
    let value = ["CD"; 32].join(":");
    DtlsParameters { role: DtlsRole::Client, fingerprints: vec![DtlsFingerprint { algorithm: "sha-256".into(), value }] }
}

impl TestRoom {
    /// A room of a free channel.
    #[must_use]
    pub fn free() -> Self {
        Self::new(config("den", 1))
    }

    /// A room of a pro channel.
    #[must_use]
    pub fn pro() -> Self {
        let mut config = config("den", 1);
        config.channel.tier = Tier::Pro;
        Self::new(config)
    }

    /// A room of a mesh channel.
    #[must_use]
    pub fn mesh() -> Self {
        let mut config = config("den", 1);
        (config.channel.topology, config.media) = (Topology::Mesh, MediaConfig::Mesh);
        Self::new(config)
    }

    /// A room of this configuration.
    #[must_use]
    pub fn new(config: RoomConfig) -> Self {
        let clock = Clock::new();
        let channel = config.channel.clone();
        Self {
            room: Room::new(config, clock.now()),
            media: FakeMedia::new(),
            clock,
            said: Vec::new(),
            problems: Vec::new(),
            closed: false,
            feed: Vec::new(),
            channel,
            facts: BTreeMap::new(),
            mesh: MeshTerms::default(),
            ledger: Ledger::default(),
            account: Account::default(),
            clients: BTreeMap::new(),
            memories: BTreeMap::new(),
            owed: Vec::new(),
            next: 0,
        }
    }

    /// A connection that is in no channel yet.
    pub fn connect(&mut self) -> SessionId {
        let session = SessionId::from_random(u128::from(self.count()));
        self.clients.insert(session, Client::default());
        session
    }

    /// The time on the wall: begins on a Friday afternoon.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        Timestamp(1_772_200_000_000 + i64::try_from(self.clock.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    /// What the store knows of a user here.
    pub fn facts(&mut self, user: &str) -> &mut Facts {
        self.facts.entry(user_id(user)).or_default()
    }

    /// Asks to enter, with capabilities.
    pub fn send_join(&mut self, session: SessionId, user: &str, tier: Tier) -> RequestId {
        self.enter(session, identity(user, tier), Some(Arc::new(rtp::capabilities())))
    }

    /// Asks to enter, as a server does: whom the facts keep out never gets to the room.
    pub fn enter(&mut self, session: SessionId, identity: Identity, capabilities: Option<Arc<RtpCapabilities>>) -> RequestId {
        self.enter_or_take_over(session, identity, capabilities, false)
    }

    fn enter_or_take_over(
        &mut self,
        session: SessionId,
        identity: Identity,
        capabilities: Option<Arc<RtpCapabilities>>,
        take_over: bool,
    ) -> RequestId {
        let request = RequestId(self.count());
        let body = Request::Join { channel: self.channel.id.clone(), capabilities: capabilities.clone(), take_over, mesh: self.mesh };
        if let Some(client) = self.clients.get_mut(&session) {
            client.asked.insert(request, body);
            client.identity = Some(identity.clone());
        }
        match self.admitted(&identity) {
            Ok(admitted) => {
                let ice = IceSetup::default();
                let join =
                    Join { session, request, identity, admitted, as_of: 0, ice, capabilities, take_over, mesh: self.mesh, dialect: "test" };
                self.room.handle_join(join, self.wall(), self.clock.now());
                self.pump();
            }
            Err(error) => self.carry_out(Output::Reply { session, request, result: Err(error) }),
        }
        request
    }

    /// Asks to enter, and gives the answer.
    pub fn try_join(&mut self, session: SessionId, user: &str, tier: Tier) -> Result<Joined, Error> {
        self.try_enter(session, identity(user, tier))
    }

    /// Asks to enter as somebody in particular, and gives the answer.
    pub fn try_enter(&mut self, session: SessionId, identity: Identity) -> Result<Joined, Error> {
        let request = self.enter(session, identity, Some(Arc::new(rtp::capabilities())));
        self.joined(session, request)
    }

    /// Asks to go on here with the call that another session of the user is in, and gives the answer.
    pub fn take_over(&mut self, session: SessionId, identity: Identity) -> Result<Joined, Error> {
        let request = self.enter_or_take_over(session, identity, Some(Arc::new(rtp::capabilities())), true);
        self.joined(session, request)
    }

    fn joined(&self, session: SessionId, request: RequestId) -> Result<Joined, Error> {
        match self.reply(session, request) {
            Some(Ok(Reply::Joined(joined))) => Ok(*joined),
            Some(Err(error)) => Err(error),
            other => panic!("a join was answered with {other:?}"),
        }
    }

    /// Has a user enter, which must succeed.
    pub fn join(&mut self, user: &str, tier: Tier) -> SessionId {
        self.join_as(identity(user, tier))
    }

    /// Enters as somebody in particular; must succeed.
    pub fn join_as(&mut self, identity: Identity) -> SessionId {
        let session = self.connect();
        let user = identity.user.clone();
        if let Err(error) = self.try_enter(session, identity) {
            panic!("{user} could not join: {error}");
        }
        session
    }

    /// Sends a request without looking at the answer.
    pub fn send(&mut self, session: SessionId, body: Request) -> RequestId {
        let request = RequestId(self.count());
        if let Some(client) = self.clients.get_mut(&session) {
            client.asked.insert(request, body.clone());
        }
        self.room.handle_request(session, request, body, self.clock.now());
        self.pump();
        request
    }

    /// Sends a request that is answered without waiting.
    pub fn ask(&mut self, session: SessionId, body: Request) -> Result<Reply, Error> {
        let request = self.send(session, body.clone());
        self.reply(session, request).unwrap_or_else(|| panic!("{body:?} was not answered"))
    }

    /// The answer to a request, once it is there.
    #[must_use]
    pub fn reply(&self, session: SessionId, request: RequestId) -> Option<Result<Reply, Error>> {
        self.clients.get(&session)?.replies.get(&request).cloned()
    }

    /// What a session was told since this was asked last.
    pub fn events(&mut self, session: SessionId) -> Vec<Event> {
        self.clients.get_mut(&session).map(|c| std::mem::take(&mut c.events)).unwrap_or_default()
    }

    /// What a session believes.
    #[must_use]
    pub fn model(&self, session: SessionId) -> ClientModel {
        self.clients.get(&session).map(|c| c.model.clone()).unwrap_or_default()
    }

    /// What takes a session up again.
    #[must_use]
    pub fn token(&self, session: SessionId) -> Option<ResumeToken> {
        self.clients.get(&session)?.token
    }

    /// The session is in the room.
    #[must_use]
    pub fn is_inside(&self, session: SessionId) -> bool {
        self.clients.get(&session).is_some_and(|c| c.inside)
    }

    /// Requests that have no answer yet.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.clients.values().map(|c| c.asked.len()).sum()
    }

    /// Breaks the connection of a session.
    pub fn disconnect(&mut self, session: SessionId) {
        self.room.handle_disconnect(session, self.clock.now());
        self.pump();
    }

    /// Every connection there ever was breaks for good.
    pub fn disconnect_all(&mut self) {
        for session in self.clients.keys().copied().collect::<Vec<_>>() {
            self.disconnect(session);
        }
    }

    /// What the store has of somebody, or of the channel, has changed with the write of this number.
    pub fn look_again(&mut self, user: &str, as_of: i64) {
        let facts = self.facts(user).clone();
        self.room.handle_facts(&user_id(user), Some((&self.channel, &facts, as_of)), self.wall(), self.clock.now());
        self.pump();
    }

    /// A ban was written with this number by another process.
    pub fn ban_written(&mut self, seq: i64, ban: &Moderation) {
        self.room.handle_ban_written(seq, ban, self.clock.now());
        self.pump();
    }

    /// Shuts the room down as a server that stops does.
    pub fn shut_down(&mut self) {
        self.room.shut_down(LeftReason::ShuttingDown, self.clock.now());
        self.pump();
    }

    /// The media thread dies.
    pub fn media_dies(&mut self) {
        if let Some((router, event)) = self.media.die() {
            self.report_of(router, event);
        }
    }

    /// The media plane reports something unasked of the room's router.
    pub fn report(&mut self, event: MediaEvent) {
        if let Some(router) = self.media.router {
            self.report_of(router, event);
        }
    }

    /// The media plane reports something of any router.
    pub fn report_of(&mut self, router: RouterId, event: MediaEvent) {
        self.room.handle_media(router, event, self.clock.now());
        self.pump();
    }

    /// Lets time pass, with everything that falls due on the way.
    pub fn advance(&mut self, by: Duration) {
        let end = self.clock.now() + by;
        while let Some(due) = self.room.poll_timeout().into_iter().chain(self.media.poll_timeout()).min().filter(|at| *at <= end) {
            self.clock.advance_to(due);
            self.pump();
            if self.room.poll_timeout().is_some_and(|at| at <= self.clock.now()) {
                self.room.handle_timeout(self.clock.now());
                self.pump();
            }
            if self.room.poll_timeout().is_some_and(|at| at <= self.clock.now()) {
                self.problems.push("a deadline lies in the past after handle_timeout".into());
                return;
            }
        }
        self.clock.advance_to(end);
    }

    fn count(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Carries everything from one side to the other until nothing moves.
    fn pump(&mut self) {
        loop {
            while let Some(output) = self.room.poll_output() {
                self.carry_out(output);
            }
            if let Some(reply) = self.owed.pop() {
                self.carry_out(reply);
                continue;
            }
            let Some((router, event)) = self.media.poll_event(self.clock.now()) else { return };
            self.room.handle_media(router, event, self.clock.now());
        }
    }

    fn carry_out(&mut self, output: Output) {
        if self.closed && !matches!(output, Output::Reply { .. }) {
            self.problems.push(format!("a closed room said {output:?}"));
        }
        self.problems.extend(self.account.note(&output).err());
        match &output {
            Output::Media(router, command) => return self.media.handle_command(*router, command.clone(), self.clock.now()),
            Output::Reply { session, request, result } => self.answered(*session, *request, result),
            Output::Event { to, event } => to.iter().for_each(|session| self.told(*session, event)),
            Output::Feed(happening) => {
                self.problems.extend(self.ledger.note(happening).err().map(|e| format!("{e}: {happening:?}")));
                self.feed.push(happening.clone());
                return;
            }
            Output::Moderate { session, request, by, action } => {
                self.keep(action);
                self.room.handle_moderation(action, &Actor::Session(by.user.clone()), self.clock.now());
                let reply = Reply::Moderated { action: action.action(), user_id: action.user().cloned() };
                // Answered once it is done.
                return self.owed.push(Output::Reply { session: *session, request: *request, result: Ok(reply) });
            }
            Output::Left { session } => {
                if !self.clients.get_mut(session).is_some_and(|c| std::mem::replace(&mut c.inside, false)) {
                    self.problems.push("somebody left who was not inside".into());
                }
                if let Some(client) = self.clients.get_mut(session) {
                    let known = std::mem::take(&mut client.model);
                    self.memories.extend(client.token.map(|token| (token, known)));
                }
            }
            Output::SentOut { .. } | Output::Connection(_) | Output::StayEnded(_) | Output::CallEnded(_) => {}
            Output::Closed => self.closed = true,
        }
        self.said.push(output);
    }

    fn answered(&mut self, session: SessionId, request: RequestId, result: &Result<Reply, Error>) {
        let Some(client) = self.clients.get_mut(&session) else { return self.problems.push("a reply to nobody".into()) };
        let Some(asked) = client.asked.remove(&request) else { return self.problems.push("a reply without a request".into()) };
        let joined = match result {
            Ok(Reply::Joined(joined)) => Some(&**joined),
            Ok(Reply::Resumed(resumed)) => Some(&resumed.joined),
            _ => None,
        };
        if let Some(joined) = joined {
            (client.inside, client.token) = (true, Some(joined.resume_token));
        }
        let problem = match result {
            Ok(reply) => client.model.succeeded(&asked, reply),
            Err(error) => client.model.refused(&asked, error),
        };
        self.problems.extend(problem.err());
        client.replies.insert(request, result.clone());
    }

    fn told(&mut self, session: SessionId, event: &Event) {
        let Some(client) = self.clients.get_mut(&session).filter(|c| c.inside) else {
            return self.problems.push(format!("somebody outside was told {event:?}"));
        };
        self.problems.extend(client.model.told(event).err().map(|e| format!("{e}: {event:?}")));
        client.events.push(event.clone());
    }
}

impl Drop for TestRoom {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check();
            // Everybody goes: whatever a rule forgot to free shows now.
            self.disconnect_all();
            self.check();
            assert!(self.problems.is_empty(), "{:#?}", self.problems);
        }
    }
}
