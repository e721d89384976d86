//! What a user is told of the way their requests take.

use parlor::config::Config;
use reqwest::Method;
use serde_json::{Value, json};

use super::Rest;

const PATH: &str = "/api/voice/connection";

async fn told(change: impl FnOnce(&mut Config), header: Option<&str>) -> Value {
    let rest = Rest::start_with(change).await;
    let mut request = rest.request(Method::GET, PATH).bearer_auth(rest.token("alice"));
    if let Some(header) = header {
        request = request.header("x-forwarded-for", header);
    }
    let told = rest.send(&Method::GET, PATH, request).await.is(200);
    let media = rest.server.media_addresses();
    assert_eq!(told["media"], json!([{ "ip": "127.0.0.1", "port": media[0].port() }]), "{told}");
    rest.end().await;
    json!([told["address"], told["forwarded"]])
}

#[tokio::test]
async fn a_user_is_told_by_which_address_they_count_and_whether_a_proxy_was_believed() {
    assert_eq!(told(|_| {}, None).await, json!(["127.0.0.1", "none"]));
    assert_eq!(told(|_| {}, Some("198.51.100.7")).await, json!(["198.51.100.7", "believed"]));
    let open = |config: &mut Config| config.http.listen = vec!["0.0.0.0:0".parse().expect("an address")];
    assert_eq!(told(open, Some("198.51.100.7")).await, json!(["127.0.0.1", "ignored"]));
}

#[tokio::test]
async fn a_key_has_no_connection_of_a_user() {
    let rest = Rest::start().await;
    rest.get(PATH).await.refused(401, "UNAUTHENTICATED");
    rest.end().await;
}
