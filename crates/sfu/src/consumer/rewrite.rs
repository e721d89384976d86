//! Numbers of an outgoing stream: contiguous over pauses, layer switches and new senders.
//!
//! A receiver takes a jump in sequence numbers for loss and asks for what never was; so whatever is left
//! out on purpose leaves no gap, while what was lost on the way in does.

mod ledger;
mod pictures;

use std::time::{Duration, Instant};

use crate::payload::{Counters, NewCounters};
use ledger::{Ledger, LeftOut};
use pictures::Pictures;

/// More packets than any real loss burst, far fewer than a receiver's NACK window: a larger hole in the
/// incoming numbers is closed instead of passed on.
const MAX_GAP: u64 = 400;

/// Which of the last 1024 packets were left out: a second at ten megabits, longer than a repair takes.
type Numbers = Ledger<16>;

/// The numbers of an incoming packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Original {
    /// Extended sequence number.
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) arrival: Instant,
}

/// The numbers a packet leaves with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rewritten {
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    /// The frame counters, to be written with [`Counters::write`].
    pub(crate) counters: Option<NewCounters>,
}

/// A number the receiver misses, and will ask for, though there is nothing for it: a packet was lost, others
/// were sent after it, and now it arrives and is left out. To be sent as a packet without payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fill {
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
}

/// Rewrites one outgoing stream.
#[derive(Debug)]
pub(crate) struct Rewriter {
    clock_rate: u32,
    /// The number before the first sequence number.
    begin: u64,
    /// Highest sequence number sent.
    last_seq: u64,
    last_timestamp: u32,
    last_arrival: Option<Instant>,
    /// The present run; what is older belongs to what was left out.
    numbers: Numbers,
    /// What the present run began with.
    began: u64,
    timestamp_offset: u32,
    /// The next packet begins a run: nothing was sent yet, or something was left out.
    broken: bool,
    /// The next run comes from another encoder: its timestamps have nothing to do with the last.
    new_source: bool,
    pictures: Pictures,
}

impl Rewriter {
    /// `first_seq` is better random (RFC 3550, section 5.1) and low: SRTP's rollover counter begins at 0.
    pub(crate) fn new(clock_rate: u32, first_seq: u16, first_timestamp: u32) -> Self {
        Self {
            clock_rate,
            begin: u64::from(first_seq & 0x7fff),
            last_seq: u64::from(first_seq & 0x7fff),
            last_timestamp: first_timestamp,
            last_arrival: None,
            numbers: Numbers::new(0, 0),
            began: 0,
            timestamp_offset: 0,
            broken: true,
            new_source: true,
            pictures: Pictures::new(),
        }
    }

    /// Packets of the same encoder are left out from here on; the next one sent closes the gap.
    pub(crate) fn skip(&mut self) {
        self.broken = true;
    }

    /// The next packet comes from another encoder (another layer, another sender).
    pub(crate) fn switch(&mut self) {
        self.broken = true;
        self.new_source = true;
    }

    /// What is added to the timestamps of the present encoder.
    pub(crate) fn timestamp_offset(&self) -> u32 {
        self.timestamp_offset
    }

    /// Whether an incoming number is of the present run.
    pub(crate) fn is_in_run(&self, seq: u64) -> bool {
        !self.broken && seq >= self.began
    }

    /// How many sequence numbers there were for packets, sent or missing.
    pub(crate) fn used(&self) -> u64 {
        self.last_seq.saturating_sub(self.begin)
    }

    /// Whether so much is missing before a packet that the hole would be closed: nobody behind it could tell.
    pub(crate) fn jumps(&self, seq: u64) -> bool {
        !self.broken && seq >= self.numbers.next().saturating_add(MAX_GAP)
    }

    /// The numbers to send a packet with; `None` for one that is older than the present run, or was left out before.
    pub(crate) fn rewrite(&mut self, packet: Original, counters: &Counters) -> Option<Rewritten> {
        if self.broken || self.jumps(packet.seq) {
            self.begin_run(packet, counters);
        }
        let newest = packet.seq >= self.numbers.next();
        let seq = self.numbers.send(packet.seq)?;
        let timestamp = packet.timestamp.wrapping_add(self.timestamp_offset);
        self.last_seq = self.last_seq.max(seq);
        if newest {
            self.last_timestamp = timestamp;
            self.last_arrival = Some(packet.arrival);
        }
        Some(Rewritten { seq, timestamp, counters: self.pictures.send(counters, newest) })
    }

    /// Leaves out a packet within the present run, on purpose: what follows closes up. If it is too late for that,
    /// the number it would have had.
    pub(crate) fn leave_out(&mut self, seq: u64, counters: &Counters) -> Option<Fill> {
        // Behind a hole so large the next one sent begins a run.
        if self.broken || self.jumps(seq) {
            return None;
        }
        let left_out = self.numbers.leave_out(seq)?;
        self.pictures.leave_out(counters);
        match left_out {
            LeftOut::Closed => None,
            LeftOut::Hole(seq) => Some(Fill { seq, timestamp: self.last_timestamp }),
        }
    }

    fn begin_run(&mut self, packet: Original, counters: &Counters) {
        self.numbers = Numbers::new(packet.seq, self.last_seq + 1);
        self.began = packet.seq;
        if self.new_source {
            let elapsed = self.last_arrival.map_or(Duration::ZERO, |last| packet.arrival.saturating_duration_since(last));
            // Never the same instant twice: two frames with one timestamp would be one frame to the receiver.
            let ticks = (elapsed.as_micros() * u128::from(self.clock_rate) / 1_000_000).max(1);
            #[allow(clippy::cast_possible_truncation, reason = "timestamps wrap")]
            let target = self.last_timestamp.wrapping_add(ticks as u32);
            self.timestamp_offset = target.wrapping_sub(packet.timestamp);
        }
        self.pictures.begin(counters);
        self.broken = false;
        self.new_source = false;
    }
}

#[cfg(test)]
mod tests;
