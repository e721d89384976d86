//! Opening rooms: the first session that joins a channel makes its room.

use std::sync::Arc;

use parlor_proto::{Error, ErrorCode, RouterId};
use tracing::Instrument as _;

use super::handle::RoomHandle;
use super::mail::Record;
use super::registry::Registry;
use super::task::RoomTask;

/// The most rooms at the same time. Each has a task, and a router on a media thread.
const MAX_ROOMS: usize = 10_000;

impl Registry {
    /// The room of a channel. It is looked up and made under one lock, so there is never a second one.
    pub(super) fn room(self: &Arc<Self>, record: &Record) -> Result<RoomHandle, Error> {
        let mut rooms = self.rooms();
        if let Some(room) = rooms.get(&record.channel.id) {
            return Ok(room.clone());
        }
        if self.stopping.is_cancelled() || self.tasks.is_closed() {
            return Err(Error::new(ErrorCode::ShuttingDown));
        }
        if rooms.len() >= MAX_ROOMS {
            return Err(Error::new(ErrorCode::LimitExceeded).say("There are as many calls on this server as there may be."));
        }
        let placement = self.pool.place().ok_or_else(|| Error::new(ErrorCode::ServerError))?;
        let (room, inbox) = RoomHandle::local(record.channel.id.clone(), RouterId::from_random(rand::random()));
        rooms.insert(record.channel.id.clone(), room.clone());
        let task = RoomTask::new(Arc::clone(self), room.clone(), record.clone(), placement);
        // Every log line that is written for the room says which room it is, at every level, and nothing of who happened to come first.
        let span = tracing::error_span!(parent: None, "room", channel = %room.channel());
        self.tasks.spawn(task.run(inbox).instrument(span));
        Ok(room)
    }
}
