//! The event feed of a real server that is killed without a warning, as the host application sees it.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// The longest a test waits for something that should happen soon.
const PATIENCE: Duration = Duration::from_secs(60);
/// People in each of two rooms.
const PEOPLE: usize = 4;
/// Every so many deliveries one is refused.
const REFUSED: usize = 3;

/// What the host application has been told: each event once, by its number.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    deliveries: usize,
    events: BTreeMap<i64, Value>,
}

impl Told {
    /// Listens for deliveries; gives the address.
    async fn listen(&self) -> String {
        let router = Router::new().route("/", post(take)).with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("http://{}/", listener.local_addr().expect("address"));
        tokio::spawn(axum::serve(listener, router).into_future());
        url
    }

    fn events(&self) -> Vec<Value> {
        self.0.lock().expect("not poisoned").events.values().cloned().collect()
    }

    async fn wait(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "{what}: {:#?}", self.events());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Takes a delivery, or refuses it; checks that it goes on where the last one ended, or repeats.
async fn take(State(told): State<Told>, Json(body): Json<Value>) -> StatusCode {
    let mut book = told.0.lock().expect("not poisoned");
    book.deliveries += 1;
    if book.deliveries.is_multiple_of(REFUSED) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    for event in body["events"].as_array().expect("a list") {
        let sequence = event["sequence"].as_i64().expect("a number");
        let next = book.events.last_key_value().map_or(1, |(last, _)| last + 1);
        assert!(sequence <= next, "{sequence} came before {next}");
        let before = book.events.insert(sequence, event.clone());
        assert!(before.is_none_or(|before| before == *event), "an event is the same whenever it comes");
    }
    StatusCode::NO_CONTENT
}

/// A server process.
struct Process {
    child: Child,
    address: String,
}

impl Process {
    fn start(config: &PathBuf) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PARLOR_")) {
            command.env_remove(name);
        }
        command.args(["serve", "--dev", "--http-listen", "127.0.0.1:0", "--media-port", "0", "--media-workers", "1"]);
        command.args(["--listen-ip", "127.0.0.1", "--log-level", "error", "--config"]).arg(config);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("text");
        let address = line.trim().strip_prefix("Parlor is ready: http://localhost:").expect("ready");
        Self { child, address: format!("127.0.0.1:{address}") }
    }

    /// SIGKILL: nothing of it runs any more.
    fn kill(mut self) {
        self.child.kill().expect("kills");
        self.child.wait().expect("ends");
    }

    fn stop(mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("sent");
        assert!(self.child.wait().expect("ends").success());
    }
}

/// Somebody in a channel; `None` if the server was gone before they were in.
async fn join(address: String, user: String, channel: &'static str) -> Option<WebSocketStream<MaybeTlsStream<TcpStream>>> {
    let wish = reqwest::Client::new().post(format!("http://{address}/api/dev/token")).json(&json!({ "user": user }));
    let token: Value = wish.send().await.ok()?.json().await.ok()?;
    let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.ok()?;
    socket.send(Message::text(format!("40{token}"))).await.ok()?;
    socket.send(Message::text(format!("421[\"voice:join\",{{\"channelId\":\"{channel}\"}}]"))).await.ok()?;
    loop {
        let text = socket.next().await?.ok()?.into_text().ok()?;
        if let Some(answer) = text.strip_prefix("431") {
            assert!(answer.contains("\"participants\""), "{answer}");
            return Some(socket);
        }
    }
}

/// Whether an event is about a user whose id begins so.
fn is_of(event: &Value, user: &str) -> bool {
    event["data"]["userId"].as_str().is_some_and(|id| id.starts_with(user))
}

/// Each beginning has one end, in the right order, and nothing is missing.
fn assert_balanced(events: &[Value]) {
    let mut open: HashMap<(&str, &str), usize> = HashMap::new();
    for (number, event) in (1..).zip(events) {
        assert_eq!(event["sequence"], number, "numbers have no gaps");
        let channel = event["channelId"].as_str().expect("a text");
        let session = event["data"]["sessionId"].as_str().unwrap_or("room");
        let there = open.entry((channel, session)).or_default();
        match event["type"].as_str().expect("a text") {
            "room.started" | "participant.joined" => *there += 1,
            "room.ended" | "participant.left" => *there = there.checked_sub(1).expect("no end without a beginning"),
            other => panic!("{other}"),
        }
        assert!(*there <= 1, "{event}");
    }
    assert!(open.values().all(|there| *there == 0), "no ghosts: {open:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_no_event_and_leaves_no_ghosts() {
    let told = Told::default();
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("feed-{:016x}", rand::random::<u64>()));
    std::fs::create_dir(&directory).expect("makes a directory");
    let config = directory.join("parlor.toml");
    let text = format!(
        "[store]\nurl = \"sqlite:{}\"\n[limits]\njoins_per_minute = 1000\nreconnect_interval_ms = 0\n\
         [[webhooks]]\nname = \"app\"\nurl = \"{}\"\nsecret = \"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"\n",
        directory.join("parlor.db").display(),
        told.listen().await
    );
    std::fs::write(&config, text).expect("writes");

    for run in 0..3 {
        let server = Process::start(&config);
        let mut inside = Vec::new();
        for number in 0..PEOPLE {
            for channel in ["one", "two"] {
                inside.push(join(server.address.clone(), format!("{run}-{channel}-{number}"), channel).await.expect("joins"));
            }
        }
        let of_this_run = |event: &Value| event["type"] == "participant.joined" && is_of(event, &format!("{run}-"));
        let all = inside.len();
        told.wait("who is in is told of", |told| told.events().iter().filter(|event| of_this_run(event)).count() == all).await;
        // In the middle of people who come and go.
        drop(inside.split_off(PEOPLE));
        let coming = (0..PEOPLE).map(|number| tokio::spawn(join(server.address.clone(), format!("late-{run}-{number}"), "one")));
        let coming: Vec<_> = coming.collect();
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..60))).await;
        server.kill();
        for late in coming {
            let _ = late.await.expect("no panic");
        }
    }

    let server = Process::start(&config);
    let balanced = |told: &Told| {
        let events = told.events();
        let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
        count("participant.joined") == count("participant.left") && count("room.started") == count("room.ended")
    };
    told.wait("the ends of the last run are told", |told| balanced(told) && !told.events().is_empty()).await;
    let crashed = told.events().iter().filter(|event| event["data"]["reason"] == "crashed").count();
    assert!(crashed > 0, "at least some were in a room when it was killed");
    let socket = join(server.address.clone(), "last".to_owned(), "one").await.expect("joins");
    told.wait("the last one is told of", |told| told.events().iter().any(|event| is_of(event, "last"))).await;
    server.stop();
    drop(socket);
    // The last delivery may have been one of those that are refused: then it is repeated after the next start.
    let server = Process::start(&config);
    told.wait("a server that stops tells who left", balanced).await;
    server.stop();
    assert_balanced(&told.events());
    let _ = std::fs::remove_dir_all(directory);
}
