//! The way to a room. It leads into this process; who writes to a room does not depend on that.

use parlor_proto::{ChannelId, Request, RouterId, SessionId};
use parlor_rooms::RequestId;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::rooms::mail::{Answer, Ending, Letter, Mail, ReplyTo};

/// Letters that wait for a room. Each session has at most a handful outstanding; who sends more waits.
const MAILBOX: usize = 256;

/// The way to a room.
#[derive(Clone, Debug)]
pub struct RoomHandle {
    channel: ChannelId,
    /// Tells it apart from the rooms that the channel had before, and will have.
    router: RouterId,
    mailbox: mpsc::Sender<Letter>,
}

/// Why a room did not say whether a session is in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unanswered {
    /// It closed first, or could not judge by what was looked up before.
    Closed,
    /// The time was up. The session is not in, and will not be.
    TooLate,
}

impl RoomHandle {
    /// The way to a room of this process, and the end where its mail comes out.
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

    /// Passes a request on; false if the room is gone.
    pub async fn request(&self, session: SessionId, request: RequestId, body: Request) -> bool {
        self.send(Mail::Request { session, request, body }).await
    }

    /// Takes a session out and waits until it is; says whether it was in. One that is only lost may be resumed.
    pub async fn disconnect(&self, session: SessionId, ending: Ending) -> bool {
        matches!(self.ask(Mail::Disconnect { session, ending }).await, Some(Answer::Yes(true)))
    }

    /// Sends what needs no answer; false if the room is gone.
    pub(super) async fn send(&self, mail: Mail) -> bool {
        self.mailbox.send(Letter { mail, reply_to: ReplyTo::default() }).await.is_ok()
    }

    /// Asks, and waits for the answer; none comes if the room is gone.
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

    /// Asks to be let in, and waits for the room's word until the deadline. From then on the room cannot give it any
    /// more, and keeps the session out; so both always agree on whether it is in.
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
                // It may have come at the last moment.
                answer.try_recv().map_err(|_| Unanswered::TooLate)?
            }
        };
        Ok(matches!(answered, Answer::Inside(true)))
    }
}
