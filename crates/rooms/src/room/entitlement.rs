//! What somebody has paid for changes while they are in a call: nobody is dropped, and no sound stops.

use std::time::Instant;

use parlor_proto::event::{CloseReason, EntitlementReason, Event};
use parlor_proto::{Entitlement, Error, ErrorCode, MediaCommand, MediaKind, ProducerId, SessionId, Source, UserId};

use crate::ending::Ending;
use crate::permission::permissions;
use crate::room::Room;

impl Room {
    pub(crate) fn entitlement_changed(&mut self, user: &UserId, entitlement: Entitlement, until: Option<Instant>) {
        if let Some(session) = self.session_of(user) {
            self.set_entitlement(session, entitlement, until, EntitlementReason::Changed);
        }
    }

    /// Ends the entitlements whose time has come.
    pub(crate) fn expire_entitlements(&mut self, now: Instant) {
        let over = |until: Option<Instant>| until.is_some_and(|at| at <= now);
        let ended: Vec<SessionId> = self.participants.iter().filter(|(_, p)| over(p.pro_until)).map(|(session, _)| *session).collect();
        for session in ended {
            self.set_entitlement(session, Entitlement::FREE, None, EntitlementReason::Expired);
        }
    }

    pub(crate) fn set_entitlement(
        &mut self,
        session: SessionId,
        entitlement: Entitlement,
        until: Option<Instant>,
        reason: EntitlementReason,
    ) {
        let Some(participant) = self.participants.get_mut(&session) else { return };
        let before = participant.permissions;
        let after = permissions(&self.config.policy, participant.role, entitlement);
        participant.pro_until = until.filter(|_| entitlement.pro);
        participant.permissions = after;
        if before == after {
            return;
        }
        self.tell(session, Event::Entitlement { permissions: after, reason });
        if before.video && !after.video {
            self.take_video_away(session);
        }
        if before.max_bitrate != after.max_bitrate {
            self.set_audio_bitrate(session, after.max_bitrate);
        }
    }

    fn take_video_away(&mut self, session: SessionId) {
        let error = Error::new(ErrorCode::CapabilityRequired).with("capability", "VIDEO_CALLING");
        let ending = Ending { error, told: Some(CloseReason::Entitlement), feed: CloseReason::Entitlement.as_str() };
        self.end_producers(session, &ending, |p| p.kind == MediaKind::Video || p.source == Source::Screen);
        self.slots.leave(session);
    }

    fn set_audio_bitrate(&mut self, session: SessionId, max_bitrate: u32) {
        let Some(participant) = self.participants.get(&session) else { return };
        let sound: Vec<ProducerId> = participant.producers.iter().filter(|p| p.kind == MediaKind::Audio).map(|p| p.id).collect();
        for producer in sound {
            self.media(MediaCommand::SetProducerMaxBitrate { producer, max_bitrate });
        }
    }
}
