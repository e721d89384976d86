//! Video slots in a room: who may show something now, and who is told that it is their turn.

use parlor_proto::event::{CloseReason, Event, LeftReason, Reply, SlotStatus};
use parlor_proto::{Channel, Error, ErrorCode, MediaKind, SessionId, Source, Topology};

use crate::core::{Answer, invalid_state};
use crate::ending::Ending;
use crate::feed::CLOSED;
use crate::permission::check_produce;
use crate::room::Room;
use crate::slots::{News, Place, Slot};

impl Room {
    pub(crate) fn request_slot(&mut self, session: SessionId, source: Source) -> Answer {
        if !self.media.passes_server() {
            return Err(invalid_state("there are no video slots where media goes from client to client"));
        }
        let permissions = self.core.participant(session)?.permissions;
        check_produce(&self.core.policy, permissions, MediaKind::Video, source)?;
        let (status, position) = match self.core.slots.request(Slot { session, source }) {
            Place::Granted => (SlotStatus::Granted, None),
            Place::Queued(position) => (SlotStatus::Queued, Some(position)),
        };
        Ok(Some(Reply::Slot { source, status, position, slots: self.core.slots.slots() }))
    }

    /// Gives a slot back that nothing is shown with, or a place in the queue.
    pub(crate) fn release_slot(&mut self, session: SessionId, source: Source) -> Answer {
        if self.media.uses(Slot { session, source }) {
            return Err(invalid_state("close the producer first: that gives its slot back"));
        }
        self.core.slots.release(Slot { session, source });
        let reply = Reply::Slot { source, status: SlotStatus::Released, position: None, slots: self.core.slots.slots() };
        Ok(Some(reply))
    }

    /// While somebody waits, no slot is kept for a lost connection: what was lost first goes first. Its owner, back in time,
    /// queues at the end. Called after every input.
    pub(crate) fn give_slots_on(&mut self) {
        while self.core.slots.is_wanted()
            && let Some(slot) = self.lost_slot()
        {
            let ending = Ending { error: Error::new(ErrorCode::SessionExpired), told: None, feed: CLOSED };
            self.media.end_video(&mut self.core, slot, &ending);
            // One that nothing was shown with.
            self.core.slots.release(slot);
            if let Some(participant) = self.core.participants.get_mut(&slot.session) {
                participant.given_on.push(slot.source);
            }
        }
    }

    fn lost_slot(&self) -> Option<Slot> {
        let lost = self.core.participants.iter().filter_map(|(session, p)| p.lost.map(|deadline| (deadline, *session)));
        let holding = lost.filter_map(|(deadline, session)| Some((deadline, session, *self.core.slots.held_by(session).first()?)));
        holding.min_by_key(|(deadline, session, _)| (*deadline, *session)).map(|(_, session, source)| Slot { session, source })
    }

    /// Somebody is back whose slots were given on.
    pub(crate) fn want_slots_again(&mut self, session: SessionId) {
        let Ok(participant) = self.core.participant(session) else { return };
        let (sources, permissions) = (std::mem::take(&mut participant.given_on), participant.permissions);
        for source in sources {
            if check_produce(&self.core.policy, permissions, MediaKind::Video, source).is_ok() {
                self.core.slots.wait_again(Slot { session, source });
            }
        }
    }

    /// Tells those who wait what changed for them. Called after every input.
    pub(crate) fn tell_slot_news(&mut self) {
        let slots = self.core.slots.slots();
        for news in self.core.slots.take_news() {
            match news {
                News::Granted(Slot { session, source }) => self.core.tell(session, Event::SlotGranted { source, slots }),
                News::Moved(Slot { session, source }, position) => self.core.tell(session, Event::SlotQueue { source, position, slots }),
            }
        }
    }

    /// The channel's record changed. With fewer slots than before, the newest videos end.
    pub(crate) fn channel_changed(&mut self, channel: Channel) {
        if self.core.closed || channel.id != self.core.channel.id {
            return;
        }
        let before = std::mem::replace(&mut self.core.channel, channel);
        let after = &self.core.channel;
        // Clients of a mesh call have told each other their addresses, or could not reach each other without.
        let by_other_ways = after.topology == Topology::Mesh && after.privacy != before.privacy;
        if before.topology != after.topology || by_other_ways {
            // Media takes another way from now on: the next call of the channel begins with it.
            return self.evict(LeftReason::TopologyChanged, ErrorCode::NotInChannel);
        }
        let max = self.core.policy.videos(self.core.channel.tier);
        let error = Error::new(ErrorCode::VideoLimitReached).with("max", max);
        let ending = Ending { error, told: Some(CloseReason::Entitlement), feed: CloseReason::Entitlement.as_str() };
        for slot in self.core.slots.set_max(max) {
            let Some(participant) = self.core.participants.get(&slot.session) else { continue };
            if self.media.uses(slot) {
                self.media.end_video(&mut self.core, slot, &ending);
            } else if participant.is_connected() {
                self.core.slots.requeue(slot);
            }
        }
    }
}
