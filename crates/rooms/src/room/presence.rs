//! The state of participants: muted, deafened, speaking.

use parlor_proto::event::{Event, ParticipantState, Reply};
use parlor_proto::{Role, SessionId};

use crate::core::Answer;
use crate::room::Room;

impl Room {
    /// Takes over what the client says of itself. Mute and deafen are enforced by the media rules; the
    /// client's own part in them is a courtesy.
    pub(crate) fn update_state(
        &mut self,
        session: SessionId,
        muted: Option<bool>,
        deafened: Option<bool>,
        speaking: Option<bool>,
    ) -> Answer {
        let participant = self.core.participant(session)?;
        let before = participant.state;
        let muted = muted.unwrap_or(before.muted);
        // Nobody hears the muted, so to the others they do not speak.
        let heard = !muted && !before.server_muted.audio && participant.role == Role::Speaker;
        let after = ParticipantState {
            muted,
            deafened: deafened.unwrap_or(before.deafened),
            speaking: speaking.unwrap_or(before.speaking) && heard,
            ..before
        };
        self.set_state(session, after);
        Ok(Some(Reply::StateUpdated { state: after }))
    }

    /// Somebody is otherwise than before: the others are told, and the media rules see to it.
    pub(crate) fn set_state(&mut self, session: SessionId, after: ParticipantState) {
        let Some(participant) = self.core.participants.get_mut(&session) else { return };
        let before = std::mem::replace(&mut participant.state, after);
        if before != after {
            let user_id = participant.identity.user.clone();
            self.core.tell_others(session, Event::ParticipantState { user_id, state: after });
            self.media.state_changed(&mut self.core, session, before, after);
        }
    }
}
