//! Tests of the list of another service: fetched over real HTTP with all that goes wrong there, and kept in virtual time.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Mutex;

use axum::Router;
use axum::extract::{RawQuery, State as Shown};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use futures_util::future::join_all;
use parlor_testkit::wait::until;
use reqwest::Url;
use serde_json::json;

use super::*;

/// An answer in the form of the API's documentation.
fn list(host: &str) -> String {
    let turn = |rest: &str| json!({"urls": format!("turn:{host}:{rest}"), "username": "u", "credential": "hush"});
    json!([{"urls": format!("stun:{host}:80")}, turn("80"), turn("80?transport=tcp"), turn("443"), turn("443?transport=tcp")]).to_string()
}

fn first(servers: Option<Arc<[IceServer]>>) -> Option<String> {
    servers.map(|servers| servers[0].urls[0].clone())
}

/// The answers of the API's stand-in, the last one again and again; and the queries it got.
#[derive(Default)]
struct Site {
    answers: Mutex<VecDeque<&'static str>>,
    queries: Mutex<Vec<String>>,
}

async fn answer(Shown(site): Shown<Arc<Site>>, RawQuery(query): RawQuery) -> Response {
    site.queries.lock().expect("unpoisoned").push(query.unwrap_or_default());
    let next = {
        let mut answers = site.answers.lock().expect("unpoisoned");
        if answers.len() > 1 { answers.pop_front() } else { answers.front().copied() }
    };
    match next.unwrap_or_default() {
        "good" => list("a.example.com").into_response(),
        "401" => (StatusCode::UNAUTHORIZED, json!({"error": "Invalid API Key"}).to_string()).into_response(),
        "500" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "elsewhere" => Redirect::temporary("/good").into_response(),
        "huge" => format!("[\"{}\"]", "x".repeat(1 << 20)).into_response(),
        "slow" => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            list("late.example.com").into_response()
        }
        other => other.to_owned().into_response(),
    }
}

/// A list fetched from a site with these answers.
async fn metered(answers: &[&'static str]) -> (Arc<Site>, Metered) {
    let site = Arc::new(Site { answers: Mutex::new(answers.iter().copied().collect()), ..Site::default() });
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bind");
    let address = listener.local_addr().expect("an address");
    let router = Router::new().route("/api/v1/turn/credentials", get(answer)).route("/good", get(|| async { list("b.example.com") }));
    tokio::spawn(axum::serve(listener, router.with_state(Arc::clone(&site))).into_future());
    let url = Url::parse(&format!("http://{address}/api/v1/turn/credentials?apiKey=k")).expect("an address");
    (site, Metered::start(Document::new(url).expect("a client"), Duration::from_secs(3_600)))
}

#[tokio::test]
async fn the_first_join_waits_for_the_list_and_the_key_is_sent_as_documented() {
    let (site, metered) = metered(&["good"]).await;
    let servers = metered.servers().await.expect("fetched");
    assert_eq!(servers.len(), 5);
    assert_eq!(servers[0], IceServer { urls: vec!["stun:a.example.com:80".into()], username: None, credential: None });
    let turn = IceServer {
        urls: vec!["turn:a.example.com:443?transport=tcp".into()],
        username: Some("u".into()),
        credential: Some("hush".into()),
    };
    assert_eq!(servers[4], turn);
    for _ in 0..100 {
        assert!(metered.servers().await.is_some());
    }
    assert_eq!(*site.queries.lock().expect("unpoisoned"), ["apiKey=k"], "it is asked once");
}

#[tokio::test]
async fn no_failure_of_the_api_gives_servers_or_a_panic_and_it_is_asked_again() {
    let each = ["401", "500", "elsewhere", "huge", "", "nonsense", "{}", "[]", "null", "[{\"urls\":\"turn:a.example.com\"}]"].map(
        |wrong| async move {
            let (site, metered) = metered(&[wrong, "good"]).await;
            assert_eq!(metered.servers().await, None, "{wrong}");
            until("it is asked again and answers", async || metered.servers().await.is_some()).await;
            assert_eq!(site.queries.lock().expect("unpoisoned").len(), 2, "{wrong}");
        },
    );
    join_all(each).await;
}

#[tokio::test]
async fn an_api_that_does_not_answer_delays_a_join_for_two_seconds_at_the_most() {
    let (_site, metered) = metered(&["slow"]).await;
    let began = Instant::now();
    assert_eq!(metered.servers().await, None);
    assert!(began.elapsed() >= FIRST_WAIT && began.elapsed() < FIRST_WAIT * 2, "{:?}", began.elapsed());
}

#[test]
fn an_answer_with_anything_a_browser_would_refuse_is_refused_as_a_whole_and_not_quoted() {
    let turn = json!({"urls": "turn:a.example.com", "username": "u", "credential": "hush"});
    for (wrong, why) in [
        (json!([turn, {"urls": "http://a.example.com"}]), "an address"),
        (json!([turn, {"urls": []}]), "no address"),
        (json!([turn, {"urls": ["stun:a.example.com", "hush"]}]), "an address"),
        (json!([{"urls": "turns:a.example.com", "username": "u"}]), "no user name or password"),
        (json!([{"urls": "stun:a.example.com"}]), "no TURN server"),
        (json!([{"urls": "turn:a.example.com", "username": "u", "credential": "x".repeat(MAX_TEXT + 1)}]), "too much"),
        (json!([{"urls": vec!["turn:a.example.com"; MAX_URLS + 1], "username": "u", "credential": "hush"}]), "too much"),
        (json!(vec![turn.clone(); MAX_SERVERS + 1]), "more than 16"),
        (json!([{"urls": 7, "username": "hush"}]), "no list"),
    ] {
        let said = read(wrong.to_string().as_bytes()).expect_err("refused");
        assert!(said.contains(why) && !said.contains("hush"), "{wrong}: {said}");
    }
    assert_eq!(read(json!([turn]).to_string().as_bytes()).map(|servers| servers.len()), Ok(1));
    assert_eq!(read(&[0xff, 0xfe]), Err("the answer is no list of ICE servers".to_owned()));
}

/// What a fetch gives at each second of virtual time, and when it was asked.
type Script = fn(u64) -> Result<&'static str, FetchError>;

fn scripted(keep: Duration, script: Script) -> (Metered, Arc<Mutex<Vec<u64>>>) {
    let (sender, state) = watch::channel(State::default());
    let (began, asked) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
    let log = Arc::clone(&asked);
    let fetch = move || {
        let at = began.elapsed().as_secs();
        log.lock().expect("unpoisoned").push(at);
        let answer = script(at).map(|host| list(host).into_bytes());
        async move { answer }
    };
    let keeper = Keeper { name: "https://api.example.com/".into(), keep, fresh: None, failures: 0 };
    (Metered { state, task: tokio::spawn(keeper.run(fetch, sender)).abort_handle() }, asked)
}

async fn at(seconds: u64, began: Instant) {
    tokio::time::sleep_until(began + Duration::from_secs(seconds) + Duration::from_millis(500)).await;
}

#[tokio::test(start_paused = true)]
async fn the_list_is_fetched_again_every_ten_minutes() {
    let (metered, asked) = scripted(Duration::from_secs(3_600), |at| Ok(if at < 600 { "old.example.com" } else { "new.example.com" }));
    let began = Instant::now();
    at(599, began).await;
    assert_eq!(first(metered.servers().await).as_deref(), Some("stun:old.example.com:80"));
    at(600, began).await;
    assert_eq!(first(metered.servers().await).as_deref(), Some("stun:new.example.com:80"));
    assert_eq!(*asked.lock().expect("unpoisoned"), [0, 600]);
}

#[tokio::test(start_paused = true)]
async fn an_old_list_is_told_until_it_is_too_old_and_a_failing_api_is_left_in_peace() {
    let script: Script = |at| if at == 0 { Ok("a.example.com") } else { Err(FetchError::Status(StatusCode::BAD_GATEWAY)) };
    let (metered, asked) = scripted(Duration::from_secs(1_800), script);
    let began = Instant::now();
    at(1_790, began).await;
    assert!(metered.servers().await.is_some());
    at(1_900, began).await;
    assert_eq!(metered.servers().await, None);
    let asked = asked.lock().expect("unpoisoned").clone();
    assert_eq!(asked[..8], [0, 600, 601, 603, 607, 615, 631, 663], "each pause is twice the one before");
    assert!(asked.windows(2).skip(8).all(|pair| pair[1] - pair[0] == 60), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_none_any_more_ends_the_old_list_at_once() {
    let script: Script = |at| if at == 0 { Ok("a.example.com") } else { Err(FetchError::Status(StatusCode::UNAUTHORIZED)) };
    let (metered, _asked) = scripted(Duration::from_secs(3_600), script);
    let began = Instant::now();
    at(601, began).await;
    assert_eq!(metered.servers().await, None);
}
