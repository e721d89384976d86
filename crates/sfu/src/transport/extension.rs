//! Header extensions by the ids of one client.
//!
//! Browsers number extensions differently, and the numbers are known only when something is produced,
//! while str0m takes its map when the connection is made. So every id gets a serializer that looks up,
//! packet by packet, what the id means on this transport.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use str0m::rtp::{Extension, ExtensionMap, ExtensionSerializer, ExtensionValues, VideoOrientation};

use crate::ortc::uri;

/// The one-byte form has the ids 1 to 14 (RFC 8285, section 4.2).
pub(crate) const MAX_ID: u8 = 14;

/// What the media plane reads of a packet's extensions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Meaning {
    Mid = 1,
    Rid = 2,
    RepairedRid = 3,
    TransportCc = 4,
    AudioLevel = 5,
    VideoOrientation = 6,
}

impl Meaning {
    pub(crate) fn of(uri: &str) -> Option<Self> {
        Some(match uri {
            uri::MID => Self::Mid,
            uri::RID => Self::Rid,
            uri::REPAIRED_RID => Self::RepairedRid,
            uri::TRANSPORT_CC => Self::TransportCc,
            uri::AUDIO_LEVEL => Self::AudioLevel,
            uri::VIDEO_ORIENTATION => Self::VideoOrientation,
            _ => return None,
        })
    }
}

/// What each id means on one transport; shared with the serializers of its connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meanings(Arc<[AtomicU8; MAX_ID as usize + 1]>);

impl Meanings {
    pub(crate) fn set(&self, id: u8, meaning: Option<Meaning>) {
        if let Some(slot) = self.0.get(usize::from(id)) {
            slot.store(meaning.map_or(0, |meaning| meaning as u8), Ordering::Relaxed);
        }
    }

    pub(crate) fn get(&self, id: u8) -> Option<Meaning> {
        match self.0.get(usize::from(id))?.load(Ordering::Relaxed) {
            1 => Some(Meaning::Mid),
            2 => Some(Meaning::Rid),
            3 => Some(Meaning::RepairedRid),
            4 => Some(Meaning::TransportCc),
            5 => Some(Meaning::AudioLevel),
            6 => Some(Meaning::VideoOrientation),
            _ => None,
        }
    }

    /// The map of a connection that receives: every id means what this table says at the time.
    pub(crate) fn extension_map(&self) -> ExtensionMap {
        let mut map = ExtensionMap::empty();
        for id in 1..=MAX_ID {
            map.set(id, Extension::with_serializer(&format!("id:{id}"), Dynamic { id, meanings: self.clone() }));
        }
        map
    }
}

/// Reads one id. Mid and rid are not handed to str0m: streams are found by [`super::receive`].
#[derive(Debug)]
struct Dynamic {
    id: u8,
    meanings: Meanings,
}

impl ExtensionSerializer for Dynamic {
    fn write_to(&self, _: &mut [u8], _: &ExtensionValues) -> usize {
        0
    }

    fn parse_value(&self, bytes: &[u8], values: &mut ExtensionValues) -> bool {
        match (self.meanings.get(self.id), bytes) {
            (Some(Meaning::TransportCc), [high, low, ..]) => values.transport_cc = Some(u16::from_be_bytes([*high, *low])),
            (Some(Meaning::AudioLevel), [level, ..]) => {
                values.audio_level = Some(-i8::try_from(level & 0x7f).unwrap_or(i8::MAX));
                values.voice_activity = Some(level & 0x80 != 0);
            }
            (Some(Meaning::VideoOrientation), [turn, ..]) => values.video_orientation = Some(VideoOrientation::from(turn & 3)),
            _ => return false,
        }
        true
    }

    fn is_video(&self) -> bool {
        true
    }

    fn is_audio(&self) -> bool {
        true
    }
}
