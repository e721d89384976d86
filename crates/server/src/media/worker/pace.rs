//! How long a worker lets packets gather before it takes them.
//!
//! Waking up, receiving and sending cost a worker nearly the same for one packet as for several, and several packets for one receiver
//! leave as one message. So a worker that gets many packets does not take the first at once: it sleeps a moment, and takes all that
//! have come by then. The moment is counted from the first packet, so no packet waits longer than that.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

/// How often a worker's load is looked at.
const LOAD_WINDOW: Duration = Duration::from_millis(100);
/// How many arrivals in a window make packets gather for [`MAX_GATHER`]: then three or more gather. With fewer, the
/// second sleep of a turn costs more than handling packets together saves (measured with 1,250 a second: it saved
/// nothing, at three times the delay).
const MANY: u64 = 200;
/// Up to this load, in percent, no packet waits because of the load: there is time enough to send everything at once.
const CALM_PERCENT: u64 = 30;
/// From this load on, in percent, packets gather for [`MAX_GATHER`], however few come: they may have many receivers.
const BUSY_PERCENT: u64 = 80;
/// The longest time that packets gather: less than the jitter of any network.
const MAX_GATHER: Duration = Duration::from_micros(1_000);
/// A worker that waited for packets less than this found them there: they came while it was at work.
const AT_ONCE: Duration = Duration::from_micros(20);

/// Decides how long packets gather: for the configured interval, or for longer if many come or the worker is busy.
#[derive(Debug)]
pub struct Pace {
    /// How long packets gather now.
    gather: Duration,
    /// How long packets would gather by the load alone.
    under_load: Duration,
    /// The least time that packets gather, by the configuration.
    configured: Duration,
    window: Instant,
    idle: Duration,
    arrivals: u64,
    /// When the worker had last taken every packet.
    drained: Instant,
}

impl Pace {
    /// Makes a pace that begins with the configured interval.
    pub fn new(configured: Duration, now: Instant) -> Self {
        Self { gather: configured, under_load: Duration::ZERO, configured, window: now, idle: Duration::ZERO, arrivals: 0, drained: now }
    }

    /// Waits for events, at most until `timeout` after `now`. Packets gather then, if all that came may: orders and connections
    /// are handled at once. An interrupted wait brings no events.
    pub fn wait(
        &mut self,
        poll: &mut Poll,
        events: &mut Events,
        (now, timeout): (Instant, Duration),
        may_gather: impl Fn(Token) -> bool,
    ) -> io::Result<()> {
        let polled = poll.poll(events, Some(timeout));
        let woken = Instant::now();
        self.rested(woken.saturating_duration_since(now), woken);
        match polled {
            Err(e) if e.kind() == ErrorKind::Interrupted => {
                events.clear();
                return Ok(());
            }
            other => other?,
        }
        if !events.is_empty() && events.iter().all(|event| may_gather(event.token())) {
            let time = self.gather(now, woken);
            if !time.is_zero() {
                // The sleep is by time alone, because waking up for each packet is what it is to save.
                std::thread::sleep(time);
                let slept = Instant::now();
                self.rested(slept.saturating_duration_since(woken), slept);
            }
        }
        Ok(())
    }

    /// Notes that datagrams were taken, and whether they were all there were.
    pub fn took(&mut self, arrivals: usize, all: bool, now: Instant) {
        self.arrivals += arrivals as u64;
        if all {
            self.drained = now;
        }
    }

    /// Notes that the worker waited, up to `now`, and had nothing to do.
    pub fn rested(&mut self, idle: Duration, now: Instant) {
        self.idle += idle;
        let span = now.saturating_duration_since(self.window);
        if span >= LOAD_WINDOW {
            let idle_percent = self.idle.as_micros() * 100 / span.as_micros().max(1);
            let load = 100_u64.saturating_sub(u64::try_from(idle_percent).unwrap_or(100));
            let above = load.clamp(CALM_PERCENT, BUSY_PERCENT) - CALM_PERCENT;
            let asked = MAX_GATHER * u32::try_from(above).unwrap_or(0) / u32::try_from(BUSY_PERCENT - CALM_PERCENT).unwrap_or(1);
            // Only half of the way: less work makes a lower load, which in turn asks for less waiting.
            self.under_load = (self.under_load + asked) / 2;
            let many = u128::from(self.arrivals) * LOAD_WINDOW.as_micros() >= u128::from(MANY) * span.as_micros();
            self.gather = if many { MAX_GATHER } else { self.under_load }.max(self.configured);
            (self.window, self.idle, self.arrivals) = (now, Duration::ZERO, 0);
        }
    }

    /// How much longer packets gather. The worker learned of them at `now`, and had waited for them since `asked`.
    pub fn gather(&self, asked: Instant, now: Instant) -> Duration {
        let first = if now.saturating_duration_since(asked) < AT_ONCE { self.drained } else { now };
        (first + self.gather).saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURED: Duration = Duration::from_micros(2_000);
    const MICRO: Duration = Duration::from_micros(1);
    const MILLI: Duration = Duration::from_millis(1);

    /// Simulates two seconds of a worker that is idle for so many percent and gets so many packets a second.
    fn run(pace: &mut Pace, now: &mut Instant, idle_percent: u32, rate: usize) -> Duration {
        for _ in 0..2_000 {
            *now += MILLI;
            pace.took(rate / 1_000, true, *now);
            pace.rested(MICRO * 10 * idle_percent, *now);
        }
        pace.gather
    }

    #[test]
    fn few_packets_do_not_wait_and_many_wait_a_moment() {
        let mut now = Instant::now();
        let mut pace = Pace::new(Duration::ZERO, now);
        assert_eq!(pace.gather(now, now + MILLI), Duration::ZERO, "nothing is known yet");
        assert_eq!(run(&mut pace, &mut now, 85, 1_000), Duration::ZERO);
        assert_eq!(run(&mut pace, &mut now, 85, 3_000), MAX_GATHER);
        assert_eq!(run(&mut pace, &mut now, 85, 1_000), Duration::ZERO);
    }

    #[test]
    fn a_busy_worker_lets_few_packets_wait_too() {
        let mut now = Instant::now();
        let mut pace = Pace::new(Duration::ZERO, now);
        assert_eq!(run(&mut pace, &mut now, 75, 1_000), Duration::ZERO);
        let half = run(&mut pace, &mut now, 45, 1_000);
        assert!((450..=550).contains(&half.as_micros()), "{half:?}");
        let full = run(&mut pace, &mut now, 2, 1_000);
        assert!(full <= MAX_GATHER && full.as_micros() > 990, "{full:?}");
        assert!(run(&mut pace, &mut now, 90, 1_000).as_micros() < 2);
    }

    #[test]
    fn packets_gather_for_the_configured_interval_at_least() {
        let mut now = Instant::now();
        let mut pace = Pace::new(CONFIGURED, now);
        assert_eq!(pace.gather(now, now + MILLI), CONFIGURED);
        assert_eq!(run(&mut pace, &mut now, 99, 0), CONFIGURED);
        assert_eq!(run(&mut pace, &mut now, 2, 3_000), CONFIGURED);
    }

    #[test]
    fn a_packet_that_came_during_work_has_waited_since_then() {
        let start = Instant::now();
        let mut pace = Pace::new(CONFIGURED, start);
        pace.took(3, true, start);
        let after = |micros| start + MICRO * micros;
        // The worker was at work for half a millisecond, and then found packets waiting.
        assert_eq!(pace.gather(after(500), after(501)), MICRO * 1_499);
        // The worker waited for the packets, so they came just now.
        assert_eq!(pace.gather(after(500), after(900)), CONFIGURED);
        // The worker was at work for longer than packets gather.
        assert_eq!(pace.gather(after(2_500), after(2_501)), Duration::ZERO);
        // Some packets were left. When they came is not known, but they cannot have come after the rest was taken.
        pace.took(64, false, after(3_000));
        assert_eq!(pace.gather(after(3_100), after(3_101)), Duration::ZERO);
    }
}
