//! What is sent besides what arrives: packets a receiver asks for again, and padding that probes its network.

use std::time::{Duration, Instant};

use crate::consumer::egress::{Egress, EgressPacket};
use crate::payload;
use crate::plane::Sfu;
use crate::plane::rtcp::RECEIVER_RTT;
use crate::table::{ConsumerIndex, TransportIndex};

/// The most padding one packet can carry (RFC 3550, section 5.1: its length is one byte).
const MAX_PADDING: u8 = 255;
/// Padding packets at once: a probe of 40 Mbit/s for 10 ms, more than is ever asked for.
const MAX_PADDING_PACKETS: usize = 200;
/// While nothing flows there is nothing to pad, however much a probe is due.
const IDLE_WAIT: Duration = Duration::from_millis(100);

impl Sfu {
    /// Repeats what a receiver lost, on the repair stream. Without one nothing is repeated: the same number under
    /// the same key must not be sealed twice with other contents.
    ///
    /// False when the receiver has asked for more than it may.
    pub(crate) fn resend(&mut self, index: TransportIndex, ssrc: u32, lost: impl Iterator<Item = u16>, now: Instant) -> bool {
        let Some(transport) = self.transports.get_mut(index) else { return false };
        let Some(consumer) = transport.sent.get(ssrc).and_then(|consumer| self.consumers.get_mut(consumer)) else { return true };
        let Some((rtx, producer)) = consumer.rtx.zip(self.producers.get(consumer.producer)) else { return true };
        let rtt = transport.bandwidth.as_ref().map_or(RECEIVER_RTT, |bandwidth| bandwidth.rtt());
        let codec = producer.format.codec;
        let mut egress = Egress { send_buffer: &mut self.send_buffer, clock: self.clock, now };
        for seq in lost {
            self.stats.work.nacked += 1;
            if !transport.allowances.nacked.take(1, now) {
                return false;
            }
            let Some(sent) = consumer.stream.find(seq, now, rtt) else { continue };
            let Some(layer) = producer.layers.get(usize::from(sent.layer)) else { continue };
            let Some(stored) = layer.store.get(sent.in_seq, now) else { continue };
            let packet_out = EgressPacket {
                marker: sent.marker,
                repeats: Some(seq),
                orientation: stored.orientation,
                descriptor: stored.descriptor,
                counters: sent.counters.map(|new| (payload::counters(codec, stored.payload, stored.descriptor), new)),
                ..EgressPacket::new(rtx.ssrc, rtx.payload_type, consumer.stream.next_rtx(), sent.timestamp, stored.payload)
            };
            if egress.send(transport, &consumer.extensions, &packet_out).is_some() {
                self.stats.rtp_repeated += 1;
            }
        }
        true
    }

    /// Sends what the estimator asks for; returns when it wants to be asked again.
    pub(crate) fn send_padding(&mut self, index: TransportIndex, now: Instant) -> Option<Instant> {
        let transport = self.transports.get_mut(index).filter(|transport| transport.is_connected())?;
        let flowing = |index: &&ConsumerIndex| self.consumers.get(**index).is_some_and(|c| c.rtx.is_some() && c.current().is_some());
        let consumer = transport.pictures.iter().find(flowing).copied();
        let bandwidth = transport.bandwidth.as_mut()?;
        let Some(consumer) = consumer.and_then(|consumer| self.consumers.get_mut(consumer)) else {
            return bandwidth.next_padding().map(|at| at.max(now + IDLE_WAIT));
        };
        // Nothing to send now is no reason not to ask again.
        if let Some((rtx, request)) = consumer.rtx.zip(bandwidth.padding(now)) {
            let mut egress = Egress { send_buffer: &mut self.send_buffer, clock: self.clock, now };
            let mut left = request.bytes;
            for _ in 0..MAX_PADDING_PACKETS {
                if left == 0 {
                    break;
                }
                let padding = EgressPacket {
                    padding: MAX_PADDING,
                    probe: Some(request.probe),
                    ..EgressPacket::new(rtx.ssrc, rtx.payload_type, consumer.stream.next_rtx(), 0, &[])
                };
                let Some(sent) = egress.send(transport, &consumer.extensions, &padding) else { break };
                consumer.stream.padded(sent);
                left = left.saturating_sub(sent);
            }
        }
        transport.bandwidth.as_ref().and_then(|bandwidth| bandwidth.next_padding())
    }
}
