//! What goes into a room besides requests, and everything that comes out of it.

use std::sync::Arc;

use parlor_proto::event::{Event, IceSetup, Reply};
use parlor_proto::rtp::RtpCapabilities;
use parlor_proto::{Error, Identity, MediaCommand, MeshTerms, Moderation, ResumeToken, RouterId, SessionId, UserId};

use crate::access::Admitted;
use crate::connectivity::{CallSummary, ConnectionFact, StaySummary};
use crate::feed::Happening;

/// Names a request of a session, so that its reply finds the way back. The shell chooses it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RequestId(pub u64);

/// A wish to enter, with the facts the shell looked up for it.
#[derive(Clone, Debug)]
pub struct Join {
    /// The connection that asks.
    pub session: SessionId,
    /// The request to answer.
    pub request: RequestId,
    /// The identity of the user, from a verified token.
    pub identity: Identity,
    /// The role and rights with which the user was admitted.
    pub admitted: Admitted,
    /// The last write to the store that is in that.
    pub as_of: i64,
    /// The STUN and TURN servers for this user.
    pub ice: IceSetup,
    /// What the client can decode, if it said so.
    pub capabilities: Option<Arc<RtpCapabilities>>,
    /// Whether the user's other session is to be put out for it; otherwise that one is in the way.
    pub take_over: bool,
    /// What the client can do with mesh calls.
    pub mesh: MeshTerms,
    /// The dialect that the client speaks, for the log.
    pub dialect: &'static str,
}

/// A wish to go on where another connection of the same user broke off.
#[derive(Clone, Debug)]
pub struct Resume {
    /// The session of the new connection.
    pub session: SessionId,
    /// The request to answer.
    pub request: RequestId,
    /// The identity of the user, from a verified token.
    pub identity: Identity,
    /// The role and rights with which the user was admitted now.
    pub admitted: Admitted,
    /// The last write to the store that is in that.
    pub as_of: i64,
    /// The token that shows that it is the same client.
    pub token: ResumeToken,
    /// The STUN and TURN servers for this user.
    pub ice: IceSetup,
}

/// What a room wants done. Outputs are to be carried out in the order in which they come.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// The one answer to a request. The session may be gone already; then there is nobody to tell.
    Reply {
        /// The session that asked.
        session: SessionId,
        /// The request that is answered.
        request: RequestId,
        /// The reply, or the refusal.
        result: Result<Reply, Error>,
    },
    /// Something to tell some of the sessions. The list is never empty.
    Event {
        /// The sessions to tell.
        to: Vec<SessionId>,
        /// The event they are told.
        event: Event,
    },
    /// An order to the media plane, for the room's router.
    Media(RouterId, MediaCommand),
    /// Something for the host application.
    Feed(Happening),
    /// A moderator's wish, allowed and possible. The shell keeps what is to be kept (a ban, restrictions, the
    /// audit log), then calls [`crate::Room::handle_moderation`], and answers the request itself.
    Moderate {
        /// The session that asked.
        session: SessionId,
        /// What is to be answered.
        request: RequestId,
        /// The identity of the user who asked.
        by: Identity,
        /// What is to be done.
        action: Moderation,
    },
    /// The session is out of the room, or its connection is lost; nothing more is addressed to it.
    Left {
        /// The session that has left.
        session: SessionId,
    },
    /// A user was sent out of the call: what they were given for it beside the room, relays for one, is to be taken back.
    SentOut {
        /// The user.
        user: UserId,
    },
    /// What became of a connection: to be counted.
    Connection(ConnectionFact),
    /// A stay has ended: a line for the log.
    StayEnded(Box<StaySummary>),
    /// The call has ended, and every stay in it: a line for the log.
    CallEnded(CallSummary),
    /// The room is finished and answers every further join with a refusal: make a new one.
    Closed,
}

/// How many objects a room holds; all zero when nobody is in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RoomSize {
    /// How many people are in the room, also with a lost connection.
    pub participants: usize,
    /// Transports, those being made among them.
    pub transports: usize,
    /// Producers, those being made among them.
    pub producers: usize,
    /// Consumers, those being made among them.
    pub consumers: usize,
    /// Requests that wait for the media plane.
    pub pending: usize,
    /// Video slots held, and those who wait for one.
    pub slots: usize,
}
