//! What becomes of the media of participants who come, go, or may do more or less than before.

use std::collections::BTreeMap;
use std::sync::Arc;

use parlor_proto::event::{CloseReason, ParticipantState};
use parlor_proto::rtp::RtpCapabilities;
use parlor_proto::transport::Direction;
use parlor_proto::{ConsumerId, Error, ErrorCode, MediaCommand, MediaKind, Permissions, ProducerId, SessionId, Source};

use super::owned::{Owned, Producer};
use super::pending::Operation;
use super::{Owners, Sfu};
use crate::core::Core;
use crate::ending::Ending;
use crate::feed::Happening;
use crate::slots::Slot;

impl Sfu {
    /// Somebody came, who owns nothing yet.
    pub(crate) fn joined(&mut self, session: SessionId, capabilities: Option<Arc<RtpCapabilities>>) {
        self.owned.insert(session, Owned { capabilities, ..Owned::default() });
    }

    /// All that somebody owns is closed.
    pub(crate) fn leaving(&mut self, core: &mut Core, session: SessionId, ending: &Ending) {
        self.close_transport(core, session, Direction::Send, ending);
        self.close_transport(core, session, Direction::Recv, ending);
        self.owned.remove(&session);
    }

    /// Nobody owns anything any more. The media plane is not told: it closes the router, or has lost it.
    pub(crate) fn evicted(&mut self, core: &mut Core, error: &Error, reason: &'static str) -> BTreeMap<SessionId, Vec<Happening>> {
        for asker in self.pending.drain() {
            core.reply(asker, Err(error.clone()));
        }
        self.owners = Owners::default();
        let stopped = |(session, owned): (SessionId, Owned)| {
            let user = &core.participants.get(&session)?.identity.user;
            let live = owned.producers.iter().filter(|p| p.live);
            Some((session, live.map(|p| p.stopped(user, reason)).collect()))
        };
        std::mem::take(&mut self.owned).into_iter().filter_map(stopped).collect()
    }

    /// Ends the requests of a session that nobody waits for any more. Of what they would have made, the client
    /// never learns, so it is not kept.
    pub(crate) fn lost(&mut self, core: &mut Core, session: SessionId) {
        let error = Error::new(ErrorCode::SessionExpired);
        for operation in self.pending.of(session) {
            match operation {
                // A transport half connected cannot be connected again.
                Operation::CreateTransport(id) | Operation::ConnectTransport(id) => {
                    if let Some(direction) = self.owned.get(&session).and_then(|owned| owned.direction(id)) {
                        self.close_transport(core, session, direction, &Ending::media(error.clone()));
                    }
                }
                Operation::RestartIce(_) => self.settle(core, operation, Err(error.clone())),
                Operation::Produce(id) => self.give_up_producer(core, id, error.clone()),
                Operation::Consume(id) => self.give_up_consumer(core, id, error.clone()),
            }
        }
    }

    /// All that one session owns is another's from now on.
    pub(crate) fn resumed(&mut self, from: SessionId, to: SessionId) {
        let Some(owned) = self.owned.remove(&from) else { return };
        for transport in owned.send.iter().chain(&owned.recv) {
            self.owners.transports.insert(transport.id, to);
        }
        for producer in &owned.producers {
            self.owners.producers.insert(producer.id, to);
        }
        for consumer in owned.consumers.ids() {
            self.owners.consumers.insert(consumer, to);
        }
        self.owned.insert(to, owned);
    }

    /// The media plane enforces mute and deafen.
    pub(crate) fn state_changed(&mut self, core: &mut Core, session: SessionId, before: ParticipantState, after: ParticipantState) {
        let Some(owned) = self.owned.get_mut(&session) else { return };
        keep_silent(&mut owned.producers, before, after);
        let changed = owned.producers.iter().filter(|p| p.silent(before) != p.silent(after));
        let producers: Vec<(ProducerId, bool, bool)> = changed.map(|p| (p.id, p.silent(after), p.live)).collect();
        let changed = owned.consumers.iter().filter(|(_, c)| c.silent(before) != c.silent(after));
        let consumers: Vec<(ConsumerId, bool)> = changed.map(|(id, c)| (id, c.silent(after))).collect();
        for (id, silent, live) in producers {
            self.producer_silenced(core, session, id, silent, live);
        }
        for (consumer, paused) in consumers {
            self.order_receiver(core, session, |transport| MediaCommand::SetConsumerPaused { transport, consumer, paused });
        }
    }

    /// Who may show nothing any more shows nothing, and sound goes on at the bitrate that is allowed now.
    pub(crate) fn permissions_changed(&mut self, core: &mut Core, session: SessionId, before: Permissions, after: Permissions) {
        if before.video && !after.video {
            let error = Error::new(ErrorCode::CapabilityRequired).with("capability", "VIDEO_CALLING");
            let ending = Ending { error, told: Some(CloseReason::Entitlement), feed: CloseReason::Entitlement.as_str() };
            self.end_producers(core, session, &ending, |p| p.kind == MediaKind::Video || p.source == Source::Screen);
        }
        if before.max_bitrate != after.max_bitrate {
            self.set_audio_bitrate(core, session, after.max_bitrate);
        }
    }

    fn set_audio_bitrate(&self, core: &mut Core, session: SessionId, max_bitrate: u32) {
        let producers = self.owned.get(&session).into_iter().flat_map(|owned| &owned.producers);
        for producer in producers.filter(|p| p.kind == MediaKind::Audio).map(|p| p.id) {
            self.order(core, MediaCommand::SetProducerMaxBitrate { producer, max_bitrate });
        }
    }

    /// Whether a producer has the slot, also one that is being made.
    pub(crate) fn uses(&self, slot: Slot) -> bool {
        self.owned.get(&slot.session).is_some_and(|owned| owned.producers.iter().any(|p| p.has(slot)))
    }

    /// Closes the producer that has the slot.
    pub(crate) fn end_video(&mut self, core: &mut Core, slot: Slot, ending: &Ending) {
        self.end_producers(core, slot.session, ending, |p| p.has(slot));
    }
}

/// What moderators give back may be used again, and is not heard or seen before its owner does: what was silenced is now
/// paused by themselves. A microphone has the mute for that.
fn keep_silent(producers: &mut [Producer], before: ParticipantState, after: ParticipantState) {
    for producer in producers.iter_mut().filter(|p| p.source != Source::Mic) {
        producer.paused |= producer.silent(before) && !producer.silent(after);
    }
}
