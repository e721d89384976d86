//! RTCP: what clients report is taken to whom it concerns, and what they are to know is written.

use std::time::{Duration, Instant};

use crate::pipe::WantedKeyFrame;
use crate::plane::Sfu;
use crate::table::{ProducerIndex, TransportIndex};
use crate::transport::send_buffer::{Destination, SendBuffer};
use crate::transport::{Ice, LayerOf, Secure};
use crate::wire::rtcp::{self, Builder, Feedback, MAX_BLOCKS, MAX_RTCP, ReportBlock, Rtcp, SenderInfo};
use crate::wire::srtp::MAX_OVERHEAD;
use parlor_proto::transport::Direction;

/// Reports about streams are sent this often. RFC 3550, section 6.2, asks for no more than one in 5 s where that is
/// within 5 % of the bandwidth; browsers take one a second, and a fresh mapping of clocks matters to lip sync.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How long a sender takes to answer: it is not measured, and browsers are rarely farther.
pub(crate) const SENDER_RTT: Duration = Duration::from_millis(100);
/// How long a receiver is taken to need for an answer while nothing was measured of it.
pub(crate) const RECEIVER_RTT: Duration = Duration::from_millis(100);
/// An estimate that fell to this share of what it was says that a link got worse.
const FALL_PERCENT: u64 = 95;

impl Sfu {
    /// Takes an authenticated compound packet. What it says about streams that are not its transport's is ignored.
    pub(crate) fn take_reports(&mut self, index: TransportIndex, bytes: &[u8], now: Instant) {
        let allowed = self.transports.get_mut(index).is_some_and(|transport| transport.allowances.datagrams.take(1, now));
        if !allowed {
            self.stats.drops.over_reports += 1;
            return;
        }
        for report in rtcp::parse(bytes) {
            if !self.take_report(index, report, now) {
                self.stats.drops.over_reports += 1;
                return;
            }
        }
    }

    /// False when a client has used up what it may make us do.
    fn take_report(&mut self, index: TransportIndex, report: Rtcp<'_>, now: Instant) -> bool {
        if !self.allow_item(index, now) {
            return false;
        }
        match report {
            Rtcp::SenderReport { info, mut reports } => {
                self.take_sender_report(index, &info, now);
                return reports.all(|block| self.take_block(index, &block, now));
            }
            Rtcp::ReceiverReport { mut reports, .. } => return reports.all(|block| self.take_block(index, &block, now)),
            Rtcp::Nack { media, lost } => return self.resend(index, media, lost, now),
            Rtcp::Pli { media } => self.handle_key_frame_wanted(index, media, now),
            Rtcp::Fir { mut entries } => {
                return entries.all(|entry| {
                    self.handle_key_frame_wanted(index, entry.media, now);
                    self.allow_item(index, now)
                });
            }
            Rtcp::Remb { bitrate, .. } => {
                if let Some(transport) = self.transports.get_mut(index) {
                    transport.remb = Some(bitrate);
                }
            }
            Rtcp::TransportFeedback(feedback) => return self.take_feedback(index, &feedback, now),
            Rtcp::Bye { .. } => {}
        }
        true
    }

    fn allow_item(&mut self, index: TransportIndex, now: Instant) -> bool {
        self.stats.work.report_items += 1;
        self.transports.get_mut(index).is_some_and(|transport| transport.allowances.items.take(1, now))
    }

    fn take_feedback(&mut self, index: TransportIndex, feedback: &Feedback<'_>, now: Instant) -> bool {
        let Some(transport) = self.transports.get_mut(index) else { return false };
        let Some(bandwidth) = &mut transport.bandwidth else { return true };
        let before = bandwidth.estimate();
        let (first, known) = bandwidth.known();
        let allowed = transport.allowances.statuses.left(now);
        let mut walked = 0;
        let arrivals = feedback.iter().within(first, known).take(usize::try_from(allowed).unwrap_or(usize::MAX));
        bandwidth.on_feedback(arrivals.inspect(|_| walked += 1), now);
        transport.allowances.statuses.spend(walked);
        self.stats.work.statuses += walked;
        let fell = bandwidth.estimate() < before * FALL_PERCENT / 100;
        // Reports are many, and few of them change what is to be done when.
        if let Some(at) = bandwidth.next_padding() {
            self.schedule(index, at);
        }
        if fell {
            // A queue is filling up: not to wait for the next tick.
            self.choose_layers(index, now);
            self.repeat_requests(index, now);
        }
        walked < allowed
    }

    fn take_sender_report(&mut self, index: TransportIndex, info: &SenderInfo, now: Instant) {
        let wall = self.clock.ntp(now);
        let SenderInfo { ssrc, ntp, rtp, .. } = *info;
        let Some(transport) = self.transports.get_mut(index) else { return };
        if let Some(stream) = transport.receive.by_ssrc(ssrc) {
            stream.received.on_sender_report(ntp, now);
            transport.clock.on_sender_report(ntp, wall, now);
            if let Some((of, reference)) = Some(stream.of).zip(transport.clock.reference(ntp, rtp)) {
                let (producers, mut forwarder) = self.forwarder(now);
                producers.get_mut(of.producer).into_iter().for_each(|producer| forwarder.set_reference(producer, of.layer, reference));
            }
        }
    }

    /// False when a client has used up what it may make us do.
    fn take_block(&mut self, index: TransportIndex, block: &ReportBlock, now: Instant) -> bool {
        if !self.allow_item(index, now) {
            return false;
        }
        let ntp = self.clock.ntp(now);
        let Some(transport) = self.transports.get(index) else { return false };
        let Some(consumer) = transport.sent.get(block.ssrc) else { return true };
        self.take_loss(consumer, block.lost, now);
        let Some(transport) = self.transports.get_mut(index) else { return false };
        let Some(bandwidth) = &mut transport.bandwidth else { return true };
        bandwidth.on_loss(f32::from(block.fraction_lost) / 256.0, now);
        if block.last_sr != 0 {
            // RFC 3550, section 6.4.1: in units of 1/65536 s. What is over a minute is a lie or a wrap.
            #[expect(clippy::cast_possible_truncation, reason = "the middle 32 bits are meant")]
            let units = ((ntp >> 16) as u32).wrapping_sub(block.last_sr).wrapping_sub(block.delay_since_sr);
            if units < 60 << 16 {
                bandwidth.on_rtt(Duration::from_micros(u64::from(units) * 15_625 / 1_024));
            }
        }
        true
    }

    /// Writes what is due of one transport; returns when something is due next that does not wait for a tick.
    pub(crate) fn send_rtcp(&mut self, index: TransportIndex, now: Instant) -> Option<Instant> {
        let transport = self.transports.get_mut(index).filter(|transport| transport.is_connected())?;
        let report_due = *transport.next_report.get_or_insert(now);
        let reports = report_due <= now;
        if reports {
            transport.next_report = Some(now + REPORT_EVERY);
        }
        match transport.direction {
            Direction::Send => self.report_to_sender(index, reports, now),
            Direction::Recv => {
                if reports {
                    self.report_to_receiver(index, now);
                }
                None
            }
        }
    }

    /// Reports about streams go with a tick, those of many transports together: to wake up for each would cost more than the report.
    pub(crate) fn report_if_due(&mut self, index: TransportIndex, now: Instant) {
        let due = self.transports.get(index).is_some_and(|transport| transport.next_report.is_none_or(|due| due <= now));
        if due && let Some(at) = self.send_rtcp(index, now) {
            self.schedule(index, at);
        }
    }

    /// NACKs, transport-wide feedback and receiver reports.
    fn report_to_sender(&mut self, index: TransportIndex, reports: bool, now: Instant) -> Option<Instant> {
        let transport = self.transports.get_mut(index)?;
        let (mut next, mut wanted) = (None::<Instant>, Vec::new());
        let ours = transport.ssrc;
        if reports {
            self.blocks.clear();
            self.blocks.extend(transport.receive.streams().map(|stream| stream.received.report(stream.ssrc, now)));
            for blocks in self.blocks.chunks(MAX_BLOCKS) {
                self.reports.clear();
                Builder::new(&mut self.reports, ours).receiver_report(blocks);
                send_report(&mut self.send_buffer, &mut transport.secure, (transport.destination, &mut transport.ice), &self.reports);
            }
        }
        self.reports.clear();
        for stream in transport.receive.streams() {
            self.lost.clear();
            stream.received.nacks(now, SENDER_RTT, &mut self.lost);
            let mut rest = self.lost.as_slice();
            while !rest.is_empty() {
                let taken = Builder::resume(&mut self.reports, ours).nack(stream.ssrc, rest);
                rest = rest.get(taken..).unwrap_or_default();
                if !rest.is_empty() {
                    if self.reports.is_empty() {
                        break;
                    }
                    send_report(&mut self.send_buffer, &mut transport.secure, (transport.destination, &mut transport.ice), &self.reports);
                    self.reports.clear();
                }
            }
            if stream.received.take_lost() {
                wanted.push(stream.of);
            }
            next = next.into_iter().chain(stream.received.next_nack()).min();
        }
        send_report(&mut self.send_buffer, &mut transport.secure, (transport.destination, &mut transport.ice), &self.reports);
        while transport.recorder.due().is_some_and(|due| due <= now) {
            let Some(report) = transport.recorder.take(now) else { break };
            let (mut base, mut rest) = (report.base, report.arrivals);
            while !rest.is_empty() {
                let media = transport.receive.any_ssrc().unwrap_or(0);
                self.reports.clear();
                let mut builder = Builder::new(&mut self.reports, transport.ssrc);
                let taken = builder.transport_feedback(media, transport.feedback_number, base, rest);
                if taken == 0 {
                    break;
                }
                rest = rest.get(taken..).unwrap_or_default();
                base = base.wrapping_add(u16::try_from(taken).unwrap_or(u16::MAX));
                transport.feedback_number = transport.feedback_number.wrapping_add(1);
                send_report(&mut self.send_buffer, &mut transport.secure, (transport.destination, &mut transport.ice), &self.reports);
            }
        }
        next = next.into_iter().chain(transport.recorder.due()).min();
        wanted.into_iter().for_each(|LayerOf { producer, layer }| self.ask_for_key_frame(producer, layer, now));
        next
    }

    /// Sender reports of every stream that is being sent.
    fn report_to_receiver(&mut self, index: TransportIndex, now: Instant) {
        let Some(transport) = self.transports.get_mut(index) else { return };
        let clock = self.clock;
        #[expect(clippy::cast_possible_truncation, reason = "the middle 32 bits are meant")]
        let back = transport.ice.date_back(now, |at| (clock.ntp(at) >> 16) as u32);
        let now = now.checked_sub(back).unwrap_or(now);
        let wall = clock.ntp(now);
        self.infos.clear();
        for consumer in transport.consumers.iter().filter_map(|consumer| self.consumers.get(*consumer)) {
            let Some(producer) = self.producers.get(consumer.producer) else { continue };
            self.infos.extend(consumer.sender_report(producer, wall, now).map(|info| (info, consumer.producer)));
        }
        let mut rest = self.infos.as_slice();
        while !rest.is_empty() {
            self.reports.clear();
            let mut builder = Builder::new(&mut self.reports, transport.ssrc);
            // Together with the name that says whose streams belong together (RFC 3550, section 6.1).
            let mut write = |info: &SenderInfo, producer: ProducerIndex| {
                let sender = self.producers.get(producer);
                builder.sender_report(info) && sender.is_some_and(|sender| builder.cname(info.ssrc, &sender.cname))
            };
            let taken = rest.iter().take_while(|(info, producer)| write(info, *producer)).count();
            send_report(&mut self.send_buffer, &mut transport.secure, (transport.destination, &mut transport.ice), &self.reports);
            rest = rest.get(taken.max(1)..).unwrap_or_default();
        }
    }

    /// Asks the sender of a layer for a key frame.
    pub(crate) fn send_key_frame_request(&mut self, of: LayerOf) {
        let Some(producer) = self.producers.get(of.producer) else { return };
        let Some(transport) = producer.transport else {
            let asked = producer.mirrored.zip(self.routers.get(producer.router));
            let wanted =
                asked.map(|(at, router)| WantedKeyFrame { thread: at.thread, router: router.id, producer: producer.id, layer: of.layer });
            return self.wanted.extend(wanted);
        };
        let Some(sender) = self.transports.get_mut(transport).filter(|sender| sender.is_connected()) else { return };
        let Some(ssrc) = sender.receive.ssrc(of) else { return };
        self.reports.clear();
        Builder::new(&mut self.reports, sender.ssrc).pli(ssrc);
        send_report(&mut self.send_buffer, &mut sender.secure, (sender.destination, &mut sender.ice), &self.reports);
        self.stats.key_frame_requests += 1;
    }

    /// Tells a sender the most it may send in all, by REMB.
    pub(crate) fn send_limit(&mut self, index: TransportIndex, bitrate: u64) {
        let Some(transport) = self.transports.get_mut(index) else { return };
        let ssrcs: Vec<u32> = transport.receive.streams().map(|stream| stream.ssrc).collect();
        if ssrcs.is_empty() {
            return;
        }
        self.reports.clear();
        Builder::new(&mut self.reports, transport.ssrc).remb(bitrate, &ssrcs);
        send_report(&mut self.send_buffer, &mut transport.secure, (transport.destination, &mut transport.ice), &self.reports);
    }
}

/// Seals a compound packet into what is to be sent.
fn send_report(send_buffer: &mut SendBuffer, secure: &mut Option<Box<Secure>>, to: (Option<Destination>, &mut Ice), report: &[u8]) {
    let Some((secure, destination)) = secure.as_mut().zip(to.0) else { return };
    if report.is_empty() || report.len() > MAX_RTCP || !to.1.may_send(report.len() + MAX_OVERHEAD, true) {
        return;
    }
    let Some(room) = send_buffer.room() else { return };
    let Some(place) = room.get_mut(..report.len()) else { return };
    place.copy_from_slice(report);
    if let Some(len) = secure.sealer.seal_rtcp(room, report.len()) {
        send_buffer.commit(destination, len);
    }
}

#[cfg(test)]
mod work;
