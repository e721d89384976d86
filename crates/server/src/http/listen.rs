//! Listening: where, how many connections, and how they end.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::guard::StallGuard;
use crate::config::HTTP_PORT;

/// HTTP and WebSocket connections at the same time: below the usual 20,000 open files of a service.
const MAX_CONNECTIONS: usize = 16_000;
/// Time to send a request's headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// A request's line and headers, in bytes.
const MAX_HEADERS: usize = 32 * 1024;
/// Pause after the system refused a connection, for example because all files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Opens the configured addresses, or the default ones of the mode.
pub async fn bind(configured: &[SocketAddr], dev: bool) -> anyhow::Result<Vec<TcpListener>> {
    if !configured.is_empty() {
        let mut listeners = Vec::new();
        for address in configured {
            listeners.push(open(*address).await?);
        }
        return Ok(listeners);
    }
    if dev {
        // Development mode gives a token to whoever asks: that is for this machine only.
        let mut listeners = vec![open((Ipv4Addr::LOCALHOST, HTTP_PORT).into()).await?];
        listeners.extend(TcpListener::bind((Ipv6Addr::LOCALHOST, HTTP_PORT)).await.ok());
        return Ok(listeners);
    }
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, HTTP_PORT)).await {
        Ok(both) => Ok(vec![both]),
        // Without IPv6 in the kernel.
        Err(e) if e.kind() != ErrorKind::AddrInUse => Ok(vec![open((Ipv4Addr::UNSPECIFIED, HTTP_PORT).into()).await?]),
        Err(e) => Err(explain(&e, (Ipv6Addr::UNSPECIFIED, HTTP_PORT).into())),
    }
}

/// Serves until `stopping`, then lets running requests end.
pub async fn serve(listener: TcpListener, router: Router, connections: TaskTracker, stopping: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                    tracing::warn!("too many connections: one was refused");
                    continue;
                };
                let (router, stopping) = (router.clone(), stopping.clone());
                connections.spawn(async move {
                    serve_one(stream, router, stopping).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_one(stream: TcpStream, router: Router, stopping: CancellationToken) {
    // Signaling messages are small and each matters now.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(StallGuard::new(stream));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADERS)
        .serve_connection(io, TowerToHyperService::new(router))
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended with an error");
    }
}

async fn open(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| explain(&e, address))
}

fn explain(error: &io::Error, address: SocketAddr) -> anyhow::Error {
    match error.kind() {
        ErrorKind::AddrInUse => anyhow::anyhow!(
            "{address} is in use by another program (or another Parlor). Stop it, or choose another port: \
             `parlor serve --http-listen {}:{}`",
            match address {
                SocketAddr::V4(v4) => v4.ip().to_string(),
                SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
            },
            address.port().saturating_add(1)
        ),
        ErrorKind::PermissionDenied => {
            anyhow::anyhow!("{address} may not be opened by this user. Choose a port above 1023: `parlor serve --http-listen 0.0.0.0:7400`")
        }
        ErrorKind::AddrNotAvailable => anyhow::anyhow!("{address} is not an address of this machine. Check http.listen (--http-listen)."),
        _ => anyhow::anyhow!("cannot listen on {address}: {error}"),
    }
}
