//! Building transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1).

use super::transport_cc::{DELTA_UNIT, MAX_RUN, ONE_BIT, REFERENCE_UNIT, Status, TWO_BIT};

/// The head: base, count, reference time, number.
const HEAD: usize = 8;

/// Units of the times between packets in one unit of the reference time.
const UNITS: i64 = REFERENCE_UNIT / DELTA_UNIT;

/// What one feedback packet will say: as many arrivals as have room.
pub(super) struct Draft<'a> {
    /// The reference time in units of 64 ms, before it is cut to 24 bits.
    reference: i64,
    pub(super) count: u16,
    len: usize,
    chunks: Chunks<'a>,
}

impl<'a> Draft<'a> {
    /// Takes what fits into `room` bytes, a multiple of four so that padding has room too; `None` if nothing
    /// arrived.
    pub(super) fn new(arrivals: &'a [Option<i64>], room: usize) -> Option<Self> {
        let arrivals = arrivals.get(..usize::from(u16::MAX)).unwrap_or(arrivals);
        let first = arrivals.iter().find_map(|arrival| *arrival)?;
        let reference = first.div_euclid(REFERENCE_UNIT);
        let statuses = Statuses { arrivals: arrivals.iter(), time: reference.saturating_mul(UNITS) };
        let chunks = Chunks { statuses, room: room.saturating_sub(HEAD) };
        let mut draft = Self { reference, count: 0, len: HEAD, chunks };
        for chunk in draft.chunks.clone() {
            draft.count = draft.count.saturating_add(chunk.count);
            draft.len += chunk.len;
        }
        Some(draft)
    }

    /// Length without padding.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn write(&self, number: u8, base: u16, bytes: &mut Vec<u8>) {
        let [.., r0, r1, r2] = self.reference.to_be_bytes();
        bytes.extend(base.to_be_bytes());
        bytes.extend(self.count.to_be_bytes());
        bytes.extend([r0, r1, r2, number]);
        for chunk in self.chunks.clone() {
            bytes.extend(chunk.word.to_be_bytes());
        }
        for (status, delta) in self.chunks.statuses.clone().take(usize::from(self.count)) {
            let [high, low] = delta.to_be_bytes();
            match status {
                Status::Lost => {}
                Status::Small => bytes.push(low),
                Status::Large => bytes.extend([high, low]),
            }
        }
    }
}

/// What became of each packet, and the time since the one before that arrived; up to the first whose time
/// cannot be written.
#[derive(Clone)]
struct Statuses<'a> {
    arrivals: std::slice::Iter<'a, Option<i64>>,
    /// When the last one arrived. In whole units, so that rounding does not add up.
    time: i64,
}

impl Iterator for Statuses<'_> {
    type Item = (Status, i16);

    fn next(&mut self) -> Option<(Status, i16)> {
        let Some(arrival) = self.arrivals.next()? else { return Some((Status::Lost, 0)) };
        let time = arrival.div_euclid(DELTA_UNIT);
        let delta = i16::try_from(time.saturating_sub(self.time)).ok()?;
        self.time = time;
        let status = if (0..=255).contains(&delta) { Status::Small } else { Status::Large };
        Some((status, delta))
    }
}

/// A chunk and the room it takes.
struct Chunk {
    word: u16,
    /// How many packets it speaks of.
    count: u16,
    /// The length of the chunk and of the times that come with it.
    len: usize,
}

/// The chunks for `statuses`, as many as have room.
#[derive(Clone)]
struct Chunks<'a> {
    statuses: Statuses<'a>,
    room: usize,
}

impl Iterator for Chunks<'_> {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        let room = self.room.checked_sub(2)?;
        let (first, _) = self.statuses.clone().next()?;
        let (run, ends) = self.run(first);
        let chunk = if ends || run >= ONE_BIT {
            run_chunk(first, run, room)
        } else if !self.statuses().take(usize::from(ONE_BIT)).any(|status| status == Status::Large) {
            self.vector(0x8000, ONE_BIT, 1, room)
        } else if run >= TWO_BIT {
            run_chunk(first, run, room)
        } else {
            self.vector(0xc000, TWO_BIT, 2, room)
        };
        self.room = self.room.checked_sub(chunk.len)?;
        for _ in 0..chunk.count {
            self.statuses.next();
        }
        (chunk.count > 0).then_some(chunk)
    }
}

impl Chunks<'_> {
    fn statuses(&self) -> impl Iterator<Item = Status> {
        self.statuses.clone().map(|(status, _)| status)
    }

    /// How many packets from here on share a status, and whether they are all there are.
    fn run(&self, status: Status) -> (u16, bool) {
        let mut run = 0;
        for other in self.statuses() {
            if other != status || run == MAX_RUN {
                return (run, false);
            }
            run += 1;
        }
        (run, true)
    }

    /// A vector of `symbols` symbols, `bits` wide. One that is not full is the last, as neither
    /// packets nor room for another chunk are left; the count ends it.
    fn vector(&self, head: u16, symbols: u16, bits: u16, room: usize) -> Chunk {
        let mut chunk = Chunk { word: head, count: 0, len: 2 };
        for status in self.statuses().take(usize::from(symbols)) {
            if chunk.len - 2 + status.delta_len() > room {
                break;
            }
            chunk.count += 1;
            chunk.len += status.delta_len();
            chunk.word |= status.symbol() << (bits * (symbols - chunk.count));
        }
        chunk
    }
}

fn run_chunk(status: Status, run: u16, room: usize) -> Chunk {
    let fitting = room.checked_div(status.delta_len()).map_or(run, |fitting| u16::try_from(fitting).unwrap_or(run).min(run));
    Chunk { word: (status.symbol() << 13) | fitting, count: fitting, len: 2 + status.delta_len() * usize::from(fitting) }
}
