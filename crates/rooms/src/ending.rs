//! Why something ends, for each of those who want to know.

use parlor_proto::event::{CloseReason, LeftReason};
use parlor_proto::{ChannelId, Error, ErrorCode};

use crate::feed;
use crate::output::RequestId;

/// The reason why objects are closed, as it is answered, told and recorded.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    /// What requests that wait for them are answered with.
    pub(crate) error: Error,
    /// What the participants are told.
    pub(crate) told: Option<CloseReason>,
    /// What the host application is told.
    pub(crate) feed: &'static str,
}

impl Ending {
    /// The media plane lost it, or could not do it.
    pub(crate) fn media(error: Error) -> Self {
        Self { error, told: Some(CloseReason::Media), feed: CloseReason::Media.as_str() }
    }
}

/// The way in which a participant leaves the room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Departure {
    /// They asked to leave, and the request is to be answered.
    Left(RequestId),
    /// They said goodbye to this connection, or go to another channel.
    Goodbye,
    /// The connection is gone.
    Disconnected,
    /// Their user came back on another connection, and not to resume.
    Replaced,
    /// Somebody else decided it, perhaps with another channel to go to.
    PutOut(LeftReason, Option<ChannelId>),
}

impl Departure {
    /// What it means for the objects of the one who goes.
    pub(crate) fn ending(&self) -> Ending {
        let moderated =
            matches!(self, Self::PutOut(LeftReason::Kicked | LeftReason::Banned | LeftReason::Moved | LeftReason::CallEnded, _));
        let told = moderated.then_some(CloseReason::Moderation);
        Ending { error: Error::new(ErrorCode::NotInChannel), told, feed: self.reason() }
    }

    /// What the host application is told.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Left(_) | Self::Goodbye => feed::LEFT,
            Self::Disconnected => feed::DISCONNECTED,
            Self::Replaced => LeftReason::Replaced.as_str(),
            Self::PutOut(reason, _) => reason.as_str(),
        }
    }
}
