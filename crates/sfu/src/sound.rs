//! The way of sound: who is heard, and redundancy (RFC 2198): taken apart for who lacks it, packed for who loses packets.

use crate::consumer::Start;
use crate::forward::{Forwarder, Packet, Passing};
use crate::ortc::{OPUS_PAYLOAD_TYPE, RED_PAYLOAD_TYPE};
use crate::pipe::Told;
use crate::producer::Producer;
use crate::red::{Block, MAX_REDUNDANT, Red, relabel};
use crate::table::ConsumerIndex;
use crate::talkers::{Held, Verdict};

/// Of so many packets back it is known which were filled in: as many as a word has bits, and more than a packet can fill.
const REMEMBERED: u64 = 64;
/// How far back a redundant block can be, in RTP ticks: its offset has 14 bits.
const FURTHEST_BACK: u32 = 1 << 14;

/// A packet of sound in the two forms there are for receivers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed<'a> {
    /// With redundancy, if there is any that may be passed on.
    red: Option<&'a [u8]>,
    /// Without.
    opus: &'a [u8],
    to: To,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum To {
    Everybody,
    /// The others were sent it before, out of the packet after it.
    WithRed,
    /// The others find it in the packet after it.
    WithoutRed,
}

/// What is known of the last packets of a sender of redundancy.
#[derive(Debug)]
pub(crate) struct Unpacker {
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
    /// Of the highest.
    timestamp: u32,
    /// Bit n: the packet n before the highest was filled in.
    filled: u64,
}

/// Lost packets that the one after them repeats, from the newest on.
type Fills<'a> = [Option<Block<'a>>; MAX_REDUNDANT];

impl Forwarder<'_> {
    /// What a packet of sound repeats is not passed on.
    pub(crate) fn forward_bare_sound(&mut self, producer: &mut Producer, packet: &Packet<'_>) {
        let Some(bare) = producer.unpacker.as_ref().map(|unpacker| unpacker.bare(packet)) else { return };
        self.forward_sound(producer, &bare);
    }

    pub(crate) fn forward_sound(&mut self, producer: &mut Producer, packet: &Packet<'_>) {
        if producer.unpacker.as_ref().is_some_and(|unpacker| !unpacker.accepts(packet)) {
            self.stats.drops.malformed += 1;
            return;
        }
        let now = self.way.now;
        if let Some((dbov, _)) = packet.level {
            producer.level.add(dbov);
        }
        if let Some(layer) = producer.layers.first_mut() {
            layer.meter.add(packet.payload.len(), 0, 0, now);
        }
        // Who is heard was decided where a mirror's packets come from.
        let Some(talker) = producer.talker else { return self.fan_out_sound(producer, packet) };
        let Some(router) = self.routers.get_mut(producer.router) else { return };
        match router.talkers.on_packet(talker, packet.level, now) {
            Verdict::Pass => {}
            Verdict::Hold => {
                let Packet { seq, timestamp, marker, payload_type, level, .. } = *packet;
                let held = Held { seq, timestamp, marker, payload_type, level, arrival: now };
                return router.talkers.hold(talker, held, packet.payload);
            }
            Verdict::SwitchedIn => {
                let preroll = router.talkers.take_preroll(talker, now);
                self.interrupt_layer(producer, 0);
                for (held, payload) in preroll.iter().flat_map(|preroll| preroll.packets()) {
                    let Held { seq, timestamp, marker, payload_type, level, .. } = held;
                    self.fan_out_sound(producer, &Packet { seq, timestamp, marker, payload_type, level, payload, ..*packet });
                }
            }
        }
        self.fan_out_sound(producer, packet);
    }

    fn fan_out_sound(&mut self, producer: &mut Producer, packet: &Packet<'_>) {
        // Mirrors take it apart, or pack it, themselves.
        self.tell_mirrors(producer, 0, Told::Packet(packet));
        let Producer { unpacker, packer, consumers, .. } = producer;
        match (unpacker, packer) {
            (Some(unpacker), _) => self.fan_out_red(unpacker, consumers, packet),
            // Sound that comes without redundancy leaves without, but to those who lose packets.
            (None, Some(packer)) => {
                let packed = Packed { red: packer.pack(packet), opus: packet.payload, to: To::Everybody };
                self.fan_out(consumers, &passing(packet, Some(packed)));
            }
            (None, None) => self.fan_out(consumers, &passing(packet, None)),
        }
    }

    /// Sound that comes with redundancy leaves with it, and without for those who lack it: they get what it repeats of lost packets.
    fn fan_out_red(&mut self, unpacker: &mut Unpacker, consumers: &[ConsumerIndex], packet: &Packet<'_>) {
        let red = unpacker.red(packet);
        let (fills, is_again) = unpacker.take(packet, red.as_ref());
        for (back, block) in (1..=MAX_REDUNDANT as u64).rev().zip(fills.iter().rev()) {
            let Some(block) = block else { continue };
            let fill = Packet {
                seq: packet.seq.saturating_sub(back),
                timestamp: packet.timestamp.wrapping_sub(u32::from(block.timestamp_offset)),
                marker: false,
                level: None,
                payload: block.payload,
                ..*packet
            };
            let packed = Packed { red: None, opus: block.payload, to: To::WithoutRed };
            self.fan_out(consumers, &passing(&fill, Some(packed)));
        }
        let opus = red.as_ref().map_or(packet.payload, |red| red.primary.payload);
        let to = if is_again { To::WithRed } else { To::Everybody };
        let packed = Packed { red: unpacker.relabelled(packet, red.as_ref()), opus, to };
        self.fan_out(consumers, &passing(packet, Some(packed)));
    }
}

/// A decoder of sound can start with any packet.
fn passing<'a>(packet: &'a Packet<'a>, packed: Option<Packed<'a>>) -> Passing<'a> {
    Passing { packet, layer: 0, start: Start::KeyFrame, unit: None, structure: None, packed }
}

impl<'a> Packed<'a> {
    /// The payload type and payload for who is sent redundancy, or is not.
    pub(crate) fn form(&self, with_red: bool) -> Option<(u8, &'a [u8])> {
        match (self.to, self.red) {
            (To::WithRed, _) if !with_red => None,
            (To::WithoutRed, _) if with_red => None,
            (_, Some(red)) if with_red => Some((RED_PAYLOAD_TYPE, red)),
            _ => Some((OPUS_PAYLOAD_TYPE, self.opus)),
        }
    }
}

impl Unpacker {
    pub(crate) fn new(opus: u8) -> Self {
        Self { opus, run: None, relabelled: Vec::new() }
    }

    /// What comes next begins a run: nothing from before it is passed on, neither as a filling nor as redundancy. Somebody
    /// may have been muted.
    pub(crate) fn interrupt(&mut self) {
        self.run = None;
    }

    /// Whether there is in a packet what it says.
    fn accepts(&self, packet: &Packet<'_>) -> bool {
        packet.payload_type == self.opus || packet.payload.is_empty() || self.red(packet).is_some()
    }

    /// Bytes of a packet that repeat what was sent before.
    pub(crate) fn redundancy(&self, packet: &Packet<'_>) -> usize {
        self.red(packet).map_or(0, |red| packet.payload.len().saturating_sub(red.primary.payload.len()))
    }

    /// The same packet without what it repeats.
    fn bare<'a>(&self, packet: &Packet<'a>) -> Packet<'a> {
        let payload = self.red(packet).map_or(packet.payload, |red| red.primary.payload);
        Packet { payload_type: self.opus, payload, ..*packet }
    }

    /// Senders leave the redundancy away where it does not fit; padding has none.
    fn red<'a>(&self, packet: &Packet<'a>) -> Option<Red<'a>> {
        if packet.payload_type == self.opus {
            return None;
        }
        Red::parse(packet.payload).filter(|red| red.is_all(self.opus))
    }

    /// Notes a packet: gives the lost ones right before it that it repeats, and whether it was filled in itself.
    fn take<'a>(&mut self, packet: &Packet<'_>, red: Option<&Red<'a>>) -> (Fills<'a>, bool) {
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
    fn relabelled<'a>(&'a mut self, packet: &Packet<'a>, red: Option<&Red<'_>>) -> Option<&'a [u8]> {
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
