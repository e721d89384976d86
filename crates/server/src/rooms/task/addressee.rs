//! Addressees: the sessions that are in a room, or that the room owes an answer.

use std::sync::Arc;

use parlor_proto::event::Reply;
use parlor_proto::{Error, ErrorCode, RouterId};
use parlor_rooms::RequestId;

use crate::rooms::mail::{Answer, ReplyTo};
use crate::rooms::peer::Peer;

/// A session, and the answers it waits for.
pub struct Addressee {
    pub peer: Arc<dyn Peer>,
    /// Requests that have no answer yet.
    pub open: Vec<RequestId>,
    pub joining: Option<Joining>,
    pub inside: bool,
}

/// A join, or a resumption, that the room has not answered.
pub struct Joining {
    pub request: RequestId,
    /// Where to say whether the session is in the room.
    pub reply_to: ReplyTo,
}

/// A session that is in the room from now on.
pub struct Joined {
    pub request: RequestId,
    pub reply: Reply,
    pub reply_to: ReplyTo,
}

impl Addressee {
    /// A session that is not in the room.
    pub fn new(peer: Arc<dyn Peer>) -> Self {
        Self { peer, open: Vec::new(), joining: None, inside: false }
    }

    /// Notes that the session wants to come in.
    pub fn begin(&mut self, joining: Joining) {
        self.open.push(joining.request);
        self.joining = Some(joining);
    }

    /// Passes an answer of a room on. If the answer lets the session in, it is returned instead: the caller notes the
    /// entry, tells the waiting join, and passes the answer on if the join still waits.
    pub fn answer(&mut self, room: RouterId, request: RequestId, result: Result<Reply, Error>) -> Option<Joined> {
        self.open.retain(|open| *open != request);
        let joining = self.joining.take_if(|joining| joining.request == request);
        match (joining, result) {
            (Some(Joining { reply_to, .. }), Ok(reply)) => {
                self.inside = true;
                return Some(Joined { request, reply, reply_to });
            }
            (None, Ok(reply)) => self.peer.reply(room, request, reply),
            (joining, Err(error)) => {
                self.peer.refuse(request, error);
                // A refused second join of a session that is in changes nothing.
                joining.map(|joining| joining.reply_to.answer(Answer::Inside(self.inside)));
            }
        }
        None
    }

    /// Answers the open requests. The room answers every request unless it broke; then this does, so that no client waits for ever.
    pub fn answer_open(&mut self) {
        for request in self.open.drain(..) {
            self.peer.refuse(request, Error::new(ErrorCode::NotInChannel));
        }
        if let Some(joining) = self.joining.take() {
            joining.reply_to.answer(Answer::Inside(false));
        }
    }
}
