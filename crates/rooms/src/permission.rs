//! What a participant may do, derived from the tier (features 3), and what that means for one track.

use parlor_proto::{Error, ErrorCode, MediaKind, Permissions, Source, Tier};

use crate::policy::Policy;

/// The permissions of a user: sound always, pictures for pro.
#[must_use]
pub fn permissions(policy: &Policy, tier: Tier) -> Permissions {
    let pro = tier == Tier::Pro;
    Permissions { audio: true, video: pro, screenshare: pro, max_bitrate: policy.audio_bitrate(tier) }
}

/// Whether a track of this source may be sent; if so, with which bitrate at the most.
pub(crate) fn check_produce(policy: &Policy, permissions: Permissions, kind: MediaKind, source: Source) -> Result<u32, Error> {
    match (source, kind) {
        (Source::Mic, MediaKind::Audio) if permissions.audio => Ok(permissions.max_bitrate),
        (Source::Mic, MediaKind::Audio) => Err(Error::new(ErrorCode::PermissionDenied).say("You may listen here, but not speak.")),
        (Source::Camera, MediaKind::Video) if permissions.video => Ok(policy.camera_bitrate),
        (Source::Camera, MediaKind::Video) => Err(missing("VIDEO_CALLING", "Turning the camera on needs a Pro account.")),
        (Source::Screen, MediaKind::Video) if permissions.screenshare => Ok(policy.screen_bitrate),
        (Source::Screen, MediaKind::Audio) if permissions.screenshare => Ok(permissions.max_bitrate),
        (Source::Screen, _) => Err(missing("SCREEN_SHARE", "Sharing the screen needs a Pro account.")),
        (Source::Mic, MediaKind::Video) | (Source::Camera, MediaKind::Audio) => {
            Err(Error::invalid("appData.source", "does not fit the kind"))
        }
    }
}

fn missing(capability: &str, sentence: &str) -> Error {
    Error::new(ErrorCode::CapabilityRequired).with("capability", capability).say(sentence)
}
