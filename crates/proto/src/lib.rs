//! Parlor's vocabulary: ids, requests, events, errors, media parameters and the codecs of the dialects.
//!
//! Everything here is plain data: no I/O, no clock, no randomness. The rules of a room (`parlor-rooms`) and
//! the media plane (`parlor-sfu`) share this crate and nothing else.

#![forbid(unsafe_code)]

pub mod channel;
pub mod codec;
pub mod connection;
pub mod error;
pub mod event;
pub mod ids;
pub mod limits;
pub mod media;
mod media_kind;
pub mod mesh;
pub mod moderation;
pub mod people;
pub mod request;
pub mod rtp;
pub mod time;
pub mod transport;

pub use channel::{Access, Channel, ChannelKind, E2eePolicy, Privacy, RecordingPolicy, Tier, Topology, Window};
pub use connection::{Candidates, ConnectionReport};
pub use error::{Culprit, Error, ErrorCode};
pub use event::{Event, EventKind, Joined, Participant, ParticipantState, ProducerInfo, Reply, ReplyKind, Resumed};
pub use ids::{ChannelId, ConsumerId, PeerId, ProducerId, ResumeToken, RouterId, SessionId, TransportId, UserId};
pub use media::{MediaCommand, MediaEvent, MediaKind, Source};
pub use mesh::{MeshLinks, MeshPeer, MeshTerms, Offers, Side, Signal, Target};
pub use moderation::{Actor, Moderation, ModerationAction, Restrictions};
pub use people::{Entitlement, Grant, GrantRole, Identity, Invitation, MemberRole, Permissions, Role};
pub use request::{Connection, Request, RequestKind};
pub use time::Timestamp;
