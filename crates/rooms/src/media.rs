//! The one seam between a room and what carries its media. The room says what happened; the media rules do what follows
//! from it, and answer and tell through the [`Core`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parlor_proto::event::{LeftReason, Own, ParticipantState, ProducerInfo};
use parlor_proto::rtp::RtpCapabilities;
use parlor_proto::{Error, MediaEvent, Permissions, Request, RouterId, SessionId};

use crate::core::{Answer, Asker, Core};
use crate::ending::Ending;
use crate::feed::Happening;
use crate::output::RoomSize;
use crate::participant::Participant;
use crate::sfu::{Sfu, SfuConfig};
use crate::slots::Slot;

/// What carries the media of a room, and what its media rules are made from.
#[derive(Clone, Debug)]
pub enum MediaConfig {
    /// Everybody sends to and receives from an SFU.
    Sfu(SfuConfig),
}

/// The media rules of a room.
#[derive(Debug)]
pub(crate) enum MediaRules {
    Sfu(Sfu),
}

impl MediaRules {
    /// The rules of a room that begins. What they need outside is ordered now.
    pub(crate) fn open(config: MediaConfig, core: &mut Core) -> Self {
        match config {
            MediaConfig::Sfu(config) => Self::Sfu(Sfu::open(config, core)),
        }
    }

    /// The room is over: everything outside is given back.
    pub(crate) fn close(&mut self, core: &mut Core) {
        match self {
            Self::Sfu(sfu) => sfu.close(core),
        }
    }

    /// Somebody came, who can decode this if they said so.
    pub(crate) fn joined(&mut self, session: SessionId, capabilities: Option<Arc<RtpCapabilities>>) {
        match self {
            Self::Sfu(sfu) => sfu.joined(session, capabilities),
        }
    }

    /// Somebody is about to leave: what is theirs ends so.
    pub(crate) fn leaving(&mut self, core: &mut Core, session: SessionId, ending: &Ending) {
        match self {
            Self::Sfu(sfu) => sfu.leaving(core, session, ending),
        }
    }

    /// Everybody is about to leave at once: what still waits is answered with `error`. Says what has to be fed of each.
    pub(crate) fn evicted(&mut self, core: &mut Core, error: &Error, reason: &'static str) -> BTreeMap<SessionId, Vec<Happening>> {
        match self {
            Self::Sfu(sfu) => sfu.evicted(core, error, reason),
        }
    }

    /// Somebody's connection is lost: nobody waits for answers any more.
    pub(crate) fn lost(&mut self, core: &mut Core, session: SessionId) {
        match self {
            Self::Sfu(sfu) => sfu.lost(core, session),
        }
    }

    /// Everything of one session is another's from now on.
    pub(crate) fn resumed(&mut self, from: SessionId, to: SessionId) {
        match self {
            Self::Sfu(sfu) => sfu.resumed(from, to),
        }
    }

    /// Somebody was muted or deafened, or is not any more.
    pub(crate) fn state_changed(&mut self, core: &mut Core, session: SessionId, before: ParticipantState, after: ParticipantState) {
        match self {
            Self::Sfu(sfu) => sfu.state_changed(core, session, before, after),
        }
    }

    /// Somebody may send more or less than before.
    pub(crate) fn permissions_changed(&mut self, core: &mut Core, session: SessionId, before: Permissions, after: Permissions) {
        match self {
            Self::Sfu(sfu) => sfu.permissions_changed(core, session, before, after),
        }
    }

    /// Whether something is shown with a slot, or about to be.
    pub(crate) fn uses(&self, slot: Slot) -> bool {
        match self {
            Self::Sfu(sfu) => sfu.uses(slot),
        }
    }

    /// What is shown with a slot ends, and gives the slot back.
    pub(crate) fn end_video(&mut self, core: &mut Core, slot: Slot, ending: &Ending) {
        match self {
            Self::Sfu(sfu) => sfu.end_video(core, slot, ending),
        }
    }

    /// A participant asks for something that is not the core's.
    pub(crate) fn handle_request(&mut self, core: &mut Core, asker: Asker, body: Request, now: Instant) -> Answer {
        match self {
            Self::Sfu(sfu) => sfu.handle_request(core, asker, body, now),
        }
    }

    /// The media plane reports. The error says that it lost everything it had of the room, and why all have to leave.
    pub(crate) fn handle_event(&mut self, core: &mut Core, router: RouterId, event: MediaEvent) -> Result<(), LeftReason> {
        match self {
            Self::Sfu(sfu) => sfu.handle_event(core, router, event),
        }
    }

    /// The time of [`MediaRules::poll_timeout`] has come.
    pub(crate) fn handle_timeout(&mut self, core: &mut Core, now: Instant) {
        match self {
            Self::Sfu(sfu) => sfu.handle_timeout(core, now),
        }
    }

    /// When [`MediaRules::handle_timeout`] is to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Sfu(sfu) => sfu.poll_timeout(),
        }
    }

    /// Where the media goes, in a name for clients.
    pub(crate) fn endpoint(&self) -> String {
        match self {
            Self::Sfu(sfu) => sfu.endpoint(),
        }
    }

    /// What somebody with these permissions may have carried.
    pub(crate) fn capabilities(&self, permissions: Permissions) -> Arc<RtpCapabilities> {
        match self {
            Self::Sfu(sfu) => sfu.capabilities(permissions),
        }
    }

    /// What the others see a participant send.
    pub(crate) fn show(&self, session: SessionId, participant: &Participant) -> Vec<ProducerInfo> {
        match self {
            Self::Sfu(sfu) => sfu.show(session, participant),
        }
    }

    /// What somebody has who resumed.
    pub(crate) fn own(&self, session: SessionId) -> Own {
        match self {
            Self::Sfu(sfu) => sfu.own(session),
        }
    }

    /// How much there is of media.
    pub(crate) fn size(&self) -> RoomSize {
        match self {
            Self::Sfu(sfu) => sfu.size(),
        }
    }
}
