//! The state of calls for those who only look: which people are about to enter, are in, or were in.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use parlor_proto::{ChannelId, UserId};
use serde::Serialize;

/// How long a call still shows somebody who left.
const MEMORY: Duration = Duration::from_secs(60 * 60);
/// The most calls remembered: about 10 MiB when each is full.
const MAX_CALLS: usize = 10_000;
/// The most people who left that are remembered for one call.
const MAX_GONE: usize = 200;
/// The most people who are about to enter that are shown for one call: each change is told to all who look, and a crowd of them
/// would cost its square.
const MAX_ENTERING: usize = 200;

/// How far somebody is with a call, or a call as a whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CallStage {
    /// The person has nothing to do with the call.
    #[default]
    Idle,
    /// The person was in the call within the last hour.
    Ended,
    /// The person asked to enter the call.
    Connecting,
    /// The person is in the call.
    Active,
}

impl CallStage {
    /// The stage as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Ended => "ended",
            Self::Connecting => "connecting",
            Self::Active => "active",
        }
    }
}

/// A person as the state of a call shows them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallParticipant {
    /// The id of the person.
    pub user: UserId,
    /// The name to show for the person.
    pub name: String,
    /// How far the person is with the call.
    pub state: CallStage,
}

/// A call as a whole.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CallState {
    /// The stage of the person who is furthest.
    pub room_state: CallStage,
    /// Everybody who is not idle.
    pub participants: Vec<CallParticipant>,
}

impl CallState {
    /// Builds the state from the people who are in the call and from what the history knows of others.
    pub fn of(inside: impl IntoIterator<Item = (UserId, String)>, others: Vec<CallParticipant>) -> Self {
        let active = |(user, name)| CallParticipant { user, name, state: CallStage::Active };
        let mut participants: Vec<CallParticipant> = inside.into_iter().map(active).collect();
        for other in others {
            if !participants.iter().any(|one| one.user == other.user) {
                participants.push(other);
            }
        }
        let room_state = participants.iter().map(|one| one.state).max().unwrap_or_default();
        Self { room_state, participants }
    }
}

/// What rooms do not know: people who are about to enter a call, and people who were in it.
#[derive(Debug, Default)]
pub struct History(Mutex<HashMap<ChannelId, Call>>);

#[derive(Debug, Default)]
struct Call {
    /// The name of each person who is about to enter, and how many reasons there are to think so: a socket, a join.
    entering: BTreeMap<UserId, (String, usize)>,
    gone: BTreeMap<UserId, (String, Instant)>,
}

impl History {
    /// Notes that somebody is about to enter. Each note is taken back with [`History::not_entering`].
    pub fn entering(&self, channel: &ChannelId, user: &UserId, name: &str) {
        self.lock().entry(channel.clone()).or_default().entering.entry(user.clone()).or_insert_with(|| (name.to_owned(), 0)).1 += 1;
    }

    /// Takes one note that somebody is about to enter back.
    pub fn not_entering(&self, channel: &ChannelId, user: &UserId) {
        let mut calls = self.lock();
        let Some(call) = calls.get_mut(channel) else { return };
        if let Some((_, reasons)) = call.entering.get_mut(user) {
            *reasons = reasons.saturating_sub(1);
            if *reasons == 0 {
                call.entering.remove(user);
            }
        }
        if call.entering.is_empty() && call.gone.is_empty() {
            calls.remove(channel);
        }
    }

    /// Notes that somebody is in, and so is no longer somebody who left.
    pub fn entered(&self, channel: &ChannelId, user: &UserId) {
        if let Some(call) = self.lock().get_mut(channel) {
            call.gone.remove(user);
        }
    }

    /// Notes that somebody left.
    pub fn left(&self, channel: &ChannelId, user: &UserId, name: &str, now: Instant) {
        let mut calls = self.lock();
        if calls.len() >= MAX_CALLS && !calls.contains_key(channel) {
            trim(&mut calls, now);
        }
        let call = calls.entry(channel.clone()).or_default();
        call.gone.insert(user.clone(), (name.to_owned(), now));
        if call.gone.len() > MAX_GONE
            && let Some(oldest) = call.gone.iter().min_by_key(|(_, (_, at))| *at).map(|(user, _)| user.clone())
        {
            call.gone.remove(&oldest);
        }
    }

    /// Forgets who was in the call of a channel that is gone: whoever gets another one of the same name is not told.
    pub fn forget(&self, channel: &ChannelId) {
        let mut calls = self.lock();
        let Some(call) = calls.get_mut(channel) else { return };
        call.gone.clear();
        if call.entering.is_empty() {
            calls.remove(channel);
        }
    }

    /// The people who are about to enter a call, and those who were in it.
    pub fn others(&self, channel: &ChannelId, now: Instant) -> Vec<CallParticipant> {
        let calls = self.lock();
        let Some(call) = calls.get(channel) else { return Vec::new() };
        let show = |user: &UserId, name: &String, state| CallParticipant { user: user.clone(), name: name.clone(), state };
        let entering = call.entering.iter().take(MAX_ENTERING).map(|(user, (name, _))| show(user, name, CallStage::Connecting));
        let recent = call.gone.iter().filter(|(user, (_, at))| is_recent(*at, now) && !call.entering.contains_key(*user));
        entering.chain(recent.map(|(user, (name, _))| show(user, name, CallStage::Ended))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ChannelId, Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_recent(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < MEMORY
}

/// Forgets the calls that are too old; if there are none, the older half of all calls.
fn trim(calls: &mut HashMap<ChannelId, Call>, now: Instant) {
    let newest = |call: &Call| call.gone.values().map(|(_, at)| *at).max();
    calls.retain(|_, call| !call.entering.is_empty() || newest(call).is_some_and(|at| is_recent(at, now)));
    if calls.len() < MAX_CALLS {
        return;
    }
    let mut ages: Vec<Instant> = calls.values().filter_map(newest).collect();
    ages.sort_unstable();
    let Some(median) = ages.get(ages.len() / 2).copied() else { return };
    calls.retain(|_, call| !call.entering.is_empty() || newest(call).is_some_and(|at| at > median));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(n: usize) -> (ChannelId, UserId) {
        (ChannelId::new(&format!("room-{n}")).expect("an id"), UserId::new(&format!("user-{n}")).expect("an id"))
    }

    #[test]
    fn somebody_connects_is_active_and_was_there_for_an_hour() {
        let (history, start) = (History::default(), Instant::now());
        let (channel, user) = ids(0);
        assert_eq!(CallState::of([], history.others(&channel, start)), CallState::default());
        history.entering(&channel, &user, "Alice");
        history.entering(&channel, &user, "Alice");
        history.not_entering(&channel, &user);
        assert_eq!(CallState::of([], history.others(&channel, start)).room_state, CallStage::Connecting);
        let inside = CallState::of([(user.clone(), "Alice".to_owned())], history.others(&channel, start));
        assert_eq!((inside.room_state, inside.participants.len()), (CallStage::Active, 1), "once, and as what is furthest");
        history.not_entering(&channel, &user);
        assert_eq!(CallState::of([], history.others(&channel, start)).room_state, CallStage::Idle);
        history.left(&channel, &user, "Alice", start);
        assert_eq!(CallState::of([], history.others(&channel, start)).room_state, CallStage::Ended);
        assert!(history.others(&channel, start + MEMORY).is_empty());
    }

    #[test]
    fn it_remembers_only_so_much() {
        let (history, start) = (History::default(), Instant::now());
        for n in 0..MAX_CALLS + 1 {
            let (channel, user) = ids(n);
            history.left(&channel, &user, "x", start + Duration::from_millis(n as u64));
        }
        assert!(history.lock().len() <= MAX_CALLS);
        let (channel, _) = ids(MAX_CALLS);
        for n in 0..2 * MAX_GONE {
            history.left(&channel, &ids(n).1, "x", start + Duration::from_secs(100) + Duration::from_millis(n as u64));
        }
        assert_eq!(history.others(&channel, start + Duration::from_secs(100)).len(), MAX_GONE);
        for n in 0..2 * MAX_ENTERING {
            history.entering(&channel, &UserId::new(&format!("onlooker-{n}")).expect("an id"), "x");
        }
        assert_eq!(history.others(&channel, start + Duration::from_secs(100)).len(), MAX_GONE + MAX_ENTERING);
    }
}
