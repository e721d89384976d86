//! The media rules of a mesh: media goes from client to client, and the room passes on what two of them tell each other.

mod pace;

use std::collections::BTreeMap;
use std::time::Instant;

use parlor_proto::event::{Event, IceTransportPolicy, Reply};
use parlor_proto::mesh::{MeshCandidate, MeshDescription, Sender};
use parlor_proto::{
    Connection, ConnectionReport, Error, ErrorCode, MeshLinks, MeshPeer, Offers, PeerId, Request, SessionId, Side, Signal, Target, UserId,
};

use crate::connectivity::ConnectionKey;
use crate::core::{Answer, Core, invalid_state, not_found};
use crate::participant::Participant;
use pace::Pace;

/// The most messages that are kept for somebody whose connection is lost, until they are back: the offers of seven others,
/// each with a few candidates.
const MAX_KEPT: usize = 64;
/// The most bytes of them: seven offers with a camera and a screen.
const MAX_KEPT_BYTES: usize = 256 * 1024;

/// What the room has of a mesh.
#[derive(Debug, Default)]
pub(crate) struct Mesh {
    peers: BTreeMap<SessionId, Peer>,
}

/// A participant, as the others reach them.
#[derive(Debug)]
struct Peer {
    id: PeerId,
    offers: Offers,
    /// How much each other user may still send them, also of those who have left meanwhile until they have earned it again.
    from: BTreeMap<UserId, Pace>,
    /// What others sent while their connection was lost, from which stay, and how many bytes that is.
    kept: Vec<(PeerId, usize, Event)>,
}

impl Peer {
    /// Counts a message of so many bytes, of a user who is one of so many that can send.
    fn take(&mut self, from: &UserId, bytes: usize, senders: usize, now: Instant) -> Result<(), Error> {
        if !self.from.contains_key(from) {
            // Whoever comes again goes on with what they had left. Nobody is remembered for longer than that matters.
            self.from.retain(|_, pace| !pace.is_earned(now));
        }
        self.from.entry(from.clone()).or_insert_with(|| Pace::new(now)).take(bytes, senders, now)
    }
}

/// Which message it is.
#[derive(Clone, Copy)]
enum Kind {
    Offer,
    Answer,
    Ice,
}

impl Mesh {
    /// Somebody came, whose client expects this of offers.
    pub(crate) fn joined(&mut self, core: &mut Core, session: SessionId, offers: Offers) {
        let id = PeerId::random_uuid(core.ids.bits());
        self.peers.insert(session, Peer { id, offers, from: BTreeMap::new(), kept: Vec::new() });
    }

    /// Somebody leaves. What they sent is of no use to those who have not read it yet.
    pub(crate) fn leaving(&mut self, core: &mut Core, session: SessionId) {
        let Some(Peer { id, .. }) = self.peers.remove(&session) else { return };
        let now = core.now;
        for (other, peer) in &mut self.peers {
            core.note(*other, |connectivity| connectivity.ended(ConnectionKey::Peer(id), now));
            peer.kept.retain(|(from, ..)| *from != id);
        }
    }

    /// Everybody has left.
    pub(crate) fn evicted(&mut self) {
        self.peers.clear();
    }

    /// Somebody goes on with another session.
    pub(crate) fn resumed(&mut self, from: SessionId, to: SessionId) {
        if let Some(peer) = self.peers.remove(&from) {
            self.peers.insert(to, peer);
        }
    }

    /// Somebody is back, and gets what others sent meanwhile.
    pub(crate) fn back(&mut self, core: &mut Core, session: SessionId) {
        let kept = self.peers.get_mut(&session).map(|peer| std::mem::take(&mut peer.kept));
        for (.., event) in kept.into_iter().flatten() {
            core.tell(session, event);
        }
    }

    /// The id of somebody's stay.
    pub(crate) fn peer_id(&self, session: SessionId) -> Option<PeerId> {
        self.peers.get(&session).map(|peer| peer.id)
    }

    /// Tells the others of somebody who came: each whether their client makes the offer.
    pub(crate) fn announce(&self, core: &mut Core, session: SessionId, shown: &parlor_proto::Participant) {
        let others: Vec<SessionId> = core.connected().filter(|other| *other != session).collect();
        for make_offer in [true, false] {
            let meets = |other: &SessionId| self.meeting(core, *other, session).is_some_and(|peer| peer.make_offer == make_offer);
            let to = others.iter().copied().filter(meets).collect();
            let mesh = self.peer_id(session).map(|peer_id| MeshPeer { peer_id, make_offer });
            core.tell_these(to, Event::ParticipantJoined(parlor_proto::Participant { mesh, ..shown.clone() }));
        }
        self.tell_links(core, others);
    }

    /// Tells everybody how many links are left.
    pub(crate) fn gone(&self, core: &mut Core) {
        let to = core.connected().collect();
        self.tell_links(core, to);
    }

    fn tell_links(&self, core: &mut Core, to: Vec<SessionId>) {
        core.tell_these(to, Event::MeshLinks(self.links()));
    }

    /// How many links there are.
    pub(crate) fn links(&self) -> MeshLinks {
        MeshLinks::between(u32::try_from(self.peers.len()).unwrap_or(u32::MAX))
    }

    /// Adds to each participant how somebody connects to them.
    pub(crate) fn introduce(&self, core: &Core, to: SessionId, participants: &mut [parlor_proto::Participant]) {
        for participant in participants {
            participant.mesh = core.session_of(&participant.user_id).and_then(|other| self.meeting(core, to, other));
        }
    }

    /// Another participant, as one is told of them. Whoever joined later is the newcomer of the two.
    fn meeting(&self, core: &Core, told: SessionId, other: SessionId) -> Option<MeshPeer> {
        let (number_told, user_told, offers_told) = self.view(core, told)?;
        let (number_other, user_other, offers_other) = self.view(core, other)?;
        let (told, other_side) = ((offers_told, user_told), (offers_other, user_other));
        let make_offer = if number_told > number_other {
            Offers::side(told, other_side) == Side::Newcomer
        } else {
            Offers::side(other_side, told) == Side::Present
        };
        Some(MeshPeer { peer_id: self.peer_id(other)?, make_offer })
    }

    fn view<'a>(&self, core: &'a Core, session: SessionId) -> Option<(u64, &'a UserId, Offers)> {
        let participant = core.participants.get(&session)?;
        Some((participant.number, &participant.identity.user, self.peers.get(&session)?.offers))
    }

    /// A participant asks for something of media.
    pub(crate) fn handle_request(&mut self, core: &mut Core, session: SessionId, body: Request, now: Instant) -> Answer {
        match body {
            Request::MeshOffer { to, signal } => self.relay(core, session, Kind::Offer, &to, signal, now),
            Request::MeshAnswer { to, signal } => self.relay(core, session, Kind::Answer, &to, signal, now),
            Request::MeshIce { to, signal } => self.relay(core, session, Kind::Ice, &to, signal, now),
            Request::ReportConnection { of, report } => self.report_connection(core, session, &of, *report),
            Request::Join { .. }
            | Request::Resume { .. }
            | Request::Ping { .. }
            | Request::GetIceServers
            | Request::Leave { .. }
            | Request::UpdateState { .. }
            | Request::RequestSlot { .. }
            | Request::ReleaseSlot { .. }
            | Request::Moderate { .. } => Err(invalid_state("the room answers this, not the mesh")),
            Request::GetRouterRtpCapabilities
            | Request::CreateTransport { .. }
            | Request::ConnectTransport { .. }
            | Request::RestartIce { .. }
            | Request::CloseTransport { .. }
            | Request::Produce { .. }
            | Request::PauseProducer { .. }
            | Request::ResumeProducer { .. }
            | Request::CloseProducer { .. }
            | Request::Consume { .. }
            | Request::PauseConsumer { .. }
            | Request::ResumeConsumer { .. }
            | Request::CloseConsumer { .. }
            | Request::SetPreferredLayers { .. }
            | Request::RequestKeyFrame { .. } => Err(no_media_here()),
        }
    }

    /// Somebody tells how the connection to another participant came about.
    fn report_connection(&self, core: &mut Core, session: SessionId, of: &Connection, report: ConnectionReport) -> Answer {
        let Connection::Peer(to) = of else { return Err(no_media_here()) };
        let target = self.find(core, to).filter(|target| *target != session).ok_or_else(not_found)?;
        let key = self.peer_id(target).map(ConnectionKey::Peer).ok_or_else(not_found)?;
        core.take_report(session, key, report)?;
        let user_id = core.participants.get(&target).map(|participant| participant.identity.user.clone());
        Ok(Some(Reply::ConnectionReported { transport_id: None, user_id }))
    }

    /// The session of a participant, as others name them.
    fn find(&self, core: &Core, target: &Target) -> Option<SessionId> {
        match target {
            Target::User(user) => core.session_of(user),
            Target::Peer(id) => self.peers.iter().find(|(_, peer)| peer.id == *id).map(|(session, _)| *session),
        }
    }

    /// Passes a message on to a participant of this call, with its sender's name on it.
    fn relay(&mut self, core: &mut Core, session: SessionId, kind: Kind, to: &Target, signal: Signal, now: Instant) -> Answer {
        let here = |participant: &Participant| participant.identity.user.clone();
        let gone = || not_found().say("This person is not in the call any more.");
        let target = self.find(core, to).filter(|target| *target != session).ok_or_else(gone)?;
        let user_id = core.participants.get(&target).map(here).ok_or_else(gone)?;
        let stay = self.peer_id(session).ok_or_else(|| Error::new(ErrorCode::NotInChannel))?;
        let identity = &core.participant(session)?.identity;
        let from = Sender { user_id: identity.user.clone(), name: identity.name.clone(), peer_id: stay };
        let relay_only = core.policy.ice_transport_policy.within(&core.channel) == IceTransportPolicy::Relay;
        let relayed = match kind {
            _ if !relay_only => Some(signal),
            Kind::Offer | Kind::Answer => signal.relayed_description(),
            Kind::Ice => signal.relayed_candidate(),
        };
        let Some(signal) = relayed else {
            let sentence = "Calls in this channel go by relays only, and this app would show the others your address. Use another app.";
            return Err(Error::new(ErrorCode::PermissionDenied).with("reason", "relay_only").say(sentence));
        };
        let senders = self.peers.len().saturating_sub(1);
        let peer = self.peers.get_mut(&target).ok_or_else(gone)?;
        let bytes = signal.len();
        peer.take(&from.user_id, bytes, senders, now)?;
        let event = match kind {
            Kind::Offer => Event::MeshOffer(MeshDescription { from, signal }),
            Kind::Answer => Event::MeshAnswer(MeshDescription { from, signal }),
            Kind::Ice => Event::MeshIce(MeshCandidate { from, signal }),
        };
        if core.participants.get(&target).is_some_and(Participant::is_connected) {
            core.tell(target, event);
        } else if peer.kept.len() < MAX_KEPT && peer.kept.iter().map(|(_, bytes, _)| bytes).sum::<usize>() + bytes <= MAX_KEPT_BYTES {
            peer.kept.push((stay, bytes, event));
        } else {
            return Err(invalid_state("the connection of this person is lost, and too much waits for them already"));
        }
        Ok(Some(Reply::MeshRelayed { user_id }))
    }
}

/// The refusal of a request for the SFU.
fn no_media_here() -> Error {
    invalid_state("in this call media goes from client to client, and not by the server: make offers")
        .say("This call goes from browser to browser, and this app is not made for that. Use another app, or another channel.")
}
