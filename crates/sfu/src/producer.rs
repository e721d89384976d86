//! A track somebody sends: its layers as they arrive, and who gets it.

pub(crate) mod bitrate;
pub(crate) mod limit;
pub(crate) mod receive_stream;
pub(crate) mod rtx_buffer;
pub(crate) mod sender_clock;

use std::time::{Duration, Instant};

use parlor_proto::ids::{ProducerId, TransportId};
use parlor_proto::media::MediaKind;
use parlor_proto::rtp::RtpParameters;

use crate::audio::audio_level::Level;
use crate::audio::red_pack::RedPacker;
use crate::audio::red_unpack::RedUnpacker;
use crate::ortc::{Codec, ProducerFormat};
use crate::packet::Packet;
use crate::payload::{State, h264};
use crate::producer::bitrate::LayeredMeter;
use crate::producer::limit::{Cost, Credit, Limit};
use crate::producer::rtx_buffer::RtxBuffer;
use crate::producer::sender_clock::Reference;
use crate::table::{ConsumerIndex, RouterIndex, TalkerIndex, TransportIndex};
use crate::video::keyframe::{KeyFrameAllowance, Requests};
use crate::video::layers::OperatingPoint;

/// A layer of which so many frames in a row did not come is off: browsers stop the upper ones when bandwidth or CPU run
/// short. Whoever watches it has a frozen picture until then.
const FRAMES_MISSED: u32 = 3;
/// A hole this long may be the network's, however fast the layer is.
const LAYER_SILENT_AFTER: Duration = Duration::from_millis(600);
/// A frame a second is the slowest picture that is one; what comes after a longer silence tells nothing about the pace.
const LAYER_SILENT_AT_LAST: Duration = Duration::from_secs(3);
/// What the smallest layer is taken to need before it was measured, if nothing was announced. Each further
/// one has twice the width and height, and is taken to need four times as much.
const SMALLEST_LAYER_BITRATE: u64 = 150_000;

/// A track that a client sends, or the mirror of one that is sent to another thread.
pub(crate) struct Producer {
    pub(crate) id: ProducerId,
    /// Index of its router.
    pub(crate) router: RouterIndex,
    /// Index of the transport it arrives on; none if it is the mirror of one on another thread.
    pub(crate) transport: Option<TransportIndex>,
    /// Where it comes from, if it is a mirror.
    pub(crate) mirrored: Option<Mirrored>,
    /// Names its sender to receivers.
    pub(crate) cname: String,
    /// Threads with a mirror of it.
    pub(crate) pipes: Vec<u16>,
    pub(crate) format: ProducerFormat,
    pub(crate) paused: bool,
    pub(crate) max_bitrate: u32,
    pub(crate) limit: Limit,
    /// The last packet of sound was refused.
    audio_refused: bool,
    pub(crate) layers: Vec<Layer>,
    /// How often its sender may be asked for key frames.
    pub(crate) key_frames: KeyFrameAllowance,
    /// Indexes of its consumers.
    pub(crate) consumers: Vec<ConsumerIndex>,
    pub(crate) level: Level,
    /// The producer among the talkers of its router; pictures and mirrors are none.
    pub(crate) talker: Option<TalkerIndex>,
    /// If its sound comes with redundancy: what is known of the last packets.
    pub(crate) unpacker: Option<Box<RedUnpacker>>,
    /// If it comes without, and a receiver loses packets.
    pub(crate) packer: Option<Box<RedPacker>>,
    /// H.264: what its client gave of the stream's parameter sets beforehand; its receivers are told.
    pub(crate) parameter_sets: Option<Box<str>>,
}

/// Who sends a producer.
pub(crate) struct Sender {
    pub(crate) transport: Option<TransportIndex>,
    pub(crate) mirrored: Option<Mirrored>,
    pub(crate) cname: String,
    pub(crate) talker: Option<TalkerIndex>,
}

/// Where the producer of a mirror is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mirrored {
    /// The number of its thread.
    pub(crate) thread: u16,
    /// The transport it arrives on there.
    pub(crate) transport: TransportId,
}

/// One of the streams of a producer; they are counted from small to large.
pub(crate) struct Layer {
    pub(crate) meter: LayeredMeter,
    pub(crate) requests: Requests,
    pub(crate) last_packet: Option<Instant>,
    /// The newest frame: its timestamp, and when it began to arrive.
    newest_frame: Option<(u32, Instant)>,
    /// The time from frame to frame, lately.
    frame_interval: Duration,
    /// What receivers may ask for again.
    pub(crate) store: RtxBuffer,
    /// How the frames of the layer hang together, as far as that is told once for many packets.
    pub(crate) frames: State,
    /// The last sender report of the layer, on our clock.
    pub(crate) reference: Option<Reference>,
    /// The timestamp of the newest frame that was let in: the rest of it is, too.
    admitted: Option<u32>,
    /// The timestamp of the frame that was refused last: the rest of it is of no use.
    refused: Option<u32>,
    expected: u64,
}

/// Something a receiver can be sent of a producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Step {
    pub(crate) layer: u8,
    /// What of the layer's stream.
    pub(crate) within: OperatingPoint,
    /// How large the picture is, as clients count: over simulcast streams, or over the layers within one.
    pub(crate) size: u8,
    pub(crate) rate: u64,
}

/// What becomes of a packet that is measured against its producer's limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Admission {
    Passed,
    /// Passed without the redundancy that came with it.
    PassedBare,
    /// The packet is dropped.
    Refused,
    /// Dropped, and the rest of its frame will be.
    FrameRefused,
}

impl Layer {
    /// `position` counts from the smallest; `announced` is what the client said it would use at the most. It may
    /// say anything: more than it is allowed is never expected.
    pub(crate) fn new(position: u32, announced: Option<u64>, allowed: u32, now: Instant) -> Self {
        let expected = announced.unwrap_or(SMALLEST_LAYER_BITRATE << (2 * position.min(8))).min(u64::from(allowed));
        Self {
            meter: LayeredMeter::new(now),
            requests: Requests::default(),
            last_packet: None,
            newest_frame: None,
            frame_interval: Duration::ZERO,
            store: RtxBuffer::new(now),
            frames: State::default(),
            reference: None,
            admitted: None,
            refused: None,
            expected,
        }
    }

    /// Another encoder sends from now on, with numbers of its own.
    pub(crate) fn source_replaced(&mut self) {
        self.store.clear();
        self.frames.restart();
        self.reference = None;
    }

    /// What a receiver can be sent of it, from little to all; rates are 0 while it is off. `whole` leaves only all.
    pub(crate) fn steps(&mut self, layer: u8, whole: bool, now: Instant) -> impl Iterator<Item = Step> + '_ {
        let rate = self.rate(now);
        let (spatial, temporal) = self.meter.layers();
        let low = (0..temporal - 1).map(|temporal| OperatingPoint { spatial: 0, temporal });
        let high = (0..spatial - 1).map(|spatial| OperatingPoint { spatial, temporal: u8::MAX });
        let parts = low.chain(high).filter(move |_| !whole);
        parts.chain([OperatingPoint::ALL]).map(move |within| Step {
            layer,
            within,
            size: layer.max(within.spatial.min(spatial - 1)),
            rate: if within == OperatingPoint::ALL { rate } else { self.meter.share(rate, within.spatial, within.temporal) },
        })
    }

    /// Whether frames come, at the pace they have.
    pub(crate) fn is_on(&self, now: Instant) -> bool {
        let silent_after = (self.frame_interval * FRAMES_MISSED).clamp(LAYER_SILENT_AFTER, LAYER_SILENT_AT_LAST);
        self.last_packet.is_some_and(|last| now.saturating_duration_since(last) < silent_after)
    }

    fn note_frame(&mut self, timestamp: u32, now: Instant) {
        let Some((newest, began)) = self.newest_frame.replace((timestamp, now)) else { return };
        if newest == timestamp {
            self.newest_frame = Some((newest, began));
            return;
        }
        let passed = now.saturating_duration_since(began);
        if passed < LAYER_SILENT_AT_LAST {
            self.frame_interval = (self.frame_interval + passed) / 2;
        }
    }

    /// The bitrate of the layer: 0 while it is off, and what is expected until it is measured.
    pub(crate) fn rate(&mut self, now: Instant) -> u64 {
        let on = self.is_on(now);
        match self.meter.rate(now) {
            _ if !on => 0,
            0 => self.expected.max(1),
            measured => measured,
        }
    }
}

impl Producer {
    pub(crate) fn new(id: ProducerId, router: RouterIndex, format: ProducerFormat, sender: Sender, now: Instant) -> Self {
        let limit = Limit::new(format.codec.kind(), format.red.is_some(), None, now);
        Self {
            id,
            router,
            transport: sender.transport,
            mirrored: sender.mirrored,
            cname: sender.cname,
            pipes: Vec::new(),
            format,
            paused: false,
            max_bitrate: 0,
            limit,
            audio_refused: false,
            layers: Vec::new(),
            key_frames: KeyFrameAllowance::new(now),
            consumers: Vec::new(),
            level: Level::default(),
            talker: sender.talker,
            unpacker: format.red.map(|opus| Box::new(RedUnpacker::new(opus))),
            packer: None,
            parameter_sets: None,
        }
    }

    /// Gives the producer the layers its client announced, and the bitrate it may use; what a mirror is of is held to its bitrate where it arrives.
    pub(crate) fn within(self, max_bitrate: Option<u32>, rtp: &RtpParameters, paused: bool, now: Instant) -> Self {
        let layers = (0_u32..).zip(&rtp.encodings);
        let limit = Limit::new(self.kind(), self.format.red.is_some(), max_bitrate, now);
        let max_bitrate = max_bitrate.unwrap_or(u32::MAX);
        let mut layers: Vec<Layer> =
            layers.map(|(position, encoding)| Layer::new(position, encoding.max_bitrate, max_bitrate, now)).collect();
        // The parameter sets of one size of picture are not those of another.
        let sets = rtp.codecs.first().filter(|_| self.format.codec == Codec::H264 && layers.len() == 1);
        let parameter_sets = sets.and_then(|codec| h264::out_of_band(&codec.parameters)).map(Box::from);
        layers.iter_mut().for_each(|layer| layer.frames.parameter_sets_told = parameter_sets.is_some());
        Self { paused, max_bitrate, limit, layers, parameter_sets, ..self }
    }

    /// What its sender may use from now on. Layers that were not measured yet are not expected to take more.
    pub(crate) fn limit_to(&mut self, max_bitrate: u32, now: Instant) {
        self.max_bitrate = max_bitrate;
        self.limit.change(max_bitrate, now);
        self.layers.iter_mut().for_each(|layer| layer.expected = layer.expected.min(u64::from(max_bitrate)));
    }

    pub(crate) fn kind(&self) -> MediaKind {
        self.format.codec.kind()
    }

    /// All that a receiver can be sent of it, from little to much. Of a simulcast stream only the smallest picture
    /// is worth showing less often; a larger one with gaps is worse than the next smaller one.
    pub(crate) fn steps(&mut self, now: Instant) -> Vec<Step> {
        let mut smallest = true;
        let mut steps = Vec::new();
        for (layer, stream) in (0_u8..).zip(&mut self.layers) {
            let before = steps.len();
            steps.extend(stream.steps(layer, !smallest, now));
            smallest &= steps.get(before..).is_none_or(|steps| steps.iter().all(|step| step.rate == 0));
        }
        steps
    }

    /// Whether a packet is its media, first sent or repeated.
    pub(crate) fn carries(&self, packet: &Packet<'_>) -> bool {
        match packet.repaired {
            false => packet.payload_type == self.format.payload_type || Some(packet.payload_type) == self.format.red,
            true => Some(packet.payload_type) == self.format.rtx_payload_type,
        }
    }

    /// What follows has nothing to do with what was before.
    pub(crate) fn interrupt_audio(&mut self) {
        if let Some(unpacker) = &mut self.unpacker {
            unpacker.interrupt();
        }
        if let Some(packer) = &mut self.packer {
            packer.interrupt();
        }
    }

    /// Measures a packet, and holds it against the bitrate the sender may use. Its sender is told the limit; only
    /// one who does not listen loses frames here.
    pub(crate) fn admit(&mut self, layer: u8, packet: &Packet<'_>, now: Instant) -> Admission {
        let cost = Cost { bytes: packet.wire, receivers: self.consumers.len() };
        let is_video = self.kind() == MediaKind::Video;
        let Some(stream) = self.layers.get_mut(usize::from(layer)) else { return Admission::Refused };
        stream.last_packet = Some(now);
        if !is_video {
            return self.admit_audio(cost, packet, now);
        }
        if !packet.late {
            stream.note_frame(packet.timestamp, now);
        }
        if stream.refused == Some(packet.timestamp) {
            return Admission::Refused;
        }
        // What comes late belongs to a frame that was let in, or to one of which nothing is passed on.
        let goes_on = packet.late || stream.admitted == Some(packet.timestamp);
        let credit = if goes_on { Credit::Frame } else { Credit::None };
        if !self.limit.admit(cost, credit, now) {
            stream.refused = Some(packet.timestamp);
            return Admission::FrameRefused;
        }
        if !packet.late {
            (stream.admitted, stream.refused) = (Some(packet.timestamp), None);
        }
        Admission::Passed
    }

    /// Redundancy goes first, then single packets, as far from each other as can be.
    fn admit_audio(&mut self, cost: Cost, packet: &Packet<'_>, now: Instant) -> Admission {
        let credit = if self.audio_refused { Credit::AfterLoss } else { Credit::None };
        let redundancy = match &self.unpacker {
            Some(unpacker) if !self.limit.has_spare(cost.bytes, now) => unpacker.redundancy(packet),
            _ => 0,
        };
        let cost = Cost { bytes: cost.bytes.saturating_sub(redundancy), ..cost };
        let passes = self.limit.admit(cost, credit, now);
        self.audio_refused = !passes;
        match (passes, redundancy) {
            (false, _) => Admission::Refused,
            (true, 0) => Admission::Passed,
            (true, _) => Admission::PassedBare,
        }
    }
}
