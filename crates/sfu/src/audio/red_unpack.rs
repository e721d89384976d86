//! Sound that comes with redundancy (RFC 2198), taken apart: what of it was lost before, and what of it may be passed on.

use crate::ortc::{OPUS_PAYLOAD_TYPE, RED_PAYLOAD_TYPE};
use crate::packet::Packet;
use crate::wire::red::{Block, MAX_REDUNDANT, Red, relabel};

/// How many packets back it is known which were filled in: as many as a word has bits, and more than a packet can fill.
const REMEMBERED: u64 = 64;
/// How far back a redundant block can be, in RTP ticks: its offset has 14 bits.
const FURTHEST_BACK: u32 = 1 << 14;

/// A packet of sound in the two forms there are for receivers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AudioForms<'a> {
    /// The payload with redundancy, if there is any that may be passed on.
    pub(crate) red: Option<&'a [u8]>,
    /// The payload without redundancy.
    pub(crate) opus: &'a [u8],
    pub(crate) to: Audience,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Audience {
    Everybody,
    /// Receivers with redundancy: the others were sent the packet before, out of the one after it.
    WithRed,
    /// Receivers without redundancy: the others find the packet in the one after it.
    WithoutRed,
}

/// What is known of the last packets of a sender of redundancy.
#[derive(Debug)]
pub(crate) struct RedUnpacker {
    /// The sender's payload type of what is in the blocks.
    opus: u8,
    run: Option<Run>,
    /// A packet with the router's payload types.
    relabelled: Vec<u8>,
}

/// Packets without an interruption.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// The timestamp it began with, until nothing can be from before it any more.
    first: Option<u32>,
    highest: u64,
    /// The timestamp of the packet with the highest number.
    timestamp: u32,
    /// Bit n: the packet n before the highest was filled in.
    filled: u64,
}

/// Lost packets that the one after them repeats, from the newest on.
type Fills<'a> = [Option<Block<'a>>; MAX_REDUNDANT];

impl<'a> AudioForms<'a> {
    /// The payload type and payload for who is sent redundancy, or is not.
    pub(crate) fn form(&self, with_red: bool) -> Option<(u8, &'a [u8])> {
        match (self.to, self.red) {
            (Audience::WithRed, _) if !with_red => None,
            (Audience::WithoutRed, _) if with_red => None,
            (_, Some(red)) if with_red => Some((RED_PAYLOAD_TYPE, red)),
            _ => Some((OPUS_PAYLOAD_TYPE, self.opus)),
        }
    }
}

impl RedUnpacker {
    pub(crate) fn new(opus: u8) -> Self {
        Self { opus, run: None, relabelled: Vec::new() }
    }

    /// What comes next begins a run: nothing from before it is passed on, neither as a filling nor as redundancy. Somebody
    /// may have been muted.
    pub(crate) fn interrupt(&mut self) {
        self.run = None;
    }

    /// Whether there is in a packet what it says.
    pub(crate) fn accepts(&self, packet: &Packet<'_>) -> bool {
        packet.payload_type == self.opus || packet.payload.is_empty() || self.red(packet).is_some()
    }

    /// Bytes of a packet that repeat what was sent before.
    pub(crate) fn redundancy(&self, packet: &Packet<'_>) -> usize {
        self.red(packet).map_or(0, |red| packet.payload.len().saturating_sub(red.primary.payload.len()))
    }

    /// Gives a packet without what it repeats.
    pub(crate) fn bare<'a>(&self, packet: &Packet<'a>) -> Packet<'a> {
        let payload = self.red(packet).map_or(packet.payload, |red| red.primary.payload);
        Packet { payload_type: self.opus, payload, ..*packet }
    }

    /// Senders leave the redundancy away where it does not fit; padding has none.
    pub(crate) fn red<'a>(&self, packet: &Packet<'a>) -> Option<Red<'a>> {
        if packet.payload_type == self.opus {
            return None;
        }
        Red::parse(packet.payload).filter(|red| red.is_all(self.opus))
    }

    /// Notes a packet: gives the lost ones right before it that it repeats, and whether it was filled in itself.
    pub(crate) fn take<'a>(&mut self, packet: &Packet<'_>, red: Option<&Red<'a>>) -> (Fills<'a>, bool) {
        let mut fills = [None; MAX_REDUNDANT];
        let begins = Run { first: Some(packet.timestamp), highest: packet.seq, timestamp: packet.timestamp, filled: 0 };
        let Some(run) = &mut self.run else {
            self.run = Some(begins);
            return (fills, false);
        };
        let Some(steps) = packet.seq.checked_sub(run.highest).filter(|steps| *steps > 0) else {
            let back = run.highest.saturating_sub(packet.seq);
            return (fills, back >= REMEMBERED || run.filled >> back & 1 == 1);
        };
        // A block that is of the last packet that came, or older, is of none that was lost.
        let since = packet.timestamp.wrapping_sub(run.timestamp);
        let mut nearer = 0;
        let missing = usize::try_from(steps - 1).unwrap_or(usize::MAX);
        let mut filled = 0_u64;
        for (slot, block) in (1..).zip(fills.iter_mut()).zip(red.iter().flat_map(|red| red.redundant().rev())).take(missing) {
            let offset = u32::from(block.timestamp_offset);
            if offset <= nearer || offset >= since {
                break;
            }
            nearer = offset;
            filled |= 1 << slot.0;
            *slot.1 = Some(block);
        }
        let shifted = u32::try_from(steps).ok().and_then(|steps| run.filled.checked_shl(steps)).unwrap_or(0);
        let first = run.first.filter(|first| packet.timestamp.wrapping_sub(*first) < FURTHEST_BACK);
        *run = Run { first, highest: packet.seq, timestamp: packet.timestamp, filled: shifted | filled };
        (fills, false)
    }

    /// The packet for receivers with redundancy; none if some of it is from before the run.
    pub(crate) fn relabelled<'a>(&'a mut self, packet: &Packet<'a>, red: Option<&Red<'_>>) -> Option<&'a [u8]> {
        let red = red?;
        let furthest = red.redundant().map(|block| u32::from(block.timestamp_offset)).max().unwrap_or(0);
        let first = self.run.and_then(|run| run.first);
        // From before the first it is if it is late, too: then the difference is negative, and so large.
        if first.is_some_and(|first| !(furthest..FURTHEST_BACK).contains(&packet.timestamp.wrapping_sub(first))) {
            return None;
        }
        if self.opus == OPUS_PAYLOAD_TYPE {
            return Some(packet.payload);
        }
        relabel(packet.payload, OPUS_PAYLOAD_TYPE, &mut self.relabelled);
        Some(&self.relabelled)
    }
}
