//! Tests with a second dialect, of lines of JSON: what it takes to add one, and that rooms and media need no change for it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_proto::codec::socketio::{decode_request, event_name};
use parlor_proto::event::Reply;
use parlor_proto::{Error, ErrorCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::auth::Authenticator;
use crate::config::{Config, Media};
use crate::feed::FeedHandle;
use crate::media::{Pool, Told};
use crate::rooms::{Broadcast, Ending, Registry};
use crate::signal::runner;
use crate::signal::session::Session;
use crate::signal::wire::{Closing, Wire};

/// The wire of a client of the dialect: it keeps what the client is sent.
struct Lines(mpsc::Sender<Value>);

/// An event for everybody as the dialect encodes it.
#[derive(Clone)]
struct Line(Value);

impl Wire for Lines {
    type Tag = u64;
    const DIALECT: &'static str = "lines";

    fn name(_: &u64) -> &str {
        "request"
    }

    fn reply(&self, number: u64, reply: &Reply) -> bool {
        self.0.try_send(json!({"answers": number, "reply": reply})).is_ok()
    }

    fn refuse(&self, number: u64, error: &Error) -> bool {
        self.0.try_send(json!({"answers": number, "error": error.code})).is_ok()
    }

    fn push(&self, broadcast: &Broadcast) -> bool {
        self.0.try_send(broadcast.encoded(|event| Line(json!({"event": event_name(event)}))).0).is_ok()
    }

    fn close(&self, closing: Closing) {
        let _ = self.0.try_send(json!({"closed": format!("{closing:?}")}));
    }
}

/// A connection of the dialect, and its session.
struct Client {
    session: Arc<Session<Lines>>,
    told: mpsc::Receiver<Value>,
}

impl Client {
    fn ask(&self, number: u64, event: &str, payload: &Value) {
        self.session.take(number, decode_request(event, payload));
    }

    async fn next(&mut self) -> Value {
        tokio::time::timeout(Duration::from_secs(5), self.told.recv()).await.expect("soon").expect("open")
    }
}

#[tokio::test]
async fn a_dialect_needs_nothing_of_rooms_and_media() {
    let media = Media { port: 0, workers: 1, listen_ip: vec![Ipv4Addr::LOCALHOST.into()], ..Media::default() };
    let config = Config { media, ..Config::default() };
    let pool = Arc::new(Pool::start(&config.media, &Told::default(), &[]).expect("starts"));
    let store = parlor_store::Store::open("sqlite::memory:").await.expect("opens");
    let ice = crate::ice::Ice::new(&config, false).expect("no provider");
    let registry = Arc::new(Registry::new(&config, true, Arc::clone(&pool), store, FeedHandle::nowhere(), ice));
    let authenticator = Authenticator::new(&config.auth, true).expect("makes a secret");
    let connect = async |user: &str| {
        let pass = authenticator.verify(&authenticator.issue(user, None, false).expect("issued")).await.expect("valid");
        let (sender, told) = mpsc::channel(16);
        Client { session: runner::start(pass, Lines(sender), Arc::clone(&registry), |_| {}).expect("starts"), told }
    };
    let (mut alice, mut bob) = (connect("alice").await, connect("bob").await);
    alice.ask(1, "voice:state:update", &json!({"muted": true}));
    assert_eq!(alice.next().await, json!({"answers": 1, "error": ErrorCode::NotInChannel}));
    alice.ask(2, "voice:join", &json!({"channelId": "den"}));
    assert_eq!(alice.next().await["reply"]["channelId"], "den");
    bob.ask(1, "voice:join", &json!({"channelId": "den"}));
    assert_eq!(bob.next().await["answers"], 1);
    assert_eq!(alice.next().await, json!({"event": "voice:participant:joined"}));
    bob.session.end(Ending::Goodbye);
    assert_eq!(alice.next().await, json!({"event": "voice:participant:left"}));
    registry.shut_down().await;
    tokio::task::spawn_blocking(move || pool.stop(Instant::now() + Duration::from_secs(10))).await.expect("stops");
}
