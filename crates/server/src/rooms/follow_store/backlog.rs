//! The queues of changes on their way from the store into rooms: each room has its own, so that a room which does not
//! answer holds up no other.

use std::collections::{HashMap, VecDeque};

use parlor_proto::ChannelId;
use parlor_store::Change;
use tokio::sync::watch;

/// The most changes that wait for one room. A room that answers applies hundreds in a second; one that let this many
/// wait is made to agree with the store as a whole instead.
const MAX_CHANGES: usize = 256;
/// The most changes that wait for one room if some of them are orders, of which the store does not tell afterwards.
const MAX_WITH_ORDERS: usize = 4_096;

/// Changes that were read from the log and not yet applied by the rooms they concern.
#[derive(Debug, Default)]
pub struct Backlog(watch::Sender<State>);

#[derive(Debug, Default)]
struct State {
    /// All changes up to this number were put into the queues of the rooms they concern.
    read: i64,
    rooms: HashMap<ChannelId, Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    changes: VecDeque<Change>,
    /// The numbers of the first and of the last change that had no place in the queue.
    missed: Option<(i64, i64)>,
}

/// What a room has to be told next.
#[derive(Clone, Debug)]
pub enum Errand {
    /// A single change.
    Change(Box<Change>),
    /// All that the store has of the room's channel and of everybody there. The number is that of the last change that
    /// had no place in the queue.
    Everything(i64),
}

impl Backlog {
    /// Notes that every change up to this number is in the queues.
    pub fn read_to(&self, seq: i64) {
        self.0.send_modify(|state| state.read = seq);
    }

    /// Puts a change at the end of a room's queue. Returns true if the room had no queue: then the caller has to empty it.
    ///
    /// An `order` is to be carried out once, and nothing tells of it afterwards; every other change only says where to look.
    pub fn add(&self, channel: &ChannelId, change: Change, order: bool) -> bool {
        let mut is_new = false;
        self.0.send_if_modified(|state| {
            is_new = !state.rooms.contains_key(channel);
            let queue = state.rooms.entry(channel.clone()).or_default();
            if queue.changes.len() < if order { MAX_WITH_ORDERS } else { MAX_CHANGES } {
                queue.changes.push_back(change);
            } else {
                if order {
                    tracing::error!(%channel, kind = ?change.kind, "a call does not answer, and an order for it is lost");
                }
                let first = queue.missed.map_or(change.seq, |(first, _)| first);
                queue.missed = Some((first, change.seq));
            }
            false
        });
        is_new
    }

    /// The next errand in a room's queue. It stays there until it is [`done`](Self::done). When nothing is left the queue is removed.
    pub fn next(&self, channel: &ChannelId) -> Option<Errand> {
        let mut next = None;
        self.0.send_if_modified(|state| {
            let Some(queue) = state.rooms.get(channel) else { return false };
            next = match (queue.changes.front(), queue.missed) {
                (Some(change), _) => Some(Errand::Change(Box::new(change.clone()))),
                (None, Some((_, last))) => Some(Errand::Everything(last)),
                (None, None) => None,
            };
            if next.is_none() {
                state.rooms.remove(channel);
            }
            false
        });
        next
    }

    /// Removes a room's queue: nobody empties it any more.
    pub fn forget(&self, channel: &ChannelId) {
        self.0.send_modify(|state| drop(state.rooms.remove(channel)));
    }

    /// Removes an errand that a room has carried out from its queue.
    pub fn done(&self, channel: &ChannelId, errand: &Errand) {
        self.0.send_modify(|state| {
            let Some(queue) = state.rooms.get_mut(channel) else { return };
            match errand {
                Errand::Change(_) => drop(queue.changes.pop_front()),
                Errand::Everything(last) => drop(queue.missed.take_if(|(_, missed)| missed == last)),
            }
        });
    }

    /// Waits until the rooms of these channels have applied every change up to this number.
    pub async fn felt(&self, seq: i64, channels: &[ChannelId]) {
        let felt = |state: &State| state.read >= seq && channels.iter().all(|channel| state.has_felt(seq, channel));
        // An error would mean that the sender is gone, and the sender is a field of this backlog.
        let _ = self.0.subscribe().wait_for(felt).await;
    }
}

impl State {
    fn has_felt(&self, seq: i64, channel: &ChannelId) -> bool {
        let Some(queue) = self.rooms.get(channel) else { return true };
        let (next, missed) = (queue.changes.front().map(|change| change.seq), queue.missed.map(|(first, _)| first));
        next.into_iter().chain(missed).all(|waits| waits > seq)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use parlor_proto::Timestamp;
    use parlor_store::ChangeKind;

    use super::*;

    fn channel(id: &str) -> ChannelId {
        ChannelId::new(id).expect("an id")
    }

    fn change(seq: i64) -> Change {
        let details = serde_json::Value::Null;
        Change { seq, at: Timestamp(0), own: false, kind: ChangeKind::Access, channel: None, user: None, details }
    }

    fn has_felt(backlog: &Backlog, seq: i64, id: &str) -> bool {
        backlog.felt(seq, &[channel(id)]).now_or_never().is_some()
    }

    #[test]
    fn who_waits_for_a_room_waits_for_no_other() {
        let (backlog, den) = (Backlog::default(), channel("den"));
        assert!(backlog.add(&den, change(1), false) && !backlog.add(&den, change(2), false));
        assert!(!has_felt(&backlog, 1, "attic"), "something may still come that nobody has read");
        backlog.read_to(2);
        assert!(has_felt(&backlog, 2, "attic") && !has_felt(&backlog, 1, "den"));
        let first = backlog.next(&den).expect("one");
        backlog.done(&den, &first);
        assert!(has_felt(&backlog, 1, "den") && !has_felt(&backlog, 2, "den"));
        let second = backlog.next(&den).expect("another");
        backlog.done(&den, &second);
        assert!(backlog.next(&den).is_none() && has_felt(&backlog, 2, "den"));
        assert!(backlog.add(&den, change(3), false), "the queue went with its last change");
    }

    #[test]
    fn a_room_that_misses_changes_is_told_everything_once_it_answers() {
        let (backlog, den) = (Backlog::default(), channel("den"));
        let waiting = i64::try_from(MAX_CHANGES).expect("fits");
        for seq in 1..=waiting + 2 {
            backlog.add(&den, change(seq), false);
        }
        backlog.read_to(waiting + 2);
        for _ in 0..MAX_CHANGES {
            let next = backlog.next(&den).expect("one more");
            assert!(matches!(next, Errand::Change(_)));
            backlog.done(&den, &next);
        }
        assert!(has_felt(&backlog, waiting, "den") && !has_felt(&backlog, waiting + 1, "den"));
        let everything = backlog.next(&den).expect("what was missed");
        assert!(matches!(everything, Errand::Everything(last) if last == waiting + 2));
        backlog.add(&den, change(waiting + 3), false);
        backlog.done(&den, &everything);
        assert!(has_felt(&backlog, waiting + 2, "den") && !has_felt(&backlog, waiting + 3, "den"), "what came meanwhile waits");
    }

    #[test]
    fn an_order_has_a_place_where_others_have_none() {
        let (backlog, den) = (Backlog::default(), channel("den"));
        let full = i64::try_from(MAX_CHANGES).expect("fits");
        for seq in 1..=full + 1 {
            backlog.add(&den, change(seq), false);
        }
        backlog.add(&den, change(full + 2), true);
        let mut seen = Vec::new();
        while let Some(errand) = backlog.next(&den) {
            if let Errand::Change(change) = &errand {
                seen.push(change.seq);
            }
            backlog.done(&den, &errand);
        }
        assert_eq!(seen.last(), Some(&(full + 2)));
        assert!(!seen.contains(&(full + 1)), "what the whole look tells is not kept one by one");
    }
}
