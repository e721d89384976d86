//! What a room's task knows of the people in it, and how it makes the room agree with what the store has of them.

use std::sync::Arc;
use std::time::Instant;

use parlor_proto::event::LeftReason;
use parlor_proto::{Actor, Channel, Error, ErrorCode, Moderation, Restrictions, Role, SessionId, UserId, Window};
use parlor_rooms::{Admitted, RequestId, access};
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

    /// Makes the room agree with what the store has of a user: out if they may not be here, otherwise with what they
    /// have paid for and what moderators took from them. A window that closes ends no call.
    pub(super) fn agree(&mut self, user: &UserId, found: Option<Found>, now: Instant) {
        let Some(Inside { identity, admitted: before, as_of }) = self.inside.get(user) else { return };
        let Some(found) = found else { return self.room.handle_eviction(user, LeftReason::ChannelDeleted, now) };
        // What they were let in with is newer.
        if found.as_of < *as_of {
            return;
        }
        let Found { channel, facts, .. } = found;
        let (channel, wall) = (Channel { window: Window::default(), ..channel }, clock::wall());
        match access::admit(&channel, identity, &facts, wall) {
            // What they send would have to be taken from them piece by piece: they come back as who may listen.
            Ok(admitted) if (before.role, admitted.role) == (Role::Speaker, Role::Spectator) => {
                self.room.handle_eviction(user, LeftReason::AccessLost, now);
            }
            Ok(admitted) => {
                // In the room they stay what they came as, whatever they could come as now.
                self.inside.entry(user.clone()).and_modify(|inside| inside.admitted = Admitted { role: inside.admitted.role, ..admitted });
                self.restrict(user, admitted.restrictions, now);
                self.room.handle_entitlement(user, admitted.entitlement, pro_until(&admitted, wall), now);
            }
            Err(error) if error.code == ErrorCode::Unauthenticated => {
                self.room.handle_eviction(user, LeftReason::SessionRevoked, now);
            }
            Err(error) => match facts.ban.filter(|_| error.details.get("reason").is_some_and(|reason| reason == "banned")) {
                Some(ban) => {
                    let action = Moderation::Ban { user: user.clone(), until: ban.until, reason: ban.reason };
                    self.room.handle_moderation(&action, &Actor::Server, now);
                }
                None => self.room.handle_eviction(user, LeftReason::AccessLost, now),
            },
        }
    }

    /// Applies restrictions that somebody wrote to the store elsewhere.
    fn restrict(&mut self, user: &UserId, wanted: Restrictions, now: Instant) {
        let shown = self.room.participants().into_iter().find(|shown| shown.user_id == *user);
        let Some(present) = shown.map(|shown| shown.state.restrictions()) else { return };
        let muted = Restrictions { deafened: wanted.deafened, ..present };
        if muted != wanted {
            let (audio, video, screen) = (Some(wanted.audio), Some(wanted.video), Some(wanted.screen));
            self.room.handle_moderation(&Moderation::Mute { user: user.clone(), audio, video, screen }, &Actor::Server, now);
        }
        if present.deafened != wanted.deafened {
            let deafened = wanted.deafened;
            self.room.handle_moderation(&Moderation::Deafen { user: user.clone(), deafened }, &Actor::Server, now);
        }
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
