//! A track somebody receives: which layer of the producer, and under which numbers.

pub(crate) mod egress;
pub(crate) mod rewrite;
pub(crate) mod select;
pub(crate) mod send_stream;

use std::ops::Deref;
use std::time::{Duration, Instant};

use parlor_proto::ids::ConsumerId;
use parlor_proto::media::{Layers, MediaKind, StreamType};

use crate::consumer::egress::ReceiverExtensions;
use crate::consumer::rewrite::Rewriter;
use crate::consumer::select::Selection;
use crate::consumer::send_stream::{Report, SendStream};
use crate::ortc::RED_PAYLOAD_TYPE;
use crate::producer::{Producer, Step};
use crate::table::{ProducerIndex, TransportIndex};
use crate::video::layers::OperatingPoint;
use crate::wire::rtcp::SenderInfo;

/// How long to wait for a key frame that was asked for, before asking again: the request or the frame was lost.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(1_000);

/// How long more than what is wished for may go on, until there is a key frame of less: without it there would be no
/// picture meanwhile.
const OVER_WISH_AT_MOST: Duration = Duration::from_millis(1_000);

/// Whether a decoder can start with a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Start {
    None,
    /// The packet begins a key frame.
    KeyFrame,
    /// The packet begins a key frame of which later packets came, and were left out, before it (it was lost and repaired):
    /// a receiver who started here would wait for those in vain.
    LateKeyFrame,
}

/// The stream repairs are sent on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RtxStream {
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
}

/// What is fixed when a consumer is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed {
    pub(crate) id: ConsumerId,
    /// Index of the transport it is sent on.
    pub(crate) transport: TransportIndex,
    /// Index of the producer.
    pub(crate) producer: ProducerIndex,
    pub(crate) ssrc: u32,
    pub(crate) rtx: Option<RtxStream>,
    pub(crate) payload_type: u8,
    /// Whether its sound, Opus, may be sent with redundancy as well.
    pub(crate) takes_red: bool,
    pub(crate) extensions: ReceiverExtensions,
}

/// A track that one client receives of another.
pub(crate) struct Consumer {
    pub(crate) fixed: Fixed,
    pub(crate) paused: bool,
    /// Whether sound with redundancy is sent, where there is.
    pub(crate) with_red: bool,
    pub(crate) rewriter: Rewriter,
    pub(crate) stream: SendStream,
    /// Which packets within a layer's stream are sent. Sound has none. Apart, so that what every packet of sound needs lies together.
    pub(crate) selection: Option<Box<Selection>>,
    /// The layer to be sent as soon as it has a key frame.
    pub(crate) target: u8,
    /// The highest layers the receiver wants: of simulcast the stream, else what is within it.
    pub(crate) preferred: OperatingPoint,
    /// The layer being sent.
    current: Option<u8>,
    /// The layer sent last: whether what comes next is of the same encoder.
    last_layer: Option<u8>,
    /// What of the target's stream is to be sent, as it was last chosen.
    aimed: Option<OperatingPoint>,
    asked: Option<Instant>,
    /// Since when it is sent more than its receiver wants.
    over_wish: Option<Instant>,
    reported: Option<u8>,
}

impl Deref for Consumer {
    type Target = Fixed;

    fn deref(&self) -> &Fixed {
        &self.fixed
    }
}

impl Consumer {
    pub(crate) fn new(fixed: Fixed, kind: MediaKind, clock_rate: u32, paused: bool) -> Self {
        Self {
            fixed,
            paused,
            with_red: fixed.payload_type == RED_PAYLOAD_TYPE,
            rewriter: Rewriter::new(clock_rate, rand::random(), rand::random()),
            stream: SendStream::new(clock_rate, rand::random()),
            selection: (kind == MediaKind::Video).then(|| Box::new(Selection::new(OperatingPoint::ALL))),
            target: 0,
            preferred: OperatingPoint::ALL,
            current: None,
            last_layer: None,
            aimed: None,
            asked: None,
            over_wish: None,
            reported: None,
        }
    }

    /// The sender report of what is being sent.
    pub(crate) fn sender_report(&self, producer: &Producer, wall: u64, now: Instant) -> Option<SenderInfo> {
        let layer = producer.layers.get(usize::from(self.last_layer?))?;
        let report = self.stream.sender_report(now, wall, layer.reference, self.rewriter.timestamp_offset())?;
        let Report { ntp, rtp, packets, octets } = report;
        Some(SenderInfo { ssrc: self.ssrc, ntp, rtp, packets, octets })
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
        self.selection.iter_mut().for_each(|selection| selection.restart());
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
        let waits = !self.paused
            && (self.current != Some(self.target) || self.selection.as_ref().is_some_and(|selection| selection.needs_key_frame()));
        let patient = self.asked.is_some_and(|asked| now.saturating_duration_since(asked) < ASK_AGAIN_AFTER);
        if !waits || patient {
            return None;
        }
        self.asked = Some(now);
        Some(self.target)
    }

    /// Takes another layer as the one to be sent, and what of it.
    pub(crate) fn aim(&mut self, step: Step) {
        if self.target != step.layer {
            self.target = step.layer;
            self.asked = None;
        }
        self.aimed = Some(step.within);
        let within = OperatingPoint { temporal: step.within.temporal.min(self.preferred.temporal), ..step.within };
        self.selection.iter_mut().for_each(|selection| selection.aim(within));
    }

    /// Ends what is more than its receiver wants, once what is to follow is off, or does not come.
    pub(crate) fn keep_wish(&mut self, follows: bool, now: Instant) {
        if self.current.is_none_or(|current| current <= self.preferred.spatial) {
            self.over_wish = None;
            return;
        }
        let since = *self.over_wish.get_or_insert(now);
        if !follows || now.saturating_duration_since(since) >= OVER_WISH_AT_MOST {
            self.interrupt();
        }
    }

    /// Which of the steps it is to be sent.
    pub(crate) fn aimed_at(&self, steps: &[Step]) -> Option<usize> {
        steps.iter().rposition(|step| step.layer == self.target && (self.aimed.is_none() || self.aimed == Some(step.within)))
    }

    /// Which of the steps it is sent now.
    pub(crate) fn at(&self, steps: &[Step]) -> Option<usize> {
        let current = self.current?;
        let is_now = |step: &Step| step.layer == current && (self.aimed.is_none() || self.aimed == Some(step.within));
        steps.iter().rposition(is_now)
    }

    /// The highest of the steps that its receiver wants.
    pub(crate) fn wanted(&self, steps: &[Step]) -> usize {
        steps.iter().rposition(|step| step.size <= self.preferred.spatial).unwrap_or(0)
    }

    /// The layers sent now, if they changed since the last call.
    pub(crate) fn report(&mut self, stream_type: StreamType) -> Option<Option<Layers>> {
        let size = match stream_type {
            StreamType::Simple => return None,
            StreamType::Simulcast => self.current,
            StreamType::Svc => {
                self.current.and(self.selection.as_ref()).and_then(|selection| selection.current()).map(|within| within.spatial)
            }
        };
        if self.reported == size {
            return None;
        }
        self.reported = size;
        Some(size.map(|spatial_layer| Layers { spatial_layer, temporal_layer: None }))
    }
}
