//! Numbers of an outgoing stream: contiguous over pauses, layer switches and new senders.
//!
//! A receiver takes a jump in sequence numbers for loss and asks for what never was; so whatever is left
//! out on purpose leaves no gap, while what was lost on the way in does.

use std::time::{Duration, Instant};

use crate::payload::Vp8Descriptor;

/// More packets than any real loss burst, far fewer than a receiver's NACK window: a larger hole in the
/// incoming numbers is closed instead of passed on.
const MAX_GAP: u64 = 400;

/// The numbers of an incoming packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming {
    /// Extended sequence number.
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) arrival: Instant,
}

/// The numbers a packet leaves with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Outgoing {
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) vp8: Option<Vp8Counters>,
}

/// The frame counters a VP8 packet leaves with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Vp8Counters {
    pub(crate) picture_id: u16,
    pub(crate) tl0_index: Option<u8>,
}

/// Rewrites one outgoing stream.
#[derive(Debug)]
pub(crate) struct Rewriter {
    clock_rate: u32,
    /// Highest sequence number sent.
    last_seq: u64,
    last_timestamp: u32,
    last_arrival: Option<Instant>,
    /// First incoming sequence number of the present run; what is older belongs to what was left out.
    run_start: u64,
    /// Highest incoming sequence number of the present run.
    run_last: u64,
    /// Outgoing sequence number of `run_start`.
    run_base: u64,
    timestamp_offset: u32,
    /// The next packet begins a run: nothing was sent yet, or something was left out.
    broken: bool,
    /// The next run comes from another encoder: its timestamps and counters have nothing to do with the last.
    new_source: bool,
    vp8: Vp8State,
}

#[derive(Clone, Copy, Debug, Default)]
struct Vp8State {
    picture_offset: u16,
    tl0_offset: u8,
    last_picture: u16,
    last_tl0: u8,
}

impl Rewriter {
    /// `first_seq` is better random (RFC 3550, section 5.1) and low: SRTP's rollover counter begins at 0.
    pub(crate) fn new(clock_rate: u32, first_seq: u16, first_timestamp: u32) -> Self {
        Self {
            clock_rate,
            last_seq: u64::from(first_seq & 0x7fff),
            last_timestamp: first_timestamp,
            last_arrival: None,
            run_start: 0,
            run_last: 0,
            run_base: 0,
            timestamp_offset: 0,
            broken: true,
            new_source: true,
            vp8: Vp8State::default(),
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

    /// Whether so much is missing before a packet that the hole would be closed: nobody behind it could tell.
    pub(crate) fn jumps(&self, seq: u64) -> bool {
        !self.broken && seq > self.run_last.saturating_add(MAX_GAP)
    }

    /// The numbers to send a packet with; `None` for one that is older than the present run.
    pub(crate) fn rewrite(&mut self, packet: Incoming, vp8: Option<Vp8Descriptor>) -> Option<Outgoing> {
        if self.broken || self.jumps(packet.seq) {
            self.begin_run(packet, vp8);
        } else if packet.seq < self.run_start {
            return None;
        }
        let seq = self.run_base + (packet.seq - self.run_start);
        let timestamp = packet.timestamp.wrapping_add(self.timestamp_offset);
        if packet.seq >= self.run_last {
            self.run_last = packet.seq;
            self.last_seq = self.last_seq.max(seq);
            self.last_timestamp = timestamp;
            self.last_arrival = Some(packet.arrival);
        }
        Some(Outgoing { seq, timestamp, vp8: vp8.and_then(|descriptor| self.rewrite_vp8(descriptor)) })
    }

    fn begin_run(&mut self, packet: Incoming, vp8: Option<Vp8Descriptor>) {
        self.run_start = packet.seq;
        self.run_last = packet.seq;
        self.run_base = self.last_seq + 1;
        if self.new_source {
            let elapsed = self.last_arrival.map_or(Duration::ZERO, |last| packet.arrival.saturating_duration_since(last));
            // Never the same instant twice: two frames with one timestamp would be one frame to the receiver.
            let ticks = (elapsed.as_micros() * u128::from(self.clock_rate) / 1_000_000).max(1);
            #[allow(clippy::cast_possible_truncation, reason = "timestamps wrap")]
            let target = self.last_timestamp.wrapping_add(ticks as u32);
            self.timestamp_offset = target.wrapping_sub(packet.timestamp);
            if let Some(descriptor) = vp8 {
                let picture = descriptor.picture_id.unwrap_or(0);
                self.vp8.picture_offset = self.vp8.last_picture.wrapping_add(1).wrapping_sub(picture);
                self.vp8.tl0_offset = self.vp8.last_tl0.wrapping_add(1).wrapping_sub(descriptor.tl0_index.unwrap_or(0));
            }
        } else if let Some(picture) = vp8.and_then(|descriptor| descriptor.picture_id) {
            // The encoder counted on, for however long nothing of it was sent: that is not to be taken for a late picture.
            self.vp8.last_picture = picture.wrapping_add(self.vp8.picture_offset).wrapping_sub(1);
        }
        self.broken = false;
        self.new_source = false;
    }

    /// Fifteen-bit picture ids only: in seven bits an offset cannot be told from a wrap, and browsers send fifteen.
    fn rewrite_vp8(&mut self, descriptor: Vp8Descriptor) -> Option<Vp8Counters> {
        let picture_id = descriptor.picture_id.filter(|_| descriptor.long_picture_id)?;
        let picture_id = picture_id.wrapping_add(self.vp8.picture_offset) & 0x7fff;
        let tl0_index = descriptor.tl0_index.map(|index| index.wrapping_add(self.vp8.tl0_offset));
        let ahead = picture_id.wrapping_sub(self.vp8.last_picture) & 0x7fff;
        if ahead < 0x4000 {
            self.vp8.last_picture = picture_id;
            self.vp8.last_tl0 = tl0_index.unwrap_or(self.vp8.last_tl0);
        }
        Some(Vp8Counters { picture_id, tl0_index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        parlor_testkit::clock::Clock::new().now()
    }

    fn at(seq: u64, timestamp: u32, arrival: Instant) -> Incoming {
        Incoming { seq, timestamp, arrival }
    }

    fn rewriter() -> Rewriter {
        Rewriter::new(90_000, 99, 5_000)
    }

    #[test]
    fn a_loss_on_the_way_in_stays_a_gap() {
        let (mut rewriter, now) = (rewriter(), start());
        let first = rewriter.rewrite(at(1_000, 0, now), None).expect("sent");
        let third = rewriter.rewrite(at(1_002, 0, now), None).expect("sent");
        let second = rewriter.rewrite(at(1_001, 0, now), None).expect("a late packet is sent");
        assert_eq!((first.seq, second.seq, third.seq), (100, 101, 102));
    }

    #[test]
    fn what_is_left_out_leaves_no_gap_and_keeps_time() {
        let (mut rewriter, now) = (rewriter(), start());
        let before = rewriter.rewrite(at(10, 900, now), None).expect("sent");
        rewriter.skip();
        let after = rewriter.rewrite(at(500, 90_900, now + Duration::from_secs(1)), None).expect("sent");
        assert_eq!(after.seq, before.seq + 1);
        assert_eq!(after.timestamp.wrapping_sub(before.timestamp), 90_000);
        assert!(rewriter.rewrite(at(499, 90_800, now), None).is_none(), "a packet from before the run");
    }

    #[test]
    fn another_encoder_continues_numbers_and_time() {
        let (mut rewriter, now) = (rewriter(), start());
        let before = rewriter.rewrite(at(10, 900, now), None).expect("sent");
        rewriter.switch();
        let after = rewriter.rewrite(at(60_000, 3_000_000_000, now + Duration::from_millis(100)), None).expect("sent");
        assert_eq!(after.seq, before.seq + 1);
        assert_eq!(after.timestamp.wrapping_sub(before.timestamp), 9_000);
    }

    #[test]
    fn a_jump_larger_than_any_loss_is_closed() {
        let (mut rewriter, now) = (rewriter(), start());
        let before = rewriter.rewrite(at(10, 900, now), None).expect("sent");
        let after = rewriter.rewrite(at(10 + MAX_GAP + 1, 1_800, now), None).expect("sent");
        assert_eq!(after.seq, before.seq + 1);
    }

    #[test]
    fn vp8_counters_continue_over_a_switch() {
        let (mut rewriter, now) = (rewriter(), start());
        let descriptor = |picture: u16, tl0: u8| {
            let [high, low] = (picture | 0x8000).to_be_bytes();
            Vp8Descriptor::parse(&[0x90, 0xe0, high, low, tl0, 0, 0])
        };
        let first = rewriter.rewrite(at(1, 0, now), descriptor(0x7fff, 255)).expect("sent").vp8.expect("counted");
        let second = rewriter.rewrite(at(2, 3_000, now), descriptor(0, 0)).expect("sent").vp8.expect("counted");
        assert_eq!(second.picture_id, (first.picture_id + 1) & 0x7fff);
        rewriter.switch();
        let third = rewriter.rewrite(at(9, 77, now), descriptor(12_345, 99)).expect("sent").vp8.expect("counted");
        assert_eq!(third.picture_id, (second.picture_id + 1) & 0x7fff);
        assert_eq!(third.tl0_index, second.tl0_index.map(|index| index.wrapping_add(1)));
    }

    #[test]
    fn vp8_counters_continue_over_a_switch_after_a_long_pause() {
        let (mut rewriter, now) = (rewriter(), start());
        let descriptor = |picture: u16| {
            let [high, low] = (picture | 0x8000).to_be_bytes();
            Vp8Descriptor::parse(&[0x90, 0xe0, high, low, 1, 0, 0])
        };
        rewriter.rewrite(at(1, 0, now), descriptor(100)).expect("sent");
        rewriter.skip();
        // Ten minutes later, at thirty pictures a second.
        let before = rewriter.rewrite(at(2, 3_000, now), descriptor(18_100)).expect("sent").vp8.expect("counted");
        rewriter.switch();
        let after = rewriter.rewrite(at(9, 77, now), descriptor(7)).expect("sent").vp8.expect("counted");
        assert_eq!(after.picture_id, (before.picture_id + 1) & 0x7fff);
    }

    proptest::proptest! {
        /// Whatever is skipped, switched or lost: numbers never repeat for packets that arrive in order.
        #[test]
        fn numbers_only_rise_for_packets_in_order(steps in proptest::collection::vec((0u8..3, 1u64..2_000), 1..200)) {
            let (mut rewriter, now) = (rewriter(), start());
            let (mut seq, mut last) = (0, 0);
            for (what, by) in steps {
                seq += by;
                match what {
                    0 => rewriter.skip(),
                    1 => rewriter.switch(),
                    _ => {}
                }
                let out = rewriter.rewrite(at(seq, 0, now), None).expect("in order").seq;
                proptest::prop_assert!(out > last && out <= last + MAX_GAP.max(u64::from(0x7fff_u16) + 1));
                last = out;
            }
        }
    }
}
