//! Who is sent sound more than once (RFC 2198): receivers that lose packets, and as often as they need it.
//!
//! A sender hears of losses on its way to us only; what is lost behind us nobody else can do something about.

use std::time::Instant;

use crate::plane::Sfu;
use crate::table::{ConsumerIndex, ProducerIndex};

impl Sfu {
    /// Takes how much a receiver says it has lost of a consumer.
    pub(crate) fn take_loss(&mut self, index: ConsumerIndex, lost: i32, now: Instant) {
        let Some(consumer) = self.consumers.get_mut(index).filter(|consumer| consumer.selection.is_none()) else { return };
        let (sent, lost) = consumer.stream.on_report(lost, consumer.rewriter.used());
        let Some(transport) = self.transports.get_mut(consumer.transport) else { return };
        if transport.loss.on_report(sent, lost, now) {
            transport.consumers.clone().into_iter().for_each(|consumer| self.update_redundancy(consumer));
        }
    }

    /// Sends a consumer redundancy, or none, as its receiver's losses ask for.
    pub(crate) fn update_redundancy(&mut self, index: ConsumerIndex) {
        let Some(consumer) = self.consumers.get_mut(index).filter(|consumer| consumer.takes_red) else { return };
        let Some(transport) = self.transports.get(consumer.transport) else { return };
        consumer.with_red = transport.loss.repeats() > 0;
        let producer = consumer.producer;
        self.update_packer(producer);
    }

    /// Packs the sound of a producer as often as the worst of its receivers needs, if any does.
    pub(crate) fn update_packer(&mut self, index: ProducerIndex) {
        let Some(producer) = self.producers.get_mut(index) else { return };
        let lossy = producer.consumers.iter().filter_map(|consumer| self.consumers.get(*consumer)).filter(|consumer| consumer.takes_red);
        let repeats = lossy.filter_map(|consumer| self.transports.get(consumer.transport)).map(|transport| transport.loss.repeats());
        match repeats.max().unwrap_or(0) {
            0 => producer.packer = None,
            repeats => producer.packer.get_or_insert_default().repeats = usize::from(repeats),
        }
    }
}
