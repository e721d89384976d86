//! The video slots of a room, and the queue for them: first come, first served.
//!
//! A slot is held by a session for one source. Somebody waits only while every slot is held, so whoever
//! finds a free one overtakes nobody.

use std::collections::VecDeque;

use parlor_proto::event::VideoSlots;
use parlor_proto::{SessionId, Source};

/// What somebody holds, or waits for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Slot {
    /// The session that holds the slot or waits for it.
    pub session: SessionId,
    /// The source it is for: the session's camera or its screen.
    pub source: Source,
}

/// What somebody who asks for a slot gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The slot.
    Granted,
    /// A place in the queue for one, counted from 1.
    Queued(u32),
}

/// Something those who waited want to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// The wait is over.
    Granted(Slot),
    /// The place in the queue is now this one, counted from 1.
    Moved(Slot, u32),
}

/// Slots, and who waits for them.
#[derive(Clone, Debug)]
pub struct SlotQueue {
    max: u32,
    /// Slots that are taken, the oldest first.
    held: Vec<Held>,
    waiting: VecDeque<Waiting>,
    granted: Vec<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    slot: Slot,
    /// Whether it was asked for with a request: then it is not lost because one attempt to use it fails.
    asked: bool,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    slot: Slot,
    /// The place they know of.
    told: u32,
    /// Whether they held the slot and were not told yet that they have lost it: if they get it back before, nothing has happened to them.
    held_before: bool,
}

impl SlotQueue {
    /// So many slots, all free.
    #[must_use]
    pub const fn new(max: u32) -> Self {
        Self { max, held: Vec::new(), waiting: VecDeque::new(), granted: Vec::new() }
    }

    /// Takes a slot in order to use it now: the one held already, or a free one. False if there is none.
    pub fn take(&mut self, slot: Slot) -> bool {
        if self.holds(slot) {
            return true;
        }
        let free = self.has_free() && self.waiting.is_empty();
        if free {
            self.held.push(Held { slot, asked: false });
        }
        free
    }

    /// Asks for a slot: held at once if one is free, otherwise the last in the queue. Asking again changes nothing.
    pub fn request(&mut self, slot: Slot) -> Place {
        if let Some(held) = self.held.iter_mut().find(|h| h.slot == slot) {
            held.asked = true;
            return Place::Granted;
        }
        if let Some(position) = self.position(slot) {
            return Place::Queued(position);
        }
        if self.has_free() && self.waiting.is_empty() {
            self.held.push(Held { slot, asked: true });
            return Place::Granted;
        }
        let told = count(self.waiting.len()) + 1;
        self.waiting.push_back(Waiting { slot, told, held_before: false });
        Place::Queued(told)
    }

    /// Puts somebody at the end of the queue who lost a slot and did not ask again. What comes of it is news to them.
    pub fn wait_again(&mut self, slot: Slot) {
        if !self.holds(slot) && self.position(slot).is_none() {
            self.waiting.push_back(Waiting { slot, told: 0, held_before: false });
            self.promote();
        }
    }

    /// Gives a slot back, or stops waiting for it. The next in the queue gets what became free.
    pub fn release(&mut self, slot: Slot) {
        self.drop_where(|s| s == slot);
    }

    /// An attempt to use the slot failed: one that was not asked for is free again.
    pub fn failed(&mut self, slot: Slot) {
        if self.held.iter().any(|h| h.slot == slot && !h.asked) {
            self.release(slot);
        }
    }

    /// Somebody is gone, or may not have video any more: nothing is held or waited for.
    pub fn leave(&mut self, session: SessionId) {
        self.drop_where(|s| s.session == session);
    }

    /// Somebody's connection is lost: what is held stays, the places in the queue are given up.
    pub fn leave_queue(&mut self, session: SessionId) {
        self.waiting.retain(|w| w.slot.session != session);
    }

    /// Somebody goes on under another session.
    pub fn rename(&mut self, from: SessionId, to: SessionId) {
        let all = self.held.iter_mut().map(|h| &mut h.slot).chain(self.waiting.iter_mut().map(|w| &mut w.slot));
        for slot in all.chain(self.granted.iter_mut()).filter(|s| s.session == from) {
            slot.session = to;
        }
    }

    /// There are more or fewer slots from now on. Says which are taken away, the newest first.
    pub fn set_max(&mut self, max: u32) -> Vec<Slot> {
        self.max = max;
        let keep = usize::try_from(max).unwrap_or(usize::MAX).min(self.held.len());
        let gone = self.held.split_off(keep).into_iter().rev().map(|h| h.slot).collect();
        self.promote();
        gone
    }

    /// A slot was taken away before it was used: its holder waits again, before everybody else.
    pub fn requeue(&mut self, slot: Slot) {
        self.waiting.push_front(Waiting { slot, told: 0, held_before: true });
        self.promote();
    }

    /// Whether a slot is held.
    #[must_use]
    pub fn holds(&self, slot: Slot) -> bool {
        self.held.iter().any(|h| h.slot == slot)
    }

    /// The sources somebody holds a slot for.
    #[must_use]
    pub fn held_by(&self, session: SessionId) -> Vec<Source> {
        self.held.iter().filter(|h| h.slot.session == session).map(|h| h.slot.source).collect()
    }

    /// Somebody's place in the queue, counted from 1.
    #[must_use]
    pub fn position(&self, slot: Slot) -> Option<u32> {
        self.waiting.iter().position(|w| w.slot == slot).map(|n| count(n) + 1)
    }

    /// Whether anybody waits for a slot.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many slots are held, and how many there are.
    #[must_use]
    pub fn slots(&self) -> VideoSlots {
        VideoSlots { current: count(self.held.len()), max: self.max }
    }

    /// How many entries the queue has: slots held, and those who wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len() + self.waiting.len()
    }

    /// Nobody holds a slot or waits for one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What those who wait, or waited, have not been told yet.
    pub fn take_news(&mut self) -> Vec<News> {
        let granted = std::mem::take(&mut self.granted).into_iter().filter(|s| self.holds(*s));
        let mut news: Vec<News> = granted.map(News::Granted).collect();
        for (position, waiting) in (1..).zip(&mut self.waiting) {
            if waiting.told != position {
                waiting.told = position;
                waiting.held_before = false;
                news.push(News::Moved(waiting.slot, position));
            }
        }
        news
    }

    fn has_free(&self) -> bool {
        count(self.held.len()) < self.max
    }

    fn drop_where(&mut self, gone: impl Fn(Slot) -> bool) {
        self.held.retain(|h| !gone(h.slot));
        self.waiting.retain(|w| !gone(w.slot));
        self.promote();
    }

    fn promote(&mut self) {
        while self.has_free()
            && let Some(next) = self.waiting.pop_front()
        {
            self.held.push(Held { slot: next.slot, asked: true });
            if !next.held_before {
                self.granted.push(next.slot);
            }
        }
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
