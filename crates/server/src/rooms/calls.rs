//! The state of calls for those who look: it is read, or watched, or shows who is about to enter.
//!
//! Rooms know who is in and the history knows who was; a state is put together from both when it is asked for. For
//! those who watch, one task does that once for each change.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use parlor_proto::{ChannelId, Identity, UserId};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::rooms::{CallState, Registry};

/// How often it is looked whether somebody who left a call is still to be shown: they are for an hour.
const LOOK_FOR_ENDED: Duration = Duration::from_secs(60);

/// Somebody is about to enter a call for as long as this is kept, and is shown as `connecting` unless they are in.
#[derive(Debug)]
#[must_use = "dropping it says that the person is not about to enter any more"]
pub struct Entering {
    registry: Arc<Registry>,
    channel: ChannelId,
    user: UserId,
}

/// A watch over the state of one call.
#[derive(Debug)]
pub struct CallWatch {
    registry: Arc<Registry>,
    channel: ChannelId,
    shown: watch::Receiver<Option<Arc<CallState>>>,
}

/// A watch over the states of all calls.
#[derive(Debug)]
pub struct EveryCall(Arc<Registry>);

impl EveryCall {
    /// The newest state of each call whose state may be another than the last time. Waits until there is one; when the server
    /// stops there is none any more. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> HashMap<ChannelId, Arc<CallState>> {
        self.0.watched.news().await
    }
}

impl Drop for EveryCall {
    fn drop(&mut self) {
        self.0.watched.unwatch_all();
    }
}

impl CallWatch {
    /// The state of the call: at first the one it is in, then each other one. Waits until there is one, and skips states
    /// that have passed meanwhile. `None` when the server stops. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Arc<CallState>> {
        loop {
            self.shown.changed().await.ok()?;
            let state = self.shown.borrow_and_update().clone();
            if state.is_some() {
                return state;
            }
        }
    }
}

impl Drop for CallWatch {
    fn drop(&mut self) {
        self.registry.watched.unwatch(&self.channel);
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        self.registry.history.not_entering(&self.channel, &self.user);
        self.registry.call_changed(&self.channel);
    }
}

impl Registry {
    /// How far a call is, and everybody who has to do with it.
    pub async fn call_state(&self, channel: &ChannelId) -> CallState {
        let inside = self.participants(channel).await;
        CallState::of(inside.into_iter().map(|one| (one.user_id, one.name)), self.history.others(channel, Instant::now()))
    }

    /// Watches the state of a call. Nobody has to be in it.
    pub fn watch_call(self: &Arc<Self>, channel: &ChannelId) -> CallWatch {
        CallWatch { registry: Arc::clone(self), channel: channel.clone(), shown: self.watched.watch(channel) }
    }

    /// Watches all calls from now on. One does at a time.
    pub fn every_call(self: &Arc<Self>) -> EveryCall {
        self.watched.watch_all();
        EveryCall(Arc::clone(self))
    }

    /// Shows a person as one who is about to enter a call, until what is returned is dropped. Who may not enter the call must
    /// not come this far.
    pub fn entering(self: &Arc<Self>, channel: &ChannelId, identity: &Identity) -> Entering {
        self.history.entering(channel, &identity.user, &identity.name);
        self.call_changed(channel);
        Entering { registry: Arc::clone(self), channel: channel.clone(), user: identity.user.clone() }
    }

    /// Notes that the state of a call may be another now.
    pub(super) fn call_changed(&self, channel: &ChannelId) {
        self.watched.note(channel);
    }

    /// Starts the task that shows states to those who watch calls, until the server stops.
    pub fn show_calls(self: &Arc<Self>) {
        let registry = Arc::clone(self);
        self.tasks.spawn(async move {
            registry.stopping.run_until_cancelled(registry.show_changes()).await;
            registry.watched.close();
        });
    }

    /// Puts the state of each changed call together and shows it. All calls are asked at the same time, so that one which does
    /// not answer holds up no other; what changes in a call while it is asked has it asked once more, however much that is.
    async fn show_changes(&self) {
        let ask = |channel: ChannelId| async { (self.call_state(&channel).await, channel) };
        // The calls that are asked now, and whether they have changed since.
        let (mut asked, mut answers) = (HashMap::new(), FuturesUnordered::new());
        let mut look_for_ended = interval(LOOK_FOR_ENDED);
        look_for_ended.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = self.watched.changed() => for channel in changed {
                    if asked.insert(channel.clone(), asked.contains_key(&channel)).is_none() {
                        answers.push(ask(channel));
                    }
                },
                Some((state, channel)) = answers.next() => {
                    self.watched.show(&channel, state);
                    if asked.remove(&channel) == Some(true) {
                        asked.insert(channel.clone(), false);
                        answers.push(ask(channel));
                    }
                }
                _ = look_for_ended.tick() => self.watched.note_ended(),
            }
        }
    }
}
