//! `parlor serve`: runs the server until a signal asks for its end, or another process has its place.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::cli::ending;
use crate::config::Config;
use crate::http::web;
use crate::server::{Progress, STOP_WITHIN};
use crate::{Options, Server};

/// How long a start may go on after the order to stop: a start that completes can give back what it took.
const START_GRACE: Duration = Duration::from_secs(1);
/// How long the end waits for the runtime's own threads; the system's look-up of a name may take any time.
const RUNTIME_GRACE: Duration = Duration::from_millis(250);

/// Runs the server until it is told to stop, or cannot continue.
pub fn run(config: &Config, options: Options) -> anyhow::Result<()> {
    let progress = Progress::begin("the start");
    // Before anything is started, so that a signal from now on ends the server in order.
    let asked = ending::on_signal(&progress)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(config, options, asked, &progress));
    progress.enter("ending tasks");
    runtime.shutdown_timeout(RUNTIME_GRACE);
    ended
}

async fn serve(config: &Config, options: Options, mut asked: oneshot::Receiver<Instant>, progress: &Progress) -> anyhow::Result<()> {
    let mut start = Box::pin(Server::start(config, options));
    let server = tokio::select! {
        started = &mut start => started?,
        at = &mut asked => {
            let at = at.unwrap_or_else(|_| Instant::now());
            let Ok(started) = timeout_at(at + START_GRACE, start).await else {
                anyhow::bail!("told to stop before it had started");
            };
            return stop(started?, at, progress).await;
        }
    };
    if options.dev && server.http_addresses().iter().any(|address| !address.ip().is_loopback()) {
        tracing::warn!("development mode on an address that others can reach: everybody who does gets any name and the pro tier");
    }
    if !web::is_there() {
        tracing::warn!(
            "this server was built without its web app: calls work, and its page says so. `make run` builds both, \
             or `npm --prefix web ci && npm --prefix web run build` before `cargo build`"
        );
    }
    println!("Parlor is ready: {}", server.url());
    progress.enter("serving");
    let (at, lost) = tokio::select! {
        at = asked => (at.unwrap_or_else(|_| Instant::now()), None),
        why = server.lost_its_place() => {
            ending::begin(progress);
            (Instant::now(), Some(why))
        }
    };
    let stopped = stop(server, at, progress).await;
    lost.map_or(stopped, Err)
}

/// Stops the server in order within [`STOP_WITHIN`] of the moment `at`.
async fn stop(server: Server, at: Instant, progress: &Progress) -> anyhow::Result<()> {
    tracing::info!("stopping");
    let hung = server.shut_down_by(at + STOP_WITHIN, progress).await;
    anyhow::ensure!(hung.is_empty(), "media threads did not end: {}. This is a fault in Parlor.", hung.join(", "));
    Ok(())
}
