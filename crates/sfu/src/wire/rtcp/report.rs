//! Sender reports and report blocks (RFC 3550, section 6.4).

/// Length of a report block.
pub(super) const BLOCK: usize = 24;

/// Length of what a sender says of itself, its SSRC included.
pub(super) const SENDER_INFO: usize = 24;

/// What a sender says of its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SenderInfo {
    pub(crate) ssrc: u32,
    /// Seconds since 1900 in 32.32 fixed point.
    pub(crate) ntp: u64,
    /// The RTP timestamp of the same moment.
    pub(crate) rtp: u32,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
}

impl SenderInfo {
    pub(super) fn split(body: &[u8]) -> Option<(Self, &[u8])> {
        let (info, blocks) = body.split_first_chunk::<SENDER_INFO>()?;
        let [s0, s1, s2, s3, n0, n1, n2, n3, n4, n5, n6, n7, r0, r1, r2, r3, p0, p1, p2, p3, o0, o1, o2, o3] = *info;
        let info = Self {
            ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
            ntp: u64::from_be_bytes([n0, n1, n2, n3, n4, n5, n6, n7]),
            rtp: u32::from_be_bytes([r0, r1, r2, r3]),
            packets: u32::from_be_bytes([p0, p1, p2, p3]),
            octets: u32::from_be_bytes([o0, o1, o2, o3]),
        };
        Some((info, blocks))
    }
}

/// What a receiver says of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReportBlock {
    pub(crate) ssrc: u32,
    /// The share that was lost since the last report, in 256ths.
    pub(crate) fraction_lost: u8,
    /// Packets lost in all, in 24 bits; negative if more arrived than was sent.
    pub(crate) lost: i32,
    /// Extended: the low half is the sequence number.
    pub(crate) highest: u32,
    /// The jitter between arrivals, in units of the timestamp.
    pub(crate) jitter: u32,
    /// The middle half of the NTP time of the last sender report; 0 if there was none.
    pub(crate) last_sr: u32,
    /// The time since the last sender report came, in 65536ths of a second.
    pub(crate) delay_since_sr: u32,
}

/// Range of what is lost in all: it stays at the ends instead of wrapping (RFC 3550, section 6.4.1).
const MIN_LOST: i32 = -0x80_0000;
const MAX_LOST: i32 = 0x7f_ffff;

impl ReportBlock {
    fn read(bytes: &[u8; BLOCK]) -> Self {
        let [s0, s1, s2, s3, fraction_lost, l0, l1, l2, h0, h1, h2, h3, j0, j1, j2, j3, r0, r1, r2, r3, d0, d1, d2, d3] = *bytes;
        Self {
            ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
            fraction_lost,
            // Shifted down from the top of the number, so that its sign comes along.
            lost: i32::from_be_bytes([l0, l1, l2, 0]) >> 8,
            highest: u32::from_be_bytes([h0, h1, h2, h3]),
            jitter: u32::from_be_bytes([j0, j1, j2, j3]),
            last_sr: u32::from_be_bytes([r0, r1, r2, r3]),
            delay_since_sr: u32::from_be_bytes([d0, d1, d2, d3]),
        }
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        let [_, l0, l1, l2] = self.lost.clamp(MIN_LOST, MAX_LOST).to_be_bytes();
        bytes.extend(self.ssrc.to_be_bytes());
        bytes.extend([self.fraction_lost, l0, l1, l2]);
        bytes.extend(self.highest.to_be_bytes());
        bytes.extend(self.jitter.to_be_bytes());
        bytes.extend(self.last_sr.to_be_bytes());
        bytes.extend(self.delay_since_sr.to_be_bytes());
    }
}

/// The blocks of one report.
#[derive(Clone, Debug)]
pub(crate) struct Reports<'a>(std::slice::Iter<'a, [u8; BLOCK]>);

impl<'a> Reports<'a> {
    /// Reads the blocks. Behind them may stand what a profile adds; it is not read.
    pub(super) fn read(bytes: &'a [u8], count: u8) -> Option<Self> {
        let (blocks, _) = bytes.as_chunks::<BLOCK>();
        Some(Self(blocks.get(..usize::from(count))?.iter()))
    }
}

impl Iterator for Reports<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        self.0.next().map(ReportBlock::read)
    }
}
