//! The rules of the mirror in virtual time, and what they come to after any sequence of changes and outages.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parlor_proto::{ChannelId, UserId};
use proptest::prelude::*;

use crate::mirror::people::People;
use crate::mirror::plan::{MAX_UNDER_WAY, Plan, ROUND, Write};
use crate::rooms::{CallParticipant, CallStage, CallState};

const LIFETIME: Duration = Duration::from_secs(3_600);

fn channel(n: usize) -> ChannelId {
    ChannelId::new(&format!("room-{n}")).expect("an id")
}

/// People number 0 are nobody; others differ in users and states.
fn people(n: usize) -> People {
    let one = |user: usize| CallParticipant {
        user: UserId::new(&format!("user-{user}")).expect("an id"),
        name: format!("User {user}"),
        state: if user.is_multiple_of(2) { CallStage::Active } else { CallStage::Connecting },
    };
    People::of(&CallState { room_state: CallStage::Active, participants: (n..2 * n).map(one).collect() })
}

/// A Redis with the keys of calls only.
#[derive(Clone, Debug, Default)]
struct Keys(HashMap<ChannelId, Key>);

#[derive(Clone, PartialEq, Debug)]
struct Key {
    people: People,
    until: Instant,
    ours: bool,
}

impl Keys {
    fn apply(&mut self, write: Write, now: Instant) {
        match write {
            Write::Put(channel, people) => drop(self.0.insert(channel, Key { people, until: now + LIFETIME, ours: true })),
            Write::Remove(channel) if self.0.get(&channel).is_some_and(|key| key.ours) => drop(self.0.remove(&channel)),
            Write::Remove(_) | Write::Ping => {}
        }
    }

    fn expire(&mut self, now: Instant) {
        self.0.retain(|_, key| key.until > now);
    }
}

/// A plan and its Redis.
struct World {
    plan: Plan,
    redis: Keys,
    now: Instant,
    connected: bool,
    under_way: Vec<Write>,
}

impl World {
    fn new() -> Self {
        Self { plan: Plan::new(LIFETIME), redis: Keys::default(), now: Instant::now(), connected: false, under_way: Vec::new() }
    }

    fn set(&mut self, call: usize, who: usize) {
        self.plan.handle_people(channel(call), people(who));
    }

    fn connect(&mut self) {
        if !self.connected {
            self.connected = true;
            self.plan.handle_connected(self.now);
        }
    }

    /// Connects, and what was sent on earlier connections takes effect at last, while the new one is young.
    fn connect_with(&mut self, late: &mut Vec<Write>) {
        if self.connected {
            return;
        }
        self.connect();
        self.settle();
        for write in late.drain(..) {
            self.redis.apply(write, self.now);
        }
    }

    /// The connection breaks. What was under way is returned.
    fn lose(&mut self) -> Vec<Write> {
        self.connected = false;
        self.plan.handle_lost();
        std::mem::take(&mut self.under_way)
    }

    fn send(&mut self) {
        if self.under_way.is_empty() {
            self.under_way = self.plan.poll_writes();
        }
        assert!(self.under_way.len() <= MAX_UNDER_WAY);
    }

    fn answer(&mut self) {
        for write in self.under_way.drain(..) {
            self.redis.apply(write, self.now);
        }
        self.plan.handle_done(self.now);
    }

    fn advance(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.plan.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.redis.expire(at);
            self.plan.handle_timeout(at);
            if !self.under_way.is_empty() {
                break;
            }
            self.settle();
        }
        self.now = until;
        self.redis.expire(until);
    }

    /// Sends and answers until nothing is due.
    fn settle(&mut self) {
        self.answer();
        loop {
            self.send();
            if self.under_way.is_empty() {
                return;
            }
            self.answer();
        }
    }

    fn shown(&self, call: usize) -> People {
        self.redis.0.get(&channel(call)).map(|key| key.people.clone()).unwrap_or_default()
    }
}

#[test]
fn a_change_is_written_at_once_and_the_last_leave_removes_the_key() {
    let mut world = World::new();
    world.connect();
    world.settle();
    world.set(0, 1);
    assert_eq!(world.plan.poll_writes(), [Write::Put(channel(0), people(1))]);
    world.set(0, 2);
    world.set(0, 3);
    assert_eq!(world.plan.poll_writes(), [], "one after the other");
    world.plan.handle_done(world.now);
    assert_eq!(world.plan.poll_writes(), [Write::Put(channel(0), people(3))], "what passed meanwhile is not written");
    world.plan.handle_done(world.now);
    world.set(0, 3);
    assert_eq!(world.plan.poll_writes(), [], "nothing has changed");
    world.set(0, 0);
    assert_eq!(world.plan.poll_writes(), [Write::Remove(channel(0))]);
}

#[test]
fn a_call_that_lives_keeps_its_key_and_one_that_is_over_is_forgotten() {
    let mut world = World::new();
    world.connect();
    world.set(0, 2);
    world.set(1, 2);
    world.settle();
    world.set(1, 0);
    world.settle();
    for _ in 0..8 {
        world.advance(LIFETIME / 3);
        assert_eq!(world.shown(0), people(2));
        assert!(world.redis.0[&channel(0)].until > world.now + LIFETIME - 2 * ROUND, "it is refreshed long before it ends");
    }
    assert_eq!(world.plan.len(), 1, "the other one cannot be in Redis any more");
}

#[test]
fn a_wiped_redis_is_right_again_after_a_round() {
    let mut world = World::new();
    world.connect();
    world.set(0, 2);
    world.settle();
    world.redis.0.clear();
    world.advance(ROUND);
    assert_eq!(world.shown(0), people(2));
}

#[test]
fn a_redis_that_is_back_has_the_truth_and_nothing_else_of_ours() {
    let mut world = World::new();
    world.connect();
    world.set(0, 2);
    world.set(1, 2);
    world.settle();
    let saved = world.redis.clone();
    world.lose();
    world.set(0, 0);
    world.set(1, 3);
    world.set(2, 1);
    for call in 10..1_000 {
        world.set(call, 1);
        world.set(call, 0);
    }
    assert_eq!(world.plan.len(), 3, "a call that came and went meanwhile is nothing to remember");
    world.redis = saved;
    let foreign = Key { people: people(4), until: world.now + LIFETIME, ours: false };
    world.redis.0.insert(channel(9), foreign.clone());
    world.connect();
    world.settle();
    assert_eq!((world.shown(0), world.shown(1), world.shown(2)), (People::default(), people(3), people(1)));
    assert_eq!(world.redis.0[&channel(9)], foreign);
}

#[test]
fn a_redis_without_calls_is_asked_whether_it_answers() {
    let mut world = World::new();
    world.connect();
    assert_eq!(world.plan.poll_writes(), [Write::Ping]);
    assert_eq!(world.plan.poll_writes(), [], "it has not answered");
    world.plan.handle_done(world.now);
    assert!(world.plan.is_settled() && world.plan.poll_writes().is_empty());
}

#[test]
fn a_server_that_stops_removes_its_calls_and_writes_no_more() {
    let mut world = World::new();
    world.connect();
    for call in 0..3 * MAX_UNDER_WAY {
        world.set(call, 2);
    }
    world.settle();
    world.set(0, 3);
    world.send();
    world.set(999, 2);
    world.plan.handle_stop();
    world.set(1, 5);
    assert!(!world.plan.is_settled());
    world.settle();
    assert!(world.plan.is_settled() && world.redis.0.is_empty(), "{:?}", world.redis.0);
}

#[test]
fn calls_that_are_over_are_remembered_up_to_a_number() {
    let mut world = World::new();
    world.connect();
    for batch in 0..12 {
        for call in batch * 1_000..(batch + 1) * 1_000 {
            world.set(call, 1);
        }
        world.settle();
        for call in batch * 1_000..(batch + 1) * 1_000 {
            world.set(call, 0);
        }
        world.settle();
        world.advance(Duration::from_secs(1));
    }
    world.advance(ROUND);
    assert!(world.plan.len() <= 10_000, "{}", world.plan.len());
}

/// What may happen.
#[derive(Clone, Debug)]
enum Step {
    People {
        call: usize,
        who: usize,
    },
    Connect,
    /// The connection breaks, and what was under way took effect, or never does, or does later.
    Lose(Fate),
    Send,
    Answer,
    Wipe,
    Save,
    /// Redis starts again with what it saved last.
    Restart,
    /// Another process has a call that is not ours now.
    Foreign {
        call: usize,
    },
    Advance(u64),
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Done,
    Never,
    Later,
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![Just(Fate::Done), Just(Fate::Never), Just(Fate::Later)];
    prop_oneof![
        8 => (0..4_usize, 0..4_usize).prop_map(|(call, who)| Step::People { call, who }),
        2 => Just(Step::Connect),
        2 => fate.prop_map(Step::Lose),
        6 => Just(Step::Send),
        5 => Just(Step::Answer),
        1 => Just(Step::Wipe),
        1 => Just(Step::Save),
        1 => Just(Step::Restart),
        1 => (0..4_usize).prop_map(|call| Step::Foreign { call }),
        3 => (0..2_000_u64).prop_map(Step::Advance),
    ]
}

proptest! {
    #[test]
    fn after_any_changes_and_outages_redis_has_the_truth(steps in prop::collection::vec(step(), 1..80)) {
        let (mut world, mut saved, mut late) = (World::new(), Keys::default(), Vec::new());
        let mut truth = [0; 4];
        for step in steps {
            match step {
                Step::People { call, who } => {
                    world.set(call, who);
                    truth[call] = who;
                }
                Step::Connect => world.connect_with(&mut late),
                Step::Lose(fate) => {
                    let under_way = world.lose();
                    match fate {
                        Fate::Done => under_way.into_iter().for_each(|write| world.redis.apply(write, world.now)),
                        Fate::Never => {}
                        Fate::Later => late.extend(under_way),
                    }
                }
                Step::Send => world.send(),
                Step::Answer => world.answer(),
                Step::Wipe => world.redis.0.clear(),
                Step::Save => saved = world.redis.clone(),
                Step::Restart => {
                    world.lose();
                    world.redis = saved.clone();
                }
                Step::Foreign { call } if truth[call] == 0 => {
                    let key = Key { people: people(5), until: world.now + LIFETIME, ours: false };
                    world.redis.0.insert(channel(call), key);
                }
                Step::Foreign { .. } => {}
                Step::Advance(seconds) => world.advance(Duration::from_secs(seconds)),
            }
        }
        world.connect_with(&mut late);
        world.settle();
        world.advance(2 * ROUND);
        world.settle();
        for (call, who) in truth.into_iter().enumerate() {
            let key = world.redis.0.get(&channel(call));
            match who {
                0 => prop_assert!(key.is_none_or(|key| !key.ours), "{call}: {key:?}"),
                who => {
                    prop_assert_eq!(world.shown(call), people(who));
                    prop_assert!(key.is_some_and(|key| key.until > world.now + LIFETIME - 2 * ROUND));
                }
            }
        }
        world.advance(LIFETIME + 2 * ROUND);
        prop_assert_eq!(world.plan.len(), truth.iter().filter(|who| **who > 0).count(), "nothing is remembered for ever");
    }
}
