//! The running server: its parts are started in order, and stopped in the reverse order.

mod names;
mod stop;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parlor_store::Store;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Authenticator;
use crate::config::Config;
use crate::feed::{self, Feed};
use crate::http::{self, App, DevRoutes};
use crate::ice::Ice;
use crate::media::{Pool, Told, WorkerHandle};
use crate::mirror::Mirror;
use crate::net::places::Places;
use crate::net::source::Trusted;
use crate::net::{listen, open_files};
use crate::node::Node;
use crate::rooms::Registry;
use crate::signal::{Plain, SocketIo};
use crate::{mirror, node, store, turn};

use self::names::Names;
pub use stop::{Progress, STOP_WITHIN};

/// How one run of the server behaves, beside its configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Development mode: guest tokens, channels made on first join, localhost only.
    pub dev: bool,
    /// Whether there is `POST /api/dev/crash`, which makes the media workers panic; in development mode only.
    pub crash_route: bool,
}

/// A running server. Dropping it leaves it running; [`Server::shut_down`] ends it.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    app: App,
    feed: Feed,
    node: Node,
    mirror: Option<Mirror>,
    turn: Option<Arc<turn::Service>>,
    lease: Duration,
    accepting: CancellationToken,
    connections: TaskTracker,
}

impl Server {
    /// Checks the secret, opens the ports of HTTP, the store and the ports of media, and serves. Nothing is written to
    /// the store before this process has the ports and the place of this node in the store.
    pub async fn start(config: &Config, options: Options) -> anyhow::Result<Self> {
        open_files::raise_limit();
        let authenticator = Arc::new(Authenticator::new(&config.auth, options.dev)?);
        let listeners = listen::bind(&config.http.listen, options.dev).await?;
        let redis = mirror::Link::configured(&config.redis)?;
        let store = store::open(config, options.dev).await?;
        let addresses = listeners.iter().map(|listener| listener.local_addr()).collect::<Result<Vec<_>, _>>()?;
        let port = addresses.first().map_or(0, SocketAddr::port);
        let told = Told::look_up(&config.media.announced_ip).await.map_err(anyhow::Error::msg)?;
        let pool = Arc::new(Pool::start(&config.media, &told, &addresses.iter().map(SocketAddr::port).collect::<Vec<_>>())?);
        let lease = config.store.lease();
        let announced = pool.workers().first().map(WorkerHandle::announced).unwrap_or_default();
        let begun = async {
            let mut ice = Ice::new(config, options.dev).map_err(anyhow::Error::msg)?;
            let turn = turn::start(config, &told, &ice, &pool)?;
            let listening = turn.iter().flat_map(|turn| turn.handle().udp()).collect::<Vec<_>>();
            ice.is_reached_at(&config.media.announced_ip, &announced, &listening).map_err(anyhow::Error::msg)?;
            Ok((ice, turn, take_place(config, &store, port).await?))
        };
        let (ice, turn, (node, feed)) = match begun.await {
            Ok(begun) => begun,
            Err(error) => {
                pool.end(Instant::now() + Duration::from_secs(1)).await;
                return Err(error);
            }
        };
        let store = node.store().clone();
        let registry = Registry::new(config, options.dev, Arc::clone(&pool), store.clone(), feed.handle().clone(), ice);
        let registry = Arc::new(registry.with_turn(turn.as_ref().map(|turn| turn.handle().clone())));
        let mirror = redis.map(|redis| Mirror::start(redis, &registry));
        registry.follow().await?;
        registry.show_calls();
        let socketio = SocketIo::new(Arc::clone(&authenticator), Arc::clone(&registry));
        let plain = Plain::new(Arc::clone(&authenticator), Arc::clone(&registry));
        let app = App { plain, authenticator, registry, pool, socketio, stopping: CancellationToken::new(), store };
        let dev = DevRoutes { enabled: options.dev, crash: options.dev && options.crash_route };
        let trusted = Trusted::new(&config.api.trusted_proxies, &addresses);
        let router = http::router(&app, &config.http, &config.api, &trusted, dev);
        let (accepting, connections) = (CancellationToken::new(), TaskTracker::new());
        let (places, stopping) = (Places::default(), accepting.clone());
        let shared = listen::Shared { router, places, trusted, connections: connections.clone(), stopping };
        for listener in listeners {
            connections.spawn(listen::serve(listener, shared.clone()));
        }
        let configured = config.media.announced_ip.clone();
        let names = Names { configured, told, pool: Arc::clone(&app.pool), turn: turn.clone() };
        tokio::spawn(names.follow(accepting.clone()));
        for (index, worker) in app.pool.workers().iter().enumerate() {
            tracing::debug!(worker = index, announced = ?worker.announced(), "media is reached at");
        }
        Ok(Self { addresses, app, feed, node, mirror, turn, lease, accepting, connections })
    }

    /// The addresses at which HTTP is served.
    #[must_use]
    pub fn http_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The addresses at which media is reached, as clients are told them; over UDP and TCP.
    #[must_use]
    pub fn media_addresses(&self) -> Vec<SocketAddr> {
        self.app.pool.workers().iter().flat_map(WorkerHandle::announced).collect()
    }

    /// The addresses of the embedded TURN server, each with its protocol: `udp`, `tcp` or `tls`.
    #[must_use]
    pub fn turn_addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        self.turn.iter().flat_map(|turn| turn.handle().listening()).map(|(protocol, address)| (turn::name(*protocol), *address)).collect()
    }

    /// The address to open in a browser.
    #[must_use]
    pub fn url(&self) -> String {
        let address = self.addresses.first().copied();
        match address {
            Some(address) if address.ip().is_unspecified() || address.ip().is_loopback() => format!("http://localhost:{}", address.port()),
            Some(address) => format!("http://{address}"),
            None => String::new(),
        }
    }

    /// A token for a user, as the host application would make it.
    pub fn issue_token(&self, user: &str, name: Option<&str>, pro: bool) -> Result<String, parlor_proto::Error> {
        self.app.authenticator.issue(user, name, pro)
    }

    /// Waits until another process has taken this node's place in the store, and returns the reason to end. From then
    /// on nothing is written; [`Server::shut_down`] tells people in calls to join again.
    pub async fn lost_its_place(&self) -> anyhow::Error {
        self.node.lost().await;
        node::superseded(self.lease)
    }

    /// Closes the store under the running server: tests show with it what survives, and what does not happen without a store.
    #[doc(hidden)]
    pub async fn close_store(&self) {
        self.app.store.close().await;
    }

    /// Makes all media workers panic: tests show with it what survives.
    #[doc(hidden)]
    pub async fn crash_media(&self) {
        for worker in self.app.pool.workers() {
            worker.crash().await;
        }
    }

    /// Makes one media worker panic.
    #[doc(hidden)]
    pub async fn crash_media_worker(&self, index: usize) {
        if let Some(worker) = self.app.pool.workers().get(index) {
            worker.crash().await;
        }
    }

    /// Makes the TURN server panic.
    #[doc(hidden)]
    pub fn crash_turn(&self) {
        if let Some(turn) = &self.turn {
            turn.handle().crash();
        }
    }

    /// How many panics the media workers survived.
    #[must_use]
    pub fn media_restarts(&self) -> u64 {
        let restarts = |worker: &crate::media::WorkerHandle| worker.counters().restarts.load(std::sync::atomic::Ordering::Relaxed);
        self.app.pool.workers().iter().map(restarts).sum()
    }
}

/// Takes the place of this node in the store, writes the configured channels there, and begins the feed.
async fn take_place(config: &Config, store: &Store, port: u16) -> anyhow::Result<(Node, Feed)> {
    let shared = config.store.is_shared();
    let name = feed::node_name(&config.feed, shared, port);
    let node = Node::take(store, &name, shared, config.store.lease()).await?;
    let begin = feed::Start { node: &name, shared, feed: &config.feed, webhooks: &config.webhooks };
    let begun = async {
        store::configure(node.store(), config).await?;
        Feed::start(node.store(), &begin).await
    };
    match begun.await {
        Ok(feed) => Ok((node, feed)),
        Err(error) => {
            node.give_back().await;
            Err(error)
        }
    }
}
