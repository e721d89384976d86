//! Mail: what a room is told and what it answers. All of it is plain data, addressed by session and channel, so that a
//! room and those who write to it need not be in one process.

use std::time::Duration;

use parlor_proto::{Actor, Channel, Error, Moderation, Participant, Request, ResumeToken, SessionId, UserId};
use parlor_rooms::{Join, RequestId, Resume};
use parlor_store::Found;
use tokio::sync::oneshot;

/// For how long a connection is asked for a sign of life until it counts as broken.
pub const HEARTBEAT: Duration = Duration::from_secs(8);

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Ending {
    /// The connection broke. The client may come back and continue.
    #[default]
    Lost,
    /// Nothing was heard on the connection for [`HEARTBEAT`]. The client may come back as after [`Ending::Lost`].
    Silent,
    /// The connection was closed as by a page, or a proxy, that goes away: the client comes back at once, or not at all.
    Away,
    /// The server closed the connection because it would take no more from the client.
    CutOff,
    /// The client said goodbye.
    Goodbye,
}

/// What a room is told.
#[derive(Clone, Debug)]
pub enum Mail {
    /// Somebody wants to enter, and `record` is what was looked up for them. The answer is [`Answer::Inside`]; there is
    /// none if the room closes first, or if the record is outdated: then it is to be looked up again.
    Join { join: Box<Join>, record: Box<Record> },
    /// Somebody wants to continue where their last connection broke. The room answers as it answers [`Mail::Join`].
    Resume { resume: Box<Resume>, record: Box<Record> },
    /// Asks whether there is a stay to resume for this user and token. The answer is [`Answer::Yes`].
    HasStay { user: UserId, token: ResumeToken },
    /// A session asks for something. The answer goes to the session.
    Request { session: SessionId, request: RequestId, body: Request },
    /// A session is gone. The answer is [`Answer::Yes`] with whether the session was in the room.
    Disconnect { session: SessionId, ending: Ending },
    /// A moderator's act whose lasting part is in the store already. `news` is false if everything was so before;
    /// `answer` is the request to answer, if a session asked. The answer is [`Answer::Done`].
    Moderate { action: Moderation, by: Actor, news: bool, answer: Option<(SessionId, RequestId)> },
    /// A moderator's request failed and is to be refused.
    Refuse { session: SessionId, request: RequestId, error: Error },
    /// What the store has of a user and the channel now; `None` if the channel is gone. The answer is [`Answer::Done`].
    Facts { user: UserId, found: Option<Box<Found>> },
    /// The channel's record changed. The answer is [`Answer::Users`].
    Channel { record: Box<Record> },
    /// A ban was written with this number, and may have been lifted since: a user who was let in before is put out. The
    /// answer is [`Answer::Done`].
    Banned { seq: i64, ban: Moderation },
    /// The channel was removed by the write with this number: everybody is put out, unless the channel was made anew
    /// since. The answer is [`Answer::Done`].
    Removed { seq: i64 },
    /// The user of a session has joined another channel with another session.
    MovedDevice { session: SessionId },
    /// Asks for the channel on behalf of a session. The answer is [`Answer::Channel`].
    ChannelOf { session: SessionId },
    /// Asks for the participants as others see them. The answer is [`Answer::Participants`].
    Show,
}

/// What a room answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Whether the session is in the room.
    Inside(bool),
    /// Whether what was asked is true.
    Yes(bool),
    /// The mail was carried out.
    Done,
    /// The users in the room.
    Users(Vec<UserId>),
    /// The channel as it is now; `None` if the session is not in the room.
    Channel(Option<Box<Channel>>),
    /// The participants in the room, as others see them.
    Participants(Vec<Participant>),
}

/// The place where the answer to a letter goes; empty if nobody waits for one.
#[derive(Debug, Default)]
pub struct ReplyTo(Option<oneshot::Sender<Answer>>);

/// A letter to a room.
#[derive(Debug)]
pub struct Letter {
    pub mail: Mail,
    pub reply_to: ReplyTo,
}

/// The record of a channel as it was read from the store.
#[derive(Clone, Debug)]
pub struct Record {
    pub channel: Channel,
    /// The number of the write that made the channel: a later channel of the same id has another number.
    pub made: i64,
    /// The number of the last write the record includes.
    pub as_of: i64,
}

impl ReplyTo {
    /// Makes a place for one answer, and the receiver of that answer.
    pub(super) fn new() -> (Self, oneshot::Receiver<Answer>) {
        let (sender, answer) = oneshot::channel();
        (Self(Some(sender)), answer)
    }

    /// Sends the answer. Returns false if nobody waits for it any more.
    pub fn answer(self, answer: Answer) -> bool {
        self.0.is_some_and(|sender| sender.send(answer).is_ok())
    }

    /// Whether the sender of the letter has given up waiting.
    pub fn is_given_up(&self) -> bool {
        self.0.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}
