//! What is true of a room at any time.

use parlor_proto::event::Participant;
use parlor_proto::media::Source;
use parlor_proto::{MediaKind, SessionId};
use parlor_rooms::{RoomSize, Slot};

use super::{Client, TestRoom};
use crate::client_model::ClientModel;

impl TestRoom {
    /// Compares what all clients believe with the room, and the room with its media plane.
    pub fn check(&mut self) {
        let truth = self.room.participants();
        for client in self.clients.values().filter(|c| c.inside) {
            self.problems.extend(client.model.compare(&truth).err());
            self.problems.extend(self.media_follows(client).err());
        }
        self.problems.extend(self.offers_agree().err());
        for info in truth.iter().flat_map(|p| &p.producers) {
            if self.media.producers.get(&info.producer_id).is_none_or(|p| p.paused != info.paused) {
                self.problems.push("the media plane does not hold a producer as the room shows it".into());
            }
        }
        let problems = truth.iter().flat_map(|p| self.silenced(p).err()).chain(self.slots_are_right().err());
        let problems: Vec<String> = problems.collect();
        self.problems.extend(problems);
        self.problems.append(&mut self.media.violations);
        let finished = self.room.size() == RoomSize::default() && self.media.is_empty();
        if self.closed && !finished {
            self.problems.push(format!("something is left in a closed room: {:?}, {:?}", self.room.size(), self.media));
        }
        if self.closed && !self.ledger.owed("").is_empty() {
            self.problems.push("the host application was not told of every end".into());
        }
    }

    /// Of every two people in a mesh exactly one was told to make the offer.
    fn offers_agree(&self) -> Result<(), String> {
        let inside = || self.clients.values().filter(|c| c.inside).map(|c| &c.model);
        for (one, other) in inside().flat_map(|one| inside().map(move |other| (one, other))) {
            let told = |model: &ClientModel, of: &ClientModel| Some(model.others.get(of.user.as_ref()?)?.mesh.map(|peer| peer.make_offer));
            if let (Some(a), Some(b)) = (told(one, other), told(other, one))
                && a.is_some()
                && a == b
            {
                return Err(format!("{:?} and {:?} both make an offer, or both wait for one", one.user, other.user));
            }
        }
        Ok(())
    }

    /// What moderators silenced is never live in the media plane, whatever its owner does.
    fn silenced(&self, participant: &Participant) -> Result<(), String> {
        let muted = participant.state.server_muted;
        for info in &participant.producers {
            let source = match info.app_data.source {
                Source::Mic => false,
                Source::Camera => muted.video,
                Source::Screen => muted.screen,
            };
            let silenced = source || (muted.audio && info.kind == MediaKind::Audio);
            if silenced && self.media.producers.get(&info.producer_id).is_some_and(|p| !p.paused) {
                return Err(format!("{} was silenced and is not silent", participant.user_id));
            }
        }
        Ok(())
    }

    /// No more videos than slots, every video has one, nobody waits beside a free one.
    fn slots_are_right(&self) -> Result<(), String> {
        let slots = self.room.slots();
        let (current, max) = (slots.slots().current, slots.slots().max);
        let videos = self.media.producers.values().filter(|p| p.kind == MediaKind::Video).count();
        if current > max || u32::try_from(videos).is_ok_and(|n| n > current) {
            return Err(format!("{videos} videos, {current} slots held of {max}"));
        }
        for (session, client) in self.clients.iter().filter(|(_, c)| c.inside) {
            self.slots_as_told(*session, client)?;
        }
        let waiting = slots.len() - usize::try_from(current).unwrap_or(0);
        if waiting > 0 && current < max { Err("somebody waits beside a free slot".into()) } else { Ok(()) }
    }

    fn slots_as_told(&self, session: SessionId, client: &Client) -> Result<(), String> {
        let slots = self.room.slots();
        for source in [Source::Camera, Source::Screen] {
            let (slot, model) = (Slot { session, source }, &client.model);
            let shows = model.tracks.values().any(|track| *track == (MediaKind::Video, source));
            if (shows || model.granted.contains(&source)) && !slots.holds(slot) {
                return Err(format!("a client believes to have a slot for its {source:?}"));
            }
            if slots.position(slot) != model.queued.get(&source).copied() {
                return Err(format!("a client knows another place for its {source:?}"));
            }
        }
        Ok(())
    }

    /// Mute, deafen and permissions are kept by the media plane.
    fn media_follows(&self, client: &Client) -> Result<(), String> {
        let model = &client.model;
        let permissions = model.permissions.ok_or("a client that knows no permissions")?;
        for id in &model.producers {
            let producer = self.media.producers.get(id).ok_or("the media plane lacks a producer")?;
            if model.state.muted && producer.source == Source::Mic && !producer.paused {
                return Err("a muted microphone is not silent".into());
            }
            let sound = producer.kind == MediaKind::Audio;
            if sound && producer.max_bitrate != permissions.max_bitrate {
                return Err("sound is taken at another bitrate than the one allowed".into());
            }
            if !permissions.audio || (!permissions.video && producer.source != Source::Mic) {
                return Err("something is sent that may not be".into());
            }
        }
        for (id, producer) in &model.consumers {
            let paused = self.media.consumers.get(id).ok_or("the media plane lacks a consumer")?.paused;
            let kind = self.media.producers.get(producer).ok_or("a consumer outlived its producer")?.kind;
            if (model.state.deafened || model.state.server_deafened) && kind == MediaKind::Audio && !paused {
                return Err("a deafened participant is sent sound".into());
            }
        }
        Ok(())
    }
}
