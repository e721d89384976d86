//! Reads `voice:moderate`.

use serde::Deserialize;
use serde_json::Value;

use super::read;
use crate::error::Error;
use crate::ids::{ChannelId, UserId};
use crate::limits;
use crate::moderation::Moderation;
use crate::time::Timestamp;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Action {
    Mute,
    Deafen,
    Kick,
    Ban,
    Move,
    EndCall,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Moderate {
    action: Action,
    user_id: Option<UserId>,
    audio: Option<bool>,
    video: Option<bool>,
    screen: Option<bool>,
    deafened: Option<bool>,
    until: Option<String>,
    reason: Option<String>,
    to: Option<ChannelId>,
}

/// The act a payload asks for. What an action has no use for is ignored, like every unknown field.
pub(super) fn decode(payload: &Value) -> Result<Moderation, Error> {
    let wanted: Moderate = read(payload)?;
    let reason = wanted.reason.map(checked_reason).transpose()?;
    if matches!(wanted.action, Action::EndCall) {
        return Ok(Moderation::EndCall { reason });
    }
    let user = wanted.user_id.ok_or_else(|| missing("userId"))?;
    Ok(match wanted.action {
        Action::Mute if wanted.audio.or(wanted.video).or(wanted.screen).is_none() => {
            return Err(Error::invalid("audio", "one of audio, video and screen is needed"));
        }
        Action::Mute => Moderation::Mute { user, audio: wanted.audio, video: wanted.video, screen: wanted.screen },
        Action::Deafen => Moderation::Deafen { user, deafened: wanted.deafened.ok_or_else(|| missing("deafened"))? },
        Action::Kick => Moderation::Kick { user, reason },
        Action::Ban => Moderation::Ban { user, until: wanted.until.as_deref().map(moment).transpose()?, reason },
        Action::Move => Moderation::Move { user, to: wanted.to.ok_or_else(|| missing("to"))? },
        Action::EndCall => Moderation::EndCall { reason },
    })
}

fn missing(field: &str) -> Error {
    Error::invalid(field, "is missing, and this action needs it")
}

fn moment(text: &str) -> Result<Timestamp, Error> {
    Timestamp::parse_rfc3339(text).ok_or_else(|| Error::invalid("until", "is not a date and time like 2100-03-01T18:00:00Z"))
}

/// A reason is shown to a person: one line of printable text.
fn checked_reason(text: String) -> Result<String, Error> {
    match crate::ids::check_name(&text, limits::MAX_REASON_CHARS) {
        Ok(()) => Ok(text),
        Err(wrong) => Err(Error::invalid("reason", wrong)),
    }
}
