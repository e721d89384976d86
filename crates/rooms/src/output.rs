//! What goes into a room besides requests, and everything that comes out of it.

use std::sync::Arc;

use parlor_proto::event::{Event, Reply, RtcConfig};
use parlor_proto::rtp::RtpCapabilities;
use parlor_proto::{Error, Identity, MediaCommand, SessionId};

/// Names a request of a session, so that its reply finds the way back. The shell chooses it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RequestId(pub u64);

/// A wish to enter, with the facts the shell looked up for it.
#[derive(Clone, Debug)]
pub struct Join {
    /// The connection that asks.
    pub session: SessionId,
    /// Its request.
    pub request: RequestId,
    /// Who it is, from a verified token.
    pub identity: Identity,
    /// Whether the channel has banned this user.
    pub banned: bool,
    /// The STUN and TURN servers for this user.
    pub rtc_config: RtcConfig,
    /// What the client can decode, if it said so.
    pub capabilities: Option<Arc<RtpCapabilities>>,
}

/// What a room wants done. Outputs are to be carried out in the order in which they come.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// The one answer to a request. The session may be gone already; then there is nobody to tell.
    Reply {
        /// Who asked.
        session: SessionId,
        /// What is answered.
        request: RequestId,
        /// How it went.
        result: Result<Reply, Error>,
    },
    /// Something to tell some of the sessions. The list is never empty.
    Event {
        /// To whom.
        to: Vec<SessionId>,
        /// What.
        event: Event,
    },
    /// An order to the media plane.
    Media(MediaCommand),
    /// The session is out of the room; nothing more is addressed to it.
    Left {
        /// Which.
        session: SessionId,
    },
    /// The room is finished and answers every further join with a refusal: make a new one.
    Closed,
}
