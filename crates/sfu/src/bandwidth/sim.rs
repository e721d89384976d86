//! The estimator in virtual time: a forwarder with three layers before a bottleneck.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Bandwidth, ProbeId};

/// Layers of a usual camera, and how much of the estimate one may take that is not yet sent (as in `layers.rs`).
const LAYERS: [u64; 3] = [130_000, 450_000, 1_400_000];
const UP_PERCENT: u64 = 85;
const AUDIO_BYTES: usize = 100;
const PACKET: usize = 1_150;
const FEEDBACK: u64 = 100_000;
/// A receiver asks for a key frame on a switch: it comes after a while and is that much larger than others.
const SWITCH: u64 = 150_000;
const KEY_FRAME: usize = 4;

/// A bottleneck: rate with token bucket and tail drop, then delay.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) rate: u64,
    pub(super) burst: u64,
    /// What would wait longer is dropped.
    pub(super) queue: u64,
    pub(super) loss: f64,
    pub(super) feedback_loss: f64,
    pub(super) delay: u64,
    /// Plus and minus.
    pub(super) jitter: u64,
    pub(super) reorders: bool,
    pub(super) free: u64,
    pub(super) last: u64,
    pub(super) rng: StdRng,
}

impl Link {
    pub(super) fn new(rate: u64, seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self {
            rate,
            burst: 4_096,
            queue: 200_000,
            loss: 0.0,
            feedback_loss: 0.0,
            delay: 50_000,
            jitter: 0,
            reorders: false,
            free: 0,
            last: 0,
            rng,
        }
    }

    /// How long a packet would wait, in µs.
    pub(super) fn wait(&self, now: u64) -> u64 {
        self.free.saturating_sub(now)
    }

    fn send(&mut self, bytes: usize, now: u64) -> Option<u64> {
        if self.rate == 0 || self.wait(now) > self.queue {
            return None;
        }
        let bucket = self.burst * 8_000_000 / self.rate;
        // UDP, IP and Ethernet count for the shaper.
        self.free = self.free.max(now.saturating_sub(bucket)) + (bytes as u64 + 42) * 8_000_000 / self.rate;
        if self.rng.random_bool(self.loss) {
            return None;
        }
        let delay = self.delay - self.jitter + self.rng.random_range(0..=2 * self.jitter);
        let arrival = self.free.max(now) + delay;
        self.last = self.last.max(arrival);
        Some(if self.reorders { arrival } else { self.last })
    }
}

/// Numbers, and when they arrived if they did.
type Report = VecDeque<(u16, Option<i64>)>;

/// One receiver and what is forwarded to it.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) bandwidth: Bandwidth,
    start: Instant,
    pub(super) layers: &'static [u64],
    pub(super) layer: usize,
    switch_at: Option<(u64, usize)>,
    key_frame: bool,
    next_frame: u64,
    next_audio: u64,
    next_feedback: u64,
    arrived: BinaryHeap<Reverse<(u64, u16)>>,
    /// Numbers not yet reported, with their arrival.
    known: Report,
    reports: VecDeque<(u64, Report)>,
    rng: StdRng,
    pub(super) padded: u64,
    pub(super) audio_lost: u64,
    pub(super) audio_sent: u64,
}

impl Receiver {
    pub(super) fn new(start_rate: u64, start: Instant, seed: u64) -> Self {
        Self {
            bandwidth: Bandwidth::new(start_rate, start),
            start,
            layers: &LAYERS,
            layer: 0,
            switch_at: None,
            key_frame: false,
            next_frame: seed * 7_000 % 33_000,
            next_audio: 0,
            next_feedback: FEEDBACK + seed * 13_000 % 100_000,
            arrived: BinaryHeap::new(),
            known: VecDeque::new(),
            reports: VecDeque::new(),
            rng: StdRng::seed_from_u64(seed + 1_000),
            padded: 0,
            audio_lost: 0,
            audio_sent: 0,
        }
    }

    /// Joins later.
    pub(super) fn starting_at(mut self, now: u64) -> Self {
        self.bandwidth = Bandwidth::new(self.bandwidth.estimate(), self.at(now));
        self.next_frame += now;
        self.next_audio += now;
        self.next_feedback += now;
        self
    }

    fn at(&self, micros: u64) -> Instant {
        self.start + Duration::from_micros(micros)
    }

    fn transmit(&mut self, bytes: usize, probe: Option<ProbeId>, link: &mut Link, now: u64) -> bool {
        let number = self.bandwidth.sent(bytes, self.at(now), probe);
        self.known.push_back((number, None));
        let arrival = link.send(bytes, now);
        if let Some(arrival) = arrival {
            self.arrived.push(Reverse((arrival, number)));
        }
        arrival.is_some()
    }

    fn choose(&mut self, now: u64) {
        let budget = self.bandwidth.estimate().saturating_sub(40_000);
        let fits = |layer: usize, rate: u64| if layer > self.layer { rate <= budget * UP_PERCENT / 100 } else { rate <= budget };
        let best = (1..self.layers.len()).take_while(|layer| fits(*layer, self.layers[*layer])).last().unwrap_or(0);
        match self.switch_at {
            Some((at, layer)) if now >= at => {
                self.layer = layer;
                self.switch_at = None;
                self.key_frame = true;
            }
            Some((_, layer)) if layer == best => {}
            _ => self.switch_at = (best != self.layer).then_some((now + SWITCH, best)),
        }
    }

    fn step(&mut self, link: &mut Link, now: u64) {
        let wanted = self.layers.last().copied().unwrap_or(0) + 40_000;
        self.bandwidth.want(wanted, self.at(now));
        self.choose(now);
        if now >= self.next_audio {
            self.next_audio += 20_000;
            self.audio_sent += 1;
            self.audio_lost += u64::from(!self.transmit(AUDIO_BYTES, None, link, now));
        }
        if now >= self.next_frame {
            self.next_frame += 33_333;
            let spread = self.rng.random_range(70..=130_u64);
            let mut bytes = usize::try_from(self.layers[self.layer] / 8 / 30 * spread / 100).expect("small");
            if std::mem::take(&mut self.key_frame) {
                bytes *= KEY_FRAME;
            }
            while bytes > 0 {
                let size = bytes.min(PACKET);
                self.transmit(size, None, link, now);
                bytes -= size;
            }
        }
        while let Some(request) = self.bandwidth.padding(self.at(now)) {
            let mut bytes = request.bytes;
            while bytes > 0 {
                let size = bytes.min(PACKET);
                self.padded += size as u64;
                self.transmit(size, Some(request.probe), link, now);
                bytes -= size;
            }
        }
        let timeout = self.bandwidth.next_timeout();
        assert!(timeout.is_none_or(|timeout| timeout > self.at(now)), "a timer that is due for ever");
        self.feedback(link, now);
    }

    fn feedback(&mut self, link: &mut Link, now: u64) {
        if now >= self.next_feedback {
            self.next_feedback += FEEDBACK;
            let mut newest = None;
            while let Some(Reverse((arrival, number))) = self.arrived.peek().copied().filter(|Reverse((arrival, _))| *arrival <= now) {
                self.arrived.pop();
                let first = self.known.front().map_or(number, |(first, _)| *first);
                let at = usize::from(number.wrapping_sub(first));
                if let Some(known) = self.known.get_mut(at) {
                    // The receiver's clock is another one.
                    known.1 = Some(i64::try_from(arrival).expect("small") - 123_456_789);
                    newest = newest.max(Some(at));
                }
            }
            if let Some(newest) = newest {
                let report: Report = self.known.drain(..=newest).collect();
                if !link.rng.random_bool(link.feedback_loss) {
                    self.reports.push_back((now + link.delay, report));
                }
            }
        }
        while let Some((_, report)) = self.reports.pop_front_if(|(at, _)| *at <= now) {
            self.bandwidth.on_feedback(report.into_iter(), self.at(now));
        }
    }
}

/// Receivers that share a link.
#[derive(Debug)]
pub(super) struct Sim {
    pub(super) link: Link,
    pub(super) receivers: Vec<Receiver>,
    pub(super) now: u64,
}

/// What was seen over a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) least: u64,
    pub(super) most: u64,
    pub(super) mean: u64,
    /// The longest wait in the queue, in ms.
    pub(super) wait: u64,
    pub(super) switches: usize,
}

impl Sim {
    pub(super) fn new(mut link: Link, receivers: u64, start_rate: u64) -> Self {
        let start = parlor_testkit::clock::Clock::new().now();
        let first = link.rng.random_range(0..1_000_000_u64);
        Self { link, receivers: (0..receivers).map(|number| Receiver::new(start_rate, start, first + number)).collect(), now: 0 }
    }

    pub(super) fn estimate(&self) -> u64 {
        self.receivers[0].bandwidth.estimate()
    }

    /// Lets a millisecond pass.
    fn step(&mut self) {
        for receiver in &mut self.receivers {
            receiver.step(&mut self.link, self.now);
        }
        self.now += 1_000;
    }

    /// Runs for so many milliseconds and tells of the first receiver.
    pub(super) fn run(&mut self, millis: u64) -> Seen {
        let mut seen = Seen { least: u64::MAX, most: 0, mean: 0, wait: 0, switches: 0 };
        let mut layer = self.receivers[0].layer;
        for _ in 0..millis {
            self.step();
            let (estimate, present) = (self.estimate(), self.receivers[0].layer);
            seen.least = seen.least.min(estimate);
            seen.most = seen.most.max(estimate);
            seen.mean += estimate;
            seen.wait = seen.wait.max(self.link.wait(self.now) / 1_000);
            seen.switches += usize::from(present != layer);
            layer = present;
        }
        seen.mean /= millis;
        seen
    }

    /// Milliseconds until this holds, at most `millis`.
    pub(super) fn until(&mut self, millis: u64, holds: impl Fn(&Self) -> bool) -> Option<u64> {
        (0..millis).find(|_| {
            self.step();
            holds(self)
        })
    }
}
