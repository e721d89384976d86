//! The OpenAPI document: complete, true, and with a key on every route that needs one.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::super::base;
use super::super::client::Client;
use super::Rest;

/// The paths that need no key.
const OPEN: &[&str] = &["/healthz", "/readyz", "/api/openapi.json"];

fn operations(document: &Value) -> Vec<(String, Method, Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            all.push((path.clone(), method.to_uppercase().parse().expect("a method"), operation.clone()));
        }
    }
    all
}

#[tokio::test]
async fn every_operation_but_a_few_needs_a_key() {
    let rest = Rest::start().await;
    let document = rest.get("/api/openapi.json").await.is(200);
    assert_eq!(document["openapi"], "3.1.0");
    let all = operations(&document);
    assert!(all.len() > 35, "{}", all.len());
    for (path, method, operation) in all {
        let real = path.replace("{id}", "den").replace("{user}", "alice").replace("{seat}", "a");
        if OPEN.contains(&path.as_str()) {
            assert_eq!(rest.send(&method, &real, rest.request(method.clone(), &real)).await.status, 200, "{path}");
            continue;
        }
        // Without a key nothing else is checked, not even whether the path exists.
        let request = rest.request(method.clone(), &real).body("nonsense");
        rest.send(&method, &real, request).await.refused(401, "UNAUTHENTICATED");
        assert!(operation["security"][0].is_object(), "{method} {path} says nothing of keys");
        assert!(operation["summary"].is_string() && operation["operationId"].is_string(), "{method} {path}");
    }
    rest.end().await;
}

#[tokio::test]
async fn no_operation_takes_a_parameter_it_does_not_know() {
    let rest = Rest::start_with(|_| {}).await;
    rest.put("/api/channels/den", json!({})).await.is(201);
    let document = rest.get("/api/openapi.json").await.is(200);
    let token = rest.token("alice");
    for (path, method, operation) in operations(&document) {
        let for_users_alone = operation["security"] == json!([{"userToken": []}]);
        let bearer = if for_users_alone { &token } else { &rest.key };
        let real = path.replace("{id}", "den").replace("{user}", "alice").replace("{seat}", "a");
        for query in ["?colour=red", "?limit=1&dry_run=true", "?wait"] {
            if real == "/api/events" && query == "?wait" {
                continue;
            }
            let answer = rest.call_as(bearer, method.clone(), &format!("{real}{query}"), Some(json!({}))).await;
            assert!(answer.body["detail"].as_str().is_some_and(|detail| detail.contains("is not a parameter of this request")), "{real}");
            assert!(["colour", "dry_run", "wait", "limit"].iter().any(|name| answer.body["field"] == *name), "{}", answer.body);
            answer.refused(400, "INVALID_REQUEST");
        }
    }
    rest.get("/api/channels/den").await.is(200);
    rest.end().await;
}

/// Every text under this name, anywhere in the document.
fn texts<'d>(value: &'d Value, name: &str, found: &mut Vec<&'d Value>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| texts(value, name, found)),
        Value::Object(fields) => {
            found.extend(fields.get(name));
            fields.values().for_each(|value| texts(value, name, found));
        }
        _ => {}
    }
}

#[tokio::test]
async fn every_request_body_has_an_example_and_it_is_accepted() {
    let rest = Rest::start().await;
    let document = rest.get("/api/openapi.json").await.is(200);
    let mut with_body: Vec<_> = operations(&document).into_iter().filter(|(.., operation)| operation["requestBody"].is_object()).collect();
    assert_eq!(with_body.len(), 13);
    // Channels come first, then the things in them.
    with_body.sort_by_key(|(path, ..)| path.len());
    for (n, (path, method, operation)) in with_body.into_iter().enumerate() {
        let example = operation["requestBody"]["content"]["application/json"]["example"].clone();
        assert!(example.is_object(), "{method} {path}");
        let user = format!("user-{n}");
        let somebody = if path.contains("/participants/") { Some(Client::joined(&rest.server, &user, "den").await) } else { None };
        let real = path.replace("{id}", "den").replace("{user}", &user).replace("{seat}", "north");
        let answer = rest.call(method.clone(), &real, Some(example.clone())).await;
        assert!((200..300).contains(&answer.status), "{method} {path} {example}: {}", answer.body);
        drop(somebody);
        if path == "/api/channels/{id}" {
            // The channel of the example opens in the far future.
            rest.put(&real, json!({})).await.is(200);
        }
    }
    rest.end().await;
}

#[tokio::test]
async fn every_example_of_a_text_is_taken_for_one() {
    let rest = Rest::start().await;
    let document = rest.get("/api/openapi.json").await.is(200);
    let examples = |name: &str| document["components"]["schemas"][name]["examples"].as_array().expect("examples").clone();
    for (id, name) in examples("Id").iter().zip(examples("Name")) {
        rest.post("/api/channels", json!({ "id": id, "name": name, "owner": id })).await.is(201);
    }
    for (until, reason) in examples("Time").iter().zip(examples("Reason")) {
        rest.put("/api/channels/den/bans/mallory", json!({ "until": until, "reason": reason })).await.is(200);
    }
    let mut all = Vec::new();
    texts(&document["components"]["schemas"], "examples", &mut all);
    assert_eq!(all.len(), 4, "an example that is not tried here: {all:?}");
    rest.end().await;
}

/// Readers of patterns differ: those without the flag `u` of ECMA-262 read a character beyond the first plane as two, and know no
/// `\\u{…}` and no classes by property.
#[tokio::test]
async fn patterns_are_read_the_same_with_and_without_unicode() {
    let rest = Rest::start().await;
    let document = rest.get("/api/openapi.json").await.is(200);
    let mut patterns = Vec::new();
    texts(&document, "pattern", &mut patterns);
    assert!(patterns.len() > 5);
    for pattern in patterns {
        let pattern = pattern.as_str().expect("text");
        for unknown in ["\\u{", "\\p{", "\\P{", "\\x{", "(?<", "(?i"] {
            assert!(!pattern.contains(unknown), "{pattern}");
        }
        let mut in_class = false;
        let mut escaped = false;
        for character in pattern.chars() {
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '[' => in_class = true,
                ']' => in_class = false,
                _ => assert!(!in_class || u32::from(character) < 0x10000, "U+{:04X} within a class of {pattern}", u32::from(character)),
            }
        }
    }
    rest.end().await;
}

/// What generators of clients call after it: `items` of a list are a schema with a name, never one made up from where it stands.
#[tokio::test]
async fn what_lists_have_in_them_has_a_name() {
    let rest = Rest::start().await;
    let document = rest.get("/api/openapi.json").await.is(200);
    let mut items = Vec::new();
    texts(&document, "items", &mut items);
    let unnamed: Vec<_> = items.iter().filter(|item| item["type"] == "object" || item["properties"].is_object()).collect();
    assert!(unnamed.is_empty(), "{unnamed:#?}");
    rest.end().await;
}

/// What DELETE answers where there is nothing to remove. Signing out is possible at any time.
#[tokio::test]
async fn a_second_removal_finds_nothing_whatever_it_is_of() {
    let rest = Rest::start().await;
    rest.put("/api/channels/den", json!({})).await.is(201);
    let document = rest.get("/api/openapi.json").await.is(200);
    let key = rest.post("/api/keys", json!({"name": "a", "scopes": ["audit"]})).await.is(201)["id"].as_str().expect("an id").to_owned();
    for made in ["members/alice", "invitations/alice", "seats/a", "bans/mallory"] {
        rest.put(&format!("/api/channels/den/{made}"), json!({})).await;
    }
    rest.put("/api/users/alice/entitlement", json!({"pro": true})).await.is(200);
    let mut removals: Vec<_> = operations(&document).into_iter().filter(|(_, method, _)| method == Method::DELETE).collect();
    // Things in a channel are removed before the channel.
    removals.sort_by_key(|(path, ..)| std::cmp::Reverse(path.len()));
    assert_eq!(removals.len(), 8);
    for (path, _, operation) in removals {
        let id = if path.contains("/keys/") { &key } else { "den" };
        let user = if path.contains("/bans/") { "mallory" } else { "alice" };
        let real = path.replace("{id}", id).replace("{user}", user).replace("{seat}", "a");
        let statuses = [rest.delete(&real).await.status, rest.delete(&real).await.status];
        let expected = if path.ends_with("/sessions") { [200, 200] } else { [204, 404] };
        assert_eq!(statuses, expected, "{path}");
        if expected == [204, 404] {
            let said = operation["responses"]["404"]["description"].as_str().expect("a sentence");
            assert!(said.contains("removed already"), "{path}: {said}");
        }
    }
    rest.end().await;
}

#[tokio::test]
async fn every_reference_leads_somewhere_and_every_refusal_is_a_problem() {
    let rest = Rest::start().await;
    let document = rest.get("/api/openapi.json").await.is(200);
    let mut open = vec![&document];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(values) => open.extend(values),
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
                }
                open.extend(fields.values());
            }
            _ => {}
        }
    }
    for (path, method, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().expect("responses") {
            if status.starts_with('4') || status.starts_with('5') && path != "/readyz" {
                let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/Problem", "{method} {path} {status}");
            }
        }
    }
    let codes = document["components"]["schemas"]["Code"]["enum"].as_array().expect("codes");
    assert_eq!(codes.len(), parlor_proto::ErrorCode::ALL.len());
    rest.end().await;
}

#[tokio::test]
async fn the_api_is_closed_to_pages_of_other_origins_and_its_answers_are_not_kept() {
    let origin = "https://app.example.com";
    let rest = Rest::start_with(|config| config.http.cors_origins = vec![origin.into()]).await;
    rest.put("/api/channels/den", json!({})).await.is(201);
    let allowed = async |method: Method, path: &str| {
        let request = rest.request(method, path).header("origin", origin).header("access-control-request-method", "GET");
        request.bearer_auth(&rest.key).send().await.expect("answers").headers().contains_key("access-control-allow-origin")
    };
    for method in [Method::GET, Method::OPTIONS] {
        for path in ["/api/channels", "/api/channels/den/participants", "/api/users/a/sessions", "/api/keys", "/api/events"] {
            assert!(!allowed(method.clone(), path).await, "{method} {path}");
        }
        // What users ask with their own tokens is for the pages of the host application.
        for path in ["/api/voice/den/participants", "/api/voice/den/window", "/api/rooms/den/call-state/"] {
            assert!(allowed(method.clone(), path).await, "{method} {path}");
        }
    }
    let answer = rest.get("/api/channels/den").await;
    assert_eq!((answer.header("cache-control"), answer.header("x-content-type-options")), ("no-store", "nosniff"));
    rest.end().await;
}

#[tokio::test]
async fn a_server_is_ready_until_its_store_is_gone() {
    let rest = Rest::start().await;
    let http = reqwest::Client::new();
    let url = base(&rest.server) + "/readyz";
    assert_eq!(http.get(&url).send().await.expect("answers").status(), StatusCode::OK);
    rest.server.close_store().await;
    // The last answer of the store counts for a second.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(http.get(&url).send().await.expect("answers").status(), StatusCode::SERVICE_UNAVAILABLE);
    let answer = rest.get("/api/channels").await;
    assert_eq!(answer.header("retry-after"), "1");
    answer.refused(503, "SERVER_ERROR");
    assert_eq!(http.get(base(&rest.server) + "/healthz").send().await.expect("answers").status(), StatusCode::OK);
    rest.end().await;
}
