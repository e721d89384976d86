//! What somebody without a token can do over HTTP, from one address.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::Stage;

/// Not that of anybody else: limits are for each address.
const FROM: [u8; 4] = [127, 0, 0, 66];
/// Connections that are opened at the same time.
const OPENING: usize = 64;
/// The longest one connection is tried for.
const PATIENCE: Duration = Duration::from_secs(2);
/// The smallest a socket may have: so what is not read stays with the server.
const RECEIVE_BUFFER: u32 = 4_096;
/// A body that does not come to its end.
const BODY: usize = 60_000;

type Said = anyhow::Result<(String, Option<String>)>;

/// Asks for the largest file, and reads nothing.
pub async fn assets(stage: &Stage<'_>) -> Said {
    let path = largest(stage.url).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let held = open(stage, request.as_bytes()).await;
    Ok((format!("{} connections wait for {path}", held.len()), None))
}

/// Begins bodies that never end.
pub async fn bodies(stage: &Stage<'_>) -> Said {
    let answer = reqwest::get(format!("{}/socket.io/?EIO=4&transport=polling", stage.url)).await?.text().await?;
    let sid = answer.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("none").to_owned();
    let mut request = format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: {BODY}\r\n\r\n"
    )
    .into_bytes();
    request.resize(request.len() + BODY - 1, b'4');
    let held = open(stage, &request).await;
    Ok((format!("{} bodies of {BODY} bytes without the last one", held.len()), None))
}

/// Says nothing at all.
pub async fn silent(stage: &Stage<'_>) -> Said {
    let held = open(stage, b"").await;
    Ok((format!("{} silent connections", held.len()), None))
}

/// Opens as many connections as are wanted and holds them until the end; refused ones are tried again.
async fn open(stage: &Stage<'_>, request: &[u8]) -> Vec<TcpStream> {
    let Some(address) = stage.url.strip_prefix("http://").and_then(|address| address.parse::<SocketAddr>().ok()) else { return Vec::new() };
    let mut held = Vec::new();
    while Instant::now() < stage.until {
        let missing = stage.connections.saturating_sub(held.len());
        let tries = stream::iter(0..missing).map(|_| timeout(PATIENCE, connect(address, request)));
        let left = stage.until.saturating_duration_since(Instant::now());
        let opened = async {
            let mut tries = tries.buffer_unordered(OPENING);
            while let Some(result) = tries.next().await {
                if let Ok(Ok(stream)) = result {
                    held.push(stream);
                }
            }
        };
        let _ = timeout(left, opened).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        // Those that were closed are opened anew.
        held.retain(is_open);
    }
    held
}

async fn connect(address: SocketAddr, request: &[u8]) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind((FROM, 0).into())?;
    let mut stream = socket.connect(address).await?;
    stream.write_all(request).await?;
    Ok(stream)
}

/// Looked at without reading anything.
fn is_open(stream: &TcpStream) -> bool {
    let socket = socket2::SockRef::from(stream);
    let mut byte = [std::mem::MaybeUninit::uninit()];
    match socket.peek(&mut byte) {
        Ok(read) => read > 0,
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    }
}

/// The path of the largest script of the page.
async fn largest(url: &str) -> anyhow::Result<String> {
    let page = reqwest::get(url).await?.text().await?;
    let paths = page.split('"').filter(|text| text.starts_with("/assets/") && text.ends_with(".js"));
    let mut largest = ("/".to_owned(), page.len());
    for path in paths {
        let len = reqwest::get(format!("{url}{path}")).await?.bytes().await.context("an asset")?.len();
        if len > largest.1 {
            largest = (path.to_owned(), len);
        }
    }
    Ok(largest.0)
}
