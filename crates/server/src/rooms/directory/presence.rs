//! Presence: which users have a connection open and which rooms they are in, found by user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_proto::{ChannelId, Error, ErrorCode, SessionId, Timestamp, UserId};
use parlor_rooms::{Stay, Whereabouts};

use crate::rooms::Peer;

/// Signaling connections of one user at the same time: a few devices with a few windows each. Without a limit, one user
/// with a valid token could take all the places of the server.
const MAX_SESSIONS_PER_USER: usize = 10;

/// Everybody who is connected or in a room.
#[derive(Debug, Default)]
pub struct Presence(Mutex<Known>);

#[derive(Default)]
struct Known {
    users: HashMap<UserId, Person>,
    /// The way to each session that is connected.
    peers: HashMap<SessionId, Arc<dyn Peer>>,
}

#[derive(Debug, Default)]
struct Person {
    sessions: Vec<Connected>,
    rooms: Whereabouts,
}

#[derive(Debug)]
struct Connected {
    session: SessionId,
    since: Timestamp,
    /// When the token of the connection was issued.
    issued: Timestamp,
}

/// A connection as administrators see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionInfo {
    /// The session of the connection.
    pub session: SessionId,
    /// When the connection began.
    pub connected_at: Timestamp,
    /// The channel the session is in.
    pub channel: Option<ChannelId>,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("users", &self.users).finish_non_exhaustive()
    }
}

impl Presence {
    /// Notes that a connection began; `issued` is when its token was issued.
    pub fn connected(&self, user: &UserId, issued: Timestamp, peer: Arc<dyn Peer>, now: Timestamp) -> Result<(), Error> {
        let mut known = self.lock();
        let person = known.users.entry(user.clone()).or_default();
        if person.sessions.len() >= MAX_SESSIONS_PER_USER {
            let sentence = "You are connected too many times. Close this page in other windows or on other devices, and try again.";
            return Err(Error::new(ErrorCode::LimitExceeded).with("max", MAX_SESSIONS_PER_USER).say(sentence));
        }
        let session = peer.id();
        person.sessions.push(Connected { session, since: now, issued });
        known.peers.insert(session, peer);
        Ok(())
    }

    /// Notes that a connection ended.
    pub fn disconnected(&self, user: &UserId, session: SessionId) {
        self.lock().peers.remove(&session);
        self.change(user, |person| person.sessions.retain(|connected| connected.session != session));
    }

    /// The way to a session, if it is connected.
    pub fn peer(&self, session: SessionId) -> Option<Arc<dyn Peer>> {
        self.lock().peers.get(&session).cloned()
    }

    /// Notes that a session is in a room now; it is the only session of its user there. Returns the stays elsewhere
    /// that the user is to leave for it.
    pub fn entered(&self, user: &UserId, channel: &ChannelId, session: SessionId) -> Vec<Stay> {
        self.change(user, |person| person.rooms.enter(channel, session))
    }

    /// Notes that the user is out of a room.
    pub fn left(&self, user: &UserId, channel: &ChannelId) {
        self.change(user, |person| person.rooms.leave(channel));
    }

    /// The connections of a user.
    pub fn sessions(&self, user: &UserId) -> Vec<SessionInfo> {
        let known = self.lock();
        let Some(person) = known.users.get(user) else { return Vec::new() };
        let channel = |session| person.rooms.channel_of(session).cloned();
        let info = |connected: &Connected| {
            let session = connected.session;
            SessionInfo { session, connected_at: connected.since, channel: channel(session) }
        };
        person.sessions.iter().map(info).collect()
    }

    /// The connections of a user whose token is older than this.
    pub fn issued_before(&self, user: &UserId, before: Timestamp) -> Vec<Arc<dyn Peer>> {
        let known = self.lock();
        let sessions = known.users.get(user).into_iter().flat_map(|person| &person.sessions);
        let old = sessions.filter(|connected| connected.issued < before);
        old.filter_map(|connected| known.peers.get(&connected.session).cloned()).collect()
    }

    /// The rooms a user is in, also one whose connection was lost a moment ago.
    pub fn channels_of(&self, user: &UserId) -> Vec<ChannelId> {
        self.lock().users.get(user).into_iter().flat_map(|person| person.rooms.channels()).cloned().collect()
    }

    /// Applies a change, and forgets the user if they have neither a connection nor a room any more.
    fn change<T>(&self, user: &UserId, change: impl FnOnce(&mut Person) -> T) -> T {
        let mut known = self.lock();
        let person = known.users.entry(user.clone()).or_default();
        let changed = change(person);
        if person.sessions.is_empty() && person.rooms.is_empty() {
            known.users.remove(user);
        }
        changed
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use parlor_proto::RouterId;
    use parlor_proto::event::Reply;
    use parlor_rooms::RequestId;

    use super::*;
    use crate::rooms::Broadcast;

    struct Nobody(SessionId);

    impl Peer for Nobody {
        fn id(&self) -> SessionId {
            self.0
        }
        fn reply(&self, _room: RouterId, _request: RequestId, _reply: Reply) {}
        fn refuse(&self, _request: RequestId, _error: Error) {}
        fn push(&self, _room: RouterId, _broadcast: &Broadcast) {}
        fn close(&self) {}
    }

    fn user() -> UserId {
        UserId::new("alice").expect("an id")
    }

    fn connect(people: &Presence, n: u128, issued: i64) -> Result<(), Error> {
        people.connected(&user(), Timestamp(issued), Arc::new(Nobody(SessionId::from_random(n))), Timestamp(5))
    }

    #[test]
    fn a_user_has_only_so_many_connections() {
        let people = Presence::default();
        for n in 0..MAX_SESSIONS_PER_USER {
            connect(&people, n as u128, 0).expect("fits");
        }
        assert_eq!(connect(&people, 99, 0).map_err(|error| error.code), Err(ErrorCode::LimitExceeded));
        people.disconnected(&user(), SessionId::from_random(0));
        connect(&people, 99, 0).expect("one went");
    }

    #[test]
    fn a_user_is_forgotten_with_the_last_connection_and_the_last_room() {
        let people = Presence::default();
        let (session, channel) = (SessionId::from_random(1), ChannelId::new("lobby").expect("an id"));
        connect(&people, 1, 10).expect("fits");
        assert_eq!(people.entered(&user(), &channel, session), []);
        assert_eq!(people.sessions(&user()), [SessionInfo { session, connected_at: Timestamp(5), channel: Some(channel.clone()) }]);
        assert_eq!((people.issued_before(&user(), Timestamp(10)).len(), people.issued_before(&user(), Timestamp(11)).len()), (0, 1));
        people.disconnected(&user(), session);
        assert_eq!(people.channels_of(&user()), std::slice::from_ref(&channel), "a lost connection is in its room for a while");
        people.left(&user(), &channel);
        assert!(people.lock().users.is_empty() && people.peer(session).is_none());
    }
}
