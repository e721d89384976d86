//! Sound or picture: what every description of a track begins with.

use serde::{Deserialize, Serialize};

/// Whether a track is sound or picture.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum MediaKind {
    /// The track is sound.
    Audio,
    /// The track is picture.
    Video,
}
