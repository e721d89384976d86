//! Two administrators at once: exactly one wins, on both databases.

use std::collections::BTreeMap;
use std::sync::Arc;

use parlor_testkit::postgres::create_database;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Rest;

/// How many administrators try at once.
const RIVALS: usize = 16;

/// Sends all requests at once; returns how often each status came.
async fn rivals(rest: &Arc<Rest>, request: impl Fn(usize) -> (Method, String, Value, Option<&'static str>)) -> BTreeMap<u16, usize> {
    let mut tasks = JoinSet::new();
    for n in 0..RIVALS {
        let (rest, (method, path, body, tag)) = (Arc::clone(rest), request(n));
        tasks.spawn(async move {
            let headers = [("content-type", "application/json"), ("if-match", tag.unwrap_or_default())];
            let headers = if tag.is_some() { &headers[..] } else { &headers[..1] };
            rest.call_raw(method, &path, headers, body.to_string()).await.status
        });
    }
    let mut statuses = BTreeMap::new();
    for status in tasks.join_all().await {
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

async fn exactly_one_wins(rest: Rest) {
    let rest = Arc::new(rest);
    let lost = RIVALS - 1;
    let make = |n| (Method::POST, "/api/channels".to_owned(), json!({"id": "den", "name": format!("den {n}")}), None);
    assert_eq!(rivals(&rest, make).await, BTreeMap::from([(201, 1), (409, lost)]));

    let same = |_| (Method::POST, "/api/channels".to_owned(), json!({"id": "same"}), None);
    assert_eq!(rivals(&rest, same).await, BTreeMap::from([(201, 1), (200, lost)]));

    let change = |n| (Method::PUT, "/api/channels/den".to_owned(), json!({"name": format!("new {n}")}), Some("\"1\""));
    assert_eq!(rivals(&rest, change).await, BTreeMap::from([(200, 1), (412, lost)]));
    assert_eq!(rest.get("/api/channels/den").await.is(200)["version"], 2);

    rest.put("/api/channels/den/seats/last", json!({})).await.is(201);
    let sit = |n| (Method::PUT, "/api/channels/den/seats/last".to_owned(), json!({"userId": format!("user-{n}")}), None);
    assert_eq!(rivals(&rest, sit).await, BTreeMap::from([(204, 1), (409, lost)]));

    let spread = |n| (Method::PUT, format!("/api/channels/den/seats/seat-{n}"), json!({"userId": "one"}), None);
    assert_eq!(rivals(&rest, spread).await, BTreeMap::from([(201, 1), (409, lost)]));

    // Half of them change what the others remove: whoever is second is told, and no change is lost in a removal.
    let change_or_remove = |n: usize| match n % 2 {
        0 => (Method::PUT, "/api/channels/den".to_owned(), json!({"name": format!("newer {n}")}), Some("\"2\"")),
        _ => (Method::DELETE, "/api/channels/den".to_owned(), Value::Null, Some("\"2\"")),
    };
    let statuses = rivals(&rest, change_or_remove).await;
    let won = |status| statuses.get(&status).copied().unwrap_or(0);
    assert_eq!(won(200) + won(204), 1, "{statuses:?}");
    rest.put("/api/channels/den", json!({"name": "the last"})).await;

    let remove = |_| (Method::DELETE, "/api/channels/den".to_owned(), Value::Null, None);
    assert_eq!(rivals(&rest, remove).await, BTreeMap::from([(204, 1), (404, lost)]));
    Arc::into_inner(rest).expect("the only one").end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_one_of_many_wins_on_sqlite() {
    exactly_one_wins(Rest::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_one_of_many_wins_on_postgresql() {
    let url = create_database("rest_races").await.url;
    exactly_one_wins(Rest::start_on(&url, None, |_| {}).await).await;
}
