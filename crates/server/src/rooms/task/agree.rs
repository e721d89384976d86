//! What a room's task knows of the people in it, and how it makes the room agree with what the store has of them.

use std::sync::Arc;
use std::time::Instant;

use parlor_proto::{Actor, Error, ErrorCode, Moderation, SessionId, UserId};
use parlor_rooms::{RequestId, Standing};
use parlor_store::Found;

use super::RoomTask;
use super::entry::{Inside, Joined};
use crate::clock;
use crate::rooms::Message;
use crate::rooms::admission::pro_until;

impl RoomTask {
    /// Somebody is in the room, for the first time or again. If nobody waits for that any more, they are out again: the
    /// session was told that it took too long, and may be on its way elsewhere.
    pub(super) fn entered(&mut self, session: SessionId, joined: Joined) {
        let Joined { request, reply, inside, outcome } = joined;
        let identity = &inside.identity;
        let before = self.registry.people.entered(&identity.user, self.handle.channel(), session);
        self.registry.board.entered(self.handle.channel(), &identity.user);
        self.inside.insert(identity.user.clone(), inside);
        if outcome.send(true).is_err() {
            self.room.handle_disconnect(session, Instant::now());
            return;
        }
        if let Some(entry) = self.peers.get(&session) {
            entry.peer.reply(request, Ok(reply));
        }
        // What this session leaves, it leaves itself.
        self.registry.leave_elsewhere(before.into_iter().filter(|stay| stay.session != session).collect());
    }

    /// Somebody is out of it.
    pub(super) fn left(&mut self, user: &UserId) {
        let Some(Inside { identity, .. }) = self.inside.remove(user) else { return };
        self.registry.people.left(user, self.handle.channel());
        self.registry.board.left(self.handle.channel(), user, &identity.name, Instant::now());
    }

    /// Makes the room agree with what the store has of a user.
    pub(super) fn agree(&mut self, user: &UserId, found: Option<Found>, now: Instant) {
        let Some(inside) = self.inside.get_mut(user) else { return };
        // What they were let in with may be newer.
        if found.as_ref().is_some_and(|found| found.as_of < inside.as_of) {
            return;
        }
        let (wall, found) = (clock::wall(), found.as_ref().map(|found| (&found.channel, &found.facts)));
        let standing = Standing::of(&inside.admitted, &inside.identity, found, wall);
        let mut until = None;
        if let Standing::Stays(admitted) = &standing {
            inside.admitted = *admitted;
            until = pro_until(admitted, wall);
        }
        self.room.handle_standing(user, standing, until, now);
    }

    /// A moderator's wish: what is to be kept is kept first, elsewhere, so that the room does not wait for the store.
    pub(super) fn moderate(&mut self, session: SessionId, request: RequestId, by: Actor, action: Moderation) {
        let (registry, room) = (Arc::clone(&self.registry), self.handle.clone());
        // The room knows who came as a moderator; who is one still, the store knows.
        let asks = by.user().and_then(|user| self.inside.get(user)).filter(|inside| inside.admitted.moderator);
        let asks = asks.map(|inside| inside.identity.clone());
        self.registry.tasks.spawn(async move {
            let done = async {
                let denied = || Error::new(ErrorCode::PermissionDenied).say("You are not a moderator of this channel any more.");
                registry.check_destination(&action, &asks.ok_or_else(denied)?).await?;
                registry.moderate_for(room.channel(), &by, action, Some((session, request))).await
            };
            if let Err(error) = done.await {
                room.send(Message::Refuse { session, request, error }).await;
            }
        });
    }
}
