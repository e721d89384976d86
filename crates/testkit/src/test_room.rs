//! A room with a fake media plane, a virtual clock and clients that remember what they were told.
//!
//! It watches the room all the time: one reply to each request, nothing to those who are not in, no
//! contradiction. What it finds is in [`TestRoom::problems`], and fails the test when the room is dropped.
#![allow(clippy::panic, reason = "test support: a broken expectation is meant to end the test")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parlor_proto::event::{Event, Joined, LeftReason, Reply, RtcConfig};
use parlor_proto::media::Source;
use parlor_proto::rtp::RtpCapabilities;
use parlor_proto::transport::{Direction, DtlsFingerprint, DtlsParameters, DtlsRole};
use parlor_proto::{
    Channel, ChannelId, ConsumerId, Error, Identity, MediaCommand, MediaEvent, MediaKind, ProducerId, Request, RouterId, SessionId, Tier,
    TransportId, UserId,
};
use parlor_rooms::{Join, Output, Policy, RequestId, Room, RoomConfig, RoomSize};

use crate::client_model::ClientModel;
use crate::clock::Clock;
use crate::fake_media::FakeMedia;
use crate::rtp;

/// The room and all around it.
#[derive(Debug)]
pub struct TestRoom {
    /// The room.
    pub room: Room,
    /// Its media plane.
    pub media: FakeMedia,
    /// The time.
    pub clock: Clock,
    /// Everything the room said to clients, in order.
    pub said: Vec<Output>,
    /// What was wrong so far.
    pub problems: Vec<String>,
    /// The room said that it is finished.
    pub closed: bool,
    channel: ChannelId,
    clients: BTreeMap<SessionId, Client>,
    next: u64,
}

/// One connection.
#[derive(Debug, Default)]
struct Client {
    model: ClientModel,
    inside: bool,
    asked: BTreeMap<RequestId, Request>,
    replies: BTreeMap<RequestId, Result<Reply, Error>>,
    events: Vec<Event>,
}

/// The configuration of a test room: a free channel, default numbers, a fixed seed.
#[must_use]
pub fn config(channel: &str, seed: u8) -> RoomConfig {
    RoomConfig {
        channel: Channel { id: channel_id(channel), name: format!("The {channel}"), tier: Tier::Free, max_participants: None },
        router: RouterId::from_random(u128::from(seed) + 1),
        capabilities: Arc::new(rtp::capabilities()),
        policy: Policy::default(),
        sfu_endpoint: "sfu-1".into(),
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
    let name = chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect();
    Identity { user: user_id(user), name, tier }
}

/// DTLS parameters as a browser sends them.
#[must_use]
pub fn client_dtls() -> DtlsParameters {
    let value = ["CD"; 32].join(":");
    DtlsParameters { role: DtlsRole::Client, fingerprints: vec![DtlsFingerprint { algorithm: "sha-256".into(), value }] }
}

impl TestRoom {
    /// A free channel.
    #[must_use]
    pub fn free() -> Self {
        Self::new(config("den", 1))
    }

    /// A pro channel.
    #[must_use]
    pub fn pro() -> Self {
        let mut config = config("den", 1);
        config.channel.tier = Tier::Pro;
        Self::new(config)
    }

    /// A room of this configuration.
    #[must_use]
    pub fn new(config: RoomConfig) -> Self {
        let clock = Clock::new();
        let channel = config.channel.id.clone();
        let room = Room::new(config, clock.now());
        let (said, problems, clients) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { room, media: FakeMedia::new(), clock, said, problems, closed: false, channel, clients, next: 0 }
    }

    /// A connection that is in no channel yet.
    pub fn connect(&mut self) -> SessionId {
        let session = SessionId::from_random(u128::from(self.count()));
        self.clients.insert(session, Client::default());
        session
    }

    /// Asks to enter, with capabilities.
    pub fn send_join(&mut self, session: SessionId, user: &str, tier: Tier, banned: bool) -> RequestId {
        self.enter(session, identity(user, tier), banned, Some(Arc::new(rtp::capabilities())))
    }

    /// Asks to enter, as the shell would pass it on.
    pub fn enter(&mut self, session: SessionId, identity: Identity, banned: bool, capabilities: Option<Arc<RtpCapabilities>>) -> RequestId {
        let request = RequestId(self.count());
        let body = Request::Join { channel: self.channel.clone(), capabilities: capabilities.clone() };
        if let Some(client) = self.clients.get_mut(&session) {
            client.asked.insert(request, body);
        }
        let join = Join { session, request, identity, banned, rtc_config: RtcConfig::default(), capabilities };
        self.room.handle_join(join, self.clock.now());
        self.pump();
        request
    }

    /// Asks to enter, and gives the answer.
    pub fn try_join(&mut self, session: SessionId, user: &str, tier: Tier) -> Result<Joined, Error> {
        let request = self.send_join(session, user, tier, false);
        match self.reply(session, request) {
            Some(Ok(Reply::Joined(joined))) => Ok(*joined),
            Some(Err(error)) => Err(error),
            other => panic!("a join was answered with {other:?}"),
        }
    }

    /// Enters; must succeed.
    pub fn join(&mut self, user: &str, tier: Tier) -> SessionId {
        let session = self.connect();
        if let Err(error) = self.try_join(session, user, tier) {
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

    /// The connection breaks.
    pub fn disconnect(&mut self, session: SessionId) {
        self.room.handle_disconnect(session, self.clock.now());
        self.pump();
    }

    /// The server stops.
    pub fn shut_down(&mut self) {
        self.room.shut_down(LeftReason::ShuttingDown, self.clock.now());
        self.pump();
    }

    /// The media thread dies.
    pub fn media_dies(&mut self) {
        for event in self.media.die() {
            self.report(event);
        }
    }

    /// The media plane reports something unasked.
    pub fn report(&mut self, event: MediaEvent) {
        self.room.handle_media(event, self.clock.now());
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

    /// One's transport of a direction, made and connected if it was not there.
    pub fn transport(&mut self, session: SessionId, direction: Direction) -> TransportId {
        let model = self.model(session);
        let there = if direction == Direction::Send { model.send } else { model.recv };
        there.unwrap_or_else(|| match self.ask(session, Request::CreateTransport { direction }) {
            Ok(Reply::TransportCreated { transport_id, .. }) => {
                let connected = self.ask(session, Request::ConnectTransport { transport: transport_id, dtls: client_dtls() });
                connected.map_or_else(|error| panic!("connectTransport: {error}"), |_| transport_id)
            }
            other => panic!("createTransport was answered with {other:?}"),
        })
    }

    /// The request that sends a track.
    pub fn produce_request(&mut self, session: SessionId, kind: MediaKind, source: Source) -> Request {
        let transport = self.transport(session, Direction::Send);
        Request::Produce { transport, kind, source, rtp: Arc::new(rtp::for_source(kind, source)), paused: false }
    }

    /// Sends a track.
    pub fn produce(&mut self, session: SessionId, kind: MediaKind, source: Source) -> Result<ProducerId, Error> {
        let request = self.produce_request(session, kind, source);
        match self.ask(session, request)? {
            Reply::Produced { producer_id } => Ok(producer_id),
            other => panic!("produce was answered with {other:?}"),
        }
    }

    /// The request that receives a track.
    pub fn consume_request(&mut self, session: SessionId, producer: ProducerId) -> Request {
        let transport = Some(self.transport(session, Direction::Recv));
        Request::Consume { producer, transport, capabilities: None, paused: false }
    }

    /// Receives a track.
    pub fn consume(&mut self, session: SessionId, producer: ProducerId) -> Result<ConsumerId, Error> {
        let request = self.consume_request(session, producer);
        match self.ask(session, request)? {
            Reply::Consumed { consumer_id, .. } => Ok(consumer_id),
            other => panic!("consume was answered with {other:?}"),
        }
    }

    /// Compares what all clients believe with the room, and the room with its media plane.
    pub fn check(&mut self) {
        let truth = self.room.participants();
        for client in self.clients.values().filter(|c| c.inside) {
            self.problems.extend(client.model.compare(&truth).err());
            self.problems.extend(self.media_follows(client).err());
        }
        for info in truth.iter().flat_map(|p| &p.producers) {
            if self.media.producers.get(&info.producer_id).is_none_or(|p| p.paused != info.paused) {
                self.problems.push("the media plane does not hold a producer as the room shows it".into());
            }
        }
        self.problems.append(&mut self.media.violations);
        let finished = self.room.size() == RoomSize::default() && self.media.is_empty();
        if self.closed && !finished {
            self.problems.push(format!("something is left in a closed room: {:?}, {:?}", self.room.size(), self.media));
        }
    }

    /// Mute and deafen are kept by the media plane.
    fn media_follows(&self, client: &Client) -> Result<(), String> {
        let model = &client.model;
        for id in &model.producers {
            let producer = self.media.producers.get(id).ok_or("the media plane lacks a producer")?;
            if model.state.muted && producer.source == Source::Mic && !producer.paused {
                return Err("a muted microphone is not silent".into());
            }
        }
        for (id, producer) in &model.consumers {
            let paused = self.media.consumers.get(id).ok_or("the media plane lacks a consumer")?.paused;
            let kind = self.media.producers.get(producer).ok_or("a consumer outlived its producer")?.kind;
            if model.state.deafened && kind == MediaKind::Audio && !paused {
                return Err("a deafened participant is sent sound".into());
            }
        }
        Ok(())
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
            let Some(event) = self.media.poll_event(self.clock.now()) else { return };
            self.room.handle_media(event, self.clock.now());
        }
    }

    fn carry_out(&mut self, output: Output) {
        if self.closed && !matches!(output, Output::Reply { .. }) {
            self.problems.push(format!("a closed room said {output:?}"));
        }
        match &output {
            Output::Media(command) => return self.order(command.clone()),
            Output::Reply { session, request, result } => self.answered(*session, *request, result),
            Output::Event { to, event } => to.iter().for_each(|session| self.told(*session, event)),
            Output::Left { session } => {
                if !self.clients.get_mut(session).is_some_and(|c| std::mem::replace(&mut c.inside, false)) {
                    self.problems.push("somebody left who was not inside".into());
                }
                if let Some(client) = self.clients.get_mut(session) {
                    client.model = ClientModel::default();
                }
            }
            Output::Closed => self.closed = true,
        }
        self.said.push(output);
    }

    fn order(&mut self, command: MediaCommand) {
        self.media.handle_command(command, self.clock.now());
    }

    fn answered(&mut self, session: SessionId, request: RequestId, result: &Result<Reply, Error>) {
        let Some(client) = self.clients.get_mut(&session) else { return self.problems.push("a reply to nobody".into()) };
        let Some(asked) = client.asked.remove(&request) else { return self.problems.push("a reply without a request".into()) };
        if let Ok(reply) = result {
            client.inside |= matches!(reply, Reply::Joined(_));
            self.problems.extend(client.model.succeeded(&asked, reply).err());
        }
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
            for session in self.clients.keys().copied().collect::<Vec<_>>() {
                self.disconnect(session);
            }
            self.check();
            assert!(self.problems.is_empty(), "{:#?}", self.problems);
        }
    }
}
