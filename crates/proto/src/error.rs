//! What a request can be refused with: a closed list of codes, each with its culprit and a sentence for people.

use serde::Serialize;
use serde_json::{Map, Value};
use strum::{IntoStaticStr, VariantArray};

/// Whose doing an error is: it decides how it is logged, counted and retried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Culprit {
    /// The client sent something it should not have: a bug in it, or an attack.
    Client,
    /// The person asked for something that is not theirs to have, now or ever.
    Caller,
    /// The network between the client and us.
    Network,
    /// We failed. Always logged as an error.
    Us,
}

/// The closed list of error codes. Clients may switch on them; sentences may change, codes do not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, VariantArray, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// The payload is malformed, or a field is missing, of the wrong type or out of range.
    InvalidRequest,
    /// There is no such event.
    UnknownEvent,
    /// The token is missing, expired, or not signed by a key we know.
    Unauthenticated,
    /// The channel does not exist.
    ChannelNotFound,
    /// The channel has as many participants as it may have.
    ChannelFull,
    /// It is not the time at which the channel can be joined; `details` has `opensAt` and `closesAt`.
    ChannelClosed,
    /// Banned, or not among those who may join.
    PermissionDenied,
    /// The tier does not include it; `details.capability` says what is missing.
    CapabilityRequired,
    /// Every video slot of the room is taken; `details` has `current` and `max`.
    VideoLimitReached,
    /// The same user is in the channel already, on another connection.
    AlreadyInChannel,
    /// The request needs a joined channel.
    NotInChannel,
    /// There is nothing left to resume: join again.
    SessionExpired,
    /// No such transport, producer or consumer belongs to this session. Somebody else's is answered alike.
    NotFound,
    /// The object is not in a state in which this can be done (connected twice, a second send transport...).
    InvalidState,
    /// The browser and the server have no codec in common for this producer.
    Incompatible,
    /// Too often; `details.retryAfterMs` says how long to wait.
    RateLimited,
    /// The session has as many objects of this kind as it may have.
    LimitExceeded,
    /// An object with this id exists already, and is different.
    Conflict,
    /// The object has changed since the caller read it.
    PreconditionFailed,
    /// WebRTC transport could not be set up.
    TransportFailed,
    /// The operation did not end within its deadline.
    Timeout,
    /// The server is going away; join again, another node will answer.
    ShuttingDown,
    /// Something broke on our side.
    ServerError,
}

impl ErrorCode {
    /// All codes, in the order in which they are documented.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The code as it is sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The status that HTTP has for such a thing (RFC 9110, section 15).
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied | Self::CapabilityRequired | Self::ChannelClosed => 403,
            Self::UnknownEvent | Self::ChannelNotFound | Self::NotFound => 404,
            Self::ChannelFull
            | Self::VideoLimitReached
            | Self::AlreadyInChannel
            | Self::NotInChannel
            | Self::InvalidState
            | Self::Incompatible
            | Self::SessionExpired
            | Self::LimitExceeded
            | Self::Conflict => 409,
            Self::PreconditionFailed => 412,
            Self::RateLimited => 429,
            Self::TransportFailed | Self::ServerError => 500,
            Self::ShuttingDown | Self::Timeout => 503,
        }
    }

    /// Whose doing an error with this code is.
    #[must_use]
    pub const fn culprit(self) -> Culprit {
        match self {
            Self::InvalidRequest | Self::UnknownEvent | Self::NotInChannel | Self::NotFound | Self::InvalidState | Self::LimitExceeded => {
                Culprit::Client
            }
            Self::Unauthenticated
            | Self::ChannelNotFound
            | Self::ChannelFull
            | Self::ChannelClosed
            | Self::PermissionDenied
            | Self::CapabilityRequired
            | Self::VideoLimitReached
            | Self::AlreadyInChannel
            | Self::SessionExpired
            | Self::Conflict
            | Self::PreconditionFailed
            | Self::Incompatible
            | Self::RateLimited => Culprit::Caller,
            Self::TransportFailed => Culprit::Network,
            Self::Timeout | Self::ShuttingDown | Self::ServerError => Culprit::Us,
        }
    }

    /// What a person is told, and what they can do about it.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::InvalidRequest => {
                "The app sent something the server does not understand. Reload the page; if it happens again, report it."
            }
            Self::UnknownEvent => "The app asked for something this server does not know. Reload the page to get the matching version.",
            Self::Unauthenticated => "You are not signed in, or your sign-in has expired. Sign in again.",
            Self::ChannelNotFound => "This channel does not exist. Check its name.",
            Self::ChannelFull => "This channel is full. Try again when somebody has left.",
            Self::ChannelClosed => "This channel is not open at this time. Come back when it is.",
            Self::PermissionDenied => "You may not join this channel. Ask a moderator if you think that is a mistake.",
            Self::CapabilityRequired => "This needs a Pro account.",
            Self::VideoLimitReached => "All video slots of this channel are taken. Try again when somebody has turned their video off.",
            Self::AlreadyInChannel => "You are in this channel already, in another window or on another device. Leave there first.",
            Self::NotInChannel => "You are not in a channel. Join one first.",
            Self::SessionExpired => "Your place in the call was given up. Join the channel again.",
            Self::NotFound => "What the app asked for is not there any more.",
            Self::InvalidState => "That cannot be done right now. Leave the channel and join it again.",
            Self::Incompatible => "Your browser cannot play this. Try a current version of another browser.",
            Self::RateLimited => "That was too often. Wait a moment and try again.",
            Self::LimitExceeded => "You have opened as many of these as one connection may have.",
            Self::Conflict => "There is one already, and it is another. Choose another id, or change the one there is.",
            Self::PreconditionFailed => "Somebody has changed this meanwhile. Read it again, then repeat your change.",
            Self::TransportFailed => "No media connection could be made. Check your network, VPN or firewall.",
            Self::Timeout => "The server took too long. Try again.",
            Self::ShuttingDown => "This server is about to restart. Join again in a moment.",
            Self::ServerError => "Something went wrong on the server. Try again; if it keeps happening, tell the operator.",
        }
    }
}

/// A refusal: a code of the closed list, a sentence for a person, and details a program can use.
#[derive(Clone, PartialEq, Debug, thiserror::Error, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Refusal"))]
#[error("{code:?}: {message}")]
pub struct Error {
    /// The sentence shown to a person.
    #[serde(rename = "error")]
    pub message: String,
    /// The code of the closed list.
    pub code: ErrorCode,
    /// Facts beside the code: `capability`, `current`, `max`, `retryAfterMs`, `field`, `reason`, `until`…
    pub details: Map<String, Value>,
}

impl Error {
    /// An error with the code's own sentence and no details.
    #[must_use]
    pub fn new(code: ErrorCode) -> Self {
        Self { message: code.sentence().to_owned(), code, details: Map::new() }
    }

    /// Adds one detail to the error.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }

    /// Replaces the sentence by one that fits the case better.
    #[must_use]
    pub fn say(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// A malformed payload: the sentence stays, `details` names the field and what is wrong with it.
    #[must_use]
    pub fn invalid(field: &str, reason: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest).with("field", field).with("reason", reason.into())
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        Self::new(code)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_is_listed_once_and_speaks_to_a_person() {
        let unique: HashSet<_> = ErrorCode::ALL.iter().collect();
        assert_eq!(unique.len(), ErrorCode::ALL.len());
        for code in ErrorCode::ALL.iter().copied() {
            assert!(code.sentence().ends_with('.'), "{code:?}");
            assert_eq!(serde_json::json!(code), code.as_str());
        }
    }

    #[test]
    fn an_error_serializes_to_the_three_documented_fields() {
        let error = Error::new(ErrorCode::CapabilityRequired).with("capability", "VIDEO_CALLING");
        let json = serde_json::to_value(&error).expect("serializes");
        assert_eq!(json["code"], "CAPABILITY_REQUIRED");
        assert_eq!(json["details"]["capability"], "VIDEO_CALLING");
        assert_eq!(json["error"], ErrorCode::CapabilityRequired.sentence());
    }
}
