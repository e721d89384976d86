//! A track somebody sends: its layers as they arrive, and who gets it.

use std::time::{Duration, Instant};

use parlor_proto::ids::ProducerId;
use parlor_proto::media::{MediaKind, StreamType};

use crate::audio_level::Level;
use crate::bitrate::{Limit, Meter};
use crate::keyframe::Requests;
use crate::ortc::ProducerFormat;

/// A layer that has sent nothing for this long is off: browsers stop the upper ones when bandwidth or CPU run
/// short. Whoever watches it has a frozen picture until then; at five frames a second it is three frames.
const LAYER_SILENT_AFTER: Duration = Duration::from_millis(600);
/// What the smallest layer is taken to need before it was measured, if nothing was announced. Each further
/// one has twice the width and height, and is taken to need four times as much.
const SMALLEST_LAYER_BITRATE: u64 = 150_000;

/// One producer.
pub(crate) struct Producer {
    pub(crate) id: ProducerId,
    /// Index of its router.
    pub(crate) router: usize,
    /// Index of the transport it arrives on.
    pub(crate) transport: usize,
    pub(crate) format: ProducerFormat,
    pub(crate) paused: bool,
    pub(crate) max_bitrate: u32,
    pub(crate) limit: Limit,
    pub(crate) layers: Vec<Layer>,
    /// Indexes of its consumers.
    pub(crate) consumers: Vec<usize>,
    pub(crate) level: Level,
}

/// One of its streams, from small to large.
pub(crate) struct Layer {
    pub(crate) meter: Meter,
    pub(crate) requests: Requests,
    pub(crate) last_packet: Option<Instant>,
    /// Highest sequence number that arrived.
    highest: Option<u64>,
    expected: u64,
}

impl Layer {
    /// `position` counts from the smallest; `announced` is what the client said it would use at the most. It may
    /// say anything: more than it is allowed is never expected.
    pub(crate) fn new(position: u32, announced: Option<u64>, allowed: u32, now: Instant) -> Self {
        let expected = announced.unwrap_or(SMALLEST_LAYER_BITRATE << (2 * position.min(8))).min(u64::from(allowed));
        Self { meter: Meter::new(now), requests: Requests::default(), last_packet: None, highest: None, expected }
    }

    /// Notes that a packet arrived; true if a later one arrived before it.
    pub(crate) fn arrived(&mut self, seq: u64, now: Instant) -> bool {
        self.last_packet = Some(now);
        let late = self.highest.is_some_and(|highest| seq < highest);
        self.highest = self.highest.max(Some(seq));
        late
    }

    /// Another encoder sends from now on, with numbers of its own.
    pub(crate) fn source_replaced(&mut self) {
        self.highest = None;
    }

    /// Its bitrate; 0 while it is off. What is expected of it, until it is measured.
    pub(crate) fn rate(&mut self, now: Instant) -> u64 {
        let on = self.last_packet.is_some_and(|last| now.saturating_duration_since(last) < LAYER_SILENT_AFTER);
        match self.meter.rate(now) {
            _ if !on => 0,
            0 => self.expected.max(1),
            measured => measured,
        }
    }
}

impl Producer {
    pub(crate) fn kind(&self) -> MediaKind {
        self.format.codec.kind()
    }

    pub(crate) fn is_simulcast(&self) -> bool {
        self.format.stream_type == StreamType::Simulcast
    }

    /// Whether packets with this payload type are its media, first sent or repeated.
    pub(crate) fn carries(&self, payload_type: u8) -> bool {
        payload_type == self.format.payload_type || Some(payload_type) == self.format.rtx_payload_type
    }
}
