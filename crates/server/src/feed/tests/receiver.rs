//! A host application for tests: it notes every delivery, and answers by a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::clock::wall;

/// The longest a test waits for something that should happen at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// The way a delivery is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Script {
    /// With this status.
    Status(u16),
    /// With a redirect to elsewhere.
    Redirect,
    /// Not at all: the delivery is taken, and the connection broken before the answer.
    Never,
}

/// One delivery that was received.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: String,
    pub taken: bool,
    pub events: Vec<Value>,
}

#[derive(Default)]
struct Shared {
    scripts: Mutex<VecDeque<Script>>,
    deliveries: Mutex<Vec<Delivery>>,
    changed: Notify,
}

/// A host application that runs.
pub struct Receiver {
    pub url: String,
    shared: Arc<Shared>,
}

impl Receiver {
    /// Starts one that answers by these scripts first, then with 200.
    pub async fn start(scripts: &[Script]) -> Self {
        let shared = Arc::new(Shared { scripts: Mutex::new(scripts.iter().copied().collect()), ..Shared::default() });
        let router = Router::new().route("/events", post(receive)).with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("http://{}/events", listener.local_addr().expect("address"));
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { url, shared }
    }

    /// Every delivery so far.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.deliveries.lock().expect("not poisoned").clone()
    }

    /// The events of the deliveries that were accepted.
    pub fn taken(&self) -> Vec<Value> {
        self.deliveries().into_iter().filter(|delivery| delivery.taken).flat_map(|delivery| delivery.events).collect()
    }

    /// Waits until so many events were accepted, and returns them.
    pub async fn wait_for(&self, count: usize) -> Vec<Value> {
        self.wait(|receiver| receiver.taken().len() >= count).await;
        self.taken()
    }

    /// Waits until a condition holds.
    pub async fn wait(&self, done: impl Fn(&Self) -> bool) {
        let wait = async {
            loop {
                let changed = self.shared.changed.notified();
                if done(self) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("happens in time");
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    check_signature([&header("webhook-id"), &header("webhook-timestamp"), &header("webhook-signature")], &body);
    assert_eq!(header("content-type"), "application/json");
    assert!(header("user-agent").starts_with("Parlor/"));
    let script = shared.scripts.lock().expect("not poisoned").pop_front().unwrap_or(Script::Status(200));
    let body: Value = serde_json::from_slice(&body).expect("json");
    let events = body["events"].as_array().expect("a list").clone();
    assert!((1..=100).contains(&events.len()));
    let taken = matches!(script, Script::Status(200..300));
    shared.deliveries.lock().expect("not poisoned").push(Delivery { id: header("webhook-id"), taken, events });
    shared.changed.notify_waiters();
    match script {
        Script::Status(status) => (StatusCode::from_u16(status).expect("a status"), "x".repeat(100_000)).into_response(),
        Script::Redirect => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/elsewhere")]).into_response(),
        Script::Never => std::future::pending().await,
    }
}

/// Checks a signature independently of the library's HMAC: from the definition in RFC 2104.
fn check_signature([id, time, signature]: [&str; 3], body: &[u8]) {
    let seconds: i64 = time.parse().expect("seconds");
    assert!((wall().0 / 1000 - seconds).abs() < 60, "{time}");
    let mut key = [0_u8; 64];
    key[..crate::feed::tests::KEY.len()].copy_from_slice(crate::feed::tests::KEY);
    let pad = |with: u8| key.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = digest(&SHA256, &[pad(0x36).as_slice(), id.as_bytes(), b".", time.as_bytes(), b".", body].concat());
    let outer = digest(&SHA256, &[pad(0x5c).as_slice(), inner.as_ref()].concat());
    assert_eq!(signature, format!("v1,{}", STANDARD.encode(outer)));
}
