//! Arbitrary sequences of what can happen to a room: requests in any order, late and wrong answers of the media plane,
//! lost connections, time that passes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_proto::event::{LeftReason, Reply, RtcConfig};
use parlor_proto::ids::{ChannelId, RouterId, SessionId, TransportId, UserId};
use parlor_proto::transport::{Direction, DtlsFingerprint, DtlsParameters, DtlsRole};
use parlor_proto::{Channel, Error, ErrorCode, Identity, MediaEvent, Request, Tier};
use parlor_rooms::{Join, Output, Policy, RequestId, Room, RoomConfig};
use parlor_sfu::ortc;

use crate::bytes::Bytes;
use crate::plane::Plane;
use crate::requests::{self, Pool};

/// Longer sequences find nothing that short ones do not, and cost the fuzzer executions.
const MAX_STEPS: usize = 256;
/// Two for each of three users, so that second joins of a user happen.
const SESSIONS: u128 = 6;
/// Fewer than there are users with sessions, so that full rooms happen.
const MAX_PARTICIPANTS: u32 = 2;
/// Longer than every deadline of the policy.
const AGES: Duration = Duration::from_secs(120);

/// Runs the sequence that `data` spells.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut world = World::new();
    for _ in 0..MAX_STEPS {
        if bytes.is_empty() {
            break;
        }
        world.step(&mut bytes);
        world.renew_if_empty();
    }
    world.finish();
}

struct World {
    now: Instant,
    room: Room,
    rooms_made: u128,
    plane: Plane,
    pool: Pool,
    /// Requests without an answer so far.
    owed: BTreeSet<(SessionId, RequestId)>,
    asked: BTreeMap<(SessionId, RequestId), Request>,
    /// Sessions that were told they are in.
    present: BTreeSet<SessionId>,
    next_request: u64,
    closed: bool,
}

impl World {
    fn new() -> Self {
        let now = origin();
        let mut world = Self {
            now,
            room: room(1, now),
            rooms_made: 1,
            plane: Plane::default(),
            pool: Pool::default(),
            owed: BTreeSet::new(),
            asked: BTreeMap::new(),
            present: BTreeSet::new(),
            next_request: 0,
            closed: false,
        };
        world.drain();
        world
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(16) {
            0..=2 => self.join(bytes),
            3..=8 => self.request(bytes),
            9..=11 => {
                if let Some(event) = self.plane.answer(bytes) {
                    self.room.handle_media(event, self.now);
                }
            }
            12 => {
                let event = self.plane.unasked(bytes);
                self.room.handle_media(event, self.now);
            }
            13 => self.pass(Duration::from_millis(u64::from(bytes.byte()) * 100)),
            14 => {
                let session = session(bytes);
                self.room.handle_disconnect(session, self.now);
                self.forget(session);
            }
            _ => self.rare(bytes),
        }
        self.drain();
    }

    fn rare(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(8) {
            0 => self.room.shut_down(LeftReason::ShuttingDown, self.now),
            1 => {
                self.plane.lose_router();
                self.room.handle_media(MediaEvent::RouterLost { router: RouterId::from_random(self.rooms_made) }, self.now);
            }
            2 => self.room.handle_media(MediaEvent::RouterLost { router: RouterId::from_random(0) }, self.now),
            _ => self.room.handle_timeout(self.now),
        }
    }

    fn join(&mut self, bytes: &mut Bytes<'_>) {
        let session = session(bytes);
        // The shell binds a session to one room: it does not ask for a second join without a leave.
        if self.present.contains(&session) && bytes.byte() > 16 {
            return;
        }
        let request = self.number(session);
        let capabilities = bytes.flag().then(|| Arc::new(ortc::router_capabilities()));
        let identity = identity(session);
        let banned = bytes.byte() == 255;
        self.room.handle_join(Join { session, request, identity, banned, rtc_config: RtcConfig::default(), capabilities }, self.now);
    }

    fn request(&mut self, bytes: &mut Bytes<'_>) {
        let session = session(bytes);
        let request = self.number(session);
        let body = requests::choose(bytes, &self.pool);
        self.asked.insert((session, request), body.clone());
        self.plane.acting = Some(session);
        self.room.handle_request(session, request, body, self.now);
    }

    fn number(&mut self, session: SessionId) -> RequestId {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        self.owed.insert((session, request));
        request
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        // As the shell does: wake the room at its own times on the way.
        while let Some(at) = self.room.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.room.handle_timeout(self.now);
            self.drain();
            let next = self.room.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "the room wants to be woken at a time that was just handled");
        }
        self.now = end;
    }

    fn drain(&mut self) {
        while let Some(output) = self.room.poll_output() {
            assert!(!self.closed, "an output after the room was closed: {output:?}");
            match output {
                Output::Reply { session, request, result } => self.replied(session, request, result),
                Output::Event { to, event } => {
                    assert!(!to.is_empty(), "an event for nobody: {event:?}");
                    let outside = to.iter().find(|session| !self.present.contains(session));
                    assert!(outside.is_none(), "{event:?} for {outside:?}, who is not in the room");
                    self.pool.learn_event(&event);
                }
                Output::Media(command) => self.plane.command(command),
                Output::Left { session } => {
                    self.present.remove(&session);
                }
                Output::Closed => self.closed = true,
            }
        }
        self.plane.acting = None;
        let gone = self.plane.owners().find(|owner| !self.present.contains(owner));
        assert!(gone.is_none(), "{gone:?} is not in the room, and its transports stay");
    }

    fn replied(&mut self, session: SessionId, request: RequestId, result: Result<Reply, Error>) {
        assert!(self.owed.remove(&(session, request)), "{session:?} is answered twice, or without a question: {result:?}");
        let asked = self.asked.remove(&(session, request));
        let Ok(reply) = result else { return };
        if let Some(asked) = asked {
            assert!(self.present.contains(&session), "{session:?} is not in the room, but {asked:?} succeeded");
            if let Some(owner) = self.pool.owner_of_target(&asked) {
                assert_eq!(owner, session, "somebody else's object obeyed {asked:?}");
            }
        }
        if let Reply::Joined(joined) = &reply {
            self.present.insert(session);
            assert!(self.present.len() <= MAX_PARTICIPANTS as usize, "more participants than the channel may have");
            assert_eq!(joined.user_id, identity(session).user, "joined as somebody else");
        }
        self.pool.learn_reply(session, &reply);
    }

    fn forget(&mut self, session: SessionId) {
        self.drain();
        assert!(!self.present.contains(&session), "{session:?} is gone, and still in the room");
        self.owed.retain(|(owner, _)| *owner != session);
    }

    /// The shell drops an empty room and makes a new one for the next join.
    fn renew_if_empty(&mut self) {
        if !self.closed && !self.room.is_empty() {
            return;
        }
        assert!(self.present.is_empty(), "the room says it is empty, or is closed, with {:?} in it", self.present);
        assert!(self.owed.is_empty(), "nobody is left to answer {:?}", self.owed);
        assert!(self.plane.is_clear(), "an empty room keeps objects of the media plane");
        self.rooms_made += 1;
        self.room = room(self.rooms_made, self.now);
        self.plane = Plane::default();
        self.closed = false;
        self.drain();
    }

    fn finish(mut self) {
        self.pass(AGES);
        self.drain();
        assert!(self.owed.is_empty(), "no answer after every deadline: {:?}", self.owed);
        for n in 1..=SESSIONS {
            let session = SessionId::from_random(n);
            self.room.handle_disconnect(session, self.now);
            self.forget(session);
        }
        self.drain();
        assert!(self.closed || self.room.is_empty(), "everybody is gone, and the room is not empty");
        assert!(self.plane.is_clear(), "everybody is gone, and objects of the media plane stay");
    }
}

/// Any instant will do: the room only compares them.
#[allow(clippy::disallowed_methods, reason = "an origin is needed, and nothing depends on which")]
pub(crate) fn origin() -> Instant {
    Instant::now()
}

fn session(bytes: &mut Bytes<'_>) -> SessionId {
    SessionId::from_random(1 + u128::from(bytes.byte()) % SESSIONS)
}

fn identity(session: SessionId) -> Identity {
    let n = (1..=SESSIONS).find(|n| SessionId::from_random(*n) == session).unwrap_or(1);
    let user = UserId::new(&format!("user-{}", n % 3)).expect("a valid id");
    Identity { user, name: "Somebody".to_owned(), tier: if n % 3 == 0 { Tier::Free } else { Tier::Pro } }
}

fn room(n: u128, now: Instant) -> Room {
    let channel = Channel {
        id: ChannelId::new("fuzz").expect("a valid id"),
        name: "Fuzz".to_owned(),
        tier: Tier::Free,
        max_participants: Some(MAX_PARTICIPANTS),
    };
    let config = RoomConfig {
        channel,
        router: RouterId::from_random(n),
        capabilities: Arc::new(ortc::router_capabilities()),
        policy: Policy::default(),
        sfu_endpoint: "local".to_owned(),
        seed: [u8::try_from(n % 256).unwrap_or(0); 32],
    };
    Room::new(config, now)
}

/// What a client says of its DTLS end; the fake plane does not look at it.
pub(crate) fn dtls() -> DtlsParameters {
    let fingerprint = DtlsFingerprint { algorithm: "sha-256".to_owned(), value: ["AB"; 32].join(":") };
    DtlsParameters { role: DtlsRole::Client, fingerprints: vec![fingerprint] }
}

/// The error a media plane that fails would give.
pub(crate) fn failure() -> Error {
    Error::new(ErrorCode::TransportFailed)
}

/// An id that belongs to nobody.
pub(crate) fn stranger() -> TransportId {
    TransportId::from_random(u128::MAX)
}

/// One of the two directions.
pub(crate) fn direction(bytes: &mut Bytes<'_>) -> Direction {
    if bytes.flag() { Direction::Send } else { Direction::Recv }
}
