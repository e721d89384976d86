//! What a dialect does for its sessions. All else about a session is the same for every dialect.

use parlor_proto::event::Reply;
use parlor_proto::{Error, Request};

use crate::rooms::Broadcast;

/// The way to one client, in the words of its dialect.
///
/// What sends never waits, and answers whether there was room: who lets its queue fill up does not read.
pub trait Wire: Send + Sync + 'static {
    /// What an answer needs to find its way to the request it is for.
    type Tag: Send + 'static;

    /// What the dialect calls the request, for the log.
    fn name(tag: &Self::Tag) -> &str;
    /// Answers a request.
    fn reply(&self, tag: Self::Tag, reply: &Reply) -> bool;
    /// Refuses a request.
    fn refuse(&self, tag: Self::Tag, error: &Error) -> bool;
    /// Tells something the client did not ask for.
    fn push(&self, broadcast: &Broadcast) -> bool;
    /// Closes the connection.
    fn close(&self, closing: Closing);
}

/// Why a server closes a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Closing {
    /// All was said, and the client was told that it is out.
    Goodbye,
    /// The client breaks the rules, or does not read.
    CutOff,
    /// The server goes away: the client is to come back by itself, so nothing is said in its dialect.
    Restart,
}

/// A request that a dialect read, or why it could not.
pub type Asked = Result<Request, Error>;
