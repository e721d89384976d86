//! What is special about pictures: their layers, and key frames.

pub(crate) mod keyframe;
pub(crate) mod layers;
