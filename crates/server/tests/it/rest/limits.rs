//! The rate limits of the REST API.

use reqwest::Method;
use serde_json::json;

use super::Rest;

#[tokio::test]
async fn a_key_has_its_rate() {
    let rest = Rest::start_with(|config| config.api.requests_per_second_key = 5).await;
    let other = rest.key_with(&["*"]).await;
    let mut refused = None;
    for _ in 0..20 {
        let answer = rest.get("/api/keys").await;
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("twenty are too many");
    assert_eq!(refused.header("retry-after"), "1");
    let body = refused.refused(429, "RATE_LIMITED");
    assert!(body["details"]["retryAfterMs"].as_u64().is_some_and(|ms| ms <= 1000), "{body}");
    rest.call_as(&other, Method::GET, "/api/keys", None).await.is(200);
    rest.end().await;
}

#[tokio::test]
async fn an_address_has_its_rate() {
    let rest = Rest::start_with(|config| config.api.requests_per_second_address = 3).await;
    let mut last = 200;
    for _ in 0..20 {
        last = rest.get("/api/openapi.json").await.status;
        if last == 429 {
            break;
        }
    }
    assert_eq!(last, 429);
    for _ in 0..20 {
        assert_eq!(rest.get("/healthz").await.status, 200, "health is not counted");
    }
    rest.end().await;
}

#[tokio::test]
async fn who_tries_keys_is_slowed_down_and_nobody_else() {
    let rest = Rest::start_with(|config| config.api.failed_keys_per_minute = 3).await;
    let wrong = format!("{}0", &rest.key[..rest.key.len() - 1]);
    let wrong = if wrong == rest.key { format!("{}1", &rest.key[..rest.key.len() - 1]) } else { wrong };
    for _ in 0..3 {
        rest.call_as(&wrong, Method::GET, "/api/keys", None).await.refused(401, "UNAUTHENTICATED");
    }
    let refused = rest.call_as(&wrong, Method::GET, "/api/keys", None).await;
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| (1..=20).contains(&seconds)));
    refused.refused(429, "RATE_LIMITED");
    rest.call_as("not.a.token", Method::GET, "/api/voice/den/participants", None).await.refused(429, "RATE_LIMITED");
    rest.put("/api/channels/den", json!({})).await.is(201);
    rest.end().await;
}

#[tokio::test]
async fn a_trusted_proxy_says_who_asks() {
    let rest = Rest::start_with(|config| {
        config.api.failed_keys_per_minute = 1;
        config.api.trusted_proxies = vec!["127.0.0.1".parse().expect("ip")];
    })
    .await;
    let ask = async |from: &str| {
        let request = rest.request(Method::GET, "/api/keys").header("x-forwarded-for", from).bearer_auth("nonsense");
        rest.send(&Method::GET, "/api/keys", request).await.status
    };
    assert_eq!((ask("198.51.100.1").await, ask("198.51.100.1").await, ask("198.51.100.2").await), (401, 429, 401));
    assert_eq!(ask("203.0.113.7, 198.51.100.1").await, 429, "what the client itself wrote there is not believed");
    rest.end().await;
}
