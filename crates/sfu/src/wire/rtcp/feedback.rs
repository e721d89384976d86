//! Feedback on single streams: lost packets, key frame requests, a bitrate (RFC 4585, RFC 5104, REMB).

use super::{Known, Rtcp};

/// What makes application feedback a bitrate.
pub(super) const REMB_NAME: [u8; 4] = *b"REMB";

/// The numbers of a NACK, in its order. A number costs the sender at least two bits, so that the longest
/// datagram names some 6,000.
#[derive(Clone, Debug)]
pub(crate) struct Lost<'a> {
    entries: std::slice::Iter<'a, [u8; 4]>,
    /// The number that bit 0 of `following` speaks of.
    next: u16,
    /// One bit for each lost number from `next` on.
    following: u32,
}

impl<'a> Lost<'a> {
    pub(super) fn read(entries: &'a [u8]) -> Self {
        Self { entries: entries.as_chunks::<4>().0.iter(), next: 0, following: 0 }
    }
}

impl Iterator for Lost<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.following == 0 {
            let &[p0, p1, b0, b1] = self.entries.next()?;
            self.next = u16::from_be_bytes([p0, p1]);
            // The number itself, then the 16 behind it, the nearest in the lowest bit.
            self.following = (u32::from(u16::from_be_bytes([b0, b1])) << 1) | 1;
        }
        let skipped = self.following.trailing_zeros();
        let lost = self.next.wrapping_add(u16::try_from(skipped).unwrap_or(0));
        self.next = lost.wrapping_add(1);
        self.following = self.following.checked_shr(skipped + 1).unwrap_or(0);
        Some(lost)
    }
}

/// One stream a full picture is asked of. A request that is repeated keeps its number
/// (RFC 5104, section 4.3.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FirEntry {
    pub(crate) media: u32,
    pub(crate) number: u8,
}

/// The streams of a FIR.
#[derive(Clone, Debug)]
pub(crate) struct FirEntries<'a>(std::slice::Iter<'a, [u8; 8]>);

impl<'a> FirEntries<'a> {
    pub(super) fn read(entries: &'a [u8]) -> Self {
        Self(entries.as_chunks::<8>().0.iter())
    }
}

impl Iterator for FirEntries<'_> {
    type Item = FirEntry;

    fn next(&mut self) -> Option<FirEntry> {
        let &[s0, s1, s2, s3, number, ..] = self.0.next()?;
        Some(FirEntry { media: u32::from_be_bytes([s0, s1, s2, s3]), number })
    }
}

/// A list of streams.
#[derive(Clone, Debug)]
pub(crate) struct Ssrcs<'a>(std::slice::Iter<'a, [u8; 4]>);

impl<'a> Ssrcs<'a> {
    pub(super) fn read(bytes: &'a [u8], count: usize) -> Option<Self> {
        Some(Self(bytes.as_chunks::<4>().0.get(..count)?.iter()))
    }
}

impl Iterator for Ssrcs<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.0.next().map(|ssrc| u32::from_be_bytes(*ssrc))
    }
}

/// Reads what stands behind the sources of application feedback (draft-alvestrand-rmcat-remb-03, section 2.2).
pub(super) fn read_remb(body: &[u8]) -> Option<Known<'_>> {
    let Some(body) = body.strip_prefix(&REMB_NAME) else { return Some(Known::No) };
    let (&[count, m0, m1, m2], ssrcs) = body.split_first_chunk::<4>()?;
    let exponent = u32::from(m0 >> 2);
    let mantissa = u64::from(u32::from_be_bytes([0, m0 & 0x03, m1, m2]));
    // The largest exponent is beyond any number of ours.
    let bitrate = if exponent > mantissa.leading_zeros() { u64::MAX } else { mantissa.checked_shl(exponent).unwrap_or(0) };
    Some(Known::Yes(Rtcp::Remb { bitrate, ssrcs: Ssrcs::read(ssrcs, usize::from(count))? }))
}

/// Six bits of exponent and 18 of mantissa that are at most `bitrate`: a sender must not be told of room
/// that is not there.
pub(super) fn write_bitrate(bitrate: u64) -> [u8; 3] {
    let exponent = (u64::BITS - bitrate.leading_zeros()).saturating_sub(18);
    let mantissa = bitrate >> exponent;
    let [.., m0, m1, m2] = ((u64::from(exponent) << 18) | mantissa).to_be_bytes();
    [m0, m1, m2]
}
