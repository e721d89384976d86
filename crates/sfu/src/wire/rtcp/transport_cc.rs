//! Reading transport-wide feedback: when each packet of a transport arrived.
//!
//! The format is that of draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1: chunks say which
//! packets arrived, then come the times between them.

/// Unit of the times between packets, in microseconds.
pub(super) const DELTA_UNIT: i64 = 250;

/// Unit of the reference time, in microseconds.
pub(super) const REFERENCE_UNIT: i64 = 64_000;

/// Reference times come round after this many microseconds: there are 24 bits of them.
pub(crate) const REFERENCE_PERIOD: i64 = REFERENCE_UNIT << 24;

/// What became of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    Lost,
    /// The packet arrived, and its time follows in one byte.
    Small,
    /// The packet arrived, and its time follows in two bytes, with a sign.
    Large,
}

impl Status {
    /// The fourth symbol is reserved: no time comes with it.
    fn of(symbol: u16) -> Self {
        match symbol & 0x03 {
            1 => Self::Small,
            2 => Self::Large,
            _ => Self::Lost,
        }
    }

    pub(super) fn symbol(self) -> u16 {
        match self {
            Self::Lost => 0,
            Self::Small => 1,
            Self::Large => 2,
        }
    }

    pub(super) fn delta_len(self) -> usize {
        match self {
            Self::Lost => 0,
            Self::Small => 1,
            Self::Large => 2,
        }
    }
}

/// One feedback packet. Its count, its chunks and its times fit each other.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "all that a packet says, whether or not it is acted on")]
pub(crate) struct Feedback<'a> {
    /// The stream it is addressed to; it speaks of all of them.
    pub(crate) media: u32,
    /// Counts feedback packets.
    pub(crate) number: u8,
    /// The first packet it speaks of.
    pub(crate) base: u16,
    /// How many packets it speaks of.
    pub(crate) count: u16,
    /// The reference time in units of 64 ms, 24 bits with a sign.
    pub(crate) reference_time: i32,
    chunks: &'a [[u8; 2]],
    deltas: &'a [u8],
}

impl<'a> Feedback<'a> {
    /// `None` if there are fewer chunks or times than the count promises.
    pub(super) fn read(media: u32, body: &'a [u8]) -> Option<Self> {
        let (&[b0, b1, c0, c1, r0, r1, r2, number], rest) = body.split_first_chunk::<8>()?;
        let count = u16::from_be_bytes([c0, c1]);
        let (words, _) = rest.as_chunks::<2>();
        let (mut used, mut left, mut deltas_len) = (0, count, 0);
        while left > 0 {
            let (covered, len) = Chunk::read(*words.get(used)?).size(left);
            used += 1;
            left -= covered;
            deltas_len += len;
        }
        Some(Self {
            media,
            number,
            base: u16::from_be_bytes([b0, b1]),
            count,
            reference_time: i32::from_be_bytes([r0, r1, r2, 0]) >> 8,
            chunks: words.get(..used)?,
            deltas: rest.get(2 * used..)?.get(..deltas_len)?,
        })
    }

    /// Every packet in order with its time of arrival, in microseconds of the receiver's clock; `None` if it
    /// was lost. That clock comes round after [`REFERENCE_PERIOD`].
    pub(crate) fn iter(&self) -> Arrivals<'a> {
        Arrivals {
            seq: self.base,
            left: self.count,
            time: i64::from(self.reference_time) * REFERENCE_UNIT,
            chunk: Chunk { word: 0, symbols: 0 },
            chunks: self.chunks.iter(),
            deltas: self.deltas,
            first: 0,
            known: ALL,
        }
    }
}

/// What is left of a chunk.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    word: u16,
    /// How many packets it still speaks of.
    symbols: u16,
}

/// All numbers there are.
const ALL: u32 = 1 << 16;

/// Packets that a run, a vector of one bit each and a vector of two bits each speak of.
pub(super) const MAX_RUN: u16 = 0x1fff;
pub(super) const ONE_BIT: u16 = 14;
pub(super) const TWO_BIT: u16 = 7;

impl Chunk {
    fn read(bytes: [u8; 2]) -> Self {
        let word = u16::from_be_bytes(bytes);
        let symbols = match word >> 14 {
            0 | 1 => word & MAX_RUN,
            2 => ONE_BIT,
            _ => TWO_BIT,
        };
        Self { word, symbols }
    }

    /// How many packets the chunk speaks of, `left` at the most, and the length of their times.
    fn size(mut self, left: u16) -> (u16, usize) {
        let covered = self.symbols.min(left);
        if self.word >> 15 == 0 {
            return (covered, Status::of(self.word >> 13).delta_len() * usize::from(covered));
        }
        let len = (0..covered).map_while(|_| self.next()).map(Status::delta_len).sum();
        (covered, len)
    }

    /// Whether all that is left of it is lost, and says so in a word.
    fn is_lost_run(self) -> bool {
        self.word >> 15 == 0 && Status::of(self.word >> 13) == Status::Lost
    }

    fn next(&mut self) -> Option<Status> {
        self.symbols = self.symbols.checked_sub(1)?;
        Some(match self.word >> 14 {
            0 | 1 => Status::of(self.word >> 13),
            2 if (self.word >> self.symbols) & 1 == 0 => Status::Lost,
            2 => Status::Small,
            _ => Status::of(self.word >> (2 * self.symbols)),
        })
    }
}

/// See [`Feedback::iter`].
#[derive(Clone, Debug)]
pub(crate) struct Arrivals<'a> {
    seq: u16,
    left: u16,
    time: i64,
    chunk: Chunk,
    chunks: std::slice::Iter<'a, [u8; 2]>,
    deltas: &'a [u8],
    /// The numbers that are of interest.
    first: u16,
    known: u32,
}

impl Arrivals<'_> {
    /// Leaves lost packets out that are not among `known` numbers from `first` on. A run of them takes two bytes however long
    /// it is; so it is passed over in one step.
    pub(crate) fn within(self, first: u16, known: u16) -> Self {
        Self { first, known: known.into(), ..self }
    }

    /// How many numbers from here on are of no interest.
    fn foreign(&self) -> u16 {
        match u32::from(self.seq.wrapping_sub(self.first)) < self.known {
            true => 0,
            false if self.known == 0 => u16::MAX,
            false => self.first.wrapping_sub(self.seq),
        }
    }
}

impl Iterator for Arrivals<'_> {
    type Item = (u16, Option<i64>);

    fn next(&mut self) -> Option<Self::Item> {
        let status = loop {
            if self.left == 0 {
                return None;
            }
            if self.chunk.symbols == 0 {
                self.chunk = Chunk::read(*self.chunks.next()?);
                continue;
            }
            let foreign = if self.chunk.is_lost_run() { self.foreign().min(self.chunk.symbols).min(self.left) } else { 0 };
            if foreign == 0 {
                break self.chunk.next()?;
            }
            self.seq = self.seq.wrapping_add(foreign);
            self.left -= foreign;
            self.chunk.symbols -= foreign;
        };
        self.left -= 1;
        let delta = match (status, self.deltas) {
            (Status::Lost, _) => None,
            (Status::Small, [delta, rest @ ..]) => {
                self.deltas = rest;
                Some(i64::from(*delta))
            }
            (Status::Large, [high, low, rest @ ..]) => {
                self.deltas = rest;
                Some(i64::from(i16::from_be_bytes([*high, *low])))
            }
            _ => return None,
        };
        let seq = self.seq;
        self.seq = seq.wrapping_add(1);
        let arrival = delta.map(|delta| {
            self.time += delta * DELTA_UNIT;
            self.time
        });
        Some((seq, arrival))
    }
}
