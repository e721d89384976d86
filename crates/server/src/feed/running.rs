//! What the tasks of a feed tell each other.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What the tasks of a feed share.
#[derive(Debug)]
pub struct Running {
    /// The number of the last event in the store. Kept here too, so that who waits for a change waits on when the
    /// writer has ended.
    pub written: watch::Sender<i64>,
    /// No room is left: the writer writes what is queued, and ends.
    pub stopping: CancellationToken,
    /// Nothing is written any more: couriers deliver what is there, and end.
    pub finishing: CancellationToken,
}
