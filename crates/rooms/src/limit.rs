//! How often a user may join: so many times a minute, and not in a tight loop after lost connections.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use parlor_proto::{Error, ErrorCode, UserId};

use crate::policy::Policy;

/// The window of [`Policy::joins_per_minute`].
const WINDOW: Duration = Duration::from_secs(60);
/// Users remembered at the most: about 10 MiB when full. Only users with a valid token get in here, and one
/// that is forgotten early gains no more than a fresh minute.
const MAX_USERS: usize = 50_000;

/// Counts the joins of each user. One for the whole server: a user cannot get around it by changing rooms.
#[derive(Debug)]
pub struct JoinLimiter {
    joins: usize,
    interval: Duration,
    users: HashMap<UserId, History>,
    max_users: usize,
}

#[derive(Debug)]
struct History {
    joins: VecDeque<Instant>,
    /// The connection was lost, and no join has followed yet.
    dropped: bool,
    reconnected: Option<Instant>,
    touched: Instant,
}

impl JoinLimiter {
    /// A limiter with the numbers of the policy.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        Self::with_capacity(policy, MAX_USERS)
    }

    /// A limiter that remembers at most `max_users`.
    #[must_use]
    pub fn with_capacity(policy: &Policy, max_users: usize) -> Self {
        let joins = usize::try_from(policy.joins_per_minute).unwrap_or(usize::MAX);
        Self { joins, interval: policy.reconnect_interval, users: HashMap::new(), max_users: max_users.max(1) }
    }

    /// Asks for one join. A refusal says in `retryAfterMs` how long to wait, and does not count as a join:
    /// whoever waits that long gets in.
    pub fn check_join(&mut self, user: &UserId, now: Instant) -> Result<(), Error> {
        let (limit, interval) = (self.joins, self.interval);
        let history = self.history(user, now);
        while history.joins.front().is_some_and(|at| now.saturating_duration_since(*at) >= WINDOW) {
            history.joins.pop_front();
        }
        if history.joins.len() >= limit {
            let oldest = history.joins.front().copied().unwrap_or(now);
            return Err(wait(WINDOW.saturating_sub(now.saturating_duration_since(oldest))));
        }
        if history.dropped {
            if let Some(last) = history.reconnected {
                let since = now.saturating_duration_since(last);
                if since < interval {
                    return Err(wait(interval - since));
                }
            }
            history.dropped = false;
            history.reconnected = Some(now);
        }
        history.joins.push_back(now);
        Ok(())
    }

    /// Notes that the user's connection broke while in a channel: the next join is a reconnect.
    pub fn left_uncleanly(&mut self, user: &UserId, now: Instant) {
        self.history(user, now).dropped = true;
    }

    /// Notes that the user went on with the session that connection left: there was no reconnect.
    pub fn resumed(&mut self, user: &UserId) {
        if let Some(history) = self.users.get_mut(user) {
            history.dropped = false;
        }
    }

    /// How many users the limiter remembers.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.users.len()
    }

    fn history(&mut self, user: &UserId, now: Instant) -> &mut History {
        if self.users.len() >= self.max_users && !self.users.contains_key(user) {
            self.forget(now);
        }
        let fresh = || History { joins: VecDeque::new(), dropped: false, reconnected: None, touched: now };
        let history = self.users.entry(user.clone()).or_insert_with(fresh);
        history.touched = now;
        history
    }

    /// Makes room: forgets who has no bearing any more, and if that is nobody, the older half. Half, so that
    /// a full table is not scanned again for the very next user.
    fn forget(&mut self, now: Instant) {
        let memory = WINDOW.max(self.interval);
        self.users.retain(|_, h| now.saturating_duration_since(h.touched) < memory);
        if self.users.len() < self.max_users {
            return;
        }
        let mut ages: Vec<Instant> = self.users.values().map(|h| h.touched).collect();
        let middle = ages.len() / 2;
        let (_, median, _) = ages.select_nth_unstable(middle);
        let median = *median;
        self.users.retain(|_, h| h.touched > median);
    }
}

fn wait(time: Duration) -> Error {
    // Rounded up: a client that waits exactly this long must not be refused for a fraction of a millisecond.
    let millis = u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    let seconds = millis.div_ceil(1000);
    let unit = if seconds == 1 { "second" } else { "seconds" };
    Error::new(ErrorCode::RateLimited)
        .with("retryAfterMs", millis)
        .say(format!("You joined too often. Wait {seconds} {unit} and try again."))
}
