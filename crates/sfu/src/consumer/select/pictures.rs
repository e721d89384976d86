//! What was decided of the last pictures, for those of their packets that come late.

use crate::video::layers::OperatingPoint;

/// A second at thirty pictures a second: longer than a repair takes.
const REMEMBERED: usize = 32;

#[derive(Clone, Copy, Debug)]
pub(super) struct Picture {
    pub(super) timestamp: u32,
    /// The lowest sequence number that was seen of the picture.
    pub(super) first: u64,
    /// The layers of it that are sent.
    pub(super) limit: OperatingPoint,
    /// The layers that are sent of pictures of which nothing was seen before later ones.
    pub(super) next: OperatingPoint,
}

/// A ring, by age.
#[derive(Debug)]
pub(super) struct Pictures {
    /// Made with the first picture: sound has none.
    ring: Vec<Picture>,
    /// Where the newest is.
    newest: usize,
    len: usize,
}

/// Where a packet belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// A picture, by its place.
    At(usize),
    /// A picture of which nothing was seen before.
    New,
    /// An older picture of which nothing was seen, and the place of the one before it.
    Late(Option<usize>),
}

impl Pictures {
    pub(super) const fn new() -> Self {
        Self { ring: Vec::new(), newest: 0, len: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn at(&mut self, place: usize) -> Option<&mut Picture> {
        self.ring.get_mut(place)
    }

    pub(super) fn push(&mut self, picture: Picture) {
        if self.ring.is_empty() {
            self.ring = vec![picture; REMEMBERED];
        }
        self.newest = (self.newest + 1) % REMEMBERED;
        self.len = (self.len + 1).min(REMEMBERED);
        if let Some(slot) = self.ring.get_mut(self.newest) {
            *slot = picture;
        }
    }

    /// Finds the picture of a packet; by sequence number where the timestamp is not known, as senders may set their clock back.
    pub(super) fn find(&self, seq: u64, timestamp: u32, newest: bool) -> Found {
        let place = |age: usize| (self.newest + REMEMBERED - age) % REMEMBERED;
        let mut before = None;
        for age in 0..if newest { self.len.min(1) } else { self.len } {
            let Some(picture) = self.ring.get(place(age)) else { break };
            if picture.timestamp == timestamp {
                return Found::At(place(age));
            }
            if before.is_none() && picture.first < seq {
                before = Some(place(age));
            }
        }
        if newest { Found::New } else { Found::Late(before) }
    }
}
