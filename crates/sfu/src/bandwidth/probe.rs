//! Probes: short clusters of packets at a higher rate than the media has, and what became of them.
//!
//! Media that is sent meanwhile counts: padding only fills it up to the rate of the probe.

use super::{PaddingRequest, ProbeId};

/// Shapers let some bytes pass before they hold back, usually about 4 KiB; of a probe at twice their rate that is
/// twice as much, as the bucket fills again meanwhile. It says nothing about the rate.
const SKIP_BYTES: u64 = 8_000;
/// What is measured after that lasts this long, ...
const MEASURE_MICROS: u64 = 40_000;
/// ... longer where the delays of packets differ anyway, beyond what frames of video make them differ, ...
const FREE_SPREAD_MICROS: u64 = 10_000;
const MAX_SPREAD_MICROS: u64 = 30_000;
const SPREAD_TIMES: u64 = 5;
/// ... and is at least three packets (the first ends the skipped part), else one packet of jitter decides, ...
const MIN_MEASURE_BYTES: u64 = 2_800;
/// ... and no more than this, however high the rate: it comes on top of the media.
const MAX_MEASURE_BYTES: u64 = 64_000;
/// A packet of padding, with room for headers below any usual MTU.
const PACKET_BYTES: u64 = 1_150;
/// What is due at once after a late timer; more would be a burst of its own.
const MAX_REQUEST_BYTES: u64 = 6 * PACKET_BYTES;
/// How long the reports on a probe are awaited, beside the round trip: a few are sent each second, and one may be lost.
const REPORT_MICROS: u64 = 350_000;
/// The link carries the rate if this share of it arrives: the rest is the noise of a short measurement.
const REACHED_PERCENT: u64 = 85;
/// If this share of a probe arrives, and as fast as it was sent, the losses are those of a bad radio link.
const ARRIVED_PERCENT: u64 = 75;
/// A probe of which less than this arrived was measured by chance.
const ENOUGH_PERCENT: u64 = 50;

/// What a probe found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Outcome {
    /// The rate that got through; `None` if that could not be measured.
    pub(super) rate: Option<u64>,
    /// All of what was sent did: there may be room for more.
    pub(super) reached: bool,
}

/// Runs one probe at a time.
#[derive(Debug, Default)]
pub(super) struct Prober {
    last: u8,
    phase: Phase,
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Idle,
    Sending(Cluster),
    Waiting(Cluster),
}

#[derive(Clone, Copy, Debug)]
struct Cluster {
    id: u8,
    rate: u64,
    started: u64,
    /// Until when it has to be sent, then until when reports are awaited.
    deadline: u64,
    goal: u64,
    bytes: u64,
    last_number: u64,
    /// What is sent before it is not measured.
    first_measured: u64,
    /// The number after the newest packet that was reported on.
    next_reported: u64,
    measure: Measure,
    is_complete: bool,
}

/// The measured part of a probe: arrival over bytes, as a straight line through all packets. Jitter then counts
/// less than if it were taken from the first and the last.
#[derive(Clone, Copy, Debug, Default)]
struct Measure {
    /// When the packet before was sent and when it arrived.
    from: Option<(u64, i64)>,
    last_sent: u64,
    reported: u64,
    arrived: u64,
    points: f64,
    sum_x: f64,
    sum_y: f64,
    sum_xx: f64,
    sum_xy: f64,
}

impl Prober {
    pub(super) const fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle)
    }

    /// Begins a probe, through a link on which delays differ by `spread` µs.
    pub(super) fn start(&mut self, rate: u64, spread: u64, now: u64) {
        // 0 stands for "no probe" in the history.
        self.last = self.last.checked_add(1).unwrap_or(1);
        let micros = MEASURE_MICROS + spread.saturating_sub(FREE_SPREAD_MICROS).min(MAX_SPREAD_MICROS) * SPREAD_TIMES;
        let measured = (rate.saturating_mul(micros) / 8_000_000).clamp(MIN_MEASURE_BYTES, MAX_MEASURE_BYTES);
        let goal = SKIP_BYTES + measured;
        let duration = goal.saturating_mul(8_000_000) / rate.max(1);
        self.phase = Phase::Sending(Cluster {
            id: self.last,
            rate,
            started: now,
            // Twice as long as planned is another rate: nothing to send it with, or a late timer.
            deadline: now.saturating_add(duration * 2 + 100_000),
            goal,
            bytes: 0,
            last_number: 0,
            first_measured: u64::MAX,
            next_reported: u64::MAX,
            measure: Measure::default(),
            is_complete: false,
        });
    }

    /// Gives the present probe up.
    pub(super) fn cancel(&mut self) {
        self.phase = Phase::Idle;
    }

    /// The padding that is due.
    pub(super) fn request(&self, now: u64) -> Option<PaddingRequest> {
        let Phase::Sending(cluster) = &self.phase else { return None };
        let due = cluster.rate.saturating_mul(now.saturating_sub(cluster.started)) / 8_000_000 + PACKET_BYTES;
        let missing = due.saturating_sub(cluster.bytes).min(MAX_REQUEST_BYTES);
        let bytes = usize::try_from(missing).unwrap_or(0);
        (missing >= PACKET_BYTES).then_some(PaddingRequest { probe: ProbeId(cluster.id), bytes })
    }

    /// When something is to be done for the present probe.
    pub(super) fn next_timeout(&self) -> Option<u64> {
        match &self.phase {
            Phase::Idle => None,
            Phase::Sending(cluster) => {
                let due = cluster.started.saturating_add(cluster.bytes.saturating_mul(8_000_000) / cluster.rate.max(1));
                // One more, as what is due is rounded down.
                Some(due.saturating_add(1).min(cluster.deadline))
            }
            Phase::Waiting(cluster) => Some(cluster.deadline),
        }
    }

    /// A packet is sent: the probe it belongs to, or 0; and whether that was the last one of it.
    pub(super) fn on_sent(&mut self, bytes: usize, number: u64, rtt: u64, now: u64) -> (u8, bool) {
        let Phase::Sending(cluster) = &mut self.phase else { return (0, false) };
        let id = cluster.id;
        if cluster.bytes >= SKIP_BYTES {
            cluster.first_measured = cluster.first_measured.min(number);
        }
        cluster.bytes = cluster.bytes.saturating_add(bytes as u64);
        cluster.last_number = number;
        if cluster.bytes < cluster.goal {
            return (id, false);
        }
        cluster.deadline = now.saturating_add(rtt).saturating_add(REPORT_MICROS);
        self.phase = Phase::Waiting(*cluster);
        (id, true)
    }

    /// A packet of a probe was reported on.
    pub(super) fn on_report(&mut self, probe: u8, number: u64, bytes: u64, sent: u64, arrival: Option<i64>) {
        let (Phase::Sending(cluster) | Phase::Waiting(cluster)) = &mut self.phase else { return };
        if probe != cluster.id {
            return;
        }
        cluster.is_complete |= number >= cluster.last_number;
        if number < cluster.first_measured || number > cluster.next_reported {
            // Begins here, or anew where a report was lost.
            cluster.measure = Measure { from: arrival.map(|arrival| (sent, arrival)).or(cluster.measure.from), ..Measure::default() };
        } else {
            cluster.measure.add(bytes, sent, arrival);
        }
        cluster.next_reported = number.saturating_add(1);
    }

    /// The result, once there is one.
    pub(super) fn outcome(&mut self, now: u64) -> Option<Outcome> {
        let outcome = match &self.phase {
            Phase::Idle => return None,
            Phase::Sending(cluster) if now < cluster.deadline => return None,
            Phase::Sending(_) => Outcome { rate: None, reached: false },
            Phase::Waiting(cluster) if !cluster.is_complete && now < cluster.deadline => return None,
            Phase::Waiting(cluster) => cluster.outcome(),
        };
        self.phase = Phase::Idle;
        Some(outcome)
    }
}

impl Cluster {
    fn outcome(&self) -> Outcome {
        let measure = &self.measure;
        let is_share = |percent: u64, of: u64| measure.arrived.saturating_mul(100) >= of.saturating_mul(percent);
        let is_enough = is_share(ENOUGH_PERCENT, self.goal.saturating_sub(SKIP_BYTES));
        let (Some((sent, _)), true) = (measure.from, is_enough) else { return Outcome { rate: None, reached: false } };
        let micros = measure.last_sent.saturating_sub(sent).max(1);
        let send_rate = (measure.reported.saturating_mul(8_000_000) / micros).min(self.rate);
        let mut rate = measure.rate().min(send_rate);
        if !is_share(ARRIVED_PERCENT, measure.reported) {
            rate = rate.saturating_mul(measure.arrived) / measure.reported.max(1);
        }
        Outcome { rate: Some(rate), reached: rate >= send_rate.saturating_mul(REACHED_PERCENT) / 100 }
    }
}

impl Measure {
    fn add(&mut self, bytes: u64, sent: u64, arrival: Option<i64>) {
        self.reported = self.reported.saturating_add(bytes);
        self.last_sent = self.last_sent.max(sent);
        let Some(arrival) = arrival else { return };
        if self.from.is_none() {
            self.from = Some((sent, arrival));
            self.reported = 0;
            return;
        }
        self.arrived = self.arrived.saturating_add(bytes);
        let first = self.from.map_or(0, |(_, first)| first);
        #[allow(clippy::cast_precision_loss, reason = "a fraction of a second, some kilobytes")]
        let (x, y) = (self.reported as f64, arrival.saturating_sub(first) as f64);
        self.points += 1.0;
        self.sum_x += x;
        self.sum_y += y;
        self.sum_xx += x * x;
        self.sum_xy += x * y;
    }

    /// The slope of the line, in bit/s; the packet it begins with is the point 0, 0.
    fn rate(&self) -> u64 {
        let points = self.points + 1.0;
        let up = points * self.sum_xx - self.sum_x * self.sum_x;
        let right = points * self.sum_xy - self.sum_x * self.sum_y;
        let rate = 8_000_000.0 * up / right;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let whole = rate as u64;
        // All at once, or even backwards: as fast as one likes.
        if right > 0.0 { whole } else { u64::MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a probe through a link of this rate (none: all arrives as it was sent) with a bucket of `burst` bytes.
    fn through(rate: u64, link: u64, burst: u64) -> Outcome {
        let (mut prober, mut now, mut number, mut free) = (Prober::default(), 1_000_000_u64, 0, 0_u64);
        prober.start(rate, 0, now);
        while matches!(prober.phase, Phase::Sending(_)) {
            now = now.max(prober.next_timeout().expect("sending"));
            assert!(prober.request(now).is_some(), "due");
            let (id, _) = prober.on_sent(1_150, number, 0, now);
            free = free.max(now.saturating_sub(burst * 8_000_000 / link)) + 1_150 * 8_000_000 / link;
            let arrival = free.max(now) + 20_000;
            prober.on_report(id, number, 1_150, now, Some(i64::try_from(arrival).expect("small")));
            number += 1;
        }
        prober.outcome(now).expect("all reported")
    }

    #[test]
    fn a_link_with_room_carries_the_probe() {
        for rate in [100_000, 900_000, 10_000_000] {
            let outcome = through(rate, 1_000_000_000, 0);
            assert!(outcome.reached && outcome.rate.is_some_and(|found| found > rate * 95 / 100), "{rate}: {outcome:?}");
        }
    }

    #[test]
    fn a_link_without_shows_its_rate_even_behind_a_bucket() {
        for (rate, link) in [(570_000, 300_000), (900_000, 300_000), (1_900_000, 1_000_000), (4_000_000, 2_000_000)] {
            for burst in [0, 4_096] {
                let outcome = through(rate, link, burst);
                let found = outcome.rate.expect("measured");
                assert!(!outcome.reached && found > link * 85 / 100 && found < link * 110 / 100, "{rate} on {link}: {outcome:?}");
            }
        }
    }

    #[test]
    fn a_probe_that_is_not_sent_or_not_reported_ends() {
        let mut prober = Prober::default();
        prober.start(1_000_000, 0, 0);
        assert_eq!(prober.outcome(10_000), None);
        assert_eq!(prober.outcome(1_000_000), Some(Outcome { rate: None, reached: false }), "never sent");
        prober.start(1_000_000, 0, 0);
        for number in 0..20 {
            prober.on_sent(1_150, number, 0, 0);
        }
        assert_eq!(prober.outcome(100_000), None, "awaited");
        assert_eq!(prober.outcome(1_000_000), Some(Outcome { rate: None, reached: false }), "never reported");
        assert!(prober.is_idle() && prober.next_timeout().is_none());
    }
}
