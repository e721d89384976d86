//! What to write to Redis and when: states of calls and the fate of writes in, writes out. No I/O and no clock.
//!
//! There is one kind of write for a call, and it brings the whole truth: it puts the people of the call in the place of
//! whatever was there, or removes the key if nobody is left. All of them are due again every [`ROUND`], so that a Redis that was
//! wiped, or changed by others, agrees again soon without anybody noticing what happened to it.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use parlor_proto::ChannelId;

use crate::mirror::people::People;

/// How often every call is written again: a Redis that was wiped is right again after so long. With as many calls as there may be,
/// that is a thousand writes a second; a Redis did 19,000 a second, of eight people each, on one of our cores.
pub const ROUND: Duration = Duration::from_secs(10);
/// The writes that are under way at the same time: enough that the way there and back does not count, and so few that they take
/// a Redis milliseconds.
pub const MAX_UNDER_WAY: usize = 64;
/// The most calls that are over and remembered because Redis may bring their keys back: as many as there may be calls.
const MAX_OVER: usize = 10_000;
/// How many rounds of a connection include calls that are over. Two, because what was sent on an earlier connection may
/// take effect after the first.
const ROUNDS_WITH_OVER: u8 = 2;

/// Something to do in Redis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// These are the people of the call, and nobody else. The key lives for its lifetime from then on.
    Put(ChannelId, People),
    /// The call is over, and its key goes, unless another process has written it since.
    Remove(ChannelId),
    /// Nothing is to be written, but it is time to see whether Redis answers.
    Ping,
}

/// The plan for one Redis.
#[derive(Debug)]
pub struct Plan {
    lifetime: Duration,
    calls: HashMap<ChannelId, Call>,
    /// The calls that are to be written, each once.
    due: VecDeque<ChannelId>,
    /// The calls whose writes are under way.
    under_way: Vec<ChannelId>,
    ping: Ping,
    /// When the next round begins; `None` without a connection.
    next_round: Option<Instant>,
    rounds_with_over: u8,
    stopping: bool,
}

#[derive(Debug)]
struct Call {
    people: People,
    is_due: bool,
    trace: Trace,
}

/// Whether Redis may have the key of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trace {
    /// It was never sent.
    None,
    /// It was sent, and nobody knows when that takes effect, or took effect.
    Sent,
    /// It was written, and lives no longer than this, even in an old copy of the data that Redis may start with.
    Until(Instant),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Ping {
    #[default]
    No,
    Due,
    UnderWay,
}

impl Plan {
    /// A plan without calls for a Redis that is not connected. Keys are to live for this long.
    pub fn new(lifetime: Duration) -> Self {
        Self {
            lifetime,
            calls: HashMap::new(),
            due: VecDeque::new(),
            under_way: Vec::new(),
            ping: Ping::No,
            next_round: None,
            rounds_with_over: 0,
            stopping: false,
        }
    }

    /// The people of a call are these now.
    pub fn handle_people(&mut self, channel: ChannelId, people: People) {
        if self.stopping {
            return;
        }
        let is_over = people.is_empty();
        match self.calls.get_mut(&channel) {
            Some(call) if call.people == people => return,
            // Redis never had it.
            Some(call) if is_over && call.trace == Trace::None => drop(self.calls.remove(&channel)),
            Some(call) => call.people = people,
            None if is_over => return,
            None => drop(self.calls.insert(channel.clone(), Call { people, is_due: false, trace: Trace::None })),
        }
        self.make_due(channel);
    }

    /// Redis answers on a new connection. What it has is not known.
    pub fn handle_connected(&mut self, now: Instant) {
        self.rounds_with_over = ROUNDS_WITH_OVER;
        self.begin_round(now);
    }

    /// The connection is gone, and what is under way has no answer.
    pub fn handle_lost(&mut self) {
        (self.next_round, self.ping) = (None, Ping::No);
        self.under_way.clear();
        for channel in self.due.drain(..) {
            if let Some(call) = self.calls.get_mut(&channel) {
                call.is_due = false;
            }
        }
    }

    /// Everything that was under way is done.
    pub fn handle_done(&mut self, now: Instant) {
        self.ping = Ping::No;
        for channel in self.under_way.drain(..) {
            if let Some(call) = self.calls.get_mut(&channel) {
                // A removal of what was written before makes nothing live longer.
                if call.trace == Trace::Sent {
                    call.trace = Trace::Until(now + self.lifetime);
                }
            }
        }
    }

    /// Begins the next round if it is time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.next_round.is_some_and(|at| at <= now) {
            self.begin_round(now);
        }
    }

    /// The server stops: all calls of this process are over, whatever is heard of them from now on.
    pub fn handle_stop(&mut self) {
        self.stopping = true;
        self.ping = Ping::No;
        let mut over = Vec::new();
        self.calls.retain(|channel, call| {
            let was_there = !call.people.is_empty();
            call.people = People::default();
            if was_there && call.trace != Trace::None {
                over.push(channel.clone());
            }
            call.trace != Trace::None
        });
        for channel in over {
            self.make_due(channel);
        }
    }

    /// When [`Plan::handle_timeout`] is to be called.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.next_round
    }

    /// What is to be sent now, all at once. Nothing without a connection, or while something is under way.
    pub fn poll_writes(&mut self) -> Vec<Write> {
        let mut writes = Vec::new();
        if self.next_round.is_none() || self.is_busy() {
            return writes;
        }
        while writes.len() < MAX_UNDER_WAY
            && let Some(channel) = self.due.pop_front()
        {
            let Some(call) = self.calls.get_mut(&channel) else { continue };
            call.is_due = false;
            if call.people.is_empty() {
                writes.push(Write::Remove(channel.clone()));
            } else {
                call.trace = Trace::Sent;
                writes.push(Write::Put(channel.clone(), call.people.clone()));
            }
            self.under_way.push(channel);
        }
        if writes.is_empty() && self.ping == Ping::Due {
            self.ping = Ping::UnderWay;
            writes.push(Write::Ping);
        }
        writes
    }

    /// Whether an answer is waited for.
    pub fn is_busy(&self) -> bool {
        !self.under_way.is_empty() || self.ping == Ping::UnderWay
    }

    /// Whether Redis has everything that it is to have.
    pub fn is_settled(&self) -> bool {
        self.due.is_empty() && !self.is_busy()
    }

    /// The calls that are known, over or not.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    fn begin_round(&mut self, now: Instant) {
        self.next_round = Some(now + ROUND.min(self.lifetime / 4));
        self.forget(now);
        let with_over = self.rounds_with_over > 0;
        self.rounds_with_over = self.rounds_with_over.saturating_sub(1);
        let again = self.calls.iter().filter(|(_, call)| with_over || !call.people.is_empty());
        let again: Vec<ChannelId> = again.map(|(channel, _)| channel.clone()).collect();
        for channel in again {
            self.make_due(channel);
        }
        if self.due.is_empty() && self.ping == Ping::No {
            self.ping = Ping::Due;
        }
    }

    /// Forgets calls that are over and that Redis cannot have any more; if they are too many, those it will lose next.
    fn forget(&mut self, now: Instant) {
        self.calls.retain(|_, call| !matches!(call.trace, Trace::Until(until) if call.people.is_empty() && !call.is_due && until <= now));
        let until = |call: &Call| match call.trace {
            Trace::Until(until) if call.people.is_empty() => Some(until),
            _ => None,
        };
        let mut over: Vec<Instant> = self.calls.values().filter_map(until).collect();
        if let Some(too_many) = over.len().checked_sub(MAX_OVER).filter(|more| *more > 0) {
            let (_, last, _) = over.select_nth_unstable(too_many - 1);
            let last = *last;
            self.calls.retain(|_, call| until(call).is_none_or(|until| until > last));
        }
    }

    fn make_due(&mut self, channel: ChannelId) {
        if let Some(call) = self.calls.get_mut(&channel)
            && self.next_round.is_some()
            && !std::mem::replace(&mut call.is_due, true)
        {
            self.due.push_back(channel);
        }
    }
}
