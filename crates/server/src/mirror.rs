//! The mirror of calls in Redis, where other programs see who is in a call. Parlor itself reads nothing there, and waits for
//! nothing: what rooms say of their people is taken at once, and what Redis lacks is written when it answers.

mod link;
mod people;
mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, OptionFuture};
use redis::aio::MultiplexedConnection;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::feed::Backoff;
use crate::rooms::{EveryCall, Registry};
pub use link::Link;
use link::Trouble;
use people::People;
use plan::Plan;

/// The first pause after a failure, and the longest: a Redis that is back is noticed after so long.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// A running mirror. Dropping it leaves it running.
#[derive(Debug)]
pub struct Mirror {
    stopping: CancellationToken,
    running: JoinHandle<()>,
}

impl Mirror {
    /// Starts to mirror the calls of a registry, which has none yet. Redis need not answer.
    pub fn start(link: Link, registry: &Arc<Registry>) -> Self {
        let stopping = CancellationToken::new();
        let running = tokio::spawn(Task::new(link).run(registry.every_call(), stopping.clone()));
        Self { stopping, running }
    }

    /// Removes the calls of this process from Redis, if it answers, and ends.
    pub async fn stop(self) {
        self.stopping.cancel();
        let _ = self.running.await;
    }
}

/// What is under way came to its end.
enum Done {
    Connected(MultiplexedConnection),
    Written,
}

struct Task {
    link: Link,
    plan: Plan,
    connection: Option<MultiplexedConnection>,
    /// The one thing that is under way: connecting, or writing.
    work: OptionFuture<BoxFuture<'static, Result<Done, Trouble>>>,
    backoff: Backoff,
    health: Health,
}

/// Whether Redis does what it is told, as it was said last.
enum Health {
    Unknown,
    Fine,
    Away { since: Instant },
}

impl Task {
    fn new(link: Link) -> Self {
        let plan = Plan::new(link.lifetime());
        let (connection, backoff) = (None, Backoff::new(PAUSES.0, PAUSES.1));
        let mut task = Self { link, plan, connection, work: None.into(), backoff, health: Health::Unknown };
        task.connect_after(Duration::ZERO);
        task
    }

    async fn run(mut self, mut calls: EveryCall, stopping: CancellationToken) {
        let mut is_stopping = false;
        while !(is_stopping && self.plan.is_settled()) {
            let wake = self.plan.poll_timeout().map(|at| tokio::time::sleep_until(at.into()));
            tokio::select! {
                changed = calls.next() => for (channel, state) in changed {
                    self.plan.handle_people(channel, People::of(&state));
                },
                Some(done) = &mut self.work => {
                    self.work = None.into();
                    self.take(done);
                }
                Some(()) = OptionFuture::from(wake) => self.plan.handle_timeout(Instant::now()),
                () = stopping.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    self.plan.handle_stop();
                }
            }
            self.send();
        }
    }

    fn take(&mut self, done: Result<Done, Trouble>) {
        let now = Instant::now();
        match done {
            Ok(Done::Connected(connection)) => {
                self.connection = Some(connection);
                self.plan.handle_connected(now);
            }
            Ok(Done::Written) => {
                self.plan.handle_done(now);
                self.backoff.reset();
                self.is_fine(now);
            }
            Err(trouble) => {
                self.connection = None;
                self.plan.handle_lost();
                self.is_away(&trouble, now);
                let pause = self.backoff.next();
                self.connect_after(pause);
            }
        }
    }

    /// Sends what is due, unless something is under way.
    fn send(&mut self) {
        let Some(connection) = &self.connection else { return };
        let writes = self.plan.poll_writes();
        if !writes.is_empty() {
            let (link, connection) = (self.link.clone(), connection.clone());
            let work: BoxFuture<'static, _> = Box::pin(async move { link.write(&connection, writes).await.map(|()| Done::Written) });
            self.work = Some(work).into();
        }
    }

    fn connect_after(&mut self, pause: Duration) {
        let link = self.link.clone();
        let work: BoxFuture<'static, _> = Box::pin(async move {
            tokio::time::sleep(pause).await;
            link.connect().await.map(Done::Connected)
        });
        self.work = Some(work).into();
    }

    fn is_fine(&mut self, now: Instant) {
        match std::mem::replace(&mut self.health, Health::Fine) {
            Health::Fine => {}
            Health::Unknown => tracing::info!("who is in a call is mirrored to Redis"),
            Health::Away { since } => {
                let away_s = now.saturating_duration_since(since).as_secs();
                tracing::info!(away_s, "Redis is back, and is told who is in which call");
            }
        }
    }

    fn is_away(&mut self, trouble: &Trouble, now: Instant) {
        if matches!(self.health, Health::Away { .. }) {
            tracing::debug!(%trouble, "Redis is still away");
            return;
        }
        self.health = Health::Away { since: now };
        tracing::warn!(%trouble, "Redis is away: calls go on, and it is told who is in them when it is back");
    }
}
