//! The state that the tasks of a feed share.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The state that the tasks of a feed share.
#[derive(Debug)]
pub struct Running {
    /// The number of the last event in the store. The sender is kept here too, so that a task which waits for a change
    /// still waits after the writer has ended.
    pub written: watch::Sender<i64>,
    /// Cancelled when no room is left: the writer writes the queued events, and ends.
    pub stopping: CancellationToken,
    /// Cancelled when nothing is written any more: couriers deliver what is in the store, and end.
    pub finishing: CancellationToken,
}
