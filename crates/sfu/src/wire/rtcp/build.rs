//! Building RTCP datagrams, piece by piece, into a buffer of the caller.
//!
//! Every piece is a whole packet or nothing, so that what was built so far can be sent at any time, as a
//! compound or as one of reduced size (RFC 5506).

use super::feedback::{REMB_NAME, write_bitrate};
use super::report::{BLOCK, ReportBlock, SenderInfo};
use super::transport_cc_build::Draft;
use super::{format, kind};

/// Longest datagram that is built: with SRTCP, UDP and IPv6 around it, it fits a path of 1,280 bytes, the
/// least that IPv6 promises.
pub(crate) const MAX_RTCP: usize = 1_200;

/// Most report blocks, and most ending streams, of one packet: the count has five bits
/// (RFC 3550, section 6.4.1).
pub(crate) const MAX_BLOCKS: usize = 31;

/// Most streams a bitrate names: senders take it for all they send, whatever the list says.
pub(crate) const MAX_REMB_SSRCS: usize = 64;

/// Longest name: its length is one byte (RFC 3550, section 6.5).
const MAX_CNAME: usize = 255;

/// The length of a header with the SSRC behind it.
const HEAD: usize = 8;

/// Appends one datagram to a buffer. What a piece returns tells what of it had room; what had none goes into
/// another datagram, that is into another `Builder`. In an empty datagram every piece has room.
#[derive(Debug)]
pub(crate) struct Builder<'b> {
    bytes: &'b mut Vec<u8>,
    start: usize,
    /// Who speaks, where a piece does not say it.
    sender: u32,
}

impl<'b> Builder<'b> {
    /// Begins a datagram at the end of `bytes`; `sender` is our SSRC.
    pub(crate) fn new(bytes: &'b mut Vec<u8>, sender: u32) -> Self {
        let start = bytes.len();
        Self { bytes, start, sender }
    }

    /// Goes on with the datagram that is all of `bytes`.
    pub(crate) fn resume(bytes: &'b mut Vec<u8>, sender: u32) -> Self {
        Self { bytes, start: 0, sender }
    }

    /// Length of the datagram so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.start)
    }

    fn room(&self) -> usize {
        MAX_RTCP.saturating_sub(self.len())
    }

    /// A sender report (RFC 3550, section 6.4.1), without blocks: those go into receiver reports. False if
    /// there is no room.
    pub(crate) fn sender_report(&mut self, info: &SenderInfo) -> bool {
        if !self.begin(kind::SENDER_REPORT, 0, info.ssrc, HEAD + 20) {
            return false;
        }
        self.bytes.extend(info.ntp.to_be_bytes());
        for number in [info.rtp, info.packets, info.octets] {
            self.bytes.extend(number.to_be_bytes());
        }
        true
    }

    /// A receiver report (RFC 3550, section 6.4.2) with as many of `blocks` as have room, at most
    /// [`MAX_BLOCKS`]; how many. Without blocks it is still written, if it fits: a compound begins with one.
    pub(crate) fn receiver_report(&mut self, blocks: &[ReportBlock]) -> usize {
        let taken = blocks.len().min(MAX_BLOCKS).min(self.room().saturating_sub(HEAD) / BLOCK);
        let blocks = blocks.get(..taken).unwrap_or_default();
        if self.begin(kind::RECEIVER_REPORT, low_byte(taken), self.sender, HEAD + BLOCK * taken) {
            for block in blocks {
                block.write(self.bytes);
            }
        }
        taken
    }

    /// The name all streams of one clock share (RFC 3550, section 6.5.1), cut at its longest. False if there
    /// is no room.
    pub(crate) fn cname(&mut self, ssrc: u32, name: &str) -> bool {
        let name = name.get(..name.floor_char_boundary(MAX_CNAME)).unwrap_or_default().as_bytes();
        // The list of items ends with at least one zero, and on a boundary of four.
        let len = (HEAD + 2 + name.len() + 1).next_multiple_of(4);
        let end = self.bytes.len() + len;
        if !self.begin(kind::DESCRIPTION, 1, ssrc, len) {
            return false;
        }
        self.bytes.extend([1, low_byte(name.len())]);
        self.bytes.extend(name);
        self.bytes.resize(end, 0);
        true
    }

    /// Streams that end (RFC 3550, section 6.6): as many as have room, at most [`MAX_BLOCKS`]; how many.
    pub(crate) fn bye(&mut self, ssrcs: &[u32]) -> usize {
        let taken = ssrcs.len().min(MAX_BLOCKS).min(self.room().saturating_sub(4) / 4);
        let Some((first, others)) = ssrcs.get(..taken).and_then(<[u32]>::split_first) else { return 0 };
        if self.begin(kind::BYE, low_byte(taken), *first, HEAD + 4 * others.len()) {
            self.extend_numbers(others);
        }
        taken
    }

    /// Asks again for packets (RFC 4585, section 6.2.1), for as many of `lost` as have room; how many. They
    /// pack best in ascending order.
    pub(crate) fn nack(&mut self, media: u32, lost: &[u16]) -> usize {
        let most = self.room().saturating_sub(HEAD + 4) / 4;
        let (entries, taken) = Entries::pack(lost, most);
        if entries == 0 || !self.feedback(kind::TRANSPORT_FEEDBACK, format::NACK, media, 4 * entries) {
            return 0;
        }
        for (number, following) in Entries(lost).take(entries) {
            self.bytes.extend(number.to_be_bytes());
            self.bytes.extend(following.to_be_bytes());
        }
        taken
    }

    /// Asks for a key frame (RFC 4585, section 6.3.1). False if there is no room.
    pub(crate) fn pli(&mut self, media: u32) -> bool {
        self.feedback(kind::PAYLOAD_FEEDBACK, format::PLI, media, 0)
    }

    /// Asks for a key frame (RFC 5104, section 4.3.1); `number` is one more than that of the last request,
    /// unless that one is repeated. False if there is no room.
    pub(crate) fn fir(&mut self, media: u32, number: u8) -> bool {
        // The stream is named in the entry, and only there (RFC 5104, section 4.3.1.2).
        if !self.feedback(kind::PAYLOAD_FEEDBACK, format::FIR, 0, 8) {
            return false;
        }
        self.bytes.extend(media.to_be_bytes());
        self.bytes.extend([number, 0, 0, 0]);
        true
    }

    /// What there is room for, in bit/s (draft-alvestrand-rmcat-remb-03); of `ssrcs` the first
    /// [`MAX_REMB_SSRCS`] are named. False if there is no room.
    pub(crate) fn remb(&mut self, bitrate: u64, ssrcs: &[u32]) -> bool {
        let ssrcs = ssrcs.get(..MAX_REMB_SSRCS).unwrap_or(ssrcs);
        if !self.feedback(kind::PAYLOAD_FEEDBACK, format::REMB, 0, 8 + 4 * ssrcs.len()) {
            return false;
        }
        self.bytes.extend(REMB_NAME);
        self.bytes.push(low_byte(ssrcs.len()));
        self.bytes.extend(write_bitrate(bitrate));
        self.extend_numbers(ssrcs);
        true
    }

    /// When packets arrived (draft-holmer-rmcat-transport-wide-cc-extensions-01): `arrivals` are those of
    /// `base` and what follows, in microseconds of one clock, `None` for what is missing. Returns how many are
    /// dealt with; 0 if there is no room. What is left goes into another packet with the next `number`:
    /// there was no more room, or a packet came so long before or after its predecessor that the time
    /// between them cannot be written. Missing packets with no arrival behind them are dealt with by saying
    /// nothing.
    ///
    /// `media` must be a stream of the other side: browsers drop feedback to streams that are not theirs.
    pub(crate) fn transport_feedback(&mut self, media: u32, number: u8, base: u16, arrivals: &[Option<i64>]) -> usize {
        let Some(draft) = Draft::new(arrivals, self.room().saturating_sub(HEAD + 4)) else {
            return arrivals.len().min(usize::from(u16::MAX));
        };
        let len = draft.len().next_multiple_of(4);
        let end = self.bytes.len() + HEAD + 4 + len;
        if draft.count == 0 || !self.feedback(kind::TRANSPORT_FEEDBACK, format::TRANSPORT_CC, media, len) {
            return 0;
        }
        draft.write(number, base, self.bytes);
        // These zeros belong to the format: only the last packet of a compound may have padding of its own
        // (RFC 3550, section 6.4.1).
        self.bytes.resize(end, 0);
        usize::from(draft.count)
    }

    fn feedback(&mut self, kind: u8, format: u8, media: u32, len: usize) -> bool {
        let begun = self.begin(kind, format, self.sender, HEAD + 4 + len);
        if begun {
            self.bytes.extend(media.to_be_bytes());
        }
        begun
    }

    /// Writes the head of a packet that is `len` bytes long, a multiple of four.
    fn begin(&mut self, kind: u8, count: u8, ssrc: u32, len: usize) -> bool {
        let (true, Ok(words)) = (len <= self.room(), u16::try_from(len / 4 - 1)) else { return false };
        let [l0, l1] = words.to_be_bytes();
        self.bytes.extend([0x80 | (count & 0x1f), kind, l0, l1]);
        self.bytes.extend(ssrc.to_be_bytes());
        true
    }

    fn extend_numbers(&mut self, numbers: &[u32]) {
        for number in numbers {
            self.bytes.extend(number.to_be_bytes());
        }
    }
}

/// The entries of a NACK: a number, and one bit for each of the 16 behind it.
struct Entries<'a>(&'a [u16]);

impl<'a> Entries<'a> {
    /// How many entries there are, at most `most`, and how many numbers they hold.
    fn pack(lost: &'a [u16], most: usize) -> (usize, usize) {
        let mut entries = Self(lost);
        let count = entries.by_ref().take(most).count();
        (count, lost.len() - entries.0.len())
    }
}

impl Iterator for Entries<'_> {
    type Item = (u16, u16);

    fn next(&mut self) -> Option<(u16, u16)> {
        let (first, mut rest) = self.0.split_first()?;
        let mut following = 0;
        while let Some((number, after)) = rest.split_first() {
            match number.wrapping_sub(*first) {
                0 => {}
                behind @ 1..=16 => following |= 1 << (behind - 1),
                _ => break,
            }
            rest = after;
        }
        self.0 = rest;
        Some((*first, following))
    }
}

/// The low byte of a number that was bounded before.
fn low_byte(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}
