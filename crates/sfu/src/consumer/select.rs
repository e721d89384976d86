//! Which packets of one stream a consumer is sent: up to which temporal and spatial layer, changed only where a
//! decoder can follow.
//!
//! What is decided holds for a whole picture, whenever its packets arrive: part of a frame is never left out.

mod frames;
mod pictures;

use crate::payload::Unit;
use crate::payload::av1::{Frame, Structure};
use crate::video::layers::OperatingPoint;
use frames::Frames;
use pictures::{Found, Picture, Pictures};

/// What is in the header of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PacketHeader {
    /// Extended sequence number.
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Decision {
    /// The packet is sent, with this marker bit: the last packet of the highest layer sent ends the picture for who gets no more.
    Send { marker: bool },
    /// The packet is left out on purpose: its number is to be closed up.
    LeaveOut,
    /// Nothing is sent before a key frame.
    Nothing,
}

/// The choice for one consumer, of the stream it is sent at present.
#[derive(Debug)]
pub(crate) struct Selection {
    target: OperatingPoint,
    /// What the next picture is sent up to.
    limit: OperatingPoint,
    /// The highest layers since the last key frame.
    seen: OperatingPoint,
    started: bool,
    /// Where the key frame began that sending began with.
    first: u64,
    /// The highest sequence number that was seen.
    newest: u64,
    pictures: Pictures,
    /// AV1 only, from its first frame on.
    frames: Option<Box<Frames>>,
}

impl Selection {
    pub(crate) const fn new(target: OperatingPoint) -> Self {
        Self {
            target,
            limit: OperatingPoint { spatial: 0, temporal: 0 },
            seen: OperatingPoint { spatial: 0, temporal: 0 },
            started: false,
            first: 0,
            newest: 0,
            pictures: Pictures::new(),
            frames: None,
        }
    }

    /// What is wanted from now on. Less is taken at once, more as soon as a decoder can follow.
    pub(crate) fn aim(&mut self, target: OperatingPoint) {
        self.target = target;
    }

    /// Sending stops, or goes on with another stream: it begins with a key frame.
    pub(crate) fn restart(&mut self) {
        self.started = false;
    }

    /// What is sent; `None` before the first key frame.
    pub(crate) fn current(&self) -> Option<OperatingPoint> {
        self.started.then(|| self.limit.min(self.seen))
    }

    /// Whether a higher spatial layer is there and wanted, that only a key frame leads to.
    pub(crate) fn needs_key_frame(&self) -> bool {
        let stuck = match &self.frames {
            Some(frames) => frames.stuck,
            None => self.target.spatial.min(self.seen.spatial) > self.limit.spatial,
        };
        stuck || !self.started
    }

    /// `structure` is of the stream (AV1).
    pub(crate) fn decide(&mut self, packet: PacketHeader, unit: &Unit, structure: Option<&Structure>) -> Decision {
        if !self.started {
            if !unit.begins_key_frame {
                return Decision::Nothing;
            }
            self.start(packet.seq);
        }
        if packet.seq < self.first {
            return Decision::Nothing;
        }
        let newest = packet.seq > self.newest || self.pictures.is_empty();
        if newest {
            self.newest = packet.seq;
            self.look_at(unit);
        }
        let found = self.pictures.find(packet.seq, packet.timestamp, newest);
        let sent_up_to = match (&unit.frame, structure) {
            (Some(frame), Some(structure)) => self.by_frame(packet, newest, found, unit, frame, structure),
            _ => self.by_layer(packet, newest, found, unit),
        };
        match sent_up_to {
            Some(highest) => Decision::Send { marker: packet.marker || unit.ends_frame && unit.spatial == highest },
            None => Decision::LeaveOut,
        }
    }

    fn start(&mut self, first: u64) {
        self.started = true;
        self.first = first;
        self.limit = OperatingPoint::default();
        self.pictures.clear();
        if let Some(frames) = &mut self.frames {
            frames.clear();
        }
    }

    fn look_at(&mut self, unit: &Unit) {
        let layers = OperatingPoint { spatial: unit.spatial, temporal: unit.temporal };
        // The temporal layers of a stream are seen one after another.
        let seen = if unit.begins_key_frame { OperatingPoint { spatial: 0, ..self.seen } } else { self.seen };
        self.seen = seen.max(layers);
    }
}

/// VP8, VP9, and what has no layers: by the numbers of the layers.
impl Selection {
    /// The highest spatial layer of the picture that is sent, if the packet is.
    fn by_layer(&mut self, packet: PacketHeader, newest: bool, found: Found, unit: &Unit) -> Option<u8> {
        let limit = match found {
            Found::At(place) => {
                if newest {
                    self.join_layer(place, unit);
                }
                self.pictures.at(place)?.limit
            }
            Found::New => {
                self.limit = self.next_limit(unit);
                let limit = self.limit;
                self.pictures.push(Picture { timestamp: packet.timestamp, first: packet.seq, limit, next: limit });
                limit
            }
            // The base layer is always sent.
            Found::Late(before) => {
                before.and_then(|place| self.pictures.at(place)).map_or(OperatingPoint::default(), |picture| picture.next)
            }
        };
        if newest && unit.opens_upper && limit.contain(unit) && self.limit.temporal < self.target.temporal {
            self.open_upper(packet.timestamp);
        }
        limit.contain(unit).then_some(limit.spatial)
    }

    /// What a new picture is sent up to.
    fn next_limit(&self, unit: &Unit) -> OperatingPoint {
        if unit.begins_key_frame {
            return self.target;
        }
        let mut limit = self.limit.min(self.target);
        // One layer after another: what is above this one may still refer to what was left out in between.
        let is_next = limit.temporal.checked_add(1) == Some(unit.temporal);
        if unit.sync && is_next && unit.temporal <= self.target.temporal {
            limit.temporal = unit.temporal;
        }
        limit
    }

    /// A spatial layer above those sent is predicted from nothing but this picture (RFC 9628, section 4.2: P is not
    /// set), as when the sender takes it up again. On the base temporal layer only, to which all others refer. The
    /// marker was set below already: the receiver puts the picture together by its timestamp.
    fn join_layer(&mut self, place: usize, unit: &Unit) {
        let Some(picture) = self.pictures.at(place) else { return };
        let is_next = picture.limit.spatial.checked_add(1) == Some(unit.spatial);
        let independent = unit.begins_frame && !unit.inter_picture && unit.temporal == 0;
        if is_next && independent && unit.spatial <= self.target.spatial {
            picture.limit.spatial = unit.spatial;
            picture.next.spatial = picture.next.spatial.max(unit.spatial);
            self.limit.spatial = self.limit.spatial.max(unit.spatial);
        }
    }

    /// From the next picture on, also for one that comes late, all temporal layers that are wanted are sent.
    fn open_upper(&mut self, timestamp: u32) {
        self.limit.temporal = self.target.temporal;
        let next = self.limit;
        if let Found::At(place) = self.pictures.find(self.newest, timestamp, true)
            && let Some(picture) = self.pictures.at(place)
        {
            picture.next = next;
        }
    }
}

/// AV1: by what the sender says every frame is to every decode target (AV1 RTP specification, appendix A).
impl Selection {
    /// The highest spatial layer that is sent, if the packet is.
    fn by_frame(
        &mut self,
        packet: PacketHeader,
        newest: bool,
        found: Found,
        unit: &Unit,
        frame: &Frame,
        structure: &Structure,
    ) -> Option<u8> {
        if found == Found::New {
            self.pictures.push(Picture { timestamp: packet.timestamp, first: packet.seq, limit: self.limit, next: self.limit });
        }
        let target = self.target;
        let frames = self.frames.get_or_insert_with(Box::default);
        if newest && unit.begins_key_frame {
            frames.clear();
            frames.decode_target = structure.best(target.spatial, target.temporal, frame.active);
        }
        let sent = match frames.get(frame.number) {
            Some(sent) => sent,
            None => {
                if newest && frames.is_newer(frame.number) {
                    retarget(frames, found == Found::New, target, frame, structure);
                }
                let sent = frame.is_present(frames.decode_target);
                frames.set(frame.number, sent);
                sent
            }
        };
        let (spatial, temporal) = structure.layers(frames.decode_target);
        self.limit = OperatingPoint { spatial, temporal };
        sent.then_some(spatial)
    }
}

/// Goes to the decode target that is wanted, or nearer to it, if this frame allows it.
fn retarget(frames: &mut Frames, new_picture: bool, target: OperatingPoint, frame: &Frame, structure: &Structure) {
    let wanted = structure.best(target.spatial, target.temporal, frame.active);
    let current = frames.decode_target;
    frames.stuck = false;
    if wanted == current {
        return;
    }
    // All it needs is being sent already.
    if structure.is_within(wanted, current) {
        if new_picture {
            frames.decode_target = wanted;
        }
        return;
    }
    // Section A.7: with a frame that can be decoded, and has a switch indication.
    let decodable = !frame.refers_further && frame.references().all(|back| frames.get(frame.number.wrapping_sub(back)) == Some(true));
    if decodable {
        let (at, to) = (structure.layers(current), structure.layers(wanted));
        let nearer = |layers: (u8, u8)| layers == to || layers > at && layers < to && layers.1 <= target.temporal;
        let next = (0..32).filter(|other| frame.is_switch(*other) && nearer(structure.layers(*other)));
        frames.decode_target = next.max_by_key(|other| structure.layers(*other)).unwrap_or(current);
    }
    frames.stuck = structure.layers(wanted).0 != structure.layers(frames.decode_target).0;
}

#[cfg(test)]
mod tests;
