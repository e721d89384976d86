//! Reads `voice:moderate`.

use serde_json::Value;

use super::payload::{Ban, Deafen, EndCall, Kick, Moderate, Move, Mute};
use super::read::read;
use crate::error::Error;
use crate::limits;
use crate::moderation::{Moderation, ModerationAction};
use crate::time::Timestamp;

/// The act a payload asks for. What an action has no use for is ignored, like every unknown field.
pub(super) fn decode(payload: &Value) -> Result<Moderation, Error> {
    Ok(match read::<Moderate>(payload)?.action {
        ModerationAction::Mute => match read(payload)? {
            Mute { audio: None, video: None, screen: None, .. } => {
                return Err(Error::invalid("audio", "one of audio, video and screen is needed"));
            }
            Mute { user_id: user, audio, video, screen } => Moderation::Mute { user, audio, video, screen },
        },
        ModerationAction::Deafen => {
            let Deafen { user_id: user, deafened } = read(payload)?;
            Moderation::Deafen { user, deafened }
        }
        ModerationAction::Kick => {
            let Kick { user_id: user, reason } = read(payload)?;
            Moderation::Kick { user, reason: checked(reason)? }
        }
        ModerationAction::Ban => {
            let Ban { user_id: user, until, reason } = read(payload)?;
            Moderation::Ban { user, until: until.as_deref().map(moment).transpose()?, reason: checked(reason)? }
        }
        ModerationAction::Move => {
            let Move { user_id: user, to } = read(payload)?;
            Moderation::Move { user, to }
        }
        ModerationAction::EndCall => {
            let EndCall { reason } = read(payload)?;
            Moderation::EndCall { reason: checked(reason)? }
        }
    })
}

fn moment(text: &str) -> Result<Timestamp, Error> {
    Timestamp::parse_rfc3339(text).ok_or_else(|| Error::invalid("until", "is not a date and time like 2100-03-01T18:00:00Z"))
}

/// A reason is shown to a person: one line of printable text.
fn checked(reason: Option<String>) -> Result<Option<String>, Error> {
    if let Some(text) = &reason {
        crate::ids::check_name(text, limits::MAX_REASON_CHARS).map_err(|wrong| Error::invalid("reason", wrong))?;
    }
    Ok(reason)
}
