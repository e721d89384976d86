//! Which numbers of a stream are missing, and when to ask for them (RFC 4585 6.2.1).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::window::WINDOW;

/// More than a key frame's packets; who has lost more is better served by a new key frame.
pub(super) const MAX_HOLES: usize = 512;
/// Later packets after which a hole is no longer taken for a packet overtaken on its way.
const REORDERED_PACKETS: u64 = 3;
/// After this time a hole is taken for a loss too, where a stream is too slow to bring [`REORDERED_PACKETS`].
const REORDERED_TIME: Duration = Duration::from_millis(10);
/// Asked this often, a packet is gone at its sender too.
pub(super) const MAX_TRIES: u8 = 10;
/// No receiver still waits for what is older.
pub(super) const MAX_AGE: Duration = Duration::from_millis(1_500);
/// Shorter would ask again while the sender's pacer still holds the answer.
const MIN_WAIT: Duration = Duration::from_millis(20);

#[derive(Debug)]
struct Hole {
    seq: u64,
    found: Instant,
    due: Instant,
    tries: u8,
}

/// Holes in rising order.
#[derive(Debug, Default)]
pub(super) struct Missing {
    holes: VecDeque<Hole>,
    /// No hole is due before; kept so that nobody has to look through the list.
    next: Option<Instant>,
    /// Lowest hole not asked for yet.
    unasked: Option<u64>,
    lost: bool,
}

impl Missing {
    pub(super) fn on_next(&mut self, before: u64, seq: u64, now: Instant) {
        let from = before.saturating_add(1);
        let count = seq.saturating_sub(from);
        if count > MAX_HOLES as u64 {
            self.clear();
            self.lost = true;
            return;
        }
        for missing in from..seq {
            if self.holes.len() >= MAX_HOLES {
                self.holes.pop_front();
                self.lost = true;
            }
            let due = now + REORDERED_TIME;
            self.holes.push_back(Hole { seq: missing, found: now, due, tries: 0 });
            self.next = Some(self.next.map_or(due, |next| next.min(due)));
            self.unasked.get_or_insert(missing);
        }
        if self.unasked.is_some_and(|unasked| seq.saturating_sub(unasked) >= REORDERED_PACKETS) {
            self.next = Some(self.next.map_or(now, |next| next.min(now)));
        }
    }

    pub(super) fn remove(&mut self, seq: u64) {
        if let Ok(at) = self.holes.binary_search_by_key(&seq, |hole| hole.seq) {
            self.holes.remove(at);
        }
        if self.holes.is_empty() {
            self.clear();
        }
    }

    pub(super) fn ask(&mut self, highest: u64, now: Instant, rtt: Duration, out: &mut Vec<u16>) {
        if self.next.is_none_or(|next| now < next) {
            return;
        }
        let wait = rtt.clamp(MIN_WAIT, MAX_AGE);
        let (mut next, mut unasked, mut lost) = (None, None, false);
        self.holes.retain_mut(|hole| {
            let distance = highest.saturating_sub(hole.seq);
            let oldest = hole.found + MAX_AGE;
            let overtaken = hole.tries == 0 && distance >= REORDERED_PACKETS;
            let due = now >= hole.due || overtaken;
            if distance >= WINDOW || now >= oldest || (due && hole.tries >= MAX_TRIES) {
                lost = true;
                return false;
            }
            if due {
                out.push(hole.seq as u16);
                hole.tries += 1;
                // A quarter of the round trip more each time: whoever has not answered yet may be congested.
                hole.due = (now + wait * (4 + u32::from(hole.tries)) / 4).min(oldest);
            } else if hole.tries == 0 {
                unasked = unasked.or(Some(hole.seq));
            }
            next = Some(next.map_or(hole.due, |next: Instant| next.min(hole.due)));
            true
        });
        self.lost |= lost;
        self.next = next;
        self.unasked = unasked;
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    pub(super) fn take_lost(&mut self) -> bool {
        std::mem::take(&mut self.lost)
    }

    fn clear(&mut self) {
        self.holes.clear();
        self.next = None;
        self.unasked = None;
    }
}
