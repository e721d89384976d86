//! The interface that a dialect implements for its sessions. Everything else about a session is the same for every dialect.

use parlor_proto::event::Reply;
use parlor_proto::{Error, Request};

use crate::rooms::Broadcast;

/// The way to one client, in the messages of its dialect.
///
/// Sending never waits, and returns whether there was room: a client that lets its queue fill up does not read.
pub trait Wire: Send + Sync + 'static {
    /// The data that an answer needs to find its way to its request.
    type Tag: Send + 'static;

    /// The name of the dialect, for the log.
    const DIALECT: &'static str;

    /// The name of the request in the dialect, for the log.
    fn name(tag: &Self::Tag) -> &str;
    /// Answers a request.
    fn reply(&self, tag: Self::Tag, reply: &Reply) -> bool;
    /// Refuses a request.
    fn refuse(&self, tag: Self::Tag, error: &Error) -> bool;
    /// Sends an event that the client did not ask for.
    fn push(&self, broadcast: &Broadcast) -> bool;
    /// Closes the connection.
    fn close(&self, closing: Closing);
}

/// The reason why a server closes a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Closing {
    /// The user was signed out: the token the client came with is void.
    SignedOut,
    /// The client breaks the rules, or does not read.
    CutOff,
    /// The server goes away. The client is to come back by itself, so the dialect says nothing.
    Restart,
}

/// A request that a dialect read, or the error that kept it from reading one.
pub type Asked = Result<Request, Error>;
