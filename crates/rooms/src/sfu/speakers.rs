//! Who is heard.

use parlor_proto::ProducerId;
use parlor_proto::event::{Event, Speaker};

use super::Sfu;
use crate::core::Core;

impl Sfu {
    /// Shows who is heard. A report may be older than a mute or pause; who is silent now is not shown.
    pub(super) fn speakers(&mut self, core: &mut Core, levels: &[(ProducerId, i8)]) {
        let speakers: Vec<Speaker> = levels.iter().filter_map(|(id, level)| self.speaker(core, *id, *level)).collect();
        // An empty list is news only after one that was not.
        let news = !speakers.is_empty() || self.speakers_shown;
        self.speakers_shown = !speakers.is_empty();
        if news {
            core.tell_everybody(Event::ActiveSpeakers { speakers });
        }
    }

    fn speaker(&self, core: &Core, id: ProducerId, level: i8) -> Option<Speaker> {
        let (owner, producer) = self.live_producer(id)?;
        let participant = core.participants.get(&owner)?;
        let user_id = participant.identity.user.clone();
        (!producer.silent(participant.state)).then_some(Speaker { user_id, producer_id: id, level })
    }
}
