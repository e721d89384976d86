//! The event feed of a real server that is killed without a warning, as the host application sees it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use parlor_testkit::wait;
use serde_json::Value;
use tokio::net::TcpListener;

use super::client::Client;
use super::process::{LEASE_MS, Process, serve};

/// People in each of two rooms.
const PEOPLE: usize = 4;
/// One delivery in so many is refused.
const REFUSED: usize = 3;

/// The events the host application has been told: each once, by its number.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    deliveries: usize,
    events: BTreeMap<i64, Value>,
}

impl Told {
    /// Listens for deliveries; returns the address.
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
        wait::seen(what, async || self.events(), |_| done(self)).await;
    }
}

/// Takes a delivery, or refuses it; checks that it continues where the last one ended, or repeats.
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

fn start(config: &Path) -> Process {
    let mut command = serve(&["--dev", "--log-level", "error", "--config"]);
    command.arg(config);
    Process::start(command)
}

/// Whether an event is about a user whose id begins with `user`.
fn is_of(event: &Value, user: &str) -> bool {
    event["data"]["userId"].as_str().is_some_and(|id| id.starts_with(user))
}

/// Asserts that each beginning has one end, in the right order, and that nothing is missing.
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
        "[store]\nurl = \"sqlite:{}\"\nlease_ms = {LEASE_MS}\n[limits]\njoins_per_minute = 1000\nreconnect_interval_ms = 0\n\
         [[webhooks]]\nname = \"app\"\nurl = \"{}\"\nsecret = \"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"\n",
        directory.join("parlor.db").display(),
        told.listen().await
    );
    std::fs::write(&config, text).expect("writes");

    for run in 0..3 {
        let server = start(&config);
        let mut inside = Vec::new();
        for number in 0..PEOPLE {
            for channel in ["one", "two"] {
                inside.push(Client::guest(&server.address, &format!("{run}-{channel}-{number}"), channel).await);
            }
        }
        let of_this_run = |event: &Value| event["type"] == "participant.joined" && is_of(event, &format!("{run}-"));
        let all = inside.len();
        told.wait("who is in is told of", |told| told.events().iter().filter(|event| of_this_run(event)).count() == all).await;
        // In the middle of people who come and go.
        drop(inside.split_off(PEOPLE));
        let coming = (0..PEOPLE).map(|number| {
            let address = server.address.clone();
            tokio::spawn(async move { Client::try_guest(&address, &format!("late-{run}-{number}"), "one").await })
        });
        let coming: Vec<_> = coming.collect();
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..60))).await;
        server.kill();
        for late in coming {
            let _ = late.await.expect("no panic");
        }
    }

    let server = start(&config);
    let balanced = |told: &Told| {
        let events = told.events();
        let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
        count("participant.joined") == count("participant.left") && count("room.started") == count("room.ended")
    };
    told.wait("the ends of the last run are told", |told| balanced(told) && !told.events().is_empty()).await;
    let crashed = told.events().iter().filter(|event| event["data"]["reason"] == "crashed").count();
    assert!(crashed > 0, "at least some were in a room when it was killed");
    let socket = Client::guest(&server.address, "last", "one").await;
    told.wait("the last one is told of", |told| told.events().iter().any(|event| is_of(event, "last"))).await;
    server.stop().await;
    drop(socket);
    // The last delivery may have been one of those that are refused: then it is repeated after the next start.
    let server = start(&config);
    told.wait("a server that stops tells who left", balanced).await;
    server.stop().await;
    assert_balanced(&told.events());
    let _ = std::fs::remove_dir_all(directory);
}
