//! One living process at a time has a node's place in the store.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use parlor::config::{Config, Store as StoreConfig};
use parlor::{Options, Server};
use parlor_store::{NewFeedEvent, Owes, Store};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::client::Client;
use super::stored::{Shared, channel, fresh_file, now, user};
use super::test_config;

async fn start(config: &Config) -> anyhow::Result<Server> {
    Server::start(config, Options { dev: true, ..Options::default() }).await
}

async fn kinds(store: &Store) -> Vec<String> {
    store.feed_after(0, 100).await.expect("is read").into_iter().map(|event| event.kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_is_refused_while_the_first_one_lives() {
    let shared = Shared::start("twice", |_| ()).await;
    let (mut alice, _) = Client::joined(&shared.server, "alice", "lobby").await;
    let path = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("it-twice-{}.db", std::process::id()));
    let mut config = test_config();
    config.store = StoreConfig::at(&format!("sqlite:{}", path.display()));
    // Another name does not make a second node of it: this store is not for several.
    config.feed.node = "another".to_owned();
    let refused = start(&config).await.expect_err("refused").to_string();
    assert!(refused.contains("another Parlor is running") && refused.contains("store.url"), "{refused}");
    alice.request("voice:state:update", json!({"muted": true})).await;
    assert_eq!(kinds(&shared.store).await, ["room.started", "participant.joined"], "nobody was said to have left");
    // A goodbye leaves the place free at once.
    shared.stop().await;
    let began = std::time::Instant::now();
    start(&config).await.expect("starts").shut_down().await;
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_start_that_fails_settles_nothing() {
    let url = format!("sqlite:{}", fresh_file("fails").display());
    let store = Store::open(&url).await.expect("opens");
    let owes = Owes::Opens { debt: "room".to_owned(), kind: "room.ended", data: json!({}) };
    let event = NewFeedEvent { channel: channel("den"), at: now(), kind: "room.started", data: json!({}), owes: Some(owes) };
    store.append_feed("parlor", &[event]).await.expect("is written");
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("binds");
    let mut config = test_config();
    config.store = StoreConfig::at(&url);
    config.media.port = taken.local_addr().expect("an address").port();
    start(&config).await.expect_err("the media port is taken");
    assert_eq!(kinds(&store).await, ["room.started"]);

    drop(taken);
    // A process that was killed when the clock was an hour ahead.
    let later = parlor_proto::Timestamp(now().0 + 3_600_000);
    assert!(store.lease("node", later, Duration::from_secs(1)).await.expect("asked").is_some());
    start(&config).await.expect("the dead do not renew").shut_down().await;
    assert_eq!(kinds(&store).await, ["room.started", "room.ended"]);
}

#[tokio::test]
async fn a_ban_of_the_configuration_holds_where_an_old_one_is_over() {
    let url = format!("sqlite:{}", fresh_file("old-ban").display());
    let mut config = test_config();
    config.store = StoreConfig::at(&url);
    config.channels = serde_json::from_value(json!([{"id": "den", "banned": ["mallory"]}])).expect("valid");
    let store = Store::open(&url).await.expect("opens");
    let (den, mallory) = (channel("den"), user("mallory"));
    store.put_channel(&config.channels[0].channel(), None, &super::stored::ADMIN, now()).await.expect("is put");
    store.put_ban(&den, &mallory, Some(parlor_proto::Timestamp(now().0 + 1)), None, &super::stored::ADMIN, now()).await.expect("is put");
    start(&config).await.expect("starts").shut_down().await;
    let parlor_store::Found { facts, .. } = store.admission(&den, &mallory).await.expect("is read").expect("is there");
    assert!(facts.ban.is_some_and(|ban| ban.until.is_none()), "for good");
}

/// How long a server of these tests keeps its place without being heard of.
const LEASE_MS: u64 = 1_000;
/// How long it is paused, or cut off: the issue is what it does then, not how long it takes.
const AWAY: Duration = Duration::from_millis(LEASE_MS + 500);
/// For what should happen at once, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server in a process of its own.
struct Process {
    child: Child,
    address: String,
}

impl Process {
    fn start(url: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PARLOR_")) {
            command.env_remove(name);
        }
        command.env("PARLOR_STORE__URL", url).env("PARLOR_STORE__LEASE_MS", LEASE_MS.to_string());
        command.env("PARLOR_FEED__NODE", "here").current_dir(env!("CARGO_TARGET_TMPDIR"));
        command.args(["serve", "--dev", "--http-listen", "127.0.0.1:0", "--media-port", "0", "--media-workers", "1"]);
        command.args(["--listen-ip", "127.0.0.1"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("text");
        let address = line.trim().strip_prefix("Parlor is ready: http://").expect("an address").to_owned();
        Self { child, address }
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        nix::sys::signal::kill(pid, signal).expect("sent");
    }

    /// Waits for its end; tells how it ended, and what it said last.
    async fn ended(mut self) -> (bool, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("asked") {
                break status;
            }
            assert!(Instant::now() < deadline, "it goes on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let mut text = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut text).expect("text");
        (status.success(), text)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// Somebody in a channel of that server.
async fn guest(process: &Process, name: &str) -> Socket {
    let wish = reqwest::Client::new().post(format!("http://{}/api/dev/token", process.address)).json(&json!({"user": name}));
    let token: Value = wish.send().await.expect("answers").json().await.expect("json");
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", process.address);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("connects");
    socket.send(Message::text(format!("40{token}"))).await.expect("sends");
    socket.send(Message::text("421[\"voice:join\",{\"channelId\":\"den\"}]")).await.expect("sends");
    let answer = until(&mut socket, "431").await;
    assert!(answer.contains("participants"), "{answer}");
    socket
}

/// The next packet that begins so.
async fn until(socket: &mut Socket, prefix: &str) -> String {
    let look = async {
        loop {
            let text = socket.next().await.expect("goes on").expect("a message").into_text().expect("text");
            if text.starts_with(prefix) {
                return text.to_string();
            }
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("in time")
}

/// Whoever was replaced tells its people to join again, ends with a sentence, and wrote nothing beside its successor.
async fn is_replaced(old: Process, mut alice: Socket, store: &Store) {
    let told = until(&mut alice, "42[\"voice:left\"").await;
    assert!(told.contains("\"rejoin\":true"), "{told}");
    let (success, said) = old.ended().await;
    assert!(!success && said.contains("has taken the place of this one") && said.contains("store.lease_ms"), "{said}");
    let story: Vec<String> = store
        .feed_after(0, 100)
        .await
        .expect("is read")
        .into_iter()
        .map(|event| format!("{} {}", event.kind, event.data["reason"].as_str().unwrap_or("-")))
        .collect();
    let expected = [
        "room.started -",
        "participant.joined -",
        "participant.left crashed",
        "room.ended crashed",
        "room.started -",
        "participant.joined -",
    ];
    assert_eq!(story, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_paused_for_longer_than_its_lease_makes_way_for_its_successor() {
    let url = format!("sqlite:{}", fresh_file("paused").display());
    let store = Store::open(&url).await.expect("opens");
    let old = Process::start(&url);
    let alice = guest(&old, "alice").await;
    while kinds(&store).await.len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    old.signal(nix::sys::signal::Signal::SIGSTOP);
    tokio::time::sleep(AWAY).await;
    let new = Process::start(&url);
    let _bob = guest(&new, "bob").await;
    while kinds(&store).await.len() < 6 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    old.signal(nix::sys::signal::Signal::SIGCONT);
    is_replaced(old, alice, &store).await;
}

/// A way to PostgreSQL that can be cut: nothing comes through any more, and nothing says so.
struct Line {
    address: SocketAddr,
    cut: tokio::sync::watch::Sender<bool>,
}

impl Line {
    async fn to(directory: String) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("an address");
        let (cut, is_cut) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = tokio::net::UnixStream::connect(format!("{directory}/.s.PGSQL.5432")).await.expect("connects");
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                tokio::spawn(copy(near_in, far_out, is_cut.clone()));
                tokio::spawn(copy(far_in, near_out, is_cut.clone()));
            }
        });
        Self { address, cut }
    }
}

async fn copy(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    mut cut: tokio::sync::watch::Receiver<bool>,
) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if cut.wait_for(|cut| !cut).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_cut_off_from_postgresql_for_longer_than_its_lease_makes_way_for_its_successor() {
    let url = super::postgres::create_database("cut_off").await;
    let directory = url.split_once("host=").expect("a directory").1.to_owned();
    let line = Line::to(directory).await;
    let store = Store::open(&url).await.expect("opens");
    let old = Process::start(&format!("postgres://parlor@{}/cut_off", line.address));
    let alice = guest(&old, "alice").await;
    while kinds(&store).await.len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    line.cut.send_replace(true);
    tokio::time::sleep(AWAY).await;
    let new = Process::start(&url);
    let _bob = guest(&new, "bob").await;
    while kinds(&store).await.len() < 6 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    line.cut.send_replace(false);
    is_replaced(old, alice, &store).await;
}
