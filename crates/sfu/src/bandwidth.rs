//! How much one receiver has room for, from what it reports about the packets sent to it.
//!
//! A forwarder cannot slow packets down, it can only choose layers; so it usually sends less than there is room
//! for, and the estimate must neither fall because of that nor be believed to be the limit. It rises by
//! probing (clusters of padding on top of the media), and falls by what the queue before the bottleneck and
//! losses say. The rules of decrease follow draft-ietf-rmcat-gcc-02, sections 5 and 6.

mod delay;
mod history;
mod loss;
mod meter;
mod probe;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod sim;

use std::time::{Duration, Instant};

use delay::{Delay, DelayTrend};
use history::History;
use loss::Loss;
use meter::Meter;
use probe::Prober;

/// Audio and the smallest picture; with less the layer choice has nothing left to choose.
pub(crate) const MIN_BITRATE: u64 = 50_000;
/// More than the layers of a large room together; no report, true or not, raises the estimate above it.
pub(crate) const MAX_BITRATE: u64 = 50_000_000;

/// Room beside what is wanted: a layer is taken only if a share of the estimate holds it.
const NEED_PERCENT: u64 = 125;
/// After overuse: less than what got through, so that the queue empties (draft-ietf-rmcat-gcc-02, section 5.5: beta).
const DECREASE_PERCENT: u64 = 85;
/// The share of what a probe found that becomes the estimate: its first packets were skipped, so it is close to what the link carries.
const PROBE_PERCENT: u64 = 95;
/// A probe as a multiple of the estimate: less would hide in what a shaper lets pass before it counts, more fills
/// the queue. As long as probes get through, one follows the other.
const STEP_PERCENT: u64 = 200;
/// A probe goes a little beyond what is needed, for the share that is taken off its result.
const PROBE_LIMIT_PERCENT: u64 = 115;
/// A probe for a few percent more is not worth its padding.
const WORTH_PERCENT: u64 = 103;
/// After overuse (the queue is empty by then) and after a probe that failed, doubling each time: seldom enough for audio not to suffer, often enough to follow a link that recovers
/// (three more probes reach the top) within ten seconds.
const RETRY: Duration = Duration::from_millis(1_000);
const MAX_RETRY: Duration = Duration::from_millis(6_000);
/// An overuse this soon after a raise says that the raise was wrong; then it is not tried again at once.
const DOUBT: Duration = Duration::from_millis(15_000);
/// When a probe may not begin now (a queue, no reports), it is looked at again after this.
const POSTPONE: Duration = Duration::from_millis(200);
/// The queue a probe made is gone after this.
const SETTLE_MICROS: u64 = 250_000;
/// While about as much is sent as there is said to be room for, the estimate grows by this a second (5.5: eta).
const INCREASE_PERCENT: u64 = 8;
const BUSY_PERCENT: u64 = 80;
const INCREASE_LIMIT_PERCENT: u64 = 120;
/// Section 6: below the first, losses say nothing; above the second, there are too many.
const LOSS_LOW: f32 = 0.02;
const LOSS_HIGH: f32 = 0.10;
/// Up to this share, losses without a queue are taken for a bad radio link, which loses as much of less.
const LOSS_RANDOM: f32 = 0.25;
/// Reports come several times a second. None for so long while packets are sent: the link is gone or blocked.
const SILENCE: Duration = Duration::from_millis(1_000);
/// After a pause this long, what the link carried when it was busy last is no longer of interest.
const STALE_MICROS: u64 = 500_000;
/// A probe whose report was lost is repeated soon, but not for ever.
const UNMEASURED_PROBES: u32 = 2;
/// A receiver that has not reported on so many probes will not report at all.
const UNREPORTED_PROBES: u32 = 3;
/// The round trip that is assumed before one was measured: a connection across a continent.
const FIRST_RTT: Duration = Duration::from_millis(100);
/// What is longer is not a round trip, but a report that was held back.
const MAX_RTT: Duration = Duration::from_secs(5);

/// Names the probe a packet belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ProbeId(u8);

/// Padding (or repeats) to be sent now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PaddingRequest {
    pub(crate) probe: ProbeId,
    /// What to send, at least one packet; to be split into packets of usual size.
    pub(crate) bytes: usize,
}

/// The estimate for one receiver.
#[derive(Debug)]
pub(crate) struct Bandwidth {
    epoch: Instant,
    history: History,
    delay: Delay,
    loss: Loss,
    prober: Prober,
    /// The rate of what arrives.
    acked: Meter,
    /// The rate of what arrives while the link is busy.
    busy: Meter,
    estimate: u64,
    want: u64,
    rtt: Option<Duration>,
    /// The number after the newest packet that was reported.
    next_number: u64,
    last_arrival: Option<i64>,
    /// The last packet waited in the queue.
    last_waited: bool,
    verdict: DelayTrend,
    last_feedback: Option<Instant>,
    /// When the first packet was sent after the last report, or when the estimate fell for that last.
    unreported_since: Option<Instant>,
    was_silent: bool,
    /// Padding was asked for, and nothing sent since.
    is_asked: bool,
    last_decrease: Option<Instant>,
    last_increase: Instant,
    last_raise: Option<Instant>,
    last_probe: Option<Instant>,
    next_probe: Instant,
    failures: u32,
    unmeasured: u32,
    /// Raises in a row that turned out wrong.
    doubts: u32,
}

impl Bandwidth {
    /// Begins with an estimate of `start` bit/s.
    pub(crate) fn new(start: u64, now: Instant) -> Self {
        let estimate = start.clamp(MIN_BITRATE, MAX_BITRATE);
        Self {
            epoch: now,
            history: History::new(),
            delay: Delay::default(),
            loss: Loss::default(),
            prober: Prober::default(),
            acked: Meter::default(),
            busy: Meter::default(),
            estimate,
            want: 0,
            rtt: None,
            next_number: 0,
            last_arrival: None,
            last_waited: false,
            verdict: DelayTrend::Clear,
            last_feedback: None,
            unreported_since: None,
            was_silent: false,
            is_asked: false,
            last_decrease: None,
            last_increase: now,
            last_raise: None,
            last_probe: None,
            next_probe: now,
            failures: 0,
            unmeasured: 0,
            doubts: 0,
        }
    }

    /// What the receiver is taken to have room for, in bit/s.
    pub(crate) const fn estimate(&self) -> u64 {
        self.estimate
    }

    /// The round trip, as smooth as RFC 6298 has it.
    pub(crate) fn rtt(&self) -> Duration {
        self.rtt.unwrap_or(FIRST_RTT)
    }

    /// What would be sent if there were room for everything, in bit/s. It is probed for that and some headroom.
    pub(crate) fn want(&mut self, bitrate: u64, now: Instant) {
        let bitrate = bitrate.min(MAX_BITRATE);
        // Something new is wanted: what failed before says little about it.
        if bitrate / 2 > self.want && self.want > 0 && self.failures > 0 {
            self.failures = 0;
            self.next_probe = self.next_probe.min(now + RETRY);
        }
        self.want = bitrate;
    }

    /// Registers a packet that is sent now and returns the transport-wide number to send it with.
    ///
    /// Media sent during a probe is part of it, so `probe` only matters for padding that comes too late.
    pub(crate) fn sent(&mut self, bytes: usize, now: Instant, probe: Option<ProbeId>) -> u16 {
        let (number, micros) = (self.history.next(), self.micros(now));
        let rtt = micros_of(self.rtt());
        let (mut id, is_last) = self.prober.on_sent(bytes, number, rtt, micros);
        if let Some(ProbeId(late)) = probe.filter(|_| id == 0) {
            id = late;
        }
        if id != 0 {
            let until = if is_last { micros.saturating_add(SETTLE_MICROS) } else { micros.saturating_add(1) };
            self.delay.ignore_until(until);
        }
        self.is_asked = false;
        self.history.push(bytes, micros, id);
        self.unreported_since.get_or_insert(now);
        #[allow(clippy::cast_possible_truncation, reason = "16 bits on the wire")]
        let number = number as u16;
        number
    }

    /// The numbers a report can say something of: the first, and how many.
    pub(crate) fn known(&self) -> (u16, u16) {
        self.history.window()
    }

    /// A transport-wide report: numbers, and when they arrived in µs of the receiver's clock, if they did.
    pub(crate) fn on_feedback(&mut self, reports: impl Iterator<Item = (u16, Option<i64>)>, now: Instant) {
        let micros = self.micros(now);
        let mut newest_sent = None;
        let mut overused = false;
        for (number, arrival) in reports {
            let Some(report) = self.history.report(number, arrival.is_some(), micros) else { continue };
            self.prober.on_report(report.probe, report.number, report.bytes, report.sent, arrival);
            let follows = report.number <= self.next_number;
            self.next_number = self.next_number.max(report.number.saturating_add(1));
            // What a probe loses says what the link does not carry, not what it carries badly.
            let is_media = report.probe == 0;
            let Some(arrival) = arrival else {
                if is_media {
                    self.loss.on_lost();
                    self.delay.on_lost();
                }
                continue;
            };
            if is_media {
                self.loss.on_received(report.was_lost);
            }
            newest_sent = newest_sent.max(Some(report.sent));
            let (wait, verdict) = self.delay.on_packet(report.sent, arrival);
            self.measure(report.bytes, arrival, wait, follows);
            if let Some(verdict) = verdict {
                self.verdict = verdict;
                overused |= verdict == DelayTrend::Overuse;
            }
        }
        let Some(sent) = newest_sent else { return };
        self.on_rtt(Duration::from_micros(micros.saturating_sub(sent)));
        self.last_feedback = Some(now);
        self.unreported_since = None;
        if std::mem::take(&mut self.was_silent) {
            // What was lost and held up meanwhile says nothing about the link that is back.
            self.loss = Loss::default();
            self.delay.ignore_until(micros);
            self.verdict = DelayTrend::Clear;
            return;
        }
        if overused {
            self.on_overuse(now);
        }
        if let Some(fraction) = self.loss.poll(micros) {
            self.on_loss_window(fraction, now);
        }
        self.increase(now);
        self.conclude_probe(now);
    }

    /// The share lost according to a receiver report; counts only while there are no transport-wide ones.
    pub(crate) fn on_loss(&mut self, fraction: f32, now: Instant) {
        if !fraction.is_finite() || self.last_feedback.is_some_and(|last| now.saturating_duration_since(last) < SILENCE) {
            return;
        }
        let fraction = fraction.clamp(0.0, 1.0);
        self.loss.set(fraction);
        if fraction > LOSS_HIGH {
            self.decrease_to(lessened(self.estimate, fraction), now);
        } else if fraction < LOSS_LOW {
            let need = percent(self.want, NEED_PERCENT).max(self.estimate);
            self.estimate = percent(self.estimate, 100 + INCREASE_PERCENT).min(need).min(MAX_BITRATE);
        }
    }

    /// A measured round trip.
    pub(crate) fn on_rtt(&mut self, sample: Duration) {
        let sample = sample.min(MAX_RTT);
        self.rtt = Some(self.rtt.map_or(sample, |rtt| (rtt * 7 + sample) / 8));
    }

    /// What is to be sent now for a probe. To be called again until `None`, whenever [`Self::next_timeout`] is due.
    ///
    /// Who has nothing to send leaves it at that: asked a second time in vain, the probe is given up.
    pub(crate) fn padding(&mut self, now: Instant) -> Option<PaddingRequest> {
        self.check_silence(now);
        self.conclude_probe(now);
        if self.prober.is_idle() && now >= self.next_probe {
            self.begin_probe(now);
        }
        let request = self.prober.request(self.micros(now))?;
        if std::mem::replace(&mut self.is_asked, true) {
            self.is_asked = false;
            self.prober.cancel();
            self.next_probe = now + MAX_RETRY;
            return None;
        }
        Some(request)
    }

    /// When [`Self::padding`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let silence = self.unreported_since.filter(|_| self.last_feedback.is_some()).map(|since| since + self.silence());
        self.next_padding().into_iter().chain(silence).min()
    }

    /// When [`Self::padding`] has something to do, but for silence, which can be noticed a little later.
    pub(crate) fn next_padding(&self) -> Option<Instant> {
        match self.prober.next_timeout() {
            Some(micros) => Some(self.epoch + Duration::from_micros(micros)),
            None => self.has_need().then_some(self.next_probe),
        }
    }

    fn micros(&self, now: Instant) -> u64 {
        micros_of(now.saturating_duration_since(self.epoch))
    }

    fn need(&self) -> u64 {
        percent(self.want, NEED_PERCENT).min(MAX_BITRATE)
    }

    fn has_need(&self) -> bool {
        percent(self.estimate, WORTH_PERCENT) < self.need()
    }

    fn silence(&self) -> Duration {
        SILENCE.max(self.rtt() * 4)
    }

    /// Feeds the two meters. Time counts only between packets that follow each other: if a report was lost, what
    /// arrived meanwhile is not known.
    fn measure(&mut self, bytes: u64, arrival: i64, wait: i64, follows: bool) {
        let waited = wait >= delay::BUSY_MICROS;
        let last = self.last_arrival.replace(self.last_arrival.map_or(arrival, |last| last.max(arrival)));
        if let Some(last) = last.filter(|_| follows) {
            let micros = u64::try_from(arrival.saturating_sub(last)).unwrap_or(0);
            self.acked.add(bytes, micros);
            if micros > STALE_MICROS {
                self.busy.clear();
            } else if waited && self.last_waited {
                self.busy.add(bytes, micros);
            }
        }
        self.last_waited = waited;
    }

    /// What the link carried lately: exact if it was busy, else at least what arrived.
    fn capacity(&self) -> Option<u64> {
        self.busy.rate().or_else(|| self.acked.rate())
    }

    fn on_overuse(&mut self, now: Instant) {
        let Some(capacity) = self.capacity() else { return };
        self.decrease_to(percent(capacity, DECREASE_PERCENT), now);
    }

    /// Lowers the estimate, if that is lower, and tells when to try again.
    fn decrease_to(&mut self, target: u64, now: Instant) {
        let target = target.max(MIN_BITRATE);
        if target >= self.estimate {
            return;
        }
        self.estimate = target;
        self.last_decrease = Some(now);
        self.last_increase = now;
        let was_wrong = self.last_raise.take().is_some_and(|raise| now.saturating_duration_since(raise) < DOUBT);
        self.doubts = if was_wrong { self.doubts.saturating_add(1) } else { 0 };
        let pause = pause_after(self.doubts.saturating_add(1));
        self.next_probe = self.next_probe.max(now + pause);
    }

    fn on_loss_window(&mut self, fraction: f32, now: Instant) {
        if fraction <= LOSS_HIGH {
            return;
        }
        let is_queueing = self.verdict != DelayTrend::Clear;
        let Some(acked) = self.acked.rate() else { return };
        // A limit on the way drops what is beyond it: then about as much arrives as it lets through.
        if !is_queueing && fraction <= LOSS_RANDOM {
            return;
        }
        let floor = if is_queueing { percent(self.capacity().unwrap_or(acked), DECREASE_PERCENT) } else { acked };
        self.decrease_to(lessened(self.estimate, fraction).max(floor), now);
    }

    /// Grows while the link is used and shows neither queue nor loss.
    fn increase(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.last_increase).min(SILENCE);
        self.last_increase = now;
        let acked = self.acked.rate().unwrap_or(0);
        // What a probe adds is not what the media uses.
        let is_probed = !self.prober.is_idle() || self.last_probe.is_some_and(|last| now < last + SILENCE);
        let is_used = acked >= percent(self.estimate, BUSY_PERCENT);
        if is_probed || !is_used || self.verdict != DelayTrend::Clear || self.loss.fraction() > LOSS_LOW || !self.has_need() {
            return;
        }
        let step = percent(self.estimate, INCREASE_PERCENT).saturating_mul(micros_of(elapsed)) / 1_000_000;
        let limit = percent(acked, INCREASE_LIMIT_PERCENT).min(self.need());
        self.estimate = self.estimate.saturating_add(step).min(limit.max(self.estimate)).min(MAX_BITRATE);
    }

    /// Halves the estimate for every interval in which nothing is reported of what is sent.
    fn check_silence(&mut self, now: Instant) {
        if self.last_feedback.is_none() || self.unreported_since.is_none_or(|since| now < since + self.silence()) {
            return;
        }
        self.unreported_since = Some(now);
        self.was_silent = true;
        self.prober.cancel();
        self.decrease_to(self.estimate / 2, now);
    }

    fn begin_probe(&mut self, now: Instant) {
        if !self.has_need() {
            return;
        }
        let is_reported = match self.last_feedback {
            None => self.failures < UNREPORTED_PROBES,
            Some(_) => self.unreported_since.is_none_or(|since| now < since + self.silence() / 2),
        };
        if self.verdict == DelayTrend::Overuse || !is_reported || self.loss.fraction() > LOSS_RANDOM {
            self.next_probe = now + POSTPONE;
            return;
        }
        let limit = percent(self.need(), PROBE_LIMIT_PERCENT);
        let rate = percent(self.estimate, STEP_PERCENT).min(limit);
        self.prober.start(rate, self.delay.spread(), self.micros(now));
    }

    fn conclude_probe(&mut self, now: Instant) {
        let Some(outcome) = self.prober.outcome(self.micros(now)) else { return };
        let found = outcome.rate.map_or(0, |rate| percent(rate, PROBE_PERCENT)).min(MAX_BITRATE);
        if outcome.rate.is_none() && self.unmeasured < UNMEASURED_PROBES {
            self.unmeasured += 1;
            self.next_probe = now + POSTPONE;
            return;
        }
        self.unmeasured = 0;
        let is_worth = found > percent(self.estimate, WORTH_PERCENT);
        if found > self.estimate {
            self.estimate = found;
            self.last_raise = Some(now);
        }
        self.last_probe = Some(now);
        if outcome.reached && is_worth {
            self.failures = 0;
            self.next_probe = now;
        } else {
            self.failures = self.failures.saturating_add(1);
            self.next_probe = now + pause_after(self.failures);
        }
    }
}

/// 1, 2, 4, 6 seconds.
fn pause_after(times: u32) -> Duration {
    RETRY.saturating_mul(1 << times.saturating_sub(1).min(8)).min(MAX_RETRY)
}

const fn percent(rate: u64, percent: u64) -> u64 {
    rate.saturating_mul(percent) / 100
}

/// Section 6 of the draft: by half of the share that was lost.
fn lessened(rate: u64, fraction: f32) -> u64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share between 0 and 1000")]
    let lost = (fraction.clamp(0.0, 1.0) * 1_000.0) as u64;
    rate.saturating_mul(2_000 - lost) / 2_000
}

fn micros_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
