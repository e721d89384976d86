//! The channels a user is in: one at a time, over all devices. Who enters another channel leaves the one before.

use parlor_proto::{ChannelId, SessionId};

/// The channel a user is in, and those that they are on the way out of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Whereabouts {
    /// The stays, the latest last.
    stays: Vec<Stay>,
}

/// A user in a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stay {
    /// The channel somebody is in.
    pub channel: ChannelId,
    /// The session they are in it with.
    pub session: SessionId,
}

impl Whereabouts {
    /// The user is in a channel now, or goes on there with another session. Says what they are to leave for it: the last to
    /// enter stays, so that of two devices that enter two channels at once exactly one is left.
    #[must_use]
    pub fn enter(&mut self, channel: &ChannelId, session: SessionId) -> Vec<Stay> {
        self.leave(channel);
        let before = self.stays.clone();
        self.stays.push(Stay { channel: channel.clone(), session });
        before
    }

    /// The user is out of a channel.
    pub fn leave(&mut self, channel: &ChannelId) {
        self.stays.retain(|stay| stay.channel != *channel);
    }

    /// The channels they are in, also with a connection that was lost a moment ago.
    pub fn channels(&self) -> impl Iterator<Item = &ChannelId> {
        self.stays.iter().map(|stay| &stay.channel)
    }

    /// The channel a session is in.
    #[must_use]
    pub fn channel_of(&self, session: SessionId) -> Option<&ChannelId> {
        self.stays.iter().rev().find(|stay| stay.session == session).map(|stay| &stay.channel)
    }

    /// Whether a user is in no channel.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.stays.is_empty()
    }
}
