//! The one seam between a room and what carries its media. The room says what happened; the media rules do what follows
//! from it, and answer and tell through the [`Core`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parlor_proto::event::{CallTopology, Event, LeftReason, Own, ParticipantState, ProducerInfo};
use parlor_proto::rtp::RtpCapabilities;
use parlor_proto::{Error, MediaEvent, MeshLinks, MeshTerms, Offers, PeerId, Permissions, Request, RouterId, SessionId};

use crate::core::not_a_mesh;
use crate::core::{Answer, Asker, Core};
use crate::ending::Ending;
use crate::feed::Happening;
use crate::mesh::Mesh;
use crate::output::RoomSize;
use crate::participant::Participant;
use crate::sfu::{Sfu, SfuConfig};
use crate::slots::Slot;

/// What carries the media of a room, and what its media rules are made from.
#[derive(Clone, Debug)]
pub enum MediaConfig {
    /// Everybody sends to and receives from an SFU.
    Sfu(SfuConfig),
    /// Everybody sends to and receives from everybody else.
    Mesh,
}

/// What a client brings along that concerns media.
#[derive(Clone, Debug, Default)]
pub(crate) struct MediaEntry {
    /// What it can decode, if it said so.
    pub(crate) capabilities: Option<Arc<RtpCapabilities>>,
    /// Who makes the offers in a mesh.
    pub(crate) offers: Offers,
}

/// What a client is told of the way that media takes.
pub(crate) struct MediaDescription {
    pub(crate) topology: CallTopology,
    pub(crate) sfu_endpoint: Option<String>,
    pub(crate) router_rtp_capabilities: Option<Arc<RtpCapabilities>>,
    pub(crate) mesh: Option<MeshLinks>,
}

/// The media rules of a room.
#[derive(Debug)]
pub(crate) enum MediaRules {
    Sfu(Box<Sfu>),
    Mesh(Mesh),
}

impl MediaRules {
    /// The rules of a room that begins. What they need outside is ordered now.
    pub(crate) fn open(config: MediaConfig, core: &mut Core) -> Self {
        match config {
            MediaConfig::Sfu(config) => Self::Sfu(Box::new(Sfu::open(config, core))),
            MediaConfig::Mesh => Self::Mesh(Mesh::default()),
        }
    }

    /// The room is over: everything outside is given back.
    pub(crate) fn close(&mut self, core: &mut Core) {
        match self {
            Self::Sfu(sfu) => sfu.close(core),
            Self::Mesh(_) => {}
        }
    }

    /// Whether a client that can do this may come in.
    pub(crate) fn check_terms(&self, terms: MeshTerms) -> Result<(), Error> {
        match self {
            Self::Sfu(_) if terms.only => Err(not_a_mesh()),
            Self::Sfu(_) | Self::Mesh(_) => Ok(()),
        }
    }

    /// Somebody is about to come in.
    pub(crate) fn joined(&mut self, core: &mut Core, session: SessionId, entry: MediaEntry) {
        match self {
            Self::Sfu(sfu) => sfu.joined(session, entry.capabilities),
            Self::Mesh(mesh) => mesh.joined(core, session, entry.offers),
        }
    }

    /// Tells the others of somebody who came.
    pub(crate) fn announce(&self, core: &mut Core, session: SessionId, shown: parlor_proto::Participant) {
        match self {
            Self::Sfu(_) => core.tell_others(session, Event::ParticipantJoined(shown)),
            Self::Mesh(mesh) => mesh.announce(core, session, &shown),
        }
    }

    /// Somebody has left, and the others know.
    pub(crate) fn gone(&self, core: &mut Core) {
        match self {
            Self::Sfu(_) => {}
            Self::Mesh(mesh) => mesh.gone(core),
        }
    }

    /// Somebody is about to leave: what is theirs ends so.
    pub(crate) fn leaving(&mut self, core: &mut Core, session: SessionId, ending: &Ending) {
        match self {
            Self::Sfu(sfu) => sfu.leaving(core, session, ending),
            Self::Mesh(mesh) => mesh.leaving(core, session),
        }
    }

    /// Everybody is about to leave at once: what still waits is answered with `error`. Says what has to be fed of each.
    pub(crate) fn evicted(&mut self, core: &mut Core, error: &Error, reason: &'static str) -> BTreeMap<SessionId, Vec<Happening>> {
        match self {
            Self::Sfu(sfu) => sfu.evicted(core, error, reason),
            Self::Mesh(mesh) => {
                mesh.evicted();
                BTreeMap::new()
            }
        }
    }

    /// Somebody's connection is lost: nobody waits for answers any more.
    pub(crate) fn lost(&mut self, core: &mut Core, session: SessionId) {
        match self {
            Self::Sfu(sfu) => sfu.lost(core, session),
            Self::Mesh(_) => {}
        }
    }

    /// Everything of one session is another's from now on.
    pub(crate) fn resumed(&mut self, from: SessionId, to: SessionId) {
        match self {
            Self::Sfu(sfu) => sfu.resumed(from, to),
            Self::Mesh(mesh) => mesh.resumed(from, to),
        }
    }

    /// Somebody has been told that they resumed.
    pub(crate) fn back(&mut self, core: &mut Core, session: SessionId) {
        match self {
            Self::Sfu(_) => {}
            Self::Mesh(mesh) => mesh.back(core, session),
        }
    }

    /// Somebody was muted or deafened, or is not any more.
    pub(crate) fn state_changed(&mut self, core: &mut Core, session: SessionId, before: ParticipantState, after: ParticipantState) {
        match self {
            Self::Sfu(sfu) => sfu.state_changed(core, session, before, after),
            Self::Mesh(_) => {}
        }
    }

    /// Somebody may send more or less than before.
    pub(crate) fn permissions_changed(&mut self, core: &mut Core, session: SessionId, before: Permissions, after: Permissions) {
        match self {
            Self::Sfu(sfu) => sfu.permissions_changed(core, session, before, after),
            Self::Mesh(_) => {}
        }
    }

    /// Whether something is shown with a slot, or about to be.
    pub(crate) fn uses(&self, slot: Slot) -> bool {
        match self {
            Self::Sfu(sfu) => sfu.uses(slot),
            Self::Mesh(_) => false,
        }
    }

    /// What is shown with a slot ends, and gives the slot back.
    pub(crate) fn end_video(&mut self, core: &mut Core, slot: Slot, ending: &Ending) {
        match self {
            Self::Sfu(sfu) => sfu.end_video(core, slot, ending),
            Self::Mesh(_) => {}
        }
    }

    /// A participant asks for something that is not the core's.
    pub(crate) fn handle_request(&mut self, core: &mut Core, asker: Asker, body: Request, now: Instant) -> Answer {
        match self {
            Self::Sfu(sfu) => sfu.handle_request(core, asker, body, now),
            Self::Mesh(mesh) => mesh.handle_request(core, asker.session, body, now),
        }
    }

    /// The media plane reports. The error says that it lost everything it had of the room, and why all have to leave.
    pub(crate) fn handle_event(&mut self, core: &mut Core, router: RouterId, event: MediaEvent) -> Result<(), LeftReason> {
        match self {
            Self::Sfu(sfu) => sfu.handle_event(core, router, event),
            Self::Mesh(_) => Ok(()),
        }
    }

    /// The time of [`MediaRules::poll_timeout`] has come.
    pub(crate) fn handle_timeout(&mut self, core: &mut Core, now: Instant) {
        match self {
            Self::Sfu(sfu) => sfu.handle_timeout(core, now),
            Self::Mesh(_) => {}
        }
    }

    /// When [`MediaRules::handle_timeout`] is to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Sfu(sfu) => sfu.poll_timeout(),
            Self::Mesh(_) => None,
        }
    }

    /// What somebody with these permissions is told of the way that media takes.
    pub(crate) fn describe(&self, permissions: Permissions) -> MediaDescription {
        match self {
            Self::Sfu(sfu) => MediaDescription {
                topology: CallTopology::Sfu,
                sfu_endpoint: Some(sfu.endpoint()),
                router_rtp_capabilities: Some(sfu.capabilities(permissions)),
                mesh: None,
            },
            Self::Mesh(mesh) => MediaDescription {
                topology: CallTopology::Mesh,
                sfu_endpoint: None,
                router_rtp_capabilities: None,
                mesh: Some(mesh.links()),
            },
        }
    }

    /// Adds to what somebody is told of the participants how to connect to each.
    pub(crate) fn introduce(&self, core: &Core, to: SessionId, participants: &mut [parlor_proto::Participant]) {
        match self {
            Self::Sfu(_) => {}
            Self::Mesh(mesh) => mesh.introduce(core, to, participants),
        }
    }

    /// The id of somebody's stay, by which others may address them.
    pub(crate) fn peer_id(&self, session: SessionId) -> Option<PeerId> {
        match self {
            Self::Sfu(_) => None,
            Self::Mesh(mesh) => mesh.peer_id(session),
        }
    }

    /// The way that media takes.
    pub(crate) const fn topology(&self) -> CallTopology {
        match self {
            Self::Sfu(_) => CallTopology::Sfu,
            Self::Mesh(_) => CallTopology::Mesh,
        }
    }

    /// Whether media passes the server, so that it can be silenced, and pictures can be counted.
    pub(crate) const fn passes_server(&self) -> bool {
        match self {
            Self::Sfu(_) => true,
            Self::Mesh(_) => false,
        }
    }

    /// What the others see a participant send.
    pub(crate) fn show(&self, session: SessionId, participant: &Participant) -> Vec<ProducerInfo> {
        match self {
            Self::Sfu(sfu) => sfu.show(session, participant),
            Self::Mesh(_) => Vec::new(),
        }
    }

    /// What somebody has who resumed.
    pub(crate) fn own(&self, session: SessionId) -> Own {
        match self {
            Self::Sfu(sfu) => sfu.own(session),
            Self::Mesh(_) => Own::default(),
        }
    }

    /// How much there is of media.
    pub(crate) fn size(&self) -> RoomSize {
        match self {
            Self::Sfu(sfu) => sfu.size(),
            Self::Mesh(_) => RoomSize::default(),
        }
    }
}
