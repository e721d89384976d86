//! A network in virtual time: delays, loses, duplicates and reorders what is sent through it, the same way
//! every time for the same seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// How a link treats what is sent through it. Shares are of 1.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Conditions {
    /// The time that everything takes.
    pub delay: Duration,
    /// The most by which the delay of a packet grows. More than the distance of packets reorders them.
    pub jitter: Duration,
    /// Share that is lost.
    pub loss: f64,
    /// Share that arrives twice.
    pub duplication: f64,
    /// Share that is overtaken: it takes `delay` and `jitter` once more.
    pub reordering: f64,
    /// Bits a second, or no limit. What does not fit waits.
    pub rate: Option<u64>,
    /// The longest that something waits; what would wait longer is lost.
    pub queue: Duration,
}

impl Conditions {
    /// A cable: nothing is lost, everything takes 10 ms.
    pub const GOOD: Self = Self {
        delay: Duration::from_millis(10),
        jitter: Duration::ZERO,
        loss: 0.0,
        duplication: 0.0,
        reordering: 0.0,
        rate: None,
        queue: Duration::from_millis(200),
    };

    /// Radio in a train.
    pub const BAD: Self = Self {
        delay: Duration::from_millis(40),
        jitter: Duration::from_millis(15),
        loss: 0.05,
        duplication: 0.02,
        reordering: 0.02,
        ..Self::GOOD
    };
}

/// One direction of a network path.
#[derive(Debug)]
pub struct Link<T> {
    conditions: Conditions,
    random: SmallRng,
    under_way: BinaryHeap<Reverse<Parcel<T>>>,
    sent: u64,
    lost: u64,
    free_at: Option<Instant>,
}

#[derive(Debug)]
struct Parcel<T> {
    at: Instant,
    /// Breaks ties, so that order is kept and does not depend on what is sent.
    number: u64,
    content: T,
}

impl<T> PartialEq for Parcel<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl<T> Eq for Parcel<T> {}

impl<T> PartialOrd for Parcel<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Parcel<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl<T: Clone> Link<T> {
    /// A link; what it does is decided by the seed.
    #[must_use]
    pub fn new(conditions: Conditions, seed: u64) -> Self {
        Self { conditions, random: SmallRng::seed_from_u64(seed), under_way: BinaryHeap::new(), sent: 0, lost: 0, free_at: None }
    }

    /// Changes the conditions for what is sent from now on.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// Sends something of a size in bytes.
    pub fn send(&mut self, content: T, size: usize, now: Instant) {
        self.sent += 1;
        let Conditions { delay, jitter, loss, duplication, reordering, .. } = self.conditions;
        let Some(leaves) = self.leaves(size, now).filter(|_| !self.chance(loss)) else {
            self.lost += 1;
            return;
        };
        let copies = 1 + u32::from(self.chance(duplication));
        for _ in 0..copies {
            let mut takes = delay + jitter.mul_f64(self.random.random::<f64>());
            if self.chance(reordering) {
                takes += delay + jitter;
            }
            self.sent += 1;
            self.under_way.push(Reverse(Parcel { at: leaves + takes, number: self.sent, content: content.clone() }));
        }
    }

    /// When the next thing arrives.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.under_way.peek().map(|Reverse(parcel)| parcel.at)
    }

    /// What has arrived by now.
    pub fn receive(&mut self, now: Instant) -> Option<T> {
        let due = self.under_way.peek().is_some_and(|Reverse(parcel)| parcel.at <= now);
        if due { self.under_way.pop().map(|Reverse(parcel)| parcel.content) } else { None }
    }

    /// How many packets were lost.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// When something sent now is through the bottleneck; `None` if the queue is full.
    fn leaves(&mut self, size: usize, now: Instant) -> Option<Instant> {
        let Some(rate) = self.conditions.rate else { return Some(now) };
        let begins = self.free_at.map_or(now, |free| free.max(now));
        if begins.saturating_duration_since(now) > self.conditions.queue {
            return None;
        }
        let micros = (size as u64).saturating_mul(8_000_000) / rate.max(1);
        let ends = begins + Duration::from_micros(micros);
        self.free_at = Some(ends);
        Some(ends)
    }

    fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.random.random::<f64>() < share
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_good_link_keeps_order_and_delay() {
        let now = Clock::new().now();
        let mut link = Link::new(Conditions::GOOD, 1);
        (0..10).for_each(|n| link.send(n, 100, now));
        assert_eq!(link.receive(now), None);
        let arrived: Vec<i32> = std::iter::from_fn(|| link.receive(now + Conditions::GOOD.delay)).collect();
        assert_eq!(arrived, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn loss_and_duplication_are_near_their_shares() {
        let now = Clock::new().now();
        let conditions = Conditions { loss: 0.05, duplication: 0.1, ..Conditions::GOOD };
        let mut link = Link::new(conditions, 7);
        (0..10_000).for_each(|n| link.send(n, 100, now));
        let arrived = std::iter::from_fn(|| link.receive(now + Duration::from_secs(1))).count();
        assert!((400..600).contains(&link.lost()), "{}", link.lost());
        assert!((10_200..10_700).contains(&arrived), "{arrived}");
    }

    #[test]
    fn the_same_seed_does_the_same() {
        let now = Clock::new().now();
        let run = |seed| {
            let mut link = Link::new(Conditions::BAD, seed);
            (0..100).for_each(|n| link.send(n, 100, now));
            std::iter::from_fn(|| link.receive(now + Duration::from_secs(1))).collect::<Vec<i32>>()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }

    #[test]
    fn a_bottleneck_spreads_and_then_drops() {
        let now = Clock::new().now();
        let conditions = Conditions { rate: Some(800_000), queue: Duration::from_millis(10), ..Conditions::GOOD };
        let mut link = Link::new(conditions, 1);
        // A thousand bytes take 10 ms, so the third waits longer than the queue lasts.
        (0..4).for_each(|n| link.send(n, 1_000, now));
        assert_eq!(link.lost(), 2);
        assert_eq!(link.poll_timeout(), Some(now + Duration::from_millis(20)));
    }
}
