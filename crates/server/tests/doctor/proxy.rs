//! The reverse proxy before the server, with TLS, and with the faults that proxies are set up with.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::world::{Certificate, PUBLIC, SERVER};

/// How a proxy behaves.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// It passes upgrades on.
    pub upgrades: bool,
    /// It says whom it serves.
    pub forwards: bool,
    /// The time that all answers have instead of their own.
    pub date: Option<&'static str>,
}

/// One that is set up as it should be.
pub const GOOD: Manners = Manners { upgrades: true, forwards: true, date: None };

/// Starts a proxy on the router.
pub async fn start(certificate: &Certificate, manners: Manners) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certificate.key.clone()));
    let chain = vec![CertificateDer::from(certificate.chain.clone())];
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).expect("they fit");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((PUBLIC, 443)).await.expect("binds");
    tokio::spawn(async move {
        while let Ok((stream, from)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream, from, manners).await;
                }
            });
        }
    });
}

/// Serves one request; the connection ends with its answer.
async fn serve(mut near: impl AsyncRead + AsyncWrite + Unpin, from: SocketAddr, manners: Manners) {
    let Some((head, rest)) = read_head(&mut near).await else { return };
    let Ok(mut far) = TcpStream::connect((SERVER, 7400)).await else {
        let _ = near.write_all(b"HTTP/1.1 502 Bad Gateway\r\nServer: a proxy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
        let _ = near.shutdown().await;
        return;
    };
    let is_upgrade = manners.upgrades && has(&head, "upgrade:");
    let mut request: Vec<&str> = head.lines().filter(|line| is_upgrade || !has(line, "connection:") && !has(line, "upgrade:")).collect();
    if !is_upgrade {
        request.push("Connection: close");
    }
    let forwarded = format!("X-Forwarded-For: {}", from.ip());
    if manners.forwards {
        request.push(&forwarded);
    }
    let request = format!("{}\r\n\r\n", request.join("\r\n"));
    if far.write_all(&[request.as_bytes(), &rest].concat()).await.is_err() {
        return;
    }
    if let Some(date) = manners.date {
        let Some((head, rest)) = read_head(&mut far).await else { return };
        let date = format!("Date: {date}");
        let answer: Vec<&str> = head.lines().map(|line| if has(line, "date:") { date.as_str() } else { line }).collect();
        let answer = format!("{}\r\n\r\n", answer.join("\r\n"));
        if near.write_all(&[answer.as_bytes(), &rest].concat()).await.is_err() {
            return;
        }
    }
    let _ = copy_bidirectional(&mut near, &mut far).await;
}

/// Whether a line begins so, in whatever case.
fn has(text: &str, begin: &str) -> bool {
    text.lines().any(|line| line.get(..begin.len()).is_some_and(|head| head.eq_ignore_ascii_case(begin)))
}

/// The head of a message, and what came behind it.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<(String, Vec<u8>)> {
    let mut all = Vec::new();
    loop {
        if let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = all.split_off(end + 4);
            all.truncate(end);
            return Some((String::from_utf8(all).ok()?, rest));
        }
        if stream.read_buf(&mut all).await.ok()? == 0 {
            return None;
        }
    }
}
