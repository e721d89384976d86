//! Turns in a channel: changes of one channel are made one after the other, in the order in which they began, and wait
//! for no other channel.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_proto::ChannelId;

/// How many acts of moderation may wait in one channel. A call that answers takes hundreds in a second, and an import of
/// bans may ask for as many at once; beyond that a call does not answer, and each act that waits is memory.
const MAX_ACTS: usize = 1_000;

/// The turns of all channels in which somebody changes something now.
#[derive(Debug, Default)]
pub struct ChannelLocks(Mutex<HashMap<ChannelId, Queue>>);

#[derive(Debug, Default)]
struct Queue {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Places in the queue, and those among them that are for acts of moderation.
    places: usize,
    acts: usize,
}

/// A place in the queue of a channel. Dropping it gives the place up.
#[derive(Debug)]
pub struct Place<'a> {
    locks: &'a ChannelLocks,
    channel: &'a ChannelId,
    turn: Arc<tokio::sync::Mutex<()>>,
    is_act: bool,
}

impl ChannelLocks {
    /// Takes a place in a channel's queue, to bring to its room what the store has.
    pub fn place<'a>(&'a self, channel: &'a ChannelId) -> Place<'a> {
        let mut queues = self.lock();
        let queue = queues.entry(channel.clone()).or_default();
        queue.places += 1;
        Place { locks: self, channel, turn: Arc::clone(&queue.turn), is_act: false }
    }

    /// Takes a place for an act of moderation; `None` if [`MAX_ACTS`] of them wait.
    pub fn place_for_act<'a>(&'a self, channel: &'a ChannelId) -> Option<Place<'a>> {
        let mut queues = self.lock();
        let queue = queues.entry(channel.clone()).or_default();
        if queue.acts >= MAX_ACTS {
            return None;
        }
        queue.places += 1;
        queue.acts += 1;
        Some(Place { locks: self, channel, turn: Arc::clone(&queue.turn), is_act: true })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ChannelId, Queue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Waits for the turn, which lasts until the returned guard is dropped.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut queues = self.locks.lock();
        let Some(queue) = queues.get_mut(self.channel) else { return };
        queue.places = queue.places.saturating_sub(1);
        queue.acts = queue.acts.saturating_sub(usize::from(self.is_act));
        if queue.places == 0 {
            queues.remove(self.channel);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn one_after_the_other_in_a_channel_and_no_channel_waits_for_another() {
        let (locks, den, attic) = (ChannelLocks::default(), ChannelId::new("den").expect("valid"), ChannelId::new("attic").expect("valid"));
        let (first, second, elsewhere) = (locks.place(&den), locks.place(&den), locks.place(&attic));
        let turn = first.turn().await;
        assert!(second.turn().now_or_never().is_none());
        assert!(elsewhere.turn().now_or_never().is_some());
        drop(turn);
        assert!(second.turn().now_or_never().is_some());
        drop((first, second, elsewhere));
        assert!(locks.lock().is_empty(), "who is done leaves nothing behind");
    }

    #[test]
    fn only_so_many_acts_wait_however_many_others_do() {
        let (locks, den) = (ChannelLocks::default(), ChannelId::new("den").expect("valid"));
        let others: Vec<Place<'_>> = (0..MAX_ACTS).map(|_| locks.place(&den)).collect();
        let mut acts: Vec<Place<'_>> = (0..MAX_ACTS).filter_map(|_| locks.place_for_act(&den)).collect();
        assert_eq!(acts.len(), MAX_ACTS);
        assert!(locks.place_for_act(&den).is_none());
        acts.pop();
        assert!(locks.place_for_act(&den).is_some());
        drop((others, acts));
        assert!(locks.lock().is_empty());
    }
}
