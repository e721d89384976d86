//! What can be seen of a packet without decoding it: where frames begin, their layers, and their counters.

pub(crate) mod av1;
mod counters;
pub(crate) mod h264;
mod vp8;
mod vp9;

pub(crate) use counters::{Counters, NewCounters};

use crate::ortc::Codec;

/// What one packet is within its stream; found once, for all who get it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Unit {
    /// A decoder can start here.
    pub(crate) begins_key_frame: bool,
    /// The packet is the first of a frame (of one spatial layer).
    pub(crate) begins_frame: bool,
    /// The packet is the last of a frame (of one spatial layer).
    pub(crate) ends_frame: bool,
    pub(crate) spatial: u8,
    pub(crate) temporal: u8,
    /// The frame refers to nothing of its own temporal layer or above: who was not sent them can begin with it.
    pub(crate) sync: bool,
    /// VP9: what follows above its temporal layer refers to nothing up there from before it.
    pub(crate) opens_upper: bool,
    /// VP9: the frame is predicted from another picture.
    pub(crate) inter_picture: bool,
    /// VP9: the frame is predicted from a lower layer of its picture.
    pub(crate) inter_layer: bool,
    pub(crate) counters: Counters,
    /// AV1: what the dependency descriptor says.
    pub(crate) frame: Option<av1::Frame>,
}

/// What must be remembered of one incoming stream to read its packets: nothing but for AV1 and H.264.
#[derive(Debug, Default)]
pub(crate) struct State {
    av1: Option<Box<av1::Structure>>,
    /// H.264: receivers got the parameter sets before the stream.
    pub(crate) parameter_sets_told: bool,
}

impl State {
    /// Another encoder sends from now on. What its client told beforehand stays.
    pub(crate) fn restart(&mut self) {
        self.av1 = None;
    }

    /// The layers of an AV1 stream, once they were described.
    pub(crate) fn structure(&self) -> Option<&av1::Structure> {
        self.av1.as_deref()
    }
}

/// The frame counters of a packet that was described before.
pub(crate) fn counters(codec: Codec, payload: &[u8], descriptor: Option<&[u8]>) -> Counters {
    describe(codec, payload, false, descriptor, &mut State::default()).counters
}

/// Reads a packet. `descriptor` is its dependency descriptor extension, which only AV1 needs.
pub(crate) fn describe(codec: Codec, payload: &[u8], marker: bool, descriptor: Option<&[u8]>, state: &mut State) -> Unit {
    match codec {
        Codec::Opus => Unit { begins_key_frame: true, begins_frame: true, ends_frame: true, ..Unit::default() },
        Codec::Vp8 => vp8::describe(payload, marker),
        Codec::Vp9 => vp9::describe(payload, marker),
        Codec::H264 => h264::describe(payload, marker, state.parameter_sets_told),
        Codec::Av1 => av1::describe(payload, marker, descriptor, &mut state.av1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_break_the_readers(packets in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..40), prop::option::of(prop::collection::vec(any::<u8>(), 0..80)), any::<bool>()), 1..8,
        )) {
            for codec in [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
                let mut state = State::default();
                for (payload, descriptor, marker) in &packets {
                    describe(codec, payload, *marker, descriptor.as_deref(), &mut state);
                }
            }
        }
    }
}
