//! What the host application is told of a room, in an order it can trust: every beginning has one end.

use std::collections::BTreeMap;

use parlor_proto::{Actor, MediaKind, Moderation, ProducerId, SessionId, Source, UserId};

/// Something that happened in a room.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "each field is what its name says")]
pub enum Happening {
    /// The first participant comes in.
    RoomStarted,
    /// Nobody is in it any more: the last that is told of this room.
    RoomEnded,
    /// Somebody came. `session` names this stay, also after it was resumed on another connection.
    ParticipantJoined { user: UserId, name: String, session: SessionId },
    /// Somebody went, after all their producers stopped.
    ParticipantLeft { user: UserId, name: String, session: SessionId, reason: &'static str },
    /// Somebody sends a new track.
    ProducerStarted { user: UserId, producer: ProducerId, kind: MediaKind, source: Source },
    /// A producer was closed.
    ProducerStopped { user: UserId, producer: ProducerId, kind: MediaKind, source: Source, reason: &'static str },
    /// An act of moderation took effect.
    Moderation { by: Actor, action: Moderation },
}

/// Somebody left by request.
pub const LEFT: &str = "left";
/// A connection was lost and did not come back in time.
pub const DISCONNECTED: &str = "disconnected";
/// A producer was closed by its owner.
pub const CLOSED: &str = "closed";

/// The account of one room: what began and has not ended. Whoever loses a room half-way (a panic, a crash) can
/// tell with it what is owed.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    started: bool,
    ended: bool,
    present: BTreeMap<SessionId, (UserId, String)>,
    producers: BTreeMap<ProducerId, (UserId, MediaKind, Source)>,
}

impl Ledger {
    /// Takes in what happened. An error says what does not follow from what happened before.
    pub fn note(&mut self, happening: &Happening) -> Result<(), &'static str> {
        if self.ended {
            return Err("something happened in a room that had ended");
        }
        match happening {
            Happening::RoomStarted => check(!std::mem::replace(&mut self.started, true), "a room started twice"),
            Happening::RoomEnded => {
                self.ended = true;
                check(self.started, "a room ended that had not started")?;
                check(self.present.is_empty() && self.producers.is_empty(), "a room ended with somebody in it")
            }
            Happening::ParticipantJoined { user, name, session } => {
                check(self.started, "somebody joined before the room started")?;
                check(self.present.insert(*session, (user.clone(), name.clone())).is_none(), "a session joined twice")
            }
            Happening::ParticipantLeft { user, session, .. } => {
                check(self.present.remove(session).is_some_and(|(present, _)| present == *user), "somebody left who was not there")?;
                check(self.producers.values().all(|(owner, ..)| owner != user), "somebody left whose producers go on")
            }
            Happening::ProducerStarted { user, producer, kind, source } => {
                check(self.present.values().any(|(present, _)| present == user), "a producer started of somebody who is not there")?;
                check(self.producers.insert(*producer, (user.clone(), *kind, *source)).is_none(), "a producer started twice")
            }
            Happening::ProducerStopped { user, producer, kind, source, .. } => {
                check(self.producers.remove(producer) == Some((user.clone(), *kind, *source)), "a producer stopped that had not started")
            }
            Happening::Moderation { .. } => Ok(()),
        }
    }

    /// What is still to be told so that every beginning has its end.
    #[must_use]
    pub fn owed(&self, reason: &'static str) -> Vec<Happening> {
        if !self.started || self.ended {
            return Vec::new();
        }
        let stopped = |(producer, (user, kind, source)): (&ProducerId, &(UserId, MediaKind, Source))| Happening::ProducerStopped {
            user: user.clone(),
            producer: *producer,
            kind: *kind,
            source: *source,
            reason,
        };
        let left = |(session, (user, name)): (&SessionId, &(UserId, String))| Happening::ParticipantLeft {
            user: user.clone(),
            name: name.clone(),
            session: *session,
            reason,
        };
        let ends = self.producers.iter().map(stopped).chain(self.present.iter().map(left));
        ends.chain([Happening::RoomEnded]).collect()
    }
}

fn check(right: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if right { Ok(()) } else { Err(otherwise) }
}
