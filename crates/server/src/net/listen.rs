//! Listening for HTTP: the addresses, the number of connections, and how they end.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::HTTP_PORT;
use crate::net::guard::StallGuard;
use crate::net::places::{Place, PlaceOf, Places};
use crate::net::source::{PeerAddress, Trusted, site};
use crate::tally::Tally;

/// Time to send a request's headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// The most bytes of a request's line and headers: as many as the usual servers take.
pub const MAX_HEADERS: usize = 16 * 1024;
/// The pause after the system refused a connection, for example because all files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How far from a taken port another is looked for: beyond the media ports, of which a server has as many as the machine has cores.
const BESIDE: u16 = 1_000;

/// Opens the configured addresses, or the default ones of the mode.
pub async fn bind(configured: &[SocketAddr], dev: bool) -> anyhow::Result<Vec<TcpListener>> {
    if !configured.is_empty() {
        let mut listeners = Vec::new();
        for address in configured {
            listeners.push(open(*address, dev).await?);
        }
        return Ok(listeners);
    }
    if dev {
        // Development mode gives a token to everybody, so it listens for this machine only.
        let mut listeners = vec![open((Ipv4Addr::LOCALHOST, HTTP_PORT).into(), dev).await?];
        listeners.extend(TcpListener::bind((Ipv6Addr::LOCALHOST, HTTP_PORT)).await.ok());
        return Ok(listeners);
    }
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, HTTP_PORT)).await {
        Ok(both) => Ok(vec![both]),
        // The kernel has no IPv6.
        Err(e) if e.kind() != ErrorKind::AddrInUse => Ok(vec![open((Ipv4Addr::UNSPECIFIED, HTTP_PORT).into(), dev).await?]),
        Err(e) => Err(explain(&e, (Ipv6Addr::UNSPECIFIED, HTTP_PORT).into(), dev)),
    }
}

static NOT_ACCEPTED: Tally = Tally::new("HTTP connections could not be accepted; the limit of open files may be too low");

/// The state that all listeners of a server share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The HTTP service.
    pub router: Router,
    /// The places for connections; each connection takes one.
    pub places: Places,
    /// The proxies that are trusted to name the source of a request.
    pub trusted: Trusted,
    /// The tasks of the connections.
    pub connections: TaskTracker,
    /// Cancelled when serving is to end.
    pub stopping: CancellationToken,
}

impl Shared {
    fn place(&self, peer: SocketAddr) -> Option<Arc<Place>> {
        let ip = peer.ip().to_canonical();
        let place = if self.trusted.trusts(ip) { self.places.take_for_proxy() } else { self.places.take(site(ip)) };
        place.inspect_err(|full| full.count()).ok()
    }
}

/// Serves until the server stops, then lets running requests end.
pub async fn serve(listener: TcpListener, shared: Shared) {
    let stopping = shared.stopping.clone();
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(place) = shared.place(peer) {
                    shared.connections.spawn(serve_one(stream, PeerAddress(peer), place, shared.router.clone(), stopping.clone()));
                }
            }
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection");
                NOT_ACCEPTED.add();
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_one(stream: TcpStream, peer: PeerAddress, place: Arc<Place>, router: Router, stopping: CancellationToken) {
    // Signaling messages are small, and each matters at once.
    let _ = stream.set_nodelay(true);
    // A session keeps its requests longer than their connections live, so a request knows the place without holding it.
    let place_of = PlaceOf(Arc::downgrade(&place));
    let io = TokioIo::new(StallGuard::new(stream, place));
    let routes = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(place_of.clone());
        routes.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADERS)
        .serve_connection(io, service)
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

async fn open(address: SocketAddr, dev: bool) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| explain(&e, address, dev))
}

/// Says what to do. The address of the advice is the one that was asked for: in development mode another one could open the server
/// to everybody.
fn explain(error: &io::Error, address: SocketAddr, dev: bool) -> anyhow::Error {
    let flag = |port: u16| {
        let flag = format!("--http-listen {}", SocketAddr::new(address.ip(), port));
        if dev { format!("`{flag}` (`make run ARGS=\"{flag}\"`)") } else { format!("`{flag}`") }
    };
    match error.kind() {
        ErrorKind::AddrInUse => anyhow::anyhow!(
            "{address} is in use by another program (or another Parlor). Stop it, or choose another port with {}",
            flag(address.port().checked_add(BESIDE).unwrap_or(HTTP_PORT))
        ),
        ErrorKind::PermissionDenied => {
            anyhow::anyhow!("{address} may not be opened by this user. Choose a port above 1023, with {}", flag(HTTP_PORT))
        }
        ErrorKind::AddrNotAvailable => anyhow::anyhow!("{address} is not an address of this machine. Check http.listen (--http-listen)."),
        _ => anyhow::anyhow!("cannot listen on {address}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::Request;
    use axum::http::{StatusCode, header};
    use axum::response::Response;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Answers with a made-up protocol that ends when its peer does.
    async fn upgrade(mut request: Request) -> Response {
        tokio::spawn(async move {
            let upgraded = hyper::upgrade::on(&mut request).await.expect("upgrades");
            let _ = TokioIo::new(upgraded).read_to_end(&mut Vec::new()).await;
        });
        let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        response.header(header::CONNECTION, "upgrade").header(header::UPGRADE, "test").body(Body::empty()).expect("a response")
    }

    /// Connects and asks for the upgrade; returns whether it was granted.
    async fn connect(address: SocketAddr) -> (TcpStream, bool) {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        // A refused connection may be closed before this is written.
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: test\r\n\r\n").await;
        let mut answer = [0; 12];
        let granted = stream.read_exact(&mut answer).await.is_ok() && answer.ends_with(b" 101");
        (stream, granted)
    }

    #[test]
    fn the_advice_is_an_address_for_the_same_people_and_no_port_of_media() {
        let advice = |kind: ErrorKind, address: &str, dev| explain(&kind.into(), address.parse().expect("an address"), dev).to_string();
        assert_eq!(
            advice(ErrorKind::AddrInUse, "127.0.0.1:7400", true),
            "127.0.0.1:7400 is in use by another program (or another Parlor). Stop it, or choose another port with \
             `--http-listen 127.0.0.1:8400` (`make run ARGS=\"--http-listen 127.0.0.1:8400\"`)"
        );
        assert!(advice(ErrorKind::AddrInUse, "[::]:7400", false).ends_with("with `--http-listen [::]:8400`"));
        assert!(advice(ErrorKind::AddrInUse, "127.0.0.1:65000", false).ends_with("with `--http-listen 127.0.0.1:7400`"));
        assert!(advice(ErrorKind::PermissionDenied, "127.0.0.1:80", true).contains("with `--http-listen 127.0.0.1:7400` (`make run"));
    }

    #[tokio::test]
    async fn an_upgraded_connection_keeps_its_place_until_it_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let shared = Shared {
            router: Router::new().fallback(upgrade),
            places: Places::new(1, 1, 1),
            trusted: Trusted::default(),
            connections: TaskTracker::new(),
            stopping: CancellationToken::new(),
        };
        tokio::spawn(serve(listener, shared));
        let (first, granted) = connect(address).await;
        assert!(granted);
        assert!(!connect(address).await.1, "the only place is taken");
        drop(first);
        let free_again = async { while !connect(address).await.1 {} };
        tokio::time::timeout(Duration::from_secs(10), free_again).await.expect("the place is free again");
    }
}
