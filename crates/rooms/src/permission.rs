//! What a participant may do, derived from the tier, and what that means for one track.

use parlor_proto::{Entitlement, Error, ErrorCode, MediaKind, Permissions, Role, Source};

use crate::policy::Policy;

/// The permissions of somebody: sound always, pictures for pro; nothing for spectators.
#[must_use]
pub fn permissions(policy: &Policy, role: Role, entitlement: Entitlement) -> Permissions {
    let speaks = role == Role::Speaker;
    let pictures = speaks && entitlement.pro;
    let expires_at = entitlement.expires_at.filter(|_| pictures);
    let max_bitrate = policy.audio_bitrate(entitlement.tier());
    Permissions { audio: speaks, video: pictures, screenshare: pictures, max_bitrate, expires_at }
}

/// Whether a track of this source may be sent; if so, with which bitrate at the most.
pub(crate) fn check_produce(policy: &Policy, permissions: Permissions, kind: MediaKind, source: Source) -> Result<u32, Error> {
    // Only spectators may not even speak.
    if !permissions.audio {
        return Err(Error::new(ErrorCode::PermissionDenied).with("reason", "spectator").say("You may listen here, but not speak."));
    }
    match (source, kind) {
        (Source::Mic, MediaKind::Audio) => Ok(permissions.max_bitrate),
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
