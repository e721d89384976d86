//! What a client believes after everything it was told: the other people, their tracks, and its own objects.
//!
//! A correct room never tells a client something that does not follow from what it told before, so each
//! contradiction is an error of the room.

use std::collections::{BTreeMap, BTreeSet};

use parlor_proto::event::{Event, Joined, Participant, ParticipantState, ProducerInfo, Reply};
use parlor_proto::transport::{Direction, TransportState};
use parlor_proto::{ConsumerId, ProducerId, Request, TransportId, UserId};

/// The client's picture of the room.
#[derive(Clone, Debug, Default)]
pub struct ClientModel {
    /// Who the client is; `None` while it is in no channel.
    pub user: Option<UserId>,
    /// How the others see the client.
    pub state: ParticipantState,
    /// The others.
    pub others: BTreeMap<UserId, Other>,
    /// The client's own send transport.
    pub send: Option<TransportId>,
    /// The client's own receive transport.
    pub recv: Option<TransportId>,
    /// The client's own producers.
    pub producers: BTreeSet<ProducerId>,
    /// The client's own consumers, and what they consume.
    pub consumers: BTreeMap<ConsumerId, ProducerId>,
}

/// Somebody else, as the client knows them.
#[derive(Clone, Debug)]
pub struct Other {
    /// The name shown.
    pub name: String,
    /// Muted and so on.
    pub state: ParticipantState,
    /// What they send.
    pub producers: BTreeMap<ProducerId, ProducerInfo>,
}

impl Other {
    fn new(participant: &Participant) -> Self {
        let producers = participant.producers.iter().map(|p| (p.producer_id, p.clone())).collect();
        Self { name: participant.name.clone(), state: participant.state, producers }
    }
}

impl ClientModel {
    /// Takes in a reply to a request that succeeded.
    pub fn succeeded(&mut self, request: &Request, reply: &Reply) -> Result<(), String> {
        self.check_own(request)?;
        match reply {
            Reply::Joined(joined) => self.joined(joined),
            Reply::Left { .. } => *self = Self::default(),
            Reply::TransportCreated { transport_id, direction: Direction::Send, .. } => self.send = Some(*transport_id),
            Reply::TransportCreated { transport_id, direction: Direction::Recv, .. } => self.recv = Some(*transport_id),
            Reply::Produced { producer_id } => {
                self.producers.insert(*producer_id);
            }
            Reply::ProducerClosed { producer_id } => {
                self.producers.remove(producer_id);
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

    fn joined(&mut self, joined: &Joined) {
        let others = joined.participants.iter().map(|p| (p.user_id.clone(), Other::new(p))).collect();
        *self = Self { user: Some(joined.user_id.clone()), others, ..Self::default() };
    }

    /// Only requests with ids of one's own may succeed.
    fn check_own(&self, request: &Request) -> Result<(), String> {
        let mine = match request {
            Request::ConnectTransport { transport, .. } | Request::RestartIce { transport } => {
                [self.send, self.recv].contains(&Some(*transport))
            }
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
            Event::ParticipantLeft { user_id } => {
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
            Event::ProducerClosed { producer_id, user_id } => {
                self.consumers.retain(|_, producer| producer != producer_id);
                let known = self.other(user_id)?.producers.remove(producer_id);
                refuse(known.is_none(), "a producer was closed that was never announced, or twice")
            }
            Event::ProducerPaused { producer_id, user_id } => self.pause(user_id, *producer_id, true),
            Event::ProducerResumed { producer_id, user_id } => self.pause(user_id, *producer_id, false),
            Event::ActiveSpeakers { speakers } => self.check_speakers(speakers),
            Event::TransportState { transport_id, state } => self.transport_moved(*transport_id, *state),
            Event::LayersChanged { consumer_id, .. } => {
                refuse(!self.consumers.contains_key(consumer_id), "layers of a consumer that is not there")
            }
            Event::Left { .. } => {
                *self = Self::default();
                Ok(())
            }
        }
    }

    fn other(&mut self, user: &UserId) -> Result<&mut Other, String> {
        self.others.get_mut(user).ok_or_else(|| format!("an event is about {user}, who is not here"))
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
            self.producers.clear();
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
