//! The calls that somebody watches, the state each was shown in last, and those whose state may be another now.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_proto::ChannelId;
use tokio::sync::{Notify, watch};

use crate::rooms::directory::history::{CallStage, CallState};

/// A state as it is shown; `None` until it is known.
type Shown = Option<Arc<CallState>>;

/// The watched calls. There are never more than there are watchers.
#[derive(Debug, Default)]
pub struct Watched {
    known: Mutex<Known>,
    changed: Notify,
    news: Notify,
}

#[derive(Debug, Default)]
struct Known {
    calls: HashMap<ChannelId, Call>,
    changed: HashSet<ChannelId>,
    /// What was found out of any call and not taken yet, for the one who watches them all; the newest of each call.
    news: Option<HashMap<ChannelId, Arc<CallState>>>,
    closed: bool,
}

#[derive(Debug)]
struct Call {
    shown: watch::Sender<Shown>,
    watchers: usize,
}

impl Watched {
    /// Begins to watch a call. Each watch is ended with [`Watched::unwatch`].
    pub fn watch(&self, channel: &ChannelId) -> watch::Receiver<Shown> {
        let mut known = self.lock();
        if known.closed {
            return watch::channel(None).1;
        }
        let call = known.calls.entry(channel.clone()).or_insert_with(|| Call { shown: watch::channel(None).0, watchers: 0 });
        call.watchers += 1;
        let mut shown = call.shown.subscribe();
        shown.mark_changed();
        drop(known);
        self.note(channel);
        shown
    }

    /// Ends a watch. The last watcher of a call has it forgotten.
    pub fn unwatch(&self, channel: &ChannelId) {
        let mut known = self.lock();
        let Some(call) = known.calls.get_mut(channel) else { return };
        call.watchers = call.watchers.saturating_sub(1);
        if call.watchers == 0 {
            known.calls.remove(channel);
            if known.news.is_none() {
                known.changed.remove(channel);
            }
        }
    }

    /// Begins to watch all calls. There is one who does.
    pub fn watch_all(&self) {
        self.lock().news = Some(HashMap::new());
    }

    /// Ends the watch over all calls.
    pub fn unwatch_all(&self) {
        self.lock().news = None;
    }

    /// Waits for news of any call, and takes them.
    pub async fn news(&self) -> HashMap<ChannelId, Arc<CallState>> {
        loop {
            self.news.notified().await;
            let news = self.lock().news.as_mut().map(std::mem::take).unwrap_or_default();
            if !news.is_empty() {
                return news;
            }
        }
    }

    /// Notes that the state of a call may be another now.
    pub fn note(&self, channel: &ChannelId) {
        let mut known = self.lock();
        if known.news.is_some() || known.calls.contains_key(channel) {
            known.changed.insert(channel.clone());
            self.changed.notify_one();
        }
    }

    /// Notes this for every call that shows somebody who left: they are shown for a time only.
    pub fn note_ended(&self) {
        let mut known = self.lock();
        let shows_ended = |shown: &Shown| shown.iter().flat_map(|state| &state.participants).any(|one| one.state == CallStage::Ended);
        let of_call = |(channel, call): (&ChannelId, &Call)| shows_ended(&call.shown.borrow()).then(|| channel.clone());
        let ended: Vec<ChannelId> = known.calls.iter().filter_map(of_call).collect();
        known.changed.extend(ended);
        self.changed.notify_one();
    }

    /// Waits for calls whose state may be another now, and takes them.
    pub async fn changed(&self) -> HashSet<ChannelId> {
        self.changed.notified().await;
        std::mem::take(&mut self.lock().changed)
    }

    /// Shows a state to those who watch the call, if it is not the one they see.
    pub fn show(&self, channel: &ChannelId, state: CallState) {
        let state = Arc::new(state);
        let mut known = self.lock();
        if let Some(news) = &mut known.news {
            news.insert(channel.clone(), Arc::clone(&state));
            self.news.notify_one();
        }
        let state = Some(state);
        if let Some(call) = known.calls.get(channel) {
            call.shown.send_if_modified(|last| {
                let other = *last != state;
                if other {
                    *last = state;
                }
                other
            });
        }
    }

    /// Ends every watch, and those that would begin later.
    pub fn close(&self) {
        *self.lock() = Known { closed: true, ..Known::default() };
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(watched: &Watched) -> (usize, usize) {
        let known = watched.lock();
        (known.calls.len(), known.changed.len())
    }

    #[test]
    fn a_call_is_forgotten_with_its_last_watcher() {
        let (watched, channel) = (Watched::default(), ChannelId::new("lobby").expect("an id"));
        watched.note(&channel);
        assert!(watched.lock().changed.is_empty(), "nobody watches");
        let watches = [watched.watch(&channel), watched.watch(&channel)];
        watched.unwatch(&channel);
        watched.note(&channel);
        assert_eq!(sizes(&watched), (1, 1));
        watched.unwatch(&channel);
        drop(watches);
        assert_eq!(sizes(&watched), (0, 0));
    }

    #[test]
    fn a_state_is_shown_once_and_to_who_comes_later_at_once() {
        let (watched, channel) = (Watched::default(), ChannelId::new("lobby").expect("an id"));
        let mut first = watched.watch(&channel);
        first.mark_unchanged();
        watched.show(&channel, CallState::default());
        assert!(first.has_changed().expect("open"));
        first.mark_unchanged();
        watched.show(&channel, CallState::default());
        assert!(!first.has_changed().expect("open"), "it is the same state");
        let second = watched.watch(&channel);
        assert!(second.has_changed().expect("open") && second.borrow().is_some());
        watched.close();
        assert!(first.has_changed().is_err() && watched.watch(&channel).has_changed().is_err());
    }
}
