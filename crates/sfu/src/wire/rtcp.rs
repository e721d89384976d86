//! RTCP on the wire: what a peer says of the streams (RFC 3550, section 6; RFC 4585; RFC 5104).
//!
//! Reading is lazy and borrows; a datagram is a compound, or one of reduced size (RFC 5506). Building is in
//! [`Builder`].

mod build;
mod feedback;
mod report;
mod transport_cc;
mod transport_cc_build;

#[cfg(test)]
mod against_str0m;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod round_trips;

pub(crate) use build::{Builder, MAX_BLOCKS, MAX_RTCP};
pub(crate) use feedback::{FirEntries, Lost, Ssrcs};
pub(crate) use report::{ReportBlock, Reports, SenderInfo};
pub(crate) use transport_cc::{Feedback, REFERENCE_PERIOD};

/// Packet types (RFC 3550, section 12.1; RFC 4585, section 6.1).
mod kind {
    pub(super) const SENDER_REPORT: u8 = 200;
    pub(super) const RECEIVER_REPORT: u8 = 201;
    pub(super) const DESCRIPTION: u8 = 202;
    pub(super) const BYE: u8 = 203;
    pub(super) const TRANSPORT_FEEDBACK: u8 = 205;
    pub(super) const PAYLOAD_FEEDBACK: u8 = 206;
}

/// Kinds of feedback, in the place where reports have their count (RFC 4585, section 6.1).
mod format {
    pub(super) const NACK: u8 = 1;
    pub(super) const TRANSPORT_CC: u8 = 15;
    pub(super) const PLI: u8 = 1;
    pub(super) const FIR: u8 = 4;
    pub(super) const REMB: u8 = 15;
}

/// Most packets of one datagram that transport feedback may speak of. A run of lost packets takes two bytes
/// however long it is, so without a limit one datagram could name two million; a browser reports some
/// hundreds, ten times a second.
const MAX_STATUSES: u16 = 8_192;

/// One packet of a compound.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "all that a packet says, whether or not it is acted on")]
pub(crate) enum Rtcp<'a> {
    /// RFC 3550, section 6.4.1.
    SenderReport { info: SenderInfo, reports: Reports<'a> },
    /// RFC 3550, section 6.4.2.
    ReceiverReport { ssrc: u32, reports: Reports<'a> },
    /// Numbers that did not arrive (RFC 4585, section 6.2.1).
    Nack { media: u32, lost: Lost<'a> },
    /// A picture cannot be decoded (RFC 4585, section 6.3.1).
    Pli { media: u32 },
    /// A decoder starts over (RFC 5104, section 4.3.1).
    Fir { entries: FirEntries<'a> },
    /// What the receiver has room for, in bit/s (draft-alvestrand-rmcat-remb-03).
    Remb { bitrate: u64, ssrcs: Ssrcs<'a> },
    /// When packets arrived (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    TransportFeedback(Feedback<'a>),
    /// Streams that end (RFC 3550, section 6.6).
    Bye { ssrcs: Ssrcs<'a> },
}

/// The packets of a decrypted datagram, up to the first malformed one; kinds that are not in [`Rtcp`] are
/// skipped.
pub(crate) fn parse(datagram: &[u8]) -> Packets<'_> {
    Packets { rest: datagram, statuses_left: MAX_STATUSES }
}

/// See [`parse`].
#[derive(Clone, Debug)]
pub(crate) struct Packets<'a> {
    rest: &'a [u8],
    statuses_left: u16,
}

impl<'a> Iterator for Packets<'a> {
    type Item = Rtcp<'a>;

    fn next(&mut self) -> Option<Rtcp<'a>> {
        loop {
            // Put back only behind a packet that is in order.
            let (raw, rest) = Raw::split(std::mem::take(&mut self.rest))?;
            let read = self.read(&raw)?;
            self.rest = rest;
            if let Known::Yes(packet) = read {
                return Some(packet);
            }
        }
    }
}

/// Whether a well-formed packet is of a kind we read.
enum Known<'a> {
    Yes(Rtcp<'a>),
    No,
}

impl<'a> Packets<'a> {
    /// `None` for what is malformed.
    fn read(&mut self, raw: &Raw<'a>) -> Option<Known<'a>> {
        let packet = match (raw.kind, raw.count) {
            (kind::SENDER_REPORT, count) => {
                let (info, blocks) = SenderInfo::split(raw.body)?;
                Rtcp::SenderReport { info, reports: Reports::read(blocks, count)? }
            }
            (kind::RECEIVER_REPORT, count) => {
                let (ssrc, blocks) = split_u32(raw.body)?;
                Rtcp::ReceiverReport { ssrc, reports: Reports::read(blocks, count)? }
            }
            (kind::BYE, count) => Rtcp::Bye { ssrcs: Ssrcs::read(raw.body, usize::from(count))? },
            (kind::TRANSPORT_FEEDBACK, format::NACK) => {
                let (media, entries) = split_media(raw.body)?;
                Rtcp::Nack { media, lost: Lost::read(entries) }
            }
            (kind::TRANSPORT_FEEDBACK, format::TRANSPORT_CC) => {
                let (media, body) = split_media(raw.body)?;
                let feedback = Feedback::read(media, body)?;
                let Some(left) = self.statuses_left.checked_sub(feedback.count) else { return Some(Known::No) };
                self.statuses_left = left;
                Rtcp::TransportFeedback(feedback)
            }
            (kind::PAYLOAD_FEEDBACK, format::PLI) => Rtcp::Pli { media: split_media(raw.body)?.0 },
            (kind::PAYLOAD_FEEDBACK, format::FIR) => Rtcp::Fir { entries: FirEntries::read(split_media(raw.body)?.1) },
            (kind::PAYLOAD_FEEDBACK, format::REMB) => return feedback::read_remb(split_media(raw.body)?.1),
            _ => return Some(Known::No),
        };
        Some(Known::Yes(packet))
    }
}

/// One packet of a compound, before it is known what it says (RFC 3550, section 6.4.1).
struct Raw<'a> {
    kind: u8,
    /// How many reports or sources, or the kind of feedback.
    count: u8,
    /// The content, without header and padding.
    body: &'a [u8],
}

impl<'a> Raw<'a> {
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&[first, kind, l0, l1], rest) = bytes.split_first_chunk::<4>()?;
        if first & 0xc0 != 0x80 {
            return None;
        }
        let (mut body, rest) = rest.split_at_checked(4 * usize::from(u16::from_be_bytes([l0, l1])))?;
        if first & 0x20 != 0 {
            let padding = body.last().filter(|count| **count != 0)?;
            body = body.get(..body.len().checked_sub(usize::from(*padding))?)?;
        }
        Some((Self { kind, count: first & 0x1f, body }, rest))
    }
}

fn split_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*number), rest))
}

/// Takes the two sources off feedback; who says it is known by the transport it came from.
fn split_media(body: &[u8]) -> Option<(u32, &[u8])> {
    let (_sender, rest) = split_u32(body)?;
    split_u32(rest)
}
