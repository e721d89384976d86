//! What is looked after ten times a second: silence, layers, speakers, requests that wait.

use std::time::{Duration, Instant};

use parlor_proto::media::{MediaEvent, MediaKind};
use parlor_proto::transport::Direction;

use crate::plane::Sfu;
use crate::producer::Layer;
use crate::table::TransportIndex;
use crate::transport::LayerOf;
use crate::video::layers::{self, LayerCandidate};

/// How often a sender is reminded of its limit: REMB is sent once and may be lost.
const REMIND_LIMIT_EVERY: Duration = Duration::from_secs(2);
/// Room above the limits for RTP headers and repair.
const LIMIT_OVERHEAD_PERCENT: u64 = 110;
/// The estimator looks for a little more than is needed, so that the last layer fits with its margin.
const WANTED_PERCENT: u64 = 130;

/// What is around fifty packets of sound a second: half of what it takes at 32 kbit/s, and part of what REMB limits.
const AUDIO_OVERHEAD: u64 = 30_000;

fn audio_overhead(kind: MediaKind) -> u64 {
    match kind {
        MediaKind::Audio => AUDIO_OVERHEAD,
        MediaKind::Video => 0,
    }
}

impl Sfu {
    pub(crate) fn tick(&mut self, now: Instant) {
        let transports: Vec<TransportIndex> = self.transports.indexes().collect();
        for index in transports {
            self.look_after_paths(index, now);
            self.update_state(index, now);
            self.report_if_due(index, now);
            match self.transports.get(index).map(|transport| transport.direction) {
                Some(Direction::Send) => self.remind_of_limit(index, now),
                Some(Direction::Recv) => {
                    self.notice_silence(index, now);
                    self.choose_layers(index, now);
                    self.repeat_requests(index, now);
                    self.report_layers(index);
                }
                None => {}
            }
        }
        self.send_waiting_requests(now);
        self.trim(now);
        self.report_speakers(now);
        self.failures.tell_if_due(now);
    }

    /// Gives a receiver who reports nothing a turn. To wake up for each would cost more than to look at it some milliseconds later.
    fn notice_silence(&mut self, index: TransportIndex, now: Instant) {
        let bandwidth = self.transports.get(index).and_then(|transport| transport.bandwidth.as_ref());
        if bandwidth.and_then(|bandwidth| bandwidth.next_timeout()).is_some_and(|at| at <= now) {
            self.schedule(index, now);
        }
    }

    fn remind_of_limit(&mut self, index: TransportIndex, now: Instant) {
        let Some(transport) = self.transports.get_mut(index).filter(|transport| transport.is_connected()) else { return };
        if transport.limit_sent.is_some_and(|sent| now.saturating_duration_since(sent) < REMIND_LIMIT_EVERY) {
            return;
        }
        let producers = || transport.producers.iter().filter_map(|index| self.producers.get(*index));
        // Sound alone is too little to be worth a limit by REMB, and browsers do not apply it to Opus. Who sends too much of it
        // all the same may be somebody who does.
        if !transport.was_cut && !producers().any(|producer| producer.kind() == MediaKind::Video) {
            return;
        }
        let total: u64 = producers().map(|producer| u64::from(producer.max_bitrate) + audio_overhead(producer.kind())).sum();
        transport.limit_sent = Some(now);
        transport.was_cut = false;
        self.send_limit(index, total * LIMIT_OVERHEAD_PERCENT / 100);
    }

    /// Divides what a receiver has room for among what it is sent: first sound, then pictures.
    pub(crate) fn choose_layers(&mut self, index: TransportIndex, now: Instant) {
        // Who gets only sound gets all of it.
        let Some(transport) = self.transports.get(index).filter(|transport| !transport.pictures.is_empty()) else { return };
        let (mut choices, mut candidates, mut idle, mut fixed) = (Vec::new(), Vec::new(), Vec::new(), 0_u64);
        for consumer_index in &transport.consumers {
            let Some(consumer) = self.consumers.get(*consumer_index).filter(|consumer| !consumer.paused) else { continue };
            let Some(producer) = self.producers.get_mut(consumer.producer).filter(|producer| !producer.paused) else { continue };
            if producer.kind() == MediaKind::Audio {
                // It may be sent more than once.
                let copies = if consumer.takes_red { 1 + u64::from(transport.loss.repeats()) } else { 1 };
                fixed += copies * producer.layers.first_mut().map_or(0, |layer| layer.rate(now));
                continue;
            }
            let steps = producer.steps(now);
            let rates: Vec<u64> = steps.iter().map(|step| step.rate).collect();
            let preferred = consumer.wanted(&steps);
            if steps.len() <= 1 {
                fixed += rates.iter().sum::<u64>();
            } else if rates.iter().any(|rate| *rate > 0) {
                candidates.push(LayerCandidate { rates, preferred, current: consumer.at(&steps) });
                choices.push((*consumer_index, steps));
            } else if consumer.aimed_at(&steps) > Some(preferred) {
                // While nothing arrives at all (a still screen), what is sent next is decided when it does: but no more than is wanted.
                idle.extend(steps.get(preferred).map(|step| (*consumer_index, *step)));
            }
        }
        let Some(transport) = self.transports.get_mut(index) else { return };
        let budget = transport.estimate().saturating_sub(fixed);
        let may_rise = transport.hold_up_until.is_none_or(|until| now >= until);
        let chosen = layers::choose(&candidates, budget, may_rise);
        let falls = candidates.iter().zip(&chosen).any(|(candidate, step)| candidate.falls_to(*step));
        if falls {
            transport.hold_up(now);
        }
        transport.want((fixed + layers::wanted(&candidates)) * WANTED_PERCENT / 100, now);
        let chosen = choices.into_iter().zip(chosen).filter_map(|((consumer, steps), step)| Some((consumer, *steps.get(step)?)));
        for (consumer, step) in chosen.chain(idle) {
            if let Some(consumer) = self.consumers.get_mut(consumer) {
                consumer.aim(step);
                consumer.keep_wish(step.rate > 0, now);
            }
        }
    }

    /// Asks again for key frames that consumers still wait for.
    pub(crate) fn repeat_requests(&mut self, index: TransportIndex, now: Instant) {
        let Some(transport) = self.transports.get(index).filter(|transport| transport.is_connected()) else { return };
        let mut needed = Vec::new();
        for consumer in &transport.pictures {
            let Some(consumer) = self.consumers.get_mut(*consumer) else { continue };
            // A layer that is off begins with a key frame when it comes back; asking for it would cost those that are on. Where
            // nothing comes at all there may be nothing new to show, and the sender waits to be asked.
            let layers = self.producers.get(consumer.producer).map_or(&[][..], |producer| &producer.layers);
            let stream = layers.get(usize::from(consumer.target));
            let is_off = stream.is_some_and(|stream| stream.last_packet.is_some() && !stream.is_on(now));
            if is_off && layers.iter().any(|layer| layer.is_on(now)) {
                continue;
            }
            if let Some(layer) = consumer.needs_key_frame(now) {
                needed.push((consumer.producer, layer));
            }
        }
        needed.into_iter().for_each(|(producer, layer)| self.ask_for_key_frame(producer, layer, now));
    }

    fn report_layers(&mut self, index: TransportIndex) {
        let Some(transport) = self.transports.get(index) else { return };
        let router = transport.router;
        let mut changed = Vec::new();
        for consumer in &transport.pictures {
            let Some(consumer) = self.consumers.get_mut(*consumer) else { continue };
            let Some(stream_type) = self.producers.get(consumer.producer).map(|producer| producer.format.stream_type) else { continue };
            if let Some(layers) = consumer.report(stream_type) {
                changed.push(MediaEvent::LayersChanged { consumer: consumer.id, layers });
            }
        }
        changed.into_iter().for_each(|event| self.report_of(router, event));
    }

    fn send_waiting_requests(&mut self, now: Instant) {
        let mut due = Vec::new();
        for (index, producer) in self.producers.iter_mut() {
            let waiting = |(layer, stream): (u8, &Layer)| stream.requests.waiting().map(|since| (since, layer));
            let longest = (0_u8..).zip(&producer.layers).filter_map(waiting).min();
            let Some((_, layer)) = longest else { continue };
            let stream = producer.layers.get_mut(usize::from(layer));
            if stream.is_some_and(|stream| stream.requests.due(now, &mut producer.key_frames)) {
                due.push(LayerOf { producer: index, layer });
            }
        }
        due.into_iter().for_each(|of| self.send_key_frame_request(of));
    }

    /// Gives back memory of what has fallen silent.
    fn trim(&mut self, now: Instant) {
        self.producers.values_mut().flat_map(|producer| &mut producer.layers).for_each(|layer| layer.store.trim(now));
        self.routers.values_mut().for_each(|router| router.talkers.trim(now));
    }

    fn report_speakers(&mut self, now: Instant) {
        let mut reports = Vec::new();
        for router in self.routers.values_mut() {
            if !router.speakers.is_due(now) {
                continue;
            }
            let mut heard = Vec::new();
            for producer in &router.audio {
                let Some(producer) = self.producers.get_mut(*producer) else { continue };
                heard.extend(producer.level.take().map(|level| (producer.id, level)));
            }
            if let Some(levels) = router.speakers.report(heard) {
                reports.push((router.id, MediaEvent::Speakers { levels }));
            }
        }
        reports.into_iter().for_each(|(router, event)| self.report(router, event));
    }
}
