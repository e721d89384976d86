//! The rules of the store, each on SQLite and on PostgreSQL.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "in a test, a broken expectation is the result")]

mod access;
mod bans;
mod channels;
mod crash;
mod database;
mod feed;
mod keys;
mod leases;
mod log;
mod people;
mod races;
mod schema;
mod text;

use parlor_proto::{Actor, Channel, ChannelId, Timestamp, UserId};

/// Runs each of these functions on a new database of either kind.
macro_rules! on_both {
    ($($rule:ident),+ $(,)?) => {
        $(mod $rule {
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn on_sqlite() {
                super::$rule(crate::database::Database::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn on_postgres() {
                super::$rule(crate::database::Database::postgres().await).await;
            }
        })+
    };
}
pub(crate) use on_both;

fn id(text: &str) -> ChannelId {
    ChannelId::new(text).expect("valid")
}

fn user(text: &str) -> UserId {
    UserId::new(text).expect("valid")
}

fn channel(text: &str) -> Channel {
    Channel::new(id(text), format!("The {text}"))
}

fn admin() -> Actor {
    Actor::Key("k1".to_owned())
}

/// A moment of these tests.
const fn at(millis: i64) -> Timestamp {
    Timestamp(millis)
}
