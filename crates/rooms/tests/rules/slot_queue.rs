//! The video slot queue on its own: whatever happens in whatever order, it is fair and loses nothing.

use std::collections::BTreeMap;

use parlor_proto::media::Source;
use parlor_proto::{SessionId, Tier};
use parlor_rooms::slots::{News, Place, Slot, SlotQueue};
use proptest::prelude::*;
use proptest::sample::select;

#[derive(Clone, Copy, Debug)]
enum Act {
    /// A slot is asked for.
    Request(Slot),
    /// A video begins without asking before.
    Take(Slot),
    /// A video ends, or its owner wants no slot any more.
    Release(Slot),
    /// A video could not be made.
    Failed(Slot),
    /// Somebody leaves, is gone, or their tier does not include video any more.
    Leave(SessionId),
    /// A connection is lost, and perhaps comes back as another.
    Drop(SessionId, Option<SessionId>),
    /// The channel is upgraded or downgraded.
    Tier(Tier),
}

const SLOTS: [(Tier, u32); 2] = [(Tier::Free, 2), (Tier::Pro, 3)];

fn session() -> impl Strategy<Value = SessionId> {
    (1_u128..7).prop_map(SessionId::from_random)
}

fn slot() -> impl Strategy<Value = Slot> {
    (session(), select(vec![Source::Camera, Source::Screen])).prop_map(|(session, source)| Slot { session, source })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => slot().prop_map(Act::Request),
        4 => slot().prop_map(Act::Take),
        4 => slot().prop_map(Act::Release),
        1 => slot().prop_map(Act::Failed),
        2 => session().prop_map(Act::Leave),
        2 => (session(), proptest::option::of(session())).prop_map(|(lost, back)| Act::Drop(lost, back)),
        1 => select(vec![Tier::Free, Tier::Pro]).prop_map(Act::Tier),
    ]
}

/// The queue, and what everybody was told about it.
struct Watched {
    queue: SlotQueue,
    /// Those who wait, in order.
    waiting: Vec<Slot>,
    held: Vec<Slot>,
    told: BTreeMap<(SessionId, Source), u32>,
}

impl Watched {
    fn new() -> Self {
        Self { queue: SlotQueue::new(SLOTS[0].1), waiting: Vec::new(), held: Vec::new(), told: BTreeMap::new() }
    }

    fn play(&mut self, act: Act) {
        match act {
            Act::Request(slot) => match self.queue.request(slot) {
                Place::Granted => self.hold(slot),
                Place::Queued(position) => {
                    if !self.waiting.contains(&slot) {
                        self.waiting.push(slot);
                    }
                    self.told.insert((slot.session, slot.source), position);
                }
            },
            Act::Take(slot) => {
                let free = self.waiting.is_empty() && self.queue.slots().current < self.queue.slots().max;
                let expected = self.held.contains(&slot) || free;
                assert_eq!(self.queue.take(slot), expected, "a slot is taken when it is free and nobody waits, or one's own");
                if expected {
                    self.hold(slot);
                }
            }
            Act::Release(slot) => {
                self.queue.release(slot);
                self.drop_where(|s| s == slot);
            }
            Act::Failed(slot) => {
                self.queue.failed(slot);
                if !self.queue.holds(slot) {
                    self.held.retain(|s| *s != slot);
                }
            }
            Act::Leave(session) => {
                self.queue.leave(session);
                self.drop_where(|s| s.session == session);
            }
            Act::Drop(session, back) => {
                self.queue.leave_queue(session);
                self.waiting.retain(|s| s.session != session);
                // An id is never used by two at a time.
                let in_use = |id: SessionId| self.held.iter().chain(&self.waiting).any(|s| s.session == id);
                if let Some(back) = back.filter(|back| !in_use(*back)) {
                    self.queue.rename(session, back);
                    self.held.iter_mut().filter(|s| s.session == session).for_each(|s| s.session = back);
                }
            }
            Act::Tier(tier) => {
                let max = SLOTS.iter().find(|(t, _)| *t == tier).expect("there are two").1;
                let gone = self.queue.set_max(max);
                let newest: Vec<Slot> = self.held.iter().rev().take(gone.len()).copied().collect();
                assert_eq!(gone, newest, "the newest go first");
                self.held.truncate(self.held.len() - gone.len());
            }
        }
        self.hear_news();
        self.check();
    }

    fn hold(&mut self, slot: Slot) {
        if !self.held.contains(&slot) {
            self.held.push(slot);
        }
    }

    fn drop_where(&mut self, gone: impl Fn(Slot) -> bool) {
        self.held.retain(|s| !gone(*s));
        self.waiting.retain(|s| !gone(*s));
    }

    fn hear_news(&mut self) {
        for news in self.queue.take_news() {
            match news {
                News::Granted(slot) => {
                    assert_eq!(self.waiting.first(), Some(&slot), "somebody was overtaken");
                    self.waiting.remove(0);
                    self.hold(slot);
                }
                News::Moved(slot, position) => {
                    let before = self.told.insert((slot.session, slot.source), position);
                    assert!(before.is_none_or(|before| position < before), "a place got worse");
                }
            }
        }
    }

    fn check(&self) {
        let slots = self.queue.slots();
        assert!(slots.current <= slots.max, "{slots:?}");
        assert_eq!(usize::try_from(slots.current), Ok(self.held.len()), "a slot was lost, or came from nowhere");
        assert!(self.held.iter().all(|s| self.queue.holds(*s)), "somebody lost their slot");
        assert!(self.waiting.is_empty() || slots.current == slots.max, "somebody waits beside a free slot");
        assert_eq!(self.queue.len(), self.held.len() + self.waiting.len());
        for (position, slot) in (1..).zip(&self.waiting) {
            assert_eq!(self.queue.position(*slot), Some(position), "the order changed");
            assert_eq!(self.told.get(&(slot.session, slot.source)), Some(&position), "somebody was not told their place");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_more_than_there_are_nobody_overtaken_no_slot_lost(acts in prop::collection::vec(act(), 0..120)) {
        let mut watched = Watched::new();
        for act in acts {
            watched.play(act);
        }
    }
}

#[test]
fn a_slot_taken_away_unused_puts_its_holder_first_in_the_queue() {
    let slot = |n: u128| Slot { session: SessionId::from_random(n), source: Source::Camera };
    let mut queue = SlotQueue::new(2);
    for n in 1..=3 {
        queue.request(slot(n));
    }
    for gone in queue.set_max(1) {
        queue.requeue(gone);
    }
    assert_eq!([queue.position(slot(1)), queue.position(slot(2)), queue.position(slot(3))], [None, Some(1), Some(2)]);
    assert_eq!(queue.take_news(), [News::Moved(slot(2), 1), News::Moved(slot(3), 2)]);
}
