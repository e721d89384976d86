//! Tests of the feed from a room to the host application, over a store in memory and real HTTP.

mod deliveries;
mod receiver;
mod shapes;
mod writing;

use parlor_proto::{ChannelId, MediaKind, ProducerId, SessionId, Source, UserId};
use parlor_rooms::Happening;
use parlor_store::Store;

use crate::config::{self, Secret, Webhook};
use crate::feed::{Event, Feed, Start, Timing};

/// The key of the tests' webhook.
const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const NODE: &str = "node-1";

async fn store() -> Store {
    Store::open("sqlite::memory:").await.expect("opens")
}

/// A deadline that is longer than anything in these tests takes.
fn soon() -> tokio::time::Instant {
    tokio::time::Instant::now() + std::time::Duration::from_secs(8)
}

/// Timing with milliseconds in place of seconds.
fn quick() -> Timing {
    use std::time::Duration;
    Timing {
        answer: Duration::from_secs(5),
        first_pause: Duration::from_millis(5),
        longest_pause: Duration::from_millis(20),
        ..Timing::default()
    }
}

async fn start(store: &Store, webhooks: &[Webhook]) -> Feed {
    let start = Start { node: NODE, shared: false, feed: &config::Feed::default(), webhooks };
    Feed::start_with(store, &start, quick()).await.expect("starts")
}

fn webhook(url: &str, events: &[&str]) -> Webhook {
    let events = events.iter().map(|&event| event.to_owned()).collect();
    let secret = Secret::new(SECRET.to_owned());
    Webhook { name: String::new(), url: url.to_owned(), secret, old_secrets: Vec::new(), events, allow_http: false }
}

fn channel() -> ChannelId {
    ChannelId::new("standup").expect("valid")
}

fn user(name: &str) -> UserId {
    UserId::new(name).expect("valid")
}

fn joined(number: u128) -> Happening {
    Happening::ParticipantJoined {
        user: user(&format!("user-{number}")),
        name: "A name".to_owned(),
        session: SessionId::from_random(number),
    }
}

fn left(number: u128) -> Happening {
    Happening::ParticipantLeft {
        user: user(&format!("user-{number}")),
        name: String::new(),
        session: SessionId::from_random(number),
        reason: "left",
    }
}

fn camera(number: u128) -> Happening {
    let producer = ProducerId::from_random(number);
    Happening::ProducerStarted { user: user(&format!("user-{number}")), producer, kind: MediaKind::Video, source: Source::Camera }
}

async fn publish(feed: &Feed, happenings: &[Happening]) {
    for happening in happenings {
        feed.handle().publish(&channel(), happening).await;
    }
}

/// The events in the store.
async fn stored(store: &Store) -> Vec<Event> {
    store.feed_after(0, 1000).await.expect("reads").into_iter().map(Event::from).collect()
}

fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}
