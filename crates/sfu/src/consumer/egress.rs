//! Writes a packet for one receiver into what is to be sent, and seals it there.

use std::time::Instant;

use crate::bandwidth::ProbeId;
use crate::ortc::{id, uri};
use crate::payload::{Counters, NewCounters};
use crate::transport::Transport;
use crate::transport::send_buffer::{MAX_DATAGRAM, SendBuffer};
use crate::wire::extension::Element;
use crate::wire::rtp;
use crate::wire::srtp::MAX_OVERHEAD;
use crate::wire::wall_clock::{WallClock, abs_send_time};
use parlor_proto::rtp::RtpParameters;

/// The most digits that a media section's name can have.
const MAX_MID: usize = 10;
/// Kinds of header extensions a receiver may get.
const MAX_ELEMENTS: usize = 6;
/// The longest header without a descriptor, and the number a repair begins with: 12 + 4 + 22 of extensions, padded, + 2.
const MAX_HEADER: usize = 44;
/// The longest header whose only extension is the number for feedback: 12 + 4 + 3 padded, + 2.
const FEEDBACK_HEADER: usize = 22;
/// The longest header without extensions.
const BARE_HEADER: usize = 14;
/// What sealing adds to a packet of media (RFC 7714, section 9).
const TAG: usize = 16;
/// What a descriptor of more than 16 bytes costs besides itself: every element has a byte more (RFC 8285, section 4.3).
const TWO_BYTE_FORM: usize = 10;

/// The header extensions a consumer's receiver understands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReceiverExtensions {
    mid: [u8; MAX_MID],
    mid_len: usize,
    transport_cc: bool,
    abs_send_time: bool,
    audio_level: bool,
    orientation: bool,
    descriptor: bool,
}

impl ReceiverExtensions {
    pub(crate) fn of(rtp: &RtpParameters) -> Self {
        let mut this = Self::default();
        for extension in &rtp.header_extensions {
            match extension.uri.as_str() {
                uri::MID => this.set_mid(rtp.mid.as_deref().unwrap_or_default()),
                uri::TRANSPORT_CC => this.transport_cc = true,
                uri::ABS_SEND_TIME => this.abs_send_time = true,
                uri::AUDIO_LEVEL => this.audio_level = true,
                uri::VIDEO_ORIENTATION => this.orientation = true,
                uri::DEPENDENCY_DESCRIPTOR => this.descriptor = true,
                _ => {}
            }
        }
        this
    }

    /// The extensions for which there is room in a header. Its sender filled the frame, and what we add would make two fragments of it, of which
    /// either may be lost. The receiver knows the stream by its SSRC.
    ///
    /// Returns it if that is less than all, and the longest header without a descriptor.
    fn less(&self, room: usize) -> (Option<Self>, usize) {
        let bare = Self { descriptor: self.descriptor, ..Self::default() };
        match room {
            MAX_HEADER.. => (None, MAX_HEADER),
            FEEDBACK_HEADER.. => (Some(Self { transport_cc: self.transport_cc, ..bare }), FEEDBACK_HEADER),
            _ => (Some(bare), BARE_HEADER),
        }
    }

    fn set_mid(&mut self, mid: &str) {
        if let Some(room) = self.mid.get_mut(..mid.len()) {
            room.copy_from_slice(mid.as_bytes());
            self.mid_len = mid.len();
        }
    }
}

/// The longest that an element of a header extension can be (RFC 8285, section 4.3).
const MAX_DESCRIPTOR: usize = 255;
/// The counter of AV1 has 16 bits; those in payloads have fewer.
const FRAME_NUMBER_BITS: u8 = 16;

/// A packet with the numbers of its receiver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EgressPacket<'a> {
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    /// Extended sequence number.
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// In a repair stream: the number it repeats (RFC 4588, section 4).
    pub(crate) repeats: Option<u16>,
    pub(crate) level: Option<(i8, bool)>,
    pub(crate) orientation: Option<u8>,
    pub(crate) descriptor: Option<&'a [u8]>,
    pub(crate) payload: &'a [u8],
    /// The frame counters it came with, and those it leaves with.
    pub(crate) counters: Option<(Counters, NewCounters)>,
    /// Bytes of padding after the payload (RFC 3550, section 5.1).
    pub(crate) padding: u8,
    pub(crate) probe: Option<ProbeId>,
}

impl<'a> EgressPacket<'a> {
    /// A packet without extensions of its own.
    pub(crate) fn new(ssrc: u32, payload_type: u8, seq: u64, timestamp: u32, payload: &'a [u8]) -> Self {
        Self {
            ssrc,
            payload_type,
            seq,
            timestamp,
            marker: false,
            repeats: None,
            level: None,
            orientation: None,
            descriptor: None,
            payload,
            counters: None,
            padding: 0,
            probe: None,
        }
    }

    /// The descriptor with the frame number it leaves with (AV1's counter is there, not in the payload).
    fn renumber<'b>(&self, descriptor: &'b [u8], copy: &'b mut [u8; MAX_DESCRIPTOR]) -> Option<&'b [u8]> {
        let Some((old, new)) = self.counters.filter(|(old, _)| old.picture_bits() == FRAME_NUMBER_BITS) else { return Some(descriptor) };
        let copy = copy.get_mut(..descriptor.len())?;
        copy.copy_from_slice(descriptor);
        old.write(new, copy);
        Some(copy)
    }
}

/// Where packets go, and by which clock.
pub(crate) struct Egress<'a> {
    pub(crate) send_buffer: &'a mut SendBuffer,
    pub(crate) clock: WallClock,
    pub(crate) now: Instant,
}

impl Egress<'_> {
    /// Writes and seals a packet. Returns its length, or `None` if it does not fit or there is nowhere to send.
    pub(crate) fn send(
        &mut self,
        transport: &mut Transport,
        extensions: &ReceiverExtensions,
        packet_out: &EgressPacket<'_>,
    ) -> Option<usize> {
        let destination = transport.destination?;
        let room = self.send_buffer.room()?;
        let bytes = packet_out.payload.len() + usize::from(packet_out.padding) + MAX_OVERHEAD;
        let described = packet_out.descriptor.map_or(0, |descriptor| descriptor.len() + TWO_BYTE_FORM);
        let sealed = packet_out.payload.len() + usize::from(packet_out.padding) + TAG + described;
        let (less, header) = extensions.less(SendBuffer::longest_unfragmented(&destination.path).saturating_sub(sealed));
        let extensions = less.as_ref().unwrap_or(extensions);
        // Before the number for feedback is taken: one that is not sent would count as lost.
        let longest = bytes + described + header;
        if transport.secure.is_none() || longest > MAX_DATAGRAM || !transport.ice.may_send(longest, false) {
            return None;
        }
        let mut number = [0; 2];
        let sent_at = if extensions.abs_send_time { abs_send_time(self.clock.ntp(self.now)) } else { [0; 3] };
        let level = packet_out.level.map(|(dbov, voice)| [(dbov.unsigned_abs() & 0x7f) | (u8::from(voice) << 7)]);
        let orientation = packet_out.orientation.map(|turn| [turn]);
        let numbered = extensions.transport_cc && transport.bandwidth.is_some();
        if let Some(bandwidth) = transport.bandwidth.as_mut().filter(|_| numbered) {
            number = bandwidth.sent(bytes, self.now, packet_out.probe).to_be_bytes();
        }
        let mut copy = [0; MAX_DESCRIPTOR];
        let descriptor =
            packet_out.descriptor.filter(|_| extensions.descriptor).and_then(|descriptor| packet_out.renumber(descriptor, &mut copy));
        let mut elements = [Element { id: 0, data: &[] }; MAX_ELEMENTS];
        let all = [
            (extensions.mid_len > 0).then(|| Element { id: id::MID, data: extensions.mid.get(..extensions.mid_len).unwrap_or_default() }),
            numbered.then_some(Element { id: id::TRANSPORT_CC, data: &number }),
            extensions.abs_send_time.then_some(Element { id: id::ABS_SEND_TIME, data: &sent_at }),
            level.as_ref().filter(|_| extensions.audio_level).map(|data| Element { id: id::AUDIO_LEVEL, data }),
            orientation.as_ref().filter(|_| extensions.orientation).map(|data| Element { id: id::VIDEO_ORIENTATION, data }),
            descriptor.map(|data| Element { id: id::DEPENDENCY_DESCRIPTOR, data }),
        ];
        let mut count = 0;
        for (slot, element) in elements.iter_mut().zip(all.into_iter().flatten()) {
            *slot = element;
            count += 1;
        }
        let header = rtp::NewHeader {
            marker: packet_out.marker,
            payload_type: packet_out.payload_type,
            #[expect(clippy::cast_possible_truncation, reason = "the low bits are on the wire")]
            seq: packet_out.seq as u16,
            timestamp: packet_out.timestamp,
            ssrc: packet_out.ssrc,
        };
        let header_len = rtp::write_header(room, &header, elements.get(..count)?)?;
        let len = write_payload(room, header_len, packet_out)?;
        let sealed = transport.secure.as_ref()?.sealer.seal_rtp(room, len, header_len, packet_out.seq)?;
        self.send_buffer.commit(destination, sealed);
        Some(sealed)
    }
}

fn write_payload(room: &mut [u8], header_len: usize, packet_out: &EgressPacket<'_>) -> Option<usize> {
    let mut at = header_len;
    if let Some(repeats) = packet_out.repeats {
        room.get_mut(at..at + 2)?.copy_from_slice(&repeats.to_be_bytes());
        at += 2;
    }
    let payload = room.get_mut(at..at + packet_out.payload.len())?;
    payload.copy_from_slice(packet_out.payload);
    if let Some((old, new)) = packet_out.counters.filter(|(old, _)| old.picture_bits() != FRAME_NUMBER_BITS) {
        old.write(new, payload);
    }
    at += packet_out.payload.len();
    if packet_out.padding > 0 {
        at = rtp::write_padding(room, at, packet_out.padding)?;
    }
    (at + MAX_OVERHEAD <= room.len()).then_some(at)
}
