//! What request handlers share.

use std::sync::Arc;

use parlor_store::Store;
use tokio_util::sync::CancellationToken;

use crate::auth::Authenticator;
use crate::media::Pool;
use crate::rooms::Registry;
use crate::signal::SocketIo;

/// What request handlers share.
#[derive(Clone, Debug)]
pub struct App {
    /// Verifies and, in development mode, issues tokens.
    pub authenticator: Arc<Authenticator>,
    /// The rooms.
    pub registry: Arc<Registry>,
    /// The media threads.
    pub pool: Arc<Pool>,
    /// The signaling connections.
    pub socketio: SocketIo,
    /// The server stops: not ready for new clients.
    pub stopping: CancellationToken,
    /// Channels, and what is known of people.
    pub store: Store,
}

/// Which routes there are beyond those that always are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DevRoutes {
    /// Tokens and counters for everybody.
    pub enabled: bool,
    /// A worker can be made to panic.
    pub crash: bool,
}
