//! Rate limits of the REST API: how often each API key, and each address, may ask.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use parlor_proto::ErrorCode;

use crate::config;
use crate::http::api::problem::Problem;

/// Keys or addresses that are counted at the same time, at about 100 bytes each. When there are more, those that have
/// not asked lately are forgotten; if all of them have asked lately, counting begins anew.
const MAX_COUNTED: usize = 50_000;
/// The least time between two searches for keys or addresses that have not asked lately: a search is a walk over all of them.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The limits of the API.
#[derive(Debug)]
pub struct Limits {
    addresses: Counted<IpAddr>,
    failures: Counted<IpAddr>,
    keys: Counted<String>,
}

impl Limits {
    /// Limits with nothing counted yet.
    pub fn new(config: &config::Api) -> Self {
        Self {
            addresses: Counted::new(Quota::per_second(at_least_one(config.requests_per_second_address)), MAX_COUNTED),
            failures: Counted::new(Quota::per_minute(at_least_one(config.failed_keys_per_minute)), MAX_COUNTED),
            keys: Counted::new(Quota::per_second(at_least_one(config.requests_per_second_key)), MAX_COUNTED),
        }
    }

    /// Counts a request from this address.
    pub fn request(&self, source: IpAddr) -> Result<(), Problem> {
        self.addresses.count(source).map_err(|wait| too_often(wait, "Too many requests from this address."))
    }

    /// Counts a key or token that was not valid. A caller with a valid one is let in whatever others behind the same
    /// address try: only failures are answered with the refusal.
    pub fn failure(&self, source: IpAddr) -> Result<(), Problem> {
        self.failures.count(source).map_err(|wait| too_often(wait, "Too many invalid API keys or tokens from this address."))
    }

    /// Counts a request with this key.
    pub fn key(&self, id: &str) -> Result<(), Problem> {
        self.keys.count(id.to_owned()).map_err(|wait| too_often(wait, "Too many requests with this API key."))
    }
}

/// A rate for each of many, in bounded memory.
#[derive(Debug)]
struct Counted<K: Hash + Eq + Clone> {
    quota: Quota,
    max: usize,
    state: Mutex<State<K>>,
}

#[derive(Debug)]
struct State<K: Hash + Eq + Clone> {
    limiter: DefaultKeyedRateLimiter<K>,
    swept: Instant,
}

impl<K: Hash + Eq + Clone> Counted<K> {
    fn new(quota: Quota, max: usize) -> Self {
        Self { quota, max, state: Mutex::new(State { limiter: RateLimiter::keyed(quota), swept: Instant::now() }) }
    }

    /// Counts one request; if it is one too many, the error says how long to wait.
    fn count(&self, who: K) -> Result<(), Duration> {
        let mut state = self.state();
        if state.limiter.len() >= self.max {
            self.make_room(&mut state);
        }
        state.limiter.check_key(&who).map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }

    fn make_room(&self, state: &mut State<K>) {
        if state.swept.elapsed() >= SWEEP_INTERVAL {
            state.limiter.retain_recent();
            state.swept = Instant::now();
        }
        if state.limiter.len() >= self.max {
            state.limiter = RateLimiter::keyed(self.quota);
        }
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

fn too_often(wait: Duration, sentence: &str) -> Problem {
    let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
    Problem::new(ErrorCode::RateLimited).say(format!("{sentence} Wait {} s and try again.", ms.div_ceil(1000))).with("retryAfterMs", ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_rate_of_its_own_and_is_told_how_long_to_wait() {
        let counted = Counted::new(Quota::per_minute(at_least_one(2)), 100);
        assert!(counted.count("a").is_ok() && counted.count("a").is_ok());
        let wait = counted.count("a").expect_err("the third within a minute");
        assert!(wait > Duration::from_secs(20) && wait <= Duration::from_secs(30), "{wait:?}");
        assert!(counted.count("b").is_ok());
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let counted = Counted::new(Quota::per_minute(at_least_one(1)), 100);
        for n in 0..1000 {
            assert!(counted.count(n).is_ok());
            assert!(counted.state().limiter.len() <= 100);
        }
    }
}
