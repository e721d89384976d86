//! Moderation of a call: who may, and what it does. The media plane enforces it; the client is only told.

use parlor_proto::event::{Event, LeftReason, ParticipantState};
use parlor_proto::{Actor, Error, ErrorCode, Moderation, Restrictions, SessionId, UserId};

use crate::core::{Answer, Asker, invalid_state, not_found};
use crate::ending::Departure;
use crate::feed::Happening;
use crate::output::Output;
use crate::room::Room;

impl Room {
    /// A participant wants to moderate. Allowed wishes go out to the shell, which keeps what outlives the call
    /// and then comes back with [`Room::handle_moderation`].
    pub(crate) fn moderate(&mut self, asker: Asker, action: Moderation) -> Answer {
        let Asker { session, request } = asker;
        let participant = self.core.participant(session)?;
        if !participant.moderator {
            return Err(Error::new(ErrorCode::PermissionDenied).say("Only moderators may do that."));
        }
        if !participant.moderates {
            return Err(Error::new(ErrorCode::PermissionDenied).say("You are not a moderator of this channel any more."));
        }
        let by = participant.identity.clone();
        self.check_moderation(&by.user, &action)?;
        self.core.output(Output::Moderate { session, request, by, action });
        Ok(None)
    }

    fn check_moderation(&self, by: &UserId, action: &Moderation) -> Result<(), Error> {
        let Some(user) = action.user() else { return Ok(()) };
        if !self.media.passes_server() && silences(action) {
            let sentence =
                "In this call sound goes from browser to browser, and the server cannot silence anybody. Remove the person instead.";
            return Err(invalid_state("media does not pass the server: kick or ban instead").say(sentence));
        }
        if self.core.channel.owner.as_ref() == Some(user) && user != by {
            return Err(Error::new(ErrorCode::PermissionDenied).say("Nobody moderates the owner of a channel."));
        }
        if user == by && lifts(action) {
            return Err(Error::new(ErrorCode::PermissionDenied).say("Another moderator has to lift this."));
        }
        // A ban keeps somebody out; everything else is done to somebody who is here.
        let needs_presence = !matches!(action, Moderation::Ban { .. });
        if needs_presence && self.core.session_of(user).is_none() {
            return Err(not_found().say("This person is not in the channel any more."));
        }
        match action {
            Moderation::Move { to, .. } if *to == self.core.channel.id => Err(Error::invalid("to", "is this channel")),
            _ => Ok(()),
        }
    }

    pub(crate) fn moderated(&mut self, action: &Moderation, by: &Actor) {
        if self.core.closed {
            return;
        }
        self.core.feed(Happening::Moderation { by: by.clone(), action: action.clone() });
        let session = action.user().and_then(|user| self.core.session_of(user));
        match (action, session) {
            (Moderation::EndCall { .. }, _) => {
                self.tell_everybody_ended(action, by);
                self.evict(LeftReason::CallEnded, ErrorCode::NotInChannel);
            }
            (Moderation::Mute { .. } | Moderation::Deafen { .. }, Some(session)) => self.restrict(session, action, by),
            (Moderation::Kick { .. }, Some(session)) => self.put_out(session, LeftReason::Kicked, action, by),
            (Moderation::Ban { .. }, Some(session)) => self.put_out(session, LeftReason::Banned, action, by),
            (Moderation::Move { .. }, Some(session)) => self.put_out(session, LeftReason::Moved, action, by),
            (_, None) => {}
        }
    }

    /// What moderators have taken from somebody who is here.
    pub(crate) fn restrictions_of(&self, user: &UserId) -> Option<Restrictions> {
        let participant = self.core.session_of(user).and_then(|session| self.core.participants.get(&session))?;
        Some(participant.state.restrictions())
    }

    fn restrict(&mut self, session: SessionId, action: &Moderation, by: &Actor) {
        let Some(before) = self.core.participants.get(&session).map(|p| p.state) else { return };
        let after = keep_silent(before, before.restricted(before.restrictions().after(action)));
        if after.restrictions() != Restrictions::default() && !self.media.passes_server() {
            // Nobody would enforce it, and whoever is silenced does not get into such a call.
            return self.put_out(session, LeftReason::AccessLost, action, by);
        }
        if before != after {
            self.tell_moderated(session, after.restrictions(), action, by);
            self.set_state(session, after);
        }
    }

    fn put_out(&mut self, session: SessionId, reason: LeftReason, action: &Moderation, by: &Actor) {
        let Some(restrictions) = self.core.participants.get(&session).map(|p| p.state.restrictions()) else { return };
        self.tell_moderated(session, restrictions, action, by);
        let to = if let Moderation::Move { to, .. } = action { Some(to.clone()) } else { None };
        self.remove(session, Departure::PutOut(reason, to));
    }

    fn tell_everybody_ended(&mut self, action: &Moderation, by: &Actor) {
        let all: Vec<(SessionId, Restrictions)> = self.core.participants.iter().map(|(s, p)| (*s, p.state.restrictions())).collect();
        for (session, restrictions) in all {
            self.tell_moderated(session, restrictions, action, by);
        }
    }

    fn tell_moderated(&mut self, session: SessionId, restrictions: Restrictions, action: &Moderation, by: &Actor) {
        let (by_user_id, reason) = (by.user().cloned(), action.reason().map(str::to_owned));
        self.core.tell(session, Event::Moderation { action: action.action(), by_user_id, restrictions, reason });
    }
}

/// Who gets their sound back may use it again, and is not heard before they do: what was silenced is now muted by
/// themselves. The media rules see to the rest.
fn keep_silent(before: ParticipantState, after: ParticipantState) -> ParticipantState {
    let released = before.server_muted.audio && !after.server_muted.audio;
    ParticipantState { muted: after.muted || released, ..after }
}

/// Takes from somebody, or gives back, what they send or hear.
const fn silences(action: &Moderation) -> bool {
    matches!(action, Moderation::Mute { .. } | Moderation::Deafen { .. })
}

/// Gives somebody something back.
fn lifts(action: &Moderation) -> bool {
    match action {
        Moderation::Mute { audio, video, screen, .. } => [audio, video, screen].contains(&&Some(false)),
        Moderation::Deafen { deafened, .. } => !deafened,
        Moderation::Kick { .. } | Moderation::Ban { .. } | Moderation::Move { .. } | Moderation::EndCall { .. } => false,
    }
}
