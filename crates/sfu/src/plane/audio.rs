//! The way of sound: who is heard, and redundancy (RFC 2198): taken apart for who lacks it, packed for who loses packets.

use crate::audio::red_unpack::{Audience, AudioForms, RedUnpacker};
use crate::audio::talkers::{Gate, Held};
use crate::consumer::Start;
use crate::packet::Packet;
use crate::pipe::MirrorUpdate;
use crate::plane::forward::{DescribedPacket, Forwarder};
use crate::producer::Producer;
use crate::table::ConsumerIndex;
use crate::wire::red::MAX_REDUNDANT;

impl Forwarder<'_> {
    /// What a packet of sound repeats is not passed on.
    pub(crate) fn forward_without_redundancy(&mut self, producer: &mut Producer, packet: &Packet<'_>) {
        let Some(bare) = producer.unpacker.as_ref().map(|unpacker| unpacker.bare(packet)) else { return };
        self.forward_audio(producer, &bare);
    }

    pub(crate) fn forward_audio(&mut self, producer: &mut Producer, packet: &Packet<'_>) {
        if producer.unpacker.as_ref().is_some_and(|unpacker| !unpacker.accepts(packet)) {
            self.stats.drops.malformed += 1;
            return;
        }
        let now = self.egress.now;
        if let Some((dbov, _)) = packet.level {
            producer.level.add(dbov);
        }
        if let Some(layer) = producer.layers.first_mut() {
            layer.meter.add(packet.payload.len(), 0, 0, now);
        }
        // Who is heard was decided where a mirror's packets come from.
        let Some(talker) = producer.talker else { return self.fan_out_audio(producer, packet) };
        let Some(router) = self.routers.get_mut(producer.router) else { return };
        match router.talkers.on_packet(talker, packet.level, now) {
            Gate::Pass => {}
            Gate::Hold => {
                let Packet { seq, timestamp, marker, payload_type, level, .. } = *packet;
                let held = Held { seq, timestamp, marker, payload_type, level, arrival: now };
                return router.talkers.hold(talker, held, packet.payload);
            }
            Gate::SwitchedIn => {
                let preroll = router.talkers.take_preroll(talker, now);
                self.interrupt_layer(producer, 0);
                for (held, payload) in preroll.iter().flat_map(|preroll| preroll.packets()) {
                    let Held { seq, timestamp, marker, payload_type, level, .. } = held;
                    self.fan_out_audio(producer, &Packet { seq, timestamp, marker, payload_type, level, payload, ..*packet });
                }
            }
        }
        self.fan_out_audio(producer, packet);
    }

    fn fan_out_audio(&mut self, producer: &mut Producer, packet: &Packet<'_>) {
        // Mirrors take it apart, or pack it, themselves.
        self.tell_mirrors(producer, 0, MirrorUpdate::Packet(packet));
        let Producer { unpacker, packer, consumers, .. } = producer;
        match (unpacker, packer) {
            (Some(unpacker), _) => self.fan_out_red(unpacker, consumers, packet),
            // Sound that comes without redundancy leaves without, but to those who lose packets.
            (None, Some(packer)) => {
                let packed = AudioForms { red: packer.pack(packet), opus: packet.payload, to: Audience::Everybody };
                self.fan_out(consumers, &passing(packet, Some(packed)));
            }
            (None, None) => self.fan_out(consumers, &passing(packet, None)),
        }
    }

    /// Sound that comes with redundancy leaves with it, and without for those who lack it: they get what it repeats of lost packets.
    fn fan_out_red(&mut self, unpacker: &mut RedUnpacker, consumers: &[ConsumerIndex], packet: &Packet<'_>) {
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
            let packed = AudioForms { red: None, opus: block.payload, to: Audience::WithoutRed };
            self.fan_out(consumers, &passing(&fill, Some(packed)));
        }
        let opus = red.as_ref().map_or(packet.payload, |red| red.primary.payload);
        let to = if is_again { Audience::WithRed } else { Audience::Everybody };
        let packed = AudioForms { red: unpacker.relabelled(packet, red.as_ref()), opus, to };
        self.fan_out(consumers, &passing(packet, Some(packed)));
    }
}

/// A decoder of sound can start with any packet.
fn passing<'a>(packet: &'a Packet<'a>, packed: Option<AudioForms<'a>>) -> DescribedPacket<'a> {
    DescribedPacket { packet, layer: 0, start: Start::KeyFrame, unit: None, structure: None, packed }
}
