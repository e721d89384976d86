//! Random operation sequences on two rooms: bytes in, every invariant checked after each operation.
//!
//! Both the property tests and the fuzz target drive this interpreter. Hostile sessions use any id that was
//! ever made, in either room; the media plane answers, delays, refuses, keeps silent or dies.

mod acts;

use std::sync::Arc;
use std::time::Duration;

use parlor_proto::event::{Event, Reply};
use parlor_proto::media::{Layers, Source};
use parlor_proto::transport::{Direction, TransportFailure, TransportState};
use parlor_proto::{
    Access, Connection, ConsumerId, Entitlement, ErrorCode, Identity, MediaCommand, MediaEvent, MediaKind, MemberRole, Offers, ProducerId,
    Request, Role, SessionId, Timestamp, Topology, TransportId,
};
use parlor_rooms::{MediaConfig, Output};

use crate::fake_media::{Answer, Operation};
use crate::reports::{connected, unanswered};
use crate::rtp;
use crate::test_room::{TestRoom, channel_id, client_dtls, config, user_id};

/// Connections to each room. Two of them are the same user.
const SLOTS: usize = 6;
/// The user who moderates, besides the owner.
const MODERATOR: &str = "user3";
/// The owner of the rooms.
const OWNER: &str = "user2";
/// The user who is no member, and may listen only.
const SPECTATOR: &str = "user4";
/// Participants at the most, so that the limit is met.
const PARTICIPANTS: u32 = 4;
/// Videos at the most in a free channel, and in a pro one, so that the limits are met.
const VIDEOS: (u32, u32) = (1, 2);
/// Operations of one run at the most: enough for any combination, short enough to stay fast.
const OPERATIONS: usize = 600;

/// What a run did: a test that proves nothing would show here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// How many operations were carried out.
    pub operations: usize,
    /// How many replies said yes.
    pub granted: usize,
    /// Replies that said no.
    pub refused: usize,
    /// How many producers were made.
    pub produced: usize,
    /// How many consumers were made.
    pub consumed: usize,
    /// Slots granted to somebody who had waited.
    pub promoted: usize,
    /// Sessions taken up again.
    pub resumed: usize,
    /// Acts of moderation asked for in the room, and done.
    pub moderated: usize,
    /// Messages of one participant of a mesh that were passed on to another.
    pub relayed: usize,
}

impl std::ops::AddAssign for Summary {
    fn add_assign(&mut self, one: Self) {
        self.operations += one.operations;
        self.granted += one.granted;
        self.refused += one.refused;
        self.produced += one.produced;
        self.consumed += one.consumed;
        self.promoted += one.promoted;
        self.resumed += one.resumed;
        self.moderated += one.moderated;
        self.relayed += one.relayed;
    }
}

/// Runs the operations that the bytes say.
///
/// # Panics
/// If an invariant of the rooms is broken.
pub fn run(data: &[u8]) -> Summary {
    run_in(data, false)
}

/// Runs the operations that the bytes say, on mesh calls.
///
/// # Panics
/// If an invariant of the rooms is broken.
pub fn run_mesh(data: &[u8]) -> Summary {
    run_in(data, true)
}

fn run_in(data: &[u8], mesh: bool) -> Summary {
    let rooms = vec![Seat::new(0, mesh), Seat::new(1, mesh)];
    let mut world = World { bytes: data.iter().copied(), mesh, rooms, ids: Ids::default(), summary: Summary::default() };
    while world.summary.operations < OPERATIONS && world.step().is_some() {
        world.summary.operations += 1;
        for seat in &mut world.rooms {
            seat.check();
        }
    }
    for seat in &mut world.rooms {
        seat.empty();
        world.summary += seat.summary;
    }
    world.summary
}

/// Every id that was ever made, also those that no client was told.
#[derive(Debug, Default)]
struct Ids {
    transports: Vec<TransportId>,
    producers: Vec<ProducerId>,
    consumers: Vec<ConsumerId>,
}

/// One of the rooms, with its connections; a room that closed is followed by a new one.
#[derive(Debug)]
struct Seat {
    index: u8,
    mesh: bool,
    generation: u8,
    room: TestRoom,
    sessions: Vec<SessionId>,
    /// The connection each lost last.
    lost: Vec<Option<SessionId>>,
    summary: Summary,
}

#[derive(Debug)]
struct World<'a> {
    bytes: std::iter::Copied<std::slice::Iter<'a, u8>>,
    mesh: bool,
    rooms: Vec<Seat>,
    ids: Ids,
    summary: Summary,
}

impl Seat {
    fn new(index: u8, mesh: bool) -> Self {
        let (room, sessions) = Self::open(index, mesh, 0);
        Self { index, mesh, generation: 0, room, sessions, lost: vec![None; SLOTS], summary: Summary::default() }
    }

    fn open(index: u8, mesh: bool, generation: u8) -> (TestRoom, Vec<SessionId>) {
        let mut config = config(if index == 0 { "den" } else { "attic" }, index.wrapping_mul(128).wrapping_add(generation));
        if mesh {
            (config.channel.topology, config.media) = (Topology::Mesh, MediaConfig::Mesh);
        }
        config.channel.max_participants = Some(PARTICIPANTS);
        config.policy.spectators = PARTICIPANTS;
        (config.policy.videos_free, config.policy.videos_pro) = VIDEOS;
        config.channel.access = Access::Members;
        config.channel.spectators = true;
        config.channel.owner = Some(user_id(OWNER));
        let mut room = TestRoom::new(config);
        for user in (0..SLOTS).map(user).filter(|user| user != SPECTATOR) {
            room.facts(&user).member = Some(if user == MODERATOR { MemberRole::Moderator } else { MemberRole::Member });
        }
        let sessions = (0..SLOTS).map(|_| room.connect()).collect();
        (room, sessions)
    }

    fn check(&mut self) {
        self.room.check();
        let problems = &self.room.problems;
        assert!(problems.is_empty(), "{problems:#?}");
        let inside = self.room.room.participants();
        for role in [Role::Speaker, Role::Spectator] {
            let count = inside.iter().filter(|shown| shown.role == role).count();
            assert!(count <= PARTICIPANTS as usize, "{count} of {role:?}");
        }
        self.count_replies();
        if self.room.closed {
            assert_eq!(self.room.unanswered(), 0, "a closed room owes an answer");
            self.generation = self.generation.wrapping_add(1);
            (self.room, self.sessions) = Self::open(self.index, self.mesh, self.generation);
            self.lost = vec![None; SLOTS];
        }
    }

    fn count_replies(&mut self) {
        for output in self.room.said.drain(..) {
            let result = match output {
                Output::Reply { result, .. } => result,
                Output::Event { event: Event::SlotGranted { .. }, .. } => {
                    self.summary.promoted += 1;
                    continue;
                }
                _ => continue,
            };
            match result {
                Ok(reply) => {
                    self.summary.granted += 1;
                    self.summary.resumed += usize::from(matches!(reply, Reply::Resumed(_)));
                    self.summary.moderated += usize::from(matches!(reply, Reply::Moderated { .. }));
                    self.summary.relayed += usize::from(matches!(reply, Reply::MeshRelayed { .. }));
                    self.summary.produced += usize::from(matches!(reply, Reply::Produced { .. }));
                    self.summary.consumed += usize::from(matches!(reply, Reply::Consumed { .. }));
                }
                Err(_) => self.summary.refused += 1,
            }
        }
    }

    /// Every deadline passes, then everybody goes: nothing may be left.
    fn empty(&mut self) {
        self.room.advance(Duration::from_secs(60));
        self.check();
        assert_eq!(self.room.unanswered(), 0, "a request was never answered");
        self.room.disconnect_all();
        assert_eq!(self.room.room.poll_timeout(), None, "an empty room waits for something");
        self.check();
    }
}

impl World<'_> {
    fn byte(&mut self) -> Option<u8> {
        self.bytes.next()
    }

    /// Carries out one operation; `None` when the bytes are used up.
    fn step(&mut self) -> Option<()> {
        let (operation, who) = (self.byte()?, self.byte()?);
        let (slot, room) = (usize::from(who >> 1) % SLOTS, usize::from(who & 1));
        // The end of a whole room is rare, or nothing long would ever be tried.
        let rarely = who % 16 < 2;
        match operation {
            253 if rarely => self.seat(room)?.room.media_dies(),
            254 if rarely => self.seat(room)?.room.shut_down(),
            255 if rarely => self.seat(room)?.room.advance(Duration::from_secs(11)),
            _ => match operation % 32 {
                0 | 1 => self.join(room, slot)?,
                2 => self.media_mood(room)?,
                3 => self.spurious(room)?,
                4 => {
                    let millis = 40 * u64::from(self.byte()?);
                    self.seat(room)?.room.advance(Duration::from_millis(millis));
                }
                5 if operation > 128 => {
                    let session = self.session(room, slot)?;
                    self.seat(room)?.room.disconnect(session);
                }
                step @ 20..28 => self.act(room, slot, step)?,
                28.. if self.mesh => self.tell(room, slot)?,
                // Most who ask for something while outside come in instead: refusals alone reach nothing.
                step if who < 200 && !self.is_inside(room, slot) && step != 5 => self.join(room, slot)?,
                step => {
                    let body = self.request(room, slot, step)?;
                    let session = self.session(room, slot)?;
                    self.seat(room)?.room.send(session, body);
                }
            },
        }
        self.learn();
        Some(())
    }

    fn seat(&mut self, room: usize) -> Option<&mut Seat> {
        self.rooms.get_mut(room)
    }

    fn session(&self, room: usize, slot: usize) -> Option<SessionId> {
        self.rooms.get(room)?.sessions.get(slot).copied()
    }

    fn is_inside(&self, room: usize, slot: usize) -> bool {
        let session = self.session(room, slot);
        session.is_some_and(|session| self.rooms.get(room).is_some_and(|seat| seat.room.is_inside(session)))
    }

    /// Has no transport of this direction to work with.
    fn lacks(&self, room: usize, slot: usize, direction: Direction) -> bool {
        let Some(session) = self.session(room, slot) else { return false };
        let model = self.rooms.get(room).map(|seat| seat.room.model(session)).unwrap_or_default();
        if direction == Direction::Send { model.send.is_none() } else { model.recv.is_none() }
    }

    fn join(&mut self, room: usize, slot: usize) -> Option<()> {
        let flags = self.byte()?;
        let session = self.session(room, slot)?;
        // Half of those who lost their connection remember it.
        if flags & 8 == 0 && self.seat(room)?.lost.get(slot).is_some_and(Option::is_some) {
            return self.resume(room, slot, flags & 0x7f);
        }
        let wall = self.seat(room)?.room.wall();
        let expires_at = (flags & 4 == 0).then(|| Timestamp(wall.0 + 100 * i64::from(flags)));
        let entitlement = Entitlement { pro: flags & 3 != 0, expires_at };
        let identity = Identity { entitlement, ..Identity::new(user_id(&user(slot)), "Somebody") };
        self.seat(room)?.room.mesh.offers = match flags >> 4 {
            0..6 => Offers::Newcomer,
            6..11 => Offers::Present,
            _ => Offers::SmallerId,
        };
        self.seat(room)?.room.enter(session, identity, Some(Arc::new(rtp::capabilities())));
        Some(())
    }

    fn request(&mut self, room: usize, slot: usize, operation: u8) -> Option<Request> {
        let flag = self.byte()?;
        let on = flag & 1 == 0;
        Some(match operation {
            5 if flag < 128 => Request::GetRouterRtpCapabilities,
            5 => Request::Leave {
                channel: match flag % 4 {
                    0 => Some(channel_id("elsewhere")),
                    _ => None,
                },
            },
            6 | 7 => Request::CreateTransport { direction: direction(on) },
            8 => Request::ConnectTransport { transport: self.transport(room, slot, direction(on))?, dtls: client_dtls() },
            9 if flag > 200 => Request::CloseTransport { transport: self.transport(room, slot, direction(on))? },
            9 if flag > 120 => Request::ReportConnection {
                of: Connection::Transport(self.transport(room, slot, direction(on))?),
                report: Box::new(if flag & 2 == 0 { connected() } else { unanswered() }),
            },
            9 => Request::RestartIce { transport: self.transport(room, slot, direction(on))? },
            10 | 11 | 28 | 29 if self.lacks(room, slot, Direction::Send) => Request::CreateTransport { direction: Direction::Send },
            14 | 30 | 31 if self.lacks(room, slot, Direction::Recv) => Request::CreateTransport { direction: Direction::Recv },
            10..=12 | 28 | 29 => {
                let (kind, source) = track(flag);
                let transport = self.transport(room, slot, Direction::Send)?;
                Request::Produce { transport, kind, source, rtp: Arc::new(rtp::for_source(kind, source)), paused: flag > 200 }
            }
            13 => {
                let producer = self.producer(room, slot)?;
                match flag % 3 {
                    0 => Request::PauseProducer { producer },
                    1 => Request::ResumeProducer { producer },
                    _ => Request::CloseProducer { producer },
                }
            }
            14 | 15 | 30 | 31 => {
                let transport = if on { Some(self.transport(room, slot, Direction::Recv)?) } else { None };
                Request::Consume { producer: self.others_producer(room, slot)?, transport, capabilities: None, paused: flag > 200 }
            }
            16 | 17 => {
                let consumer = self.consumer(room, slot)?;
                match flag % 5 {
                    0 => Request::PauseConsumer { consumer },
                    1 => Request::ResumeConsumer { consumer },
                    2 => Request::CloseConsumer { consumer },
                    3 => Request::RequestKeyFrame { consumer },
                    _ => Request::SetPreferredLayers { consumer, layers: Layers { spatial_layer: flag, temporal_layer: None } },
                }
            }
            _ => {
                let bit = |n: u8| (flag >> n & 1 == 1).then_some(flag >> (n + 3) & 1 == 1);
                Request::UpdateState { muted: bit(0), deafened: bit(1), speaking: bit(2) }
            }
        })
    }

    /// An id of the client's own, or any that was ever made, as the next byte says; `None` if there is none yet.
    fn choose<T: Copy>(&mut self, own: Vec<T>, any: impl Fn(&Ids) -> &Vec<T>) -> Option<T> {
        let byte = usize::from(self.byte()?);
        let pool = if byte % 4 == 0 || own.is_empty() { any(&self.ids) } else { &own };
        pool.get((byte / 4).checked_rem(pool.len()).unwrap_or(0)).copied()
    }

    fn transport(&mut self, room: usize, slot: usize, direction: Direction) -> Option<TransportId> {
        let session = self.session(room, slot)?;
        let model = self.seat(room)?.room.model(session);
        let own = if direction == Direction::Send { model.send } else { model.recv };
        let unknown = TransportId::from_random(0);
        Some(self.choose(own.into_iter().collect(), |ids| &ids.transports).unwrap_or(unknown))
    }

    fn producer(&mut self, room: usize, slot: usize) -> Option<ProducerId> {
        let session = self.session(room, slot)?;
        let own = self.seat(room)?.room.model(session).producers.into_iter().collect();
        Some(self.choose(own, |ids| &ids.producers).unwrap_or(ProducerId::from_random(0)))
    }

    fn others_producer(&mut self, room: usize, slot: usize) -> Option<ProducerId> {
        let session = self.session(room, slot)?;
        let others = self.seat(room)?.room.model(session).others;
        let known = others.values().flat_map(|o| o.producers.keys().copied()).collect();
        Some(self.choose(known, |ids| &ids.producers).unwrap_or(ProducerId::from_random(0)))
    }

    fn consumer(&mut self, room: usize, slot: usize) -> Option<ConsumerId> {
        let session = self.session(room, slot)?;
        let own = self.seat(room)?.room.model(session).consumers.into_keys().collect();
        Some(self.choose(own, |ids| &ids.consumers).unwrap_or(ConsumerId::from_random(0)))
    }

    /// From now on the media plane is quick, slow, unwilling or silent.
    fn media_mood(&mut self, room: usize) -> Option<()> {
        let byte = self.byte()?;
        let operation = *Operation::ALL.get(usize::from(byte) % Operation::ALL.len())?;
        let answer = match byte >> 4 {
            0..=10 => Answer::Now,
            11 => Answer::After(Duration::from_millis(700 * u64::from(byte & 15))),
            12 | 13 => Answer::Fail(ErrorCode::Incompatible),
            _ => Answer::Never,
        };
        self.seat(room)?.room.media.answer(operation, answer);
        Some(())
    }

    /// Something the media plane says unasked, or too late.
    fn spurious(&mut self, room: usize) -> Option<()> {
        let kind = self.byte()?;
        let transport = self.choose(Vec::new(), |ids| &ids.transports);
        let producer = self.choose(Vec::new(), |ids| &ids.producers);
        let consumer = self.choose(Vec::new(), |ids| &ids.consumers);
        let states = [TransportState::Connecting, TransportState::Connected, TransportState::Disconnected, TransportState::Failed];
        let seat = self.seat(room)?;
        let event = match (kind % 5, transport, producer, consumer) {
            (0 | 1, Some(transport), _, _) => {
                let state = *states.get(usize::from(kind / 5) % states.len())?;
                let reason = (state == TransportState::Failed).then_some(TransportFailure::Silent);
                MediaEvent::TransportState { transport, state, protocol: None, reason }
            }
            (2, _, Some(producer), _) => MediaEvent::Speakers { levels: vec![(producer, -30)] },
            (3, _, _, Some(consumer)) => MediaEvent::LayersChanged { consumer, layers: None },
            // An answer for a second time, or after its producer was closed.
            (_, _, Some(producer), _) => MediaEvent::Produced { producer },
            _ => return Some(()),
        };
        seat.room.report(event);
        Some(())
    }

    fn learn(&mut self) {
        for seat in &mut self.rooms {
            for command in seat.room.media.commands.drain(..) {
                match command {
                    MediaCommand::CreateTransport { transport, .. } => self.ids.transports.push(transport),
                    MediaCommand::Produce { producer, .. } => self.ids.producers.push(producer),
                    MediaCommand::Consume { consumer, .. } => self.ids.consumers.push(consumer),
                    _ => {}
                }
            }
        }
    }
}

fn user(slot: usize) -> String {
    format!("user{}", slot % (SLOTS - 1))
}

const fn direction(send: bool) -> Direction {
    if send { Direction::Send } else { Direction::Recv }
}

const fn track(flag: u8) -> (MediaKind, Source) {
    match flag % 7 {
        0 | 1 => (MediaKind::Audio, Source::Mic),
        2 | 3 => (MediaKind::Video, Source::Camera),
        4 => (MediaKind::Video, Source::Screen),
        5 => (MediaKind::Audio, Source::Screen),
        _ => (MediaKind::Video, Source::Mic),
    }
}
