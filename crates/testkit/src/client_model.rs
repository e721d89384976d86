//! What a client believes after everything it was told: the other people, their tracks, and its own objects.
//!
//! A correct room never tells a client something that does not follow from what it told before, so each
//! contradiction is an error of the room.

use std::collections::{BTreeMap, BTreeSet};

use parlor_proto::event::{Event, Joined, Own, Participant, ParticipantState, ProducerInfo, Reply, ReplyKind, Resumed, SlotStatus};
use parlor_proto::mesh::{MeshPeer, Sender};
use parlor_proto::transport::{Direction, TransportState};
use parlor_proto::{
    Connection, ConsumerId, Error, ErrorCode, MediaKind, Permissions, ProducerId, Request, RequestKind, Role, Source, TransportId, UserId,
};

/// The client's picture of the room.
#[derive(Clone, Debug, Default)]
pub struct ClientModel {
    /// The client's user; `None` while it is in no channel.
    pub user: Option<UserId>,
    /// The client's own state, as the others see it.
    pub state: ParticipantState,
    /// The other participants.
    pub others: BTreeMap<UserId, Other>,
    /// The client's own send transport.
    pub send: Option<TransportId>,
    /// The client's own receive transport.
    pub recv: Option<TransportId>,
    /// The client's own producers.
    pub producers: BTreeSet<ProducerId>,
    /// The client's own consumers, and what they consume.
    pub consumers: BTreeMap<ConsumerId, ProducerId>,
    /// What the client may do.
    pub permissions: Option<Permissions>,
    /// The video slots the client was told are its own.
    pub granted: BTreeSet<Source>,
    /// How many slots there were when the client was told of the one it has.
    most: u32,
    /// What may be told of slots without having been asked for: after a resumption, of those that were given on meanwhile.
    given_on: Vec<Source>,
    /// The slots the client waits for, and its place.
    pub queued: BTreeMap<Source, u32>,
    /// What the client's own producers send.
    pub tracks: BTreeMap<ProducerId, (MediaKind, Source)>,
}

/// Somebody else, as the client knows them.
#[derive(Clone, Debug)]
pub struct Other {
    /// The name that is shown.
    pub name: String,
    /// Whether they are muted, deafened, speaking or restricted.
    pub state: ParticipantState,
    /// Whether they may speak, or listen only.
    pub role: Role,
    /// Whether they may moderate.
    pub moderator: bool,
    /// The tracks they send.
    pub producers: BTreeMap<ProducerId, ProducerInfo>,
    /// How to connect to them, in a mesh.
    pub mesh: Option<MeshPeer>,
}

impl Other {
    fn new(participant: &Participant) -> Self {
        let producers = participant.producers.iter().map(|p| (p.producer_id, p.clone())).collect();
        Self {
            name: participant.name.clone(),
            state: participant.state,
            role: participant.role,
            moderator: participant.moderator,
            producers,
            mesh: participant.mesh,
        }
    }
}

impl ClientModel {
    /// Takes in a reply to a request that succeeded.
    pub fn succeeded(&mut self, request: &Request, reply: &Reply) -> Result<(), String> {
        self.check_own(request)?;
        let expected = RequestKind::from(request).reply();
        refuse(ReplyKind::from(reply) != expected, "a request was answered with the reply to another")?;
        match reply {
            Reply::Joined(joined) => self.joined(joined)?,
            Reply::Resumed(resumed) => self.resumed(resumed)?,
            Reply::Left { .. } => *self = Self::default(),
            Reply::TransportCreated { transport_id, direction: Direction::Send, .. } => self.send = Some(*transport_id),
            Reply::TransportCreated { transport_id, direction: Direction::Recv, .. } => self.recv = Some(*transport_id),
            Reply::TransportClosed { transport_id } => self.transport_closed(*transport_id),
            Reply::Produced { producer_id } => {
                self.producers.insert(*producer_id);
                if let Request::Produce { kind, source, .. } = request {
                    self.tracks.insert(*producer_id, (*kind, *source));
                }
            }
            Reply::ProducerClosed { producer_id } => self.forget_producer(*producer_id),
            Reply::Slot { source, status, position, slots } => {
                self.most = slots.max;
                self.slot(*source, *status, *position)?;
            }
            Reply::Consumed { consumer_id, producer_id, user_id, producer_paused, .. } => {
                let known = self.others.get(user_id).and_then(|o| o.producers.get(producer_id));
                let known = known.ok_or("consumed a producer that was never announced")?;
                if known.paused != *producer_paused {
                    return Err("the reply to consume and the events differ about a pause".into());
                }
                self.consumers.insert(*consumer_id, *producer_id);
            }
            Reply::ConsumerClosed { consumer_id } => {
                self.consumers.remove(consumer_id);
            }
            Reply::StateUpdated { state } => self.state = *state,
            _ => {}
        }
        Ok(())
    }

    /// Takes in a refusal.
    pub fn refused(&mut self, request: &Request, error: &Error) -> Result<(), String> {
        let limit = error.code == ErrorCode::VideoLimitReached;
        let lost = matches!(request, Request::Produce { source, kind: MediaKind::Video, .. } if self.granted.contains(source));
        // A channel with fewer slots than before ends an attempt that is under way, and with it the slot.
        let fewer = error.details.get("max").and_then(|max| max.as_u64()).is_some_and(|max| max < u64::from(self.most));
        if let Request::Produce { source, kind: MediaKind::Video, .. } = request
            && limit
        {
            self.granted.remove(source);
        }
        refuse(limit && lost && !fewer, "a granted slot could not be used")
    }

    fn joined(&mut self, joined: &Joined) -> Result<(), String> {
        *self = Self::default();
        self.take_snapshot(joined);
        refuse(joined.resumed, "a join was told as a resumption")
    }

    /// The model holds what the client knew when its connection was lost.
    fn resumed(&mut self, resumed: &Resumed) -> Result<(), String> {
        let Resumed { joined, own: Own { transports, producers, consumers, slots } } = resumed;
        self.take_snapshot(joined);
        refuse(!joined.resumed || !producers.iter().all(|id| self.producers.contains(id)), "a producer that was never told of")?;
        refuse(!consumers.iter().all(|id| self.consumers.contains_key(id)), "a consumer that was never told of")?;
        self.send = self.send.filter(|id| transports.contains(id));
        self.recv = self.recv.filter(|id| transports.contains(id));
        for gone in self.producers.iter().filter(|id| !producers.contains(id)).copied().collect::<Vec<_>>() {
            self.forget_producer(gone);
        }
        self.consumers.retain(|id, _| consumers.contains(id));
        self.queued.clear();
        self.keep_permitted();
        self.granted.retain(|source| slots.contains(source));
        self.given_on = [Source::Camera, Source::Screen].into_iter().filter(|source| !slots.contains(source)).collect();
        Ok(())
    }

    fn take_snapshot(&mut self, joined: &Joined) {
        self.others = joined.participants.iter().map(|p| (p.user_id.clone(), Other::new(p))).collect();
        self.user = Some(joined.user_id.clone());
        self.state = joined.state;
        self.permissions = Some(joined.permissions);
    }

    fn slot(&mut self, source: Source, status: SlotStatus, position: Option<u32>) -> Result<(), String> {
        self.queued.remove(&source);
        match (status, position) {
            (SlotStatus::Granted, None) => {
                self.granted.insert(source);
                Ok(())
            }
            (SlotStatus::Queued, Some(position)) => {
                self.queued.insert(source, position);
                refuse(self.granted.contains(&source), "somebody waits for a slot they have")
            }
            (SlotStatus::Released, None) => {
                self.granted.remove(&source);
                Ok(())
            }
            _ => Err("a place without a queue, or a queue without a place".into()),
        }
    }

    /// A transport is no more; everything that was on it is gone with it.
    fn transport_closed(&mut self, id: TransportId) {
        if self.send == Some(id) {
            self.send = None;
            for producer in std::mem::take(&mut self.producers) {
                self.forget_producer(producer);
            }
        } else {
            self.recv = None;
            self.consumers.clear();
        }
    }

    /// A producer is no more; a video's slot goes with it.
    fn forget_producer(&mut self, id: ProducerId) {
        self.producers.remove(&id);
        if let Some((MediaKind::Video, source)) = self.tracks.remove(&id) {
            self.granted.remove(&source);
        }
    }

    fn keep_permitted(&mut self) {
        if self.permissions.is_some_and(|p| !p.video) {
            self.granted.clear();
            self.queued.clear();
        }
    }

    /// Only requests with ids of one's own may succeed.
    fn check_own(&self, request: &Request) -> Result<(), String> {
        let mine = match request {
            Request::ConnectTransport { transport, .. }
            | Request::RestartIce { transport }
            | Request::CloseTransport { transport }
            | Request::ReportConnection { of: Connection::Transport(transport), .. } => [self.send, self.recv].contains(&Some(*transport)),
            Request::Produce { transport, .. } => self.send == Some(*transport),
            Request::Consume { transport: Some(transport), .. } => self.recv == Some(*transport),
            Request::PauseProducer { producer } | Request::ResumeProducer { producer } | Request::CloseProducer { producer } => {
                self.producers.contains(producer)
            }
            Request::PauseConsumer { consumer }
            | Request::ResumeConsumer { consumer }
            | Request::CloseConsumer { consumer }
            | Request::SetPreferredLayers { consumer, .. }
            | Request::RequestKeyFrame { consumer } => self.consumers.contains_key(consumer),
            _ => true,
        };
        if mine { Ok(()) } else { Err(format!("a request with an id that is not one's own succeeded: {request:?}")) }
    }

    /// Takes in an event.
    pub fn told(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::ParticipantJoined(participant) => {
                let before = self.others.insert(participant.user_id.clone(), Other::new(participant));
                refuse(before.is_some() || self.user.as_ref() == Some(&participant.user_id), "somebody joined who was here")
            }
            Event::ParticipantLeft { user_id, .. } => {
                let other = self.others.remove(user_id).ok_or("somebody left who was not here")?;
                refuse(!other.producers.is_empty(), "somebody left whose producers were not closed before")
            }
            Event::ParticipantState { user_id, state } => {
                let other = self.other(user_id)?;
                let same = other.state == *state;
                other.state = *state;
                refuse(same, "a state was told that is not new")
            }
            Event::NewProducer(info) => {
                let before = self.other(&info.user_id)?.producers.insert(info.producer_id, info.clone());
                refuse(before.is_some(), "a producer was announced twice")
            }
            Event::ProducerClosed { producer_id, user_id, .. } if self.user.as_ref() == Some(user_id) => {
                let known = self.producers.contains(producer_id);
                self.forget_producer(*producer_id);
                refuse(!known, "one's own producer was closed that one did not have")
            }
            Event::ProducerClosed { producer_id, user_id, .. } => {
                self.consumers.retain(|_, producer| producer != producer_id);
                let known = self.other(user_id)?.producers.remove(producer_id);
                refuse(known.is_none(), "a producer was closed that was never announced, or twice")
            }
            Event::ProducerPaused { producer_id, user_id } => self.pause(user_id, *producer_id, true),
            Event::ProducerResumed { producer_id, user_id } => self.pause(user_id, *producer_id, false),
            Event::ActiveSpeakers { speakers } => self.check_speakers(speakers),
            Event::TransportState { transport_id, state, .. } => self.transport_moved(*transport_id, *state),
            Event::LayersChanged { consumer_id, .. } => {
                refuse(!self.consumers.contains_key(consumer_id), "layers of a consumer that is not there")
            }
            Event::Left { .. } => {
                *self = Self::default();
                Ok(())
            }
            Event::SlotGranted { source, slots } => {
                self.most = slots.max;
                let waited = self.queued.remove(source).is_some();
                let new = self.granted.insert(*source);
                let again = self.given_on.extract_if(.., |given| given == source).count() > 0;
                refuse(!(waited || again) || !new, "a slot was granted that nobody waited for")
            }
            Event::SlotQueue { source, position, .. } => {
                let waited = self.queued.insert(*source, *position);
                let had = self.granted.remove(source);
                let again = self.given_on.extract_if(.., |given| given == source).count() > 0;
                refuse(waited == Some(*position) || (waited.is_none() && !had && !again), "a place was told that is not new")
            }
            Event::Entitlement { permissions, .. } => {
                let before = self.permissions.replace(*permissions);
                self.keep_permitted();
                refuse(before == Some(*permissions), "permissions were told that are not new")
            }
            Event::MeshLinks(links) => {
                let wrong = usize::try_from(links.participants).is_ok_and(|n| n != self.others.len() + 1);
                refuse(wrong, "a number of links was told that is not that of the people")
            }
            Event::MeshOffer(told) | Event::MeshAnswer(told) => self.relayed(&told.from),
            Event::MeshIce(told) => self.relayed(&told.from),
            Event::Moderation { restrictions, .. } => {
                // What is given back is not switched on by that.
                let released = self.state.server_muted.audio && !restrictions.audio;
                self.state = self.state.restricted(*restrictions);
                self.state.muted |= released;
                Ok(())
            }
        }
    }

    fn other(&mut self, user: &UserId) -> Result<&mut Other, String> {
        self.others.get_mut(user).ok_or_else(|| format!("an event is about {user}, who is not here"))
    }

    fn relayed(&mut self, from: &Sender) -> Result<(), String> {
        let known = self.other(&from.user_id)?.mesh.ok_or("a message came of somebody who is in no mesh")?;
        refuse(known.peer_id != from.peer_id, "a message came of another stay than the one that was told of")
    }

    fn pause(&mut self, user: &UserId, producer: ProducerId, paused: bool) -> Result<(), String> {
        let info = self.other(user)?.producers.get_mut(&producer).ok_or("a pause of a producer that was never announced")?;
        let same = info.paused == paused;
        info.paused = paused;
        refuse(same, "a pause was told that is not new")
    }

    fn check_speakers(&mut self, speakers: &[parlor_proto::event::Speaker]) -> Result<(), String> {
        for speaker in speakers.iter().filter(|s| self.user.as_ref() != Some(&s.user_id)).cloned().collect::<Vec<_>>() {
            let info = self.other(&speaker.user_id)?.producers.get(&speaker.producer_id).ok_or("a speaker without a producer")?;
            refuse(info.paused, "a paused producer was shown as speaking")?;
        }
        Ok(())
    }

    fn transport_moved(&mut self, id: TransportId, state: TransportState) -> Result<(), String> {
        refuse(![self.send, self.recv].contains(&Some(id)), "a transport moved on that is not one's own")?;
        if state == TransportState::Failed && self.send == Some(id) {
            self.send = None;
            for producer in self.producers.clone() {
                self.forget_producer(producer);
            }
        } else if state == TransportState::Failed {
            self.recv = None;
            self.consumers.clear();
        }
        Ok(())
    }

    /// Compares the picture with the room as it is.
    pub fn compare(&self, truth: &[Participant]) -> Result<(), String> {
        let Some(user) = &self.user else { return Ok(()) };
        let others: Vec<&Participant> = truth.iter().filter(|p| p.user_id != *user).collect();
        refuse(others.len() + 1 != truth.len(), "one is not in the room")?;
        refuse(others.len() != self.others.len(), "the client knows of more or fewer people than there are")?;
        for participant in others {
            let known = self.others.get(&participant.user_id).ok_or_else(|| format!("nobody told of {}", participant.user_id))?;
            refuse(known.state != participant.state, "the client's picture of a state is wrong")?;
            let same = known.role == participant.role && known.moderator == participant.moderator;
            refuse(!same, "the client's picture of somebody's role is wrong")?;
            let tracks = participant.producers.iter().map(|p| (p.producer_id, p.clone())).collect();
            refuse(known.producers != tracks, "the client's picture of somebody's producers is wrong")?;
        }
        let me = truth.iter().find(|p| p.user_id == *user).ok_or("one is not in the room")?;
        refuse(me.state != self.state, "the room's picture of one's own state is another")?;
        let mine: BTreeSet<ProducerId> = me.producers.iter().map(|p| p.producer_id).collect();
        refuse(mine != self.producers, "the room's picture of one's own producers is another")
    }
}

fn refuse(wrong: bool, what: &str) -> Result<(), String> {
    if wrong { Err(what.to_owned()) } else { Ok(()) }
}
