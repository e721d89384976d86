//! How a path is proved: what cannot be guessed was sent there and nowhere else, and was answered from there.
//!
//! Whoever owns the keys of a transport can write authentic packets with any address as their source. So what an answer says has to
//! show that somebody read what was sent: a handshake, a probe, or the time of a report.

use std::time::{Duration, Instant};

use super::{Ice, Path, TransactionId};

/// The time until a probe is sent again: it was lost, or the client does not answer such requests.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// What a probe costs of a path's credit: more than it is long.
const PROBE_BYTES: usize = 128;
/// What a handshake may send beyond a path's credit, over all paths of a transport: its longest flight, and its repetition. A client's
/// first flight is short, and without all of ours it cannot answer.
const HANDSHAKE_BYTES: u64 = 3_000;
/// What of a path's credit is kept for reports: by them it can be proved, and media would use it up.
const REPORT_RESERVE: u64 = 300;
/// Reports are dated back by up to this many units of 1/65,536 s: 12 bits, 62.5 ms. Streams stay in step, as the timestamps in the report
/// are those of its date.
const DATES: u32 = 1 << 12;
/// Reports that must be answered: together their dates are as hard to guess as one in 16 million.
const HITS: u8 = 2;
/// Reports an answer may be to: they leave once a second, and an answer is to the last that arrived.
const OUTSTANDING: usize = 3;

/// A request that went to a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Probe {
    id: TransactionId,
    sent: Instant,
}

/// Where the handshake's messages went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Flights {
    #[default]
    Nowhere,
    To {
        path: Path,
        bytes: u64,
    },
    /// Reports went to more than one path.
    Scattered {
        bytes: u64,
    },
}

/// Reports whose dates nobody can know who did not get them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Challenge {
    dates: [Option<Date>; OUTSTANDING],
    hits: u8,
}

/// The date of a report as it comes back: the middle 32 bits of the report's NTP time (RFC 3550, section 6.4.1), and what they would be without the secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Date {
    sent: u32,
    real: u32,
}

impl Ice {
    /// A probe that is due: where to, its transaction, and the ufrags it names, the client's first.
    pub(crate) fn next_probe(&mut self, now: Instant) -> Option<(Path, TransactionId, &str, &str)> {
        // Before there are keys nothing but the handshake is sent, and that proves a path by itself.
        let known = self.wanted.filter(|_| self.established).and_then(|at| self.paths.get_mut(at))?;
        let waits = known.probe.is_some_and(|probe| now.saturating_duration_since(probe.sent) < PROBE_EVERY);
        if known.proved || waits || !known.spend(PROBE_BYTES, 0) {
            return None;
        }
        let id: TransactionId = rand::random();
        known.probe = Some(Probe { id, sent: now });
        Some((known.path, id, &self.theirs, &self.current.ufrag))
    }

    /// Somebody answered a probe. True if a path is proved by it.
    pub(crate) fn probe_answered(&mut self, path: &Path, id: &TransactionId) -> bool {
        let known = self.paths.iter_mut().find(|known| known.path == *path && known.probe.is_some_and(|probe| probe.id == *id));
        if let Some(known) = known {
            known.prove();
            return true;
        }
        false
    }

    /// Whether a message of the handshake may be sent to the selected path; it counts as sent then.
    pub(crate) fn send_flight(&mut self, bytes: usize) -> bool {
        let Some(known) = self.selected.and_then(|at| self.paths.get_mut(at)) else { return false };
        let beyond = match self.flights {
            Flights::Nowhere => 0,
            Flights::To { bytes, .. } | Flights::Scattered { bytes } => bytes,
        };
        let beyond = match known.spend(bytes, 0) {
            true => beyond,
            false if beyond + bytes as u64 <= HANDSHAKE_BYTES => beyond + bytes as u64,
            false => return false,
        };
        self.flights = match self.flights {
            Flights::Nowhere => Flights::To { path: known.path, bytes: beyond },
            Flights::To { path, .. } if path == known.path => Flights::To { path, bytes: beyond },
            Flights::To { .. } | Flights::Scattered { .. } => Flights::Scattered { bytes: beyond },
        };
        true
    }

    /// The handshake was completed by a message that came by `path`: the client read ours.
    pub(crate) fn handshake_completed(&mut self, path: &Path) {
        self.established = true;
        if matches!(self.flights, Flights::To { path: to, .. } if to == *path)
            && let Some(known) = self.paths.iter_mut().find(|known| known.path == *path)
        {
            known.prove();
        }
    }

    /// Whether something may be sent to the selected path; it counts as sent then. Reports come before media.
    pub(crate) fn may_send(&mut self, bytes: usize, is_report: bool) -> bool {
        let known = self.selected.and_then(|at| self.paths.get_mut(at));
        known.is_some_and(|known| known.spend(bytes, if is_report { 0 } else { REPORT_RESERVE }))
    }

    /// Whether what is sent to the selected path is limited.
    pub(crate) fn is_limited(&self) -> bool {
        self.selected.and_then(|at| self.paths.get(at)).is_some_and(|known| !known.proved)
    }

    /// How far a report to the selected path is to be dated back. `middle` gives the middle bits of a time.
    pub(crate) fn date_back(&mut self, now: Instant, middle: impl Fn(Instant) -> u32) -> Duration {
        if !self.is_limited() {
            return Duration::ZERO;
        }
        let units = rand::random_range(0..DATES);
        let back = Duration::from_micros(u64::from(units) * 15_625 / 1_024);
        let sent = now.checked_sub(back).map_or(0, &middle);
        self.challenge.dates.rotate_right(1);
        if let Some(newest) = self.challenge.dates.first_mut() {
            *newest = Some(Date { sent, real: middle(now) });
        }
        back
    }

    /// A receiver report came by `path` and names the last report its sender got by its date. True if the path is proved by it.
    pub(crate) fn report_answered(&mut self, path: &Path, date: u32) -> bool {
        let Some(known) = self.selected.and_then(|at| self.paths.get_mut(at)) else { return false };
        if known.proved || known.path != *path {
            return false;
        }
        let dates = &mut self.challenge.dates;
        if let Some(slot) = dates.iter_mut().find(|slot| slot.is_some_and(|one| one.sent == date)) {
            *slot = None;
            self.challenge.hits += 1;
            if self.challenge.hits >= HITS {
                known.prove();
                return true;
            }
        } else if dates.iter().flatten().any(|one| one.real.wrapping_sub(date) <= DATES) {
            // Nobody got that one: it was guessed.
            self.challenge = Challenge::default();
        }
        false
    }
}
