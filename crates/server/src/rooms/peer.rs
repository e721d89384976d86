//! The interface through which rooms see a session, whatever dialect it speaks and wherever it is connected.

use std::any::Any;
use std::sync::{Mutex, PoisonError};

use parlor_proto::event::{Event, Reply};
use parlor_proto::{Error, RouterId, SessionId};
use parlor_rooms::RequestId;

/// A session that receives answers and events of rooms. No method here waits.
///
/// Rooms are named by their router. A session is in the room that let it in last, and is told nothing by any other: it is out of a room
/// from the moment at which it is told to be in another, however long it takes until the first room knows.
pub trait Peer: Send + Sync + 'static {
    /// The session's id.
    fn id(&self) -> SessionId;
    /// Answers a request, from a room. An answer to a request that has one already, or that was never made, changes nothing.
    fn reply(&self, room: RouterId, request: RequestId, reply: Reply);
    /// Refuses a request.
    fn refuse(&self, request: RequestId, error: Error);
    /// Sends an event of a room, which the session did not ask for.
    fn push(&self, room: RouterId, broadcast: &Broadcast);
    /// Tells the client that its user was signed out, and closes the connection.
    fn close(&self);
}

/// An event for several sessions, encoded once for each dialect among them.
#[derive(Debug)]
pub struct Broadcast {
    event: Event,
    /// The encoded event of each dialect; each dialect has a type of its own.
    encoded: Mutex<Vec<Box<dyn Any + Send>>>,
}

impl Broadcast {
    /// Wraps an event.
    #[must_use]
    pub const fn new(event: Event) -> Self {
        Self { event, encoded: Mutex::new(Vec::new()) }
    }

    /// What a dialect needs to know of the event besides its encoded form.
    pub fn of<T>(&self, read: impl FnOnce(&Event) -> T) -> T {
        read(&self.event)
    }

    /// The event as a dialect sends it; `encode` makes it the first time. The type `T` belongs to that dialect alone.
    pub fn encoded<T: Clone + Send + 'static>(&self, encode: impl FnOnce(&Event) -> T) -> T {
        let mut all = self.encoded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = all.iter().find_map(|made| made.downcast_ref::<T>()) {
            return made.clone();
        }
        let made = encode(&self.event);
        all.push(Box::new(made.clone()));
        made
    }
}
