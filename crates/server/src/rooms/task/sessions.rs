//! The effects of a room that reach beyond it: entries and leaves for the directory, and moderators' requests for the store.

use std::sync::Arc;
use std::time::Instant;

use parlor_proto::{Actor, Identity, Moderation, SessionId, UserId};
use parlor_rooms::RequestId;

use crate::rooms::mail::{Answer, Mail};
use crate::rooms::task::RoomTask;
use crate::rooms::task::addressee::Joined;

impl RoomTask {
    /// Notes that a session entered the room, for the first time or again. If its join does not wait for that any more,
    /// the session is put out again: it was told that it took too long, and may be on its way elsewhere.
    pub(super) fn entered(&mut self, session: SessionId, joined: Joined) {
        let Joined { request, reply, reply_to } = joined;
        let Some(user) = self.room.identity_of(session).map(|identity| identity.user.clone()) else { return };
        let before = self.registry.presence.entered(&user, self.handle.channel(), session);
        self.registry.history.entered(self.handle.channel(), &user);
        self.registry.call_changed(self.handle.channel());
        if !reply_to.answer(Answer::Inside(true)) {
            self.room.handle_disconnect(session, Instant::now());
            return;
        }
        if let Some(entry) = self.peers.get(&session) {
            entry.peer.reply(self.handle.router(), request, reply);
        }
        // A stay of the same session is left by the session itself.
        self.registry.leave_elsewhere(before.into_iter().filter(|stay| stay.session != session).collect());
    }

    /// Notes that a user is out of the room.
    pub(super) fn left(&mut self, user: &UserId, name: &str) {
        self.registry.presence.left(user, self.handle.channel());
        self.registry.history.left(self.handle.channel(), user, name, Instant::now());
        self.registry.call_changed(self.handle.channel());
    }

    /// Starts a moderator's act: its lasting part is written in a task of its own, so that the room does not wait for the store.
    pub(super) fn moderate(&mut self, session: SessionId, request: RequestId, by: Identity, action: Moderation) {
        let (registry, room) = (Arc::clone(&self.registry), self.handle.clone());
        self.registry.tasks.spawn(async move {
            let done = async {
                registry.check_destination(&action, &by).await?;
                registry.moderate_for(room.channel(), &Actor::Session(by.user), action, Some((session, request))).await
            };
            if let Err(error) = done.await {
                room.send(Mail::Refuse { session, request, error }).await;
            }
        });
    }
}
