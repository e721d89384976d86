//! Turns in a channel: changes of one channel are made one after the other, in the order in which they began, and wait
//! for no other channel.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_proto::ChannelId;
use tokio::sync::Mutex as Turn;

/// How many changes may wait in one channel before a moderator is refused. A call that answers takes hundreds in a
/// second, so this many wait only for a call that does not.
const MAX_WAITING: usize = 64;

/// The turns of all channels in which somebody changes something now.
#[derive(Debug, Default)]
pub struct ChannelLocks(Mutex<HashMap<ChannelId, Arc<Turn<()>>>>);

/// A place in the queue of a channel. Dropping it gives the place up.
#[derive(Debug)]
pub struct Place<'a> {
    locks: &'a ChannelLocks,
    channel: &'a ChannelId,
    turn: Arc<Turn<()>>,
}

impl ChannelLocks {
    /// Takes a place in a channel's queue.
    pub fn place<'a>(&'a self, channel: &'a ChannelId) -> Place<'a> {
        let turn = Arc::clone(self.lock().entry(channel.clone()).or_default());
        Place { locks: self, channel, turn }
    }

    /// Whether so many changes wait in a channel that another one would wait in vain.
    pub fn are_crowded(&self, channel: &ChannelId) -> bool {
        self.lock().get(channel).is_some_and(|turn| Arc::strong_count(turn) > MAX_WAITING)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ChannelId, Arc<Turn<()>>>> {
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
        let mut locks = self.locks.lock();
        // One reference is the map's and one is this place's: nobody else has a place in this channel.
        if Arc::strong_count(&self.turn) == 2 {
            locks.remove(self.channel);
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
    fn only_so_many_wait() {
        let (locks, den) = (ChannelLocks::default(), ChannelId::new("den").expect("valid"));
        let mut places: Vec<Place<'_>> = (1..MAX_WAITING).map(|_| locks.place(&den)).collect();
        assert!(!locks.are_crowded(&den));
        places.push(locks.place(&den));
        assert!(locks.are_crowded(&den));
        places.pop();
        assert!(!locks.are_crowded(&den));
    }
}
