//! HTTP: health, headers, and what exists in development mode only.

use std::time::{Duration, Instant};

use parlor::config::Secret;
use parlor::{Options, Server};
use serde_json::{Value, json};

use super::client::Client;
use super::{base, dev_server, test_config};

async fn production_server() -> Server {
    let mut config = test_config();
    config.auth.secret = Secret::new("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c".into());
    Server::start(&config, Options { crash_route: true, ..Options::default() }).await.expect("starts")
}

#[tokio::test]
async fn the_development_routes_do_not_exist_outside_development() {
    let server = production_server().await;
    let http = reqwest::Client::new();
    for path in ["/api/dev/token", "/api/dev/crash", "/api/dev/stats"] {
        let answer = http.post(base(&server) + path).json(&json!({"user": "a"})).send().await.expect("answers");
        assert_eq!(answer.status(), 404, "{path}");
        let answer = http.get(base(&server) + path).send().await.expect("answers");
        assert_eq!(answer.status(), 404, "{path}");
    }
    assert_eq!(http.get(base(&server) + "/healthz").send().await.expect("answers").status(), 200);
    server.shut_down().await;
}

#[tokio::test]
async fn in_development_guests_get_tokens_that_work() {
    let server = dev_server().await;
    let http = reqwest::Client::new();
    let wish = json!({"user": "alice", "name": "Alice", "pro": true});
    let answer = http.post(base(&server) + "/api/dev/token").json(&wish).send().await.expect("answers");
    let token = answer.json::<Value>().await.expect("json")["token"].as_str().expect("a token").to_owned();
    let mut client = Client::open(&server).await;
    assert!(client.authenticate(&token).await.starts_with("40"));
    for bad in
        [json!({}), json!({"user": ""}), json!({"user": "a", "name": "\u{202e}"}), json!({"user": 1}), json!({"user": "a", "admin": true})]
    {
        let answer = http.post(base(&server) + "/api/dev/token").json(&bad).send().await.expect("answers");
        assert_eq!(answer.status(), 400, "{bad}");
        assert_eq!(answer.json::<Value>().await.expect("json")["code"], "INVALID_REQUEST");
    }
    let big = json!({"user": "a", "name": "x".repeat(20_000)});
    let answer = http.post(base(&server) + "/api/dev/token").json(&big).send().await.expect("answers");
    assert_eq!(answer.status(), 400);
    let crash = http.post(base(&server) + "/api/dev/crash").send().await.expect("answers");
    assert_eq!(crash.status(), 404, "the crash route must be asked for");
    server.shut_down().await;
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let server = dev_server().await;
    for path in ["/", "/healthz", "/nothing.js", "/channel/abc"] {
        let answer = reqwest::get(base(&server) + path).await.expect("answers");
        let header = |name: &str| answer.headers().get(name).map(|v| v.to_str().expect("text").to_owned()).unwrap_or_default();
        assert!(header("content-security-policy").contains("default-src 'self'"), "{path}");
        let own = format!("connect-src 'self' ws://{0} wss://{0}", server.http_addresses()[0]);
        assert!(header("content-security-policy").ends_with(&own), "{path}");
        assert!(header("permissions-policy").contains("microphone=(self)"), "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
    }
    assert_eq!(reqwest::get(base(&server) + "/nothing.js").await.expect("answers").status(), 404);
    for path in ["/channel/abc", "/metrics"] {
        assert_eq!(
            reqwest::get(base(&server) + path).await.expect("answers").status(),
            404,
            "a program must not take the page for what it asks for"
        );
    }
    let page = reqwest::get(base(&server) + "/").await.expect("answers");
    assert!(page.headers()["content-type"].to_str().expect("text").starts_with("text/html"));
    server.shut_down().await;
}

#[tokio::test]
async fn in_development_a_channel_is_open_before_anybody_was_in_it() {
    let server = dev_server().await;
    let token = server.issue_token("alice", None, false).expect("a token");
    let path = base(&server) + "/api/voice/kitchen/window";
    let answer = reqwest::Client::new().get(path).bearer_auth(token).send().await.expect("answers");
    assert_eq!(answer.status(), 200, "the page asks for it, and a browser shows every 404 as an error");
    let window: serde_json::Value = answer.json().await.expect("JSON");
    assert_eq!((&window["channelId"], &window["voiceActive"]), (&"kitchen".into(), &true.into()), "{window}");
    server.shut_down().await;
}

#[tokio::test]
async fn pages_of_other_origins_are_let_in_only_if_listed() {
    let mut config = test_config();
    config.http.cors_origins = vec!["https://app.example.com".into()];
    config.auth.secret = Secret::new("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c".into());
    let server = Server::start(&config, Options::default()).await.expect("starts");
    for (origin, allowed) in [("https://app.example.com", true), ("https://evil.example", false), ("http://localhost:5173", false)] {
        let url = base(&server) + "/socket.io/?EIO=4&transport=polling";
        let answer = reqwest::Client::new().get(url).header("origin", origin).send().await.expect("answers");
        assert_eq!(answer.headers().contains_key("access-control-allow-origin"), allowed, "{origin}");
    }
    server.shut_down().await;
}

#[tokio::test]
async fn a_stopping_server_says_goodbye_and_ends_in_time() {
    let server = dev_server().await;
    let (mut client, _) = Client::joined(&server, "alice", "lobby").await;
    // A connection that never says anything must not hold the server up.
    let _mute = tokio::net::TcpStream::connect(server.http_addresses()[0]).await.expect("connects");
    let began = Instant::now();
    let stopping = tokio::spawn(server.shut_down());
    let left = client.event("voice:left").await;
    assert_eq!((left["reason"].as_str(), left["rejoin"].as_bool()), (Some("shutting-down"), Some(true)));
    client.closed().await;
    stopping.await.expect("stops");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[tokio::test]
async fn development_is_not_for_pages_of_other_names() {
    let server = dev_server().await;
    let port = server.http_addresses()[0].port();
    let ask = async |path: &str, host: &str, origin: &str| {
        let request = reqwest::Client::new().get(base(&server) + path).header("host", host);
        let request = if origin.is_empty() { request } else { request.header("origin", origin) };
        request.send().await.expect("answers").status().as_u16()
    };
    let here = format!("localhost:{port}");
    for path in ["/", "/healthz", "/api/dev/stats", "/socket.io/?EIO=4&transport=polling"] {
        assert_ne!(ask(path, &here, "").await, 403, "{path}");
        assert_ne!(ask(path, &here, "http://localhost:5173").await, 403, "{path}");
        assert_eq!(ask(path, &format!("evil.example:{port}"), "").await, 403, "{path}");
        assert_eq!(ask(path, &here, "http://evil.example").await, 403, "{path}");
    }
    let wish = reqwest::Client::new().post(base(&server) + "/api/dev/token").json(&json!({"user": "mallory", "moderator": true}));
    assert_eq!(wish.header("host", "evil.example").send().await.expect("answers").status(), 403);
    server.shut_down().await;
    let server = production_server().await;
    let named = reqwest::Client::new().get(base(&server) + "/healthz").header("host", "voice.example.com").send().await;
    assert_eq!(named.expect("answers").status(), 200, "outside development the name is the operator's");
    server.shut_down().await;
}
