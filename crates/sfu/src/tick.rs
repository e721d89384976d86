//! What is looked after ten times a second: silence, layers, speakers, requests that wait.

use std::time::{Duration, Instant};

use parlor_proto::media::{MediaEvent, MediaKind};
use parlor_proto::transport::Direction;

use crate::layers::{self, Candidate};
use crate::sfu::Sfu;
use crate::transport::LayerOf;

/// How often a sender is reminded of its limit: REMB is sent once and may be lost.
const REMIND_LIMIT_EVERY: Duration = Duration::from_secs(2);
/// Room above the limits for RTP headers and repair.
const LIMIT_OVERHEAD_PERCENT: u64 = 110;
/// What a receiver is taken to have room for while it has not said anything.
const ESTIMATE_UNKNOWN: u64 = 1_000_000;
/// The estimator looks for a little more than is needed, so that the last layer fits with its margin.
const WANTED_PERCENT: u64 = 130;

impl Sfu {
    pub(crate) fn tick(&mut self, now: Instant) {
        let transports: Vec<usize> = self.transports.iter().map(|(index, _)| index).collect();
        for index in transports {
            self.update_state(index, now);
            match self.transports.get(index).map(|transport| transport.direction) {
                Some(Direction::Send) => self.remind_of_limit(index, now),
                Some(Direction::Recv) => {
                    self.choose_layers(index, now);
                    self.repeat_requests(index, now);
                    self.report_layers(index);
                }
                None => {}
            }
        }
        self.send_waiting_requests(now);
        self.report_speakers(now);
    }

    fn remind_of_limit(&mut self, index: usize, now: Instant) {
        let Some(transport) = self.transports.get_mut(index).filter(|transport| transport.is_connected()) else { return };
        if transport.limit_sent.is_some_and(|sent| now.saturating_duration_since(sent) < REMIND_LIMIT_EVERY) {
            return;
        }
        let producers = || transport.producers.iter().filter_map(|index| self.producers.get(*index));
        // Sound alone is too little to be worth a limit by REMB, and browsers do not apply it to Opus.
        if !producers().any(|producer| producer.kind() == MediaKind::Video) {
            return;
        }
        let total: u64 = producers().map(|producer| u64::from(producer.max_bitrate)).sum();
        let Some(ssrc) = transport.receive.any_ssrc() else { return };
        transport.limit_sent = Some(now);
        if let Some(peer) = transport.peer() {
            peer.limit_sender(ssrc, total * LIMIT_OVERHEAD_PERCENT / 100);
        }
        self.mark_dirty(index);
    }

    /// Divides what a receiver has room for among its simulcast consumers.
    pub(crate) fn choose_layers(&mut self, index: usize, now: Instant) {
        let Some(transport) = self.transports.get(index) else { return };
        let (mut simulcast, mut candidates, mut fixed) = (Vec::new(), Vec::new(), 0_u64);
        for consumer_index in &transport.consumers {
            let Some(consumer) = self.consumers.get(*consumer_index).filter(|consumer| !consumer.paused) else { continue };
            let Some(producer) = self.producers.get_mut(consumer.producer).filter(|producer| !producer.paused) else { continue };
            let rates: Vec<u64> = producer.layers.iter_mut().map(|layer| layer.rate(now)).collect();
            let is_simulcast = producer.is_simulcast();
            // While nothing arrives at all (a still screen), what is sent next is decided when it does.
            if is_simulcast && rates.iter().any(|rate| *rate > 0) {
                simulcast.push(*consumer_index);
                candidates.push(Candidate { rates, preferred: consumer.preferred, current: consumer.current() });
            } else {
                fixed += rates.iter().sum::<u64>();
            }
        }
        let Some(transport) = self.transports.get_mut(index) else { return };
        let budget = transport.estimate.unwrap_or(ESTIMATE_UNKNOWN).saturating_sub(fixed);
        let may_rise = transport.hold_up_until.is_none_or(|until| now >= until);
        let chosen = layers::choose(&candidates, budget, may_rise);
        let falls = candidates.iter().zip(&chosen).any(|(candidate, layer)| {
            let current_is_on = candidate.current.is_some_and(|c| candidate.rates.get(usize::from(c)).is_some_and(|rate| *rate > 0));
            current_is_on && candidate.current.is_some_and(|current| *layer < current && current <= candidate.preferred)
        });
        if falls {
            transport.hold_up(now);
        }
        transport.want((fixed + layers::wanted(&candidates)) * WANTED_PERCENT / 100);
        for (consumer, layer) in simulcast.into_iter().zip(chosen) {
            if let Some(consumer) = self.consumers.get_mut(consumer) {
                consumer.aim(layer);
            }
        }
    }

    /// Asks again for key frames that consumers still wait for.
    pub(crate) fn repeat_requests(&mut self, index: usize, now: Instant) {
        let Some(transport) = self.transports.get(index).filter(|transport| transport.is_connected()) else { return };
        let mut needed = Vec::new();
        for consumer in &transport.consumers {
            let Some(consumer) = self.consumers.get_mut(*consumer) else { continue };
            if let Some(layer) = consumer.needs_key_frame(now) {
                needed.push((consumer.producer, layer));
            }
        }
        needed.into_iter().for_each(|(producer, layer)| self.ask_for_key_frame(producer, layer, now));
    }

    fn report_layers(&mut self, index: usize) {
        let Some(transport) = self.transports.get(index) else { return };
        for consumer in &transport.consumers {
            let Some(consumer) = self.consumers.get_mut(*consumer) else { continue };
            let is_simulcast = self.producers.get(consumer.producer).is_some_and(|producer| producer.is_simulcast());
            if let Some(layers) = is_simulcast.then(|| consumer.report()).flatten() {
                self.events.push_back(MediaEvent::LayersChanged { consumer: consumer.id, layers });
            }
        }
    }

    fn send_waiting_requests(&mut self, now: Instant) {
        let mut due = Vec::new();
        for (index, producer) in &mut self.producers {
            for (layer, stream) in (0_u8..).zip(&mut producer.layers) {
                if stream.requests.due(now) {
                    due.push((producer.transport, LayerOf { producer: index, layer }));
                }
            }
        }
        due.into_iter().for_each(|(transport, of)| self.send_key_frame_request(transport, of));
    }

    fn report_speakers(&mut self, now: Instant) {
        for (_, router) in &mut self.routers {
            if !router.speakers.is_due(now) {
                continue;
            }
            let mut heard = Vec::new();
            for producer in &router.audio {
                let Some(producer) = self.producers.get_mut(*producer) else { continue };
                heard.extend(producer.level.take().map(|level| (producer.id, level)));
            }
            if let Some(levels) = router.speakers.report(heard) {
                self.events.push_back(MediaEvent::Speakers { router: router.id, levels });
            }
        }
    }
}
