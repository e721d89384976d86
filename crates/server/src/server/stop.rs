//! Stopping a running server: part after part, each with a deadline of its own, and all of them within one time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::OptionFuture;
use tokio::time::{Instant, timeout_at};

use crate::mirror::Mirror;
use crate::server::Server;

/// The time that all parts have together. Supervisors kill after 10 s at the earliest, and the process has to end as well.
pub const STOP_WITHIN: Duration = Duration::from_millis(6_500);
/// The part of [`STOP_WITHIN`] that is left when the rooms are waited for no longer. Time that one part does not use,
/// the next ones have.
const AFTER_ROOMS: Duration = Duration::from_millis(4_500);
/// The part of [`STOP_WITHIN`] that is left when connections are waited for no longer.
const AFTER_CONNECTIONS: Duration = Duration::from_millis(2_500);
/// The part of [`STOP_WITHIN`] that is left when the feed is waited for no longer: a store that is away for a moment
/// gets the last events when it is back.
const AFTER_FEED: Duration = Duration::from_millis(1_000);
/// The part of [`STOP_WITHIN`] that is left when the store is waited for no longer.
const AFTER_STORE: Duration = Duration::from_millis(500);

/// The step of the stop that is under way, in words, for a message that names what did not end.
#[derive(Clone, Debug)]
pub struct Progress(Arc<Mutex<&'static str>>);

impl Progress {
    /// Begins with this step.
    #[must_use]
    pub fn begin(what: &'static str) -> Self {
        Self(Arc::new(Mutex::new(what)))
    }

    /// Notes the step that is under way now.
    pub fn enter(&self, what: &'static str) {
        tracing::debug!(what, "goes on to");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// The step that is under way.
    #[must_use]
    pub fn what(&self) -> &'static str {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Stops the server: tells everybody, closes everything, and returns within [`STOP_WITHIN`] whatever clients, store and media do.
    pub async fn shut_down(self) {
        self.shut_down_by(Instant::now() + STOP_WITHIN, &Progress::begin("")).await;
    }

    /// Stops the server as [`Server::shut_down`] does, until a deadline. Returns the names of the threads that did not end.
    pub(crate) async fn shut_down_by(self, deadline: Instant, progress: &Progress) -> Vec<String> {
        let until = |left| deadline.checked_sub(left).unwrap_or(deadline);
        self.app.stopping.cancel();
        progress.enter("closing rooms");
        // Rooms end first, so that their participants are told while their sockets are still open.
        if timeout_at(until(AFTER_ROOMS), self.app.registry.shut_down()).await.is_err() {
            tracing::warn!("some rooms, or what administrators asked for, did not end in time");
        }
        progress.enter("closing connections");
        self.app.socketio.close_all();
        self.app.plain.close_all();
        self.accepting.cancel();
        self.connections.close();
        let (connections, mirror) = tokio::join!(
            timeout_at(until(AFTER_CONNECTIONS), self.connections.wait()),
            timeout_at(until(AFTER_CONNECTIONS), OptionFuture::from(self.mirror.map(Mirror::stop))),
        );
        if connections.is_err() {
            tracing::debug!("some connections did not end in time");
        }
        if mirror.is_err() {
            tracing::debug!("the calls were not removed from Redis in time; it forgets them by itself");
        }
        progress.enter("writing the last events");
        self.feed.shut_down(until(AFTER_FEED)).await;
        progress.enter("closing the store");
        let store = async {
            self.node.give_back().await;
            self.app.store.close().await;
        };
        if timeout_at(until(AFTER_STORE), store).await.is_err() {
            tracing::debug!("the store was not closed in time; nothing is lost without it");
        }
        progress.enter("ending media threads");
        let turn = async {
            match self.turn {
                Some(turn) => turn.end(deadline).await,
                None => None,
            }
        };
        let (mut hung, of_turn) = tokio::join!(self.app.pool.end(deadline), turn);
        hung.extend(of_turn);
        hung
    }
}
