//! What is known of one received media stream: what arrived, what is missing, and what its sender is told of it.

mod missing;
mod recorder;
mod window;

use crate::wire::rtcp::ReportBlock;
use std::time::{Duration, Instant};

use missing::Missing;
pub(crate) use recorder::Recorder;
use window::{Seen, Window};

/// How a packet relates to what arrived before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Newer than all before it.
    Next,
    /// The packet fills a hole.
    Late,
    /// Was here already, or is too old to know.
    Again,
}

#[derive(Clone, Copy, Debug)]
struct SenderClock {
    ntp: u64,
    at: Instant,
}

/// One received stream, its repair stream included.
#[derive(Debug)]
pub(crate) struct ReceiveStream {
    clock_rate: u32,
    window: Window,
    /// Lowest number that counts as expected.
    first: u64,
    /// Packets of the stream itself: what was repaired counts as lost, or the sender would not learn of the loss.
    received: u64,
    expected_before: u64,
    received_before: u64,
    /// Times 16, as in RFC 3550 A.8.
    jitter: u64,
    /// Origin of arrival times in timestamp units, and the last transit time.
    origin: Option<Instant>,
    transit: Option<u32>,
    sender: Option<SenderClock>,
    /// Audio asks for nothing again and does without the list.
    missing: Option<Box<Missing>>,
}

impl ReceiveStream {
    pub(crate) fn new(clock_rate: u32, nack: bool) -> Self {
        Self {
            clock_rate: clock_rate.max(1),
            window: Window::default(),
            first: 0,
            received: 0,
            expected_before: 0,
            received_before: 0,
            jitter: 0,
            origin: None,
            transit: None,
            sender: None,
            missing: nack.then(Box::default),
        }
    }

    pub(crate) fn on_packet(&mut self, seq: u64, timestamp: u32, arrival: Instant, repaired: bool) -> Arrival {
        let before = self.window.highest();
        if !repaired {
            // RFC 3550 A.3 counts duplicates too; that is how the loss can become negative.
            self.received = self.received.saturating_add(1);
            self.measure_jitter(timestamp, arrival);
        }
        match self.window.insert(seq) {
            Seen::Next => {
                match (before, &mut self.missing) {
                    (Some(before), Some(missing)) => missing.on_next(before, seq, arrival),
                    (None, _) => self.first = seq,
                    _ => {}
                }
                Arrival::Next
            }
            Seen::Late => {
                self.first = self.first.min(seq);
                if let Some(missing) = &mut self.missing {
                    missing.remove(seq);
                }
                Arrival::Late
            }
            Seen::Again => Arrival::Again,
        }
    }

    /// The packet that came last went no further: to its sender it is lost.
    pub(crate) fn on_cut(&mut self) {
        self.received = self.received.saturating_sub(1);
    }

    /// Extends a number of this stream that came by another way (in a repair packet).
    pub(crate) fn extend(&self, seq: u16) -> u64 {
        extend(self.window.highest(), seq)
    }

    /// A repair packet's payload: the number it repeats, and what it repeats (RFC 4588, section 4).
    pub(crate) fn unwrap<'a>(&self, payload: &'a [u8]) -> Option<(u64, &'a [u8])> {
        let (seq, rest) = payload.split_first_chunk::<2>()?;
        Some((self.extend(u16::from_be_bytes(*seq)), rest))
    }

    /// Adds the numbers to ask for now.
    pub(crate) fn nacks(&mut self, now: Instant, rtt: Duration, out: &mut Vec<u16>) {
        if let (Some(missing), Some(highest)) = (&mut self.missing, self.window.highest()) {
            missing.ask(highest, now, rtt, out);
        }
    }

    /// When to call [`Self::nacks`]; at times too early, never too late.
    pub(crate) fn next_nack(&self) -> Option<Instant> {
        self.missing.as_ref().and_then(|missing| missing.next())
    }

    /// Whether something was given up since the last call, so that only a key frame helps.
    pub(crate) fn take_lost(&mut self) -> bool {
        self.missing.as_mut().is_some_and(|missing| missing.take_lost())
    }

    /// RFC 3550 A.3; the fraction is since the last call.
    pub(crate) fn report(&mut self, ssrc: u32, now: Instant) -> ReportBlock {
        let highest = self.window.highest();
        let expected = highest.map_or(0, |highest| highest.saturating_sub(self.first).saturating_add(1));
        let expected_now = expected.saturating_sub(self.expected_before);
        let received_now = self.received.saturating_sub(self.received_before);
        self.expected_before = expected;
        self.received_before = self.received;
        let lost_now = expected_now.saturating_sub(received_now);
        let fraction = lost_now.saturating_mul(256).checked_div(expected_now).unwrap_or(0);
        let (last_sr, delay_since_sr) = self.sender.map_or((0, 0), |sender| {
            let delay = now.saturating_duration_since(sender.at).as_micros() * 65_536 / 1_000_000;
            ((sender.ntp >> 16) as u32, u32::try_from(delay).unwrap_or(u32::MAX))
        });
        ReportBlock {
            ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            lost: cumulative(expected, self.received),
            highest: highest.unwrap_or(0) as u32,
            jitter: u32::try_from(self.jitter >> 4).unwrap_or(u32::MAX),
            last_sr,
            delay_since_sr,
        }
    }

    pub(crate) fn on_sender_report(&mut self, ntp: u64, now: Instant) {
        self.sender = Some(SenderClock { ntp, at: now });
    }

    /// RFC 3550 A.8, in timestamp units.
    fn measure_jitter(&mut self, timestamp: u32, arrival: Instant) {
        let origin = *self.origin.get_or_insert(arrival);
        let micros = arrival.saturating_duration_since(origin).as_micros() as u64;
        let units = (micros.wrapping_mul(u64::from(self.clock_rate)) / 1_000_000) as u32;
        let transit = units.wrapping_sub(timestamp);
        if let Some(last) = self.transit.replace(transit) {
            let distance = u64::from(transit.wrapping_sub(last).cast_signed().unsigned_abs());
            self.jitter = self.jitter.saturating_add(distance).saturating_sub(self.jitter.saturating_add(8) >> 4);
        }
    }
}

/// The 24-bit signed loss of RFC 3550 6.4.1, held at its ends.
fn cumulative(expected: u64, received: u64) -> i32 {
    let lost = (i128::from(expected) - i128::from(received)).clamp(-0x80_0000, 0x7f_ffff);
    i32::try_from(lost).unwrap_or(0)
}

/// The number nearest to `near` that ends in `seq`.
fn extend(near: Option<u64>, seq: u16) -> u64 {
    let Some(near) = near else { return u64::from(seq) };
    let step = i64::from(seq.wrapping_sub(near as u16).cast_signed());
    near.checked_add_signed(step).unwrap_or(u64::from(seq))
}

#[cfg(test)]
mod tests;
