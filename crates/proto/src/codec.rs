//! The dialects: pure translations between wire messages and [`crate::Request`], [`crate::Reply`], [`crate::Event`].

pub mod call;
pub mod engineio;
pub mod envelope;
pub mod socketio;
pub mod voice;

use serde::Serialize;

use crate::error::Error;
use crate::event::{Event, Reply};
use crate::ids::ChannelId;
use crate::mesh::MeshLinks;
use crate::request::Request;

/// A dialect whose messages are JSON texts, and whose connections are for one channel each.
pub trait TextCodec: Send + Sync + 'static {
    /// The name of the dialect, for the log.
    const NAME: &'static str;

    /// Reads a message of a client, on a connection for this channel. The name is the message's type, if it is one of the
    /// dialect, and empty otherwise.
    fn decode(text: &str, channel: &ChannelId) -> (&'static str, Result<Asked, Error>);
    /// The messages that a reply is written as.
    fn encode_reply(reply: &Reply) -> Vec<String>;
    /// The refusal of a message of this type; without a type, of a connection.
    fn encode_error(name: &str, error: &Error) -> String;
    /// The message that an event is written as, if the dialect has one for it.
    fn encode_event(event: &Event) -> Option<String>;
    /// The answer to [`Asked::Ping`].
    fn pong() -> String;
    /// How a change of the call's state is written; nothing if clients of the dialect are not told of it.
    fn encode_call_state(call: &CallState<'_>) -> Option<String>;
}

/// How far a call is, for those who only look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallState<'a> {
    /// The state of whoever is furthest: `idle`, `ended`, `connecting` or `active`.
    pub room_state: &'a str,
    /// Everybody who has to do with the call.
    pub participants: Vec<CallMember<'a>>,
    /// How many links there are between those who are in.
    pub links: MeshLinks,
}

/// A person who has to do with a call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CallMember<'a> {
    /// The user's id.
    pub user_id: &'a str,
    /// The name to show.
    pub username: &'a str,
    /// How far the user is: `ended`, `connecting` or `active`.
    pub state: &'a str,
}

/// What a message asks for.
#[derive(Clone, PartialEq, Debug)]
pub enum Asked {
    /// A request, as every dialect makes them.
    Request(Request),
    /// An answer, to see that the connection works.
    Ping,
    /// Nothing: what it is for was done already.
    Nothing,
}
