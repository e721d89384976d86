//! A track somebody receives: which layer of the producer, and under which numbers.

use std::time::{Duration, Instant};

use parlor_proto::ids::ConsumerId;
use parlor_proto::media::Layers;

use crate::rewrite::Rewriter;
use crate::transport::Section;

/// How long to wait for a key frame that was asked for, before asking again: the request or the frame was lost.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(1_000);

/// Whether a decoder can start with a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Start {
    None,
    /// It begins a key frame.
    KeyFrame,
    /// It begins a key frame of which later packets came, and were left out, before it (it was lost and repaired):
    /// a receiver who started here would wait for those in vain.
    LateKeyFrame,
}

/// One consumer.
pub(crate) struct Consumer {
    pub(crate) id: ConsumerId,
    /// Index of the transport it is sent on.
    pub(crate) transport: usize,
    /// Index of the producer.
    pub(crate) producer: usize,
    pub(crate) section: Section,
    pub(crate) ssrc: u32,
    pub(crate) rtx: Option<u32>,
    pub(crate) payload_type: u8,
    pub(crate) paused: bool,
    pub(crate) rewriter: Rewriter,
    /// The layer to be sent as soon as it has a key frame.
    pub(crate) target: u8,
    /// The highest layer the receiver wants.
    pub(crate) preferred: u8,
    /// The layer being sent.
    current: Option<u8>,
    /// The layer sent last: whether what comes next is of the same encoder.
    last_layer: Option<u8>,
    asked: Option<Instant>,
    reported: Option<u8>,
}

/// What is fixed when a consumer is made.
pub(crate) struct Fixed {
    pub(crate) id: ConsumerId,
    pub(crate) transport: usize,
    pub(crate) producer: usize,
    pub(crate) section: Section,
    pub(crate) ssrc: u32,
    pub(crate) rtx: Option<u32>,
    pub(crate) payload_type: u8,
    pub(crate) paused: bool,
    pub(crate) rewriter: Rewriter,
    pub(crate) highest_layer: u8,
}

impl Consumer {
    pub(crate) fn new(fixed: Fixed) -> Self {
        let Fixed { id, transport, producer, section, ssrc, rtx, payload_type, paused, rewriter, highest_layer } = fixed;
        Self {
            id,
            transport,
            producer,
            section,
            ssrc,
            rtx,
            payload_type,
            paused,
            rewriter,
            target: 0,
            preferred: highest_layer,
            current: None,
            last_layer: None,
            asked: None,
            reported: None,
        }
    }

    /// Whether a packet of `layer` is to be sent.
    pub(crate) fn takes(&mut self, layer: u8, start: Start) -> bool {
        if self.target == layer && self.current != Some(layer) {
            match start {
                Start::None => {}
                Start::KeyFrame => self.begin(layer),
                // Asked for again at once.
                Start::LateKeyFrame => self.asked = None,
            }
        }
        self.current == Some(layer)
    }

    fn begin(&mut self, layer: u8) {
        match self.last_layer == Some(layer) {
            true => self.rewriter.skip(),
            false => self.rewriter.switch(),
        }
        self.current = Some(layer);
        self.last_layer = Some(layer);
        self.asked = None;
    }

    pub(crate) fn current(&self) -> Option<u8> {
        self.current
    }

    /// Sending stops; it will go on with a key frame and without a gap.
    pub(crate) fn interrupt(&mut self) {
        self.current = None;
        self.asked = None;
    }

    /// The encoder of a layer was replaced.
    pub(crate) fn source_replaced(&mut self, layer: u8) {
        if self.last_layer == Some(layer) {
            self.last_layer = None;
            self.interrupt();
        }
    }

    /// The layer it waits for, if it is time to ask for a key frame of it.
    pub(crate) fn needs_key_frame(&mut self, now: Instant) -> Option<u8> {
        let waits = !self.paused && self.current != Some(self.target);
        let patient = self.asked.is_some_and(|asked| now.saturating_duration_since(asked) < ASK_AGAIN_AFTER);
        if !waits || patient {
            return None;
        }
        self.asked = Some(now);
        Some(self.target)
    }

    /// Takes another layer as the one to be sent.
    pub(crate) fn aim(&mut self, layer: u8) {
        if self.target != layer {
            self.target = layer;
            self.asked = None;
        }
    }

    /// The layers sent now, if they changed since the last call.
    pub(crate) fn report(&mut self) -> Option<Option<Layers>> {
        if self.reported == self.current {
            return None;
        }
        self.reported = self.current;
        Some(self.current.map(|spatial_layer| Layers { spatial_layer, temporal_layer: None }))
    }
}
