//! A session a room has to answer, or that is in it.

use std::sync::Arc;

use parlor_proto::event::Reply;
use parlor_proto::{Error, ErrorCode, Identity};
use parlor_rooms::{Admitted, RequestId};
use tokio::sync::oneshot;

use super::Peer;

/// A session.
pub struct Entry {
    pub peer: Arc<dyn Peer>,
    /// Requests without an answer.
    pub open: Vec<RequestId>,
    pub joining: Option<Joining>,
    pub inside: bool,
}

/// A join, or a resumption, that the room has not answered.
pub struct Joining {
    pub request: RequestId,
    pub identity: Identity,
    pub admitted: Admitted,
    /// The last write that is in that.
    pub as_of: i64,
    /// Is told whether the session is in the room.
    pub outcome: oneshot::Sender<bool>,
}

/// Somebody who is in the room from now on.
pub struct Joined {
    pub request: RequestId,
    pub reply: Reply,
    pub inside: Inside,
    pub outcome: oneshot::Sender<bool>,
}

/// Who somebody in the room is, and as what they were let in.
pub struct Inside {
    pub identity: Identity,
    pub admitted: Admitted,
    /// The last write that was known when they were.
    pub as_of: i64,
}

impl Entry {
    /// A session that is not in the room.
    pub fn new(peer: Arc<dyn Peer>) -> Self {
        Self { peer, open: Vec::new(), joining: None, inside: false }
    }

    /// It wants to come in.
    pub fn begin(&mut self, joining: Joining) {
        self.open.push(joining.request);
        self.joining = Some(joining);
    }

    /// Passes an answer on. If it lets the session in, the rest is the caller's: to note that, to tell who waits, and to
    /// pass the answer on if somebody does.
    pub fn answer(&mut self, request: RequestId, result: Result<Reply, Error>) -> Option<Joined> {
        self.open.retain(|open| *open != request);
        let joining = self.joining.take_if(|joining| joining.request == request);
        match (joining, result) {
            (Some(Joining { identity, admitted, as_of, outcome, .. }), Ok(reply)) => {
                self.inside = true;
                Some(Joined { request, reply, inside: Inside { identity, admitted, as_of }, outcome })
            }
            (joining, result) => {
                self.peer.reply(request, result);
                // A refused second join of somebody who is in changes nothing.
                let _ = joining.map(|joining| joining.outcome.send(self.inside));
                None
            }
        }
    }

    /// The room answers every request, unless it broke: then this does, so that no client waits for ever.
    pub fn answer_open(&mut self) {
        for request in self.open.drain(..) {
            self.peer.reply(request, Err(Error::new(ErrorCode::NotInChannel)));
        }
        if let Some(joining) = self.joining.take() {
            let _ = joining.outcome.send(false);
        }
    }
}
