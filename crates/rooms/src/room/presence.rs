//! The state of participants: muted, deafened, speaking; and who is heard.

use parlor_proto::event::{Event, ParticipantState, Reply, Speaker};
use parlor_proto::{ConsumerId, MediaCommand, ProducerId, Role, SessionId};

use crate::output::Output;
use crate::room::{Answer, Room};

impl Room {
    /// Takes over what the client says of itself. Mute and deafen are enforced here, by the media plane; the
    /// client's own part in them is a courtesy.
    pub(crate) fn update_state(
        &mut self,
        session: SessionId,
        muted: Option<bool>,
        deafened: Option<bool>,
        speaking: Option<bool>,
    ) -> Answer {
        let participant = self.participant(session)?;
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

    /// Somebody is otherwise than before: the others are told, and the media plane does it.
    pub(crate) fn set_state(&mut self, session: SessionId, after: ParticipantState) {
        let Some(participant) = self.participants.get_mut(&session) else { return };
        let before = std::mem::replace(&mut participant.state, after);
        if before != after {
            let user_id = participant.identity.user.clone();
            self.tell_others(session, Event::ParticipantState { user_id, state: after });
            self.enforce(session, before, after);
        }
    }

    fn enforce(&mut self, session: SessionId, before: ParticipantState, after: ParticipantState) {
        let Some(participant) = self.participants.get(&session) else { return };
        let changed = participant.producers.iter().filter(|p| p.silent(before) != p.silent(after));
        let producers: Vec<(ProducerId, bool, bool)> = changed.map(|p| (p.id, p.silent(after), p.live)).collect();
        let changed = participant.consumers.iter().filter(|(_, c)| c.silent(before) != c.silent(after));
        let consumers: Vec<(ConsumerId, bool)> = changed.map(|(id, c)| (id, c.silent(after))).collect();
        for (id, silent, live) in producers {
            self.producer_silenced(session, id, silent, live);
        }
        for (consumer, paused) in consumers {
            self.order_receiver(session, |transport| MediaCommand::SetConsumerPaused { transport, consumer, paused });
        }
    }

    /// Shows who is heard. A report may be older than a mute or pause; who is silent now is not shown.
    pub(crate) fn speakers(&mut self, levels: &[(ProducerId, i8)]) {
        let speakers: Vec<Speaker> = levels.iter().filter_map(|(id, level)| self.speaker(*id, *level)).collect();
        // An empty list is news only after one that was not.
        let news = !speakers.is_empty() || self.speakers_shown;
        self.speakers_shown = !speakers.is_empty();
        let to: Vec<SessionId> = self.participants.iter().filter(|(_, p)| p.lost.is_none()).map(|(session, _)| *session).collect();
        if news && !to.is_empty() {
            self.output(Output::Event { to, event: Event::ActiveSpeakers { speakers } });
        }
    }

    fn speaker(&self, id: ProducerId, level: i8) -> Option<Speaker> {
        let (owner, producer) = self.live_producer(id)?;
        let participant = self.participants.get(&owner)?;
        let user_id = participant.identity.user.clone();
        (!producer.silent(participant.state)).then_some(Speaker { user_id, producer_id: id, level })
    }
}
