//! Tests how much of a server a source without a token can hold: connections, bodies, and with them memory.

use std::net::Ipv4Addr;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use parlor::{Options, Server};
use parlor_testkit::wait::{PATIENCE, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::client::Client;
use super::process::{Process, serve};
use super::test_config;

/// The most HTTP connections of one source.
const FROM_SOURCE: usize = 512;

/// A server that does not take its clients for proxies, as it would if it listened on this machine only.
async fn open_server() -> Server {
    let mut config = test_config();
    config.http.listen = vec![(Ipv4Addr::UNSPECIFIED, 0).into()];
    config.api.trusted_proxies = vec![from(99).into()];
    Server::start(&config, Options { dev: true, ..Options::default() }).await.expect("starts")
}

fn from(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

/// Connects from an address of this machine, with little room for answers.
async fn connect(source: Ipv4Addr, port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("is set");
    socket.bind((source, 0).into()).expect("an address of this machine");
    socket.connect((Ipv4Addr::LOCALHOST, port).into()).await.expect("connects")
}

/// The status of an answer, 0 if the connection ends instead.
async fn status(stream: &mut TcpStream) -> u16 {
    let mut line = [0; 12];
    match tokio::time::timeout(PATIENCE, stream.read_exact(&mut line)).await.expect("something happens") {
        Ok(_) => std::str::from_utf8(&line[9..]).expect("text").parse().expect("a number"),
        Err(_) => 0,
    }
}

async fn ask(source: Ipv4Addr, port: u16, head: &str) -> (TcpStream, u16) {
    let mut stream = connect(source, port).await;
    let _ = stream.write_all(format!("{head}\r\nhost: localhost\r\n\r\n").as_bytes()).await;
    let status = status(&mut stream).await;
    (stream, status)
}

async fn lives(source: Ipv4Addr, port: u16) -> bool {
    ask(source, port, "GET /healthz HTTP/1.1").await.1 == 200
}

#[tokio::test]
async fn one_silent_address_takes_its_own_places_only() {
    raise_open_files();
    let server = open_server().await;
    let port = server.http_addresses()[0].port();
    let mut alice = Client::connect(&server, "alice", false).await;
    let mut silent = Vec::new();
    for _ in 0..FROM_SOURCE {
        silent.push(connect(from(1), port).await);
    }
    // A connection with a session takes none of the source's places: otherwise there would be one too many already.
    let mut extra = connect(from(1), port).await;
    assert_eq!(status(&mut extra).await, 0, "one more of the same is refused");
    let mut last = silent.pop().expect("one");
    last.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("writes");
    assert_eq!(status(&mut last).await, 200, "the last of those that fit");
    assert!(lives(from(2), port).await, "another address has places of its own");
    assert_eq!(alice.request("voice:join", serde_json::json!({"channelId": "lobby"})).await["channelId"], "lobby");
    drop((silent, last, extra));
    until("the places are free again", async || lives(from(1), port).await).await;
    server.shut_down().await;
}

#[tokio::test]
async fn a_proxy_is_not_limited_as_one_stranger() {
    raise_open_files();
    let server = open_server().await;
    let port = server.http_addresses()[0].port();
    let mut held = Vec::new();
    for n in 0..FROM_SOURCE + 8 {
        let client = format!("GET /healthz HTTP/1.1\r\nx-forwarded-for: 198.51.100.{}", n % 200);
        let (stream, status) = ask(from(99), port, &client).await;
        assert_eq!(status, 200, "connection {n}");
        held.push(stream);
    }
    server.shut_down().await;
}

/// Opens an engine.io connection by polling; returns its id.
async fn open_polling(source: Ipv4Addr, port: u16) -> String {
    let (mut stream, status) = ask(source, port, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nconnection: close").await;
    assert_eq!(status, 200);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.expect("an answer");
    rest.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a sid").to_owned()
}

fn post(sid: &str, length: usize) -> String {
    format!("POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\ncontent-length: {length}")
}

/// Begins a body and does not end it.
async fn begin_post(port: u16, sid: &str, length: usize) -> TcpStream {
    let mut stream = connect(from(1), port).await;
    let head = post(sid, length);
    stream.write_all(format!("{head}\r\nhost: localhost\r\n\r\n4").as_bytes()).await.expect("writes");
    stream
}

#[tokio::test]
async fn a_body_belongs_to_a_living_connection_and_is_the_only_one() {
    let server = open_server().await;
    let port = server.http_addresses()[0].port();
    let sid = open_polling(from(1), port).await;
    let mut first = begin_post(port, &sid, 100).await;
    // A second body ends the connection, and with it the first, once the server has read that far.
    until("a second body is refused", async || ask(from(1), port, &post(&sid, 1)).await.1 == 400).await;
    assert_eq!(status(&mut first).await, 400, "the body is not waited for any longer");
    assert_eq!(ask(from(1), port, &post("nobody", 100)).await.1, 400, "nobody waits for the body of nobody");
    server.shut_down().await;
}

/// A server as it is installed, in a process of its own.
fn installed() -> Process {
    let mut command = serve(&["--http-listen", "0.0.0.0:0"]);
    command.env("PARLOR_AUTH__SECRET", "9f86d081884c7d659a2feaa0c55ad015").env("PARLOR_STORE__URL", "sqlite::memory:");
    Process::start(command)
}

/// Memory a process uses, in KiB.
fn resident(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).expect("reads");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn raise_open_files() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("is set");
}

/// The largest file of the page, if there is one.
async fn largest_asset(port: u16) -> String {
    let base = format!("http://localhost:{port}");
    let page = reqwest::get(&base).await.expect("answers").text().await.expect("text");
    let mut largest = (0, "/".to_owned());
    for path in page.split('"').filter(|part| part.starts_with("/assets/")) {
        let length = reqwest::get(format!("{base}{path}")).await.expect("answers").bytes().await.expect("bytes").len();
        largest = largest.max((length, path.to_owned()));
    }
    largest.1
}

fn is_closed(stream: &TcpStream) -> bool {
    match stream.try_read(&mut [0; 2_048]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[tokio::test]
async fn thousands_who_do_not_read_are_a_few_kilobytes_each() {
    const SOURCES: u8 = 8;
    const EACH: usize = 375;
    /// The most KiB that one connection may hold: what is read at once, what is written at once, and its task.
    const MOST: u64 = 32;
    raise_open_files();
    let server = installed();
    let port = server.port();
    let asset = largest_asset(port).await;
    let before = resident(&server);
    let mut held = Vec::new();
    for _ in 0..EACH {
        for source in 2..2 + SOURCES {
            let (stream, status) = ask(from(source), port, &format!("GET {asset} HTTP/1.1")).await;
            assert!([200, 503].contains(&status), "{status}");
            held.push(stream);
        }
    }
    let grown = resident(&server).saturating_sub(before);
    assert!(grown < held.len() as u64 * MOST, "{} connections hold {grown} KiB", held.len());
    // The first look reads all of a short answer, and the second sees the end.
    let closed = held.iter().filter(|stream| is_closed(stream) || is_closed(stream)).count();
    assert_eq!(closed, 0, "all of them are open");
}
