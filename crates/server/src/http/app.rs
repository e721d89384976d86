//! The state that all HTTP handlers share.

use std::sync::Arc;

use parlor_store::Store;
use tokio_util::sync::CancellationToken;

use crate::auth::Authenticator;
use crate::media::Pool;
use crate::rooms::Registry;
use crate::signal::{Plain, SocketIo};

/// The state that all HTTP handlers share.
#[derive(Clone, Debug)]
pub struct App {
    /// Verifies and, in development mode, issues tokens.
    pub authenticator: Arc<Authenticator>,
    /// The rooms of this process.
    pub registry: Arc<Registry>,
    /// The media threads.
    pub pool: Arc<Pool>,
    /// The signaling connections.
    pub socketio: SocketIo,
    /// The signaling connections of the other dialects.
    pub plain: Plain,
    /// Cancelled when the server stops: it is not ready for new clients then.
    pub stopping: CancellationToken,
    /// The store of channels and people.
    pub store: Store,
}

/// Routes that exist only in development mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DevRoutes {
    /// Whether there are tokens and counters for everybody.
    pub enabled: bool,
    /// Whether there is a route that makes a media worker panic.
    pub crash: bool,
}
