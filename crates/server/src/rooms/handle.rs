//! The handle through which others reach a room. The room is in this process; nobody who writes to a handle depends on that.

use parlor_proto::{Channel, ChannelId, Request, RouterId, SessionId};
use parlor_rooms::RequestId;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::rooms::mail::{Answer, Ending, Letter, Mail, ReplyTo};

/// The most letters that wait for a room. Each session has at most a handful outstanding; a session that sends more waits.
const MAILBOX: usize = 256;

/// The handle of a room.
#[derive(Clone, Debug)]
pub struct RoomHandle {
    channel: ChannelId,
    /// Tells this room apart from the rooms that the channel had before, and will have.
    router: RouterId,
    mailbox: mpsc::Sender<Letter>,
}

/// Why a room did not say whether a session is in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unanswered {
    /// The room closed first, or could not judge by the records that were looked up for it.
    Closed,
    /// The deadline passed. The session is not in the room, and will not be.
    TooLate,
}

impl RoomHandle {
    /// Makes the handle of a room in this process, and the receiver of the room's mail.
    pub(super) fn local(channel: ChannelId, router: RouterId) -> (Self, mpsc::Receiver<Letter>) {
        let (mailbox, inbox) = mpsc::channel(MAILBOX);
        (Self { channel, router, mailbox }, inbox)
    }

    /// The channel this is the room of.
    pub const fn channel(&self) -> &ChannelId {
        &self.channel
    }

    /// The room's router, which no other room ever has.
    pub const fn router(&self) -> RouterId {
        self.router
    }

    /// Passes a request on. Returns false if the room is gone.
    pub async fn request(&self, session: SessionId, request: RequestId, body: Request) -> bool {
        self.send(Mail::Request { session, request, body }).await
    }

    /// The channel as it is now, for a session that is in the room; `None` if it is not, or the room is gone.
    pub async fn channel_of(&self, session: SessionId) -> Option<Channel> {
        match self.ask(Mail::ChannelOf { session }).await {
            Some(Answer::Channel(channel)) => channel.map(|channel| *channel),
            _ => None,
        }
    }

    /// Takes a session out of the room and waits until that is done. Returns whether it was in. A session that only
    /// lost its connection may be resumed.
    pub async fn disconnect(&self, session: SessionId, ending: Ending) -> bool {
        matches!(self.ask(Mail::Disconnect { session, ending }).await, Some(Answer::Yes(true)))
    }

    /// Sends mail that needs no answer. Returns false if the room is gone.
    pub(super) async fn send(&self, mail: Mail) -> bool {
        self.mailbox.send(Letter { mail, reply_to: ReplyTo::default() }).await.is_ok()
    }

    /// Sends mail and waits for the answer. There is none if the room is gone.
    pub(super) async fn ask(&self, mail: Mail) -> Option<Answer> {
        let (reply_to, answer) = ReplyTo::new();
        self.mailbox.send(Letter { mail, reply_to }).await.ok()?;
        answer.await.ok()
    }

    /// How many letters wait for the room.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.mailbox.max_capacity() - self.mailbox.capacity()
    }

    /// Asks the room to let a session in, and waits for its word until the deadline. After the deadline the room cannot
    /// let the session in any more, so that both always agree on whether it is in.
    pub(super) async fn enter(&self, mail: Mail, deadline: Instant) -> Result<bool, Unanswered> {
        let (reply_to, mut answer) = ReplyTo::new();
        let letter = Letter { mail, reply_to };
        match timeout_at(deadline, self.mailbox.send(letter)).await {
            Ok(sent) => sent.map_err(|_| Unanswered::Closed)?,
            Err(_) => return Err(Unanswered::TooLate),
        }
        let answered = match timeout_at(deadline, &mut answer).await {
            Ok(answer) => answer.map_err(|_| Unanswered::Closed)?,
            Err(_) => {
                answer.close();
                // The answer may have come at the last moment.
                answer.try_recv().map_err(|_| Unanswered::TooLate)?
            }
        };
        Ok(matches!(answered, Answer::Inside(true)))
    }
}
