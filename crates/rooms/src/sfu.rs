//! The media rules of an SFU: participants own transports, producers and consumers, and a media plane carries out what
//! is ordered.

mod consumers;
mod dispatch;
mod owned;
mod participants;
mod pending;
mod producers;
mod speakers;
mod transports;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parlor_proto::event::{Own, ProducerInfo, Reply};
use parlor_proto::rtp::{ParameterValue, RtpCapabilities};
use parlor_proto::{ConsumerId, Error, ErrorCode, MediaCommand, Permissions, ProducerId, RouterId, SessionId, TransportId};

use crate::core::Core;
use crate::output::{Output, RoomSize};
use crate::participant::Participant;
use owned::Owned;
use pending::{Operation, Pending};

/// What a parameter of Opus can say of the bitrate (RFC 7587, section 6.1), in bit/s.
const OPUS_BITRATE: std::ops::RangeInclusive<u32> = 6_000..=510_000;

/// What the media rules of an SFU are made from.
#[derive(Clone, Debug)]
pub struct SfuConfig {
    /// The id the room's router gets.
    pub router: RouterId,
    /// What the media plane can forward.
    pub capabilities: Arc<RtpCapabilities>,
    /// The opaque name of the SFU, told to clients.
    pub endpoint: String,
}

/// What the SFU has of one room.
#[derive(Debug)]
pub(crate) struct Sfu {
    config: SfuConfig,
    /// What each participant owns.
    owned: BTreeMap<SessionId, Owned>,
    owners: Owners,
    pending: Pending,
    /// The last report of who speaks named somebody.
    speakers_shown: bool,
}

/// The owner of each object: the way from a report of the media plane to the session that owns the object.
/// Requests never go this way.
#[derive(Debug, Default)]
struct Owners {
    transports: HashMap<TransportId, SessionId>,
    producers: HashMap<ProducerId, SessionId>,
    consumers: HashMap<ConsumerId, SessionId>,
}

impl Sfu {
    /// A room that begins gets its router.
    pub(crate) fn open(config: SfuConfig, core: &mut Core) -> Self {
        let (owned, owners, pending) = (BTreeMap::new(), Owners::default(), Pending::default());
        let sfu = Self { config, owned, owners, pending, speakers_shown: false };
        sfu.order(core, MediaCommand::CreateRouter);
        sfu
    }

    /// A room that is over needs no router.
    pub(crate) fn close(&self, core: &mut Core) {
        self.order(core, MediaCommand::CloseRouter);
    }

    /// The name of the SFU.
    pub(crate) fn endpoint(&self) -> String {
        self.config.endpoint.clone()
    }

    /// What the media plane can forward, with the bitrate somebody may use for sound: a sender's Opus keeps to it by itself
    /// then (RFC 7587, section 6.1).
    pub(crate) fn capabilities(&self, permissions: Permissions) -> Arc<RtpCapabilities> {
        let mut within = RtpCapabilities::clone(&self.config.capabilities);
        let bitrate = i64::from(permissions.max_bitrate.clamp(*OPUS_BITRATE.start(), *OPUS_BITRATE.end()));
        for codec in within.codecs.iter_mut().filter(|codec| codec.mime_type.eq_ignore_ascii_case("audio/opus")) {
            codec.parameters.insert("maxaveragebitrate".to_owned(), ParameterValue::Number(bitrate));
        }
        Arc::new(within)
    }

    /// The producers of a participant, as others see them.
    pub(crate) fn show(&self, session: SessionId, participant: &Participant) -> Vec<ProducerInfo> {
        let producers = self.owned.get(&session).into_iter().flat_map(|owned| &owned.producers);
        producers.filter(|p| p.live).map(|p| p.show(participant)).collect()
    }

    /// All that a session owns, but for its video slots, which are the core's.
    pub(crate) fn own(&self, session: SessionId) -> Own {
        let Some(owned) = self.owned.get(&session) else { return Own::default() };
        Own {
            transports: owned.send.iter().chain(&owned.recv).map(|t| t.id).collect(),
            producers: owned.producers.iter().map(|p| p.id).collect(),
            consumers: owned.consumers.ids(),
            slots: Vec::new(),
        }
    }

    /// How many objects there are.
    pub(crate) fn size(&self) -> RoomSize {
        RoomSize {
            transports: self.owners.transports.len(),
            producers: self.owners.producers.len(),
            consumers: self.owners.consumers.len(),
            pending: self.pending.len(),
            ..RoomSize::default()
        }
    }

    /// What a session owns: the only place where the ids of its requests are looked up.
    fn owned(&mut self, session: SessionId) -> Result<&mut Owned, Error> {
        self.owned.get_mut(&session).ok_or_else(|| Error::new(ErrorCode::NotInChannel))
    }

    fn order(&self, core: &mut Core, command: MediaCommand) {
        core.output(Output::Media(self.config.router, command));
    }

    /// An order about something that a participant receives. All of it is on their one receive transport.
    fn order_receiver(&self, core: &mut Core, session: SessionId, order: impl FnOnce(TransportId) -> MediaCommand) {
        if let Some(transport) = self.owned.get(&session).and_then(|owned| owned.recv.as_ref()) {
            self.order(core, order(transport.id));
        }
    }

    /// Answers the request that waits for an operation, if one does.
    fn settle(&mut self, core: &mut Core, operation: Operation, result: Result<Reply, Error>) {
        if let Some(asker) = self.pending.end(operation) {
            core.reply(asker, result);
        }
    }
}
