//! Mail: what a room is told and what it answers. All of it is plain data, addressed by session and channel, so that a room need
//! not be in the process of those who write to it.

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
    /// It broke. The client may come back and go on.
    #[default]
    Lost,
    /// Nothing was heard of it for [`HEARTBEAT`]; the client may come back as after [`Ending::Lost`].
    Silent,
    /// It was closed as a page that goes away closes it, and a proxy that does: the client comes back at once, or not.
    Away,
    /// We would not have any more of it.
    CutOff,
    /// The client said goodbye.
    Goodbye,
}

/// What a room is told.
#[derive(Clone, Debug)]
pub enum Mail {
    /// Somebody wants to enter, with what was looked up for them. The answer is [`Answer::Inside`]; none comes if the room closes
    /// first, or if what was looked up does not hold any more: then it is to be looked up again.
    Join { join: Box<Join>, record: Box<Record> },
    /// Somebody wants to go on where their last connection broke. Answered as a join is.
    Resume { resume: Box<Resume>, record: Box<Record> },
    /// Asks whether there is something to go on with for this user and token: [`Answer::Yes`].
    HasStay { user: UserId, token: ResumeToken },
    /// A session asks for something. The answer goes to the session.
    Request { session: SessionId, request: RequestId, body: Request },
    /// A session is gone. [`Answer::Yes`] says whether it was in the room.
    Disconnect { session: SessionId, ending: Ending },
    /// Somebody moderates, and what is to be kept of it is kept; it is no `news` if all was so already. `answer` is whose
    /// request that was. [`Answer::Done`].
    Moderate { action: Moderation, by: Actor, news: bool, answer: Option<(SessionId, RequestId)> },
    /// A moderator's wish that failed.
    Refuse { session: SessionId, request: RequestId, error: Error },
    /// What the store has of a user and the channel now; nothing if there is no such channel any more. [`Answer::Done`].
    Facts { user: UserId, found: Option<Box<Found>> },
    /// The channel's record changed; asks for who is here: [`Answer::Users`].
    Channel { record: Box<Record> },
    /// A ban was written with this number, and may have been lifted since: who was let in before is put out. [`Answer::Done`].
    Banned { seq: i64, ban: Moderation },
    /// The channel was removed with the write of this number: puts everybody out, unless it was made anew since.
    /// [`Answer::Done`].
    Removed { seq: i64 },
    /// The user of a session has joined another channel, with another one.
    MovedDevice { session: SessionId },
    /// Asks who is here, as they show themselves: [`Answer::Participants`].
    Show,
}

/// What a room answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Whether the session is in the room.
    Inside(bool),
    /// Whether it is so.
    Yes(bool),
    /// It is carried out.
    Done,
    /// Who is here.
    Users(Vec<UserId>),
    /// Who is here, as they show themselves.
    Participants(Vec<Participant>),
}

/// Where the answer to a letter goes; nowhere, if nobody waits for one.
#[derive(Debug, Default)]
pub struct ReplyTo(Option<oneshot::Sender<Answer>>);

/// A letter to a room.
#[derive(Debug)]
pub struct Letter {
    pub mail: Mail,
    pub reply_to: ReplyTo,
}

/// A channel as it was found.
#[derive(Clone, Debug)]
pub struct Record {
    pub channel: Channel,
    /// The write that made it: another channel of the same id has another number.
    pub made: i64,
    /// The last write that is in it.
    pub as_of: i64,
}

impl ReplyTo {
    /// A place for one answer, and where it comes out.
    pub(super) fn new() -> (Self, oneshot::Receiver<Answer>) {
        let (sender, answer) = oneshot::channel();
        (Self(Some(sender)), answer)
    }

    /// Answers. False if nobody waits for it any more.
    pub fn answer(self, answer: Answer) -> bool {
        self.0.is_some_and(|sender| sender.send(answer).is_ok())
    }

    /// Whether whoever asked has given up.
    pub fn is_given_up(&self) -> bool {
        self.0.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}
