//! Bad requests: each gets an error that names the field, and nothing is stored.

use reqwest::Method;
use serde_json::{Value, json};

use super::Rest;

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

/// Everything that is stored, to be compared.
async fn everything(rest: &Rest) -> Value {
    let mut all = Vec::new();
    for path in
        ["/api/channels", "/api/channels/den/members", "/api/channels/den/bans", "/api/channels/den/seats", "/api/keys", "/api/audit"]
    {
        all.push(rest.get(path).await.is(200));
    }
    Value::Array(all)
}

#[tokio::test]
async fn a_bad_body_is_an_error_that_names_the_field() {
    let rest = Rest::start().await;
    rest.put("/api/channels/den", json!({})).await.is(201);
    let before = everything(&rest).await;
    let long = "x".repeat(300);
    let deep = format!("{{\"name\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    let channel: &[(&str, &str)] = &[
        (r#"{"name":1}"#, "name"),
        (r#"{"name":["a"]}"#, "name"),
        (r#"{"name":""}"#, "name"),
        (r#"{"name":" a"}"#, "name"),
        (r#"{"name":"a\u0000b"}"#, "name"),
        (r#"{"name":"a\u202eb"}"#, "name"),
        (r#"{"name":"a\u200bb"}"#, "name"),
        (r#"{"name":"a\u200d"}"#, "name"),
        (r#"{"name":"a\nb"}"#, "name"),
        (&format!(r#"{{"name":"{long}"}}"#), "name"),
        (&deep, "name"),
        (r#"{"name":"a","name":"b"}"#, "name"),
        (r#"{"kind":"party"}"#, "kind"),
        (r#"{"kind":"Voice"}"#, "kind"),
        (r#"{"kind":null}"#, "kind"),
        (r#"{"topology":{"sfu":1}}"#, "topology"),
        (r#"{"tier":"gold"}"#, "tier"),
        (r#"{"access":0}"#, "access"),
        (r#"{"privacy":""}"#, "privacy"),
        (r#"{"e2ee":true}"#, "e2ee"),
        (r#"{"recording":"on"}"#, "recording"),
        (r#"{"maxParticipants":0}"#, "maxParticipants"),
        (r#"{"maxParticipants":-1}"#, "maxParticipants"),
        (r#"{"maxParticipants":1.5}"#, "maxParticipants"),
        (r#"{"maxParticipants":"8"}"#, "maxParticipants"),
        (r#"{"maxParticipants":1001}"#, "maxParticipants"),
        (r#"{"maxParticipants":99999999999999999999}"#, "maxParticipants"),
        (r#"{"spectators":"yes"}"#, "spectators"),
        (r#"{"maxSpectators":0}"#, "maxSpectators"),
        (r#"{"maxSpectators":1001}"#, "maxSpectators"),
        (r#"{"maxSpectators":-1}"#, "maxSpectators"),
        (r#"{"maxSpectators":"many"}"#, "maxSpectators"),
        (r#"{"max_spectators":5}"#, "max_spectators"),
        (r#"{"opensAt":"tomorrow"}"#, "opensAt"),
        (r#"{"opensAt":1767225600}"#, "opensAt"),
        (r#"{"closesAt":"2026-02-30T00:00:00Z"}"#, "closesAt"),
        (r#"{"closesAt":"12026-01-01T00:00:00Z"}"#, "closesAt"),
        (r#"{"owner":""}"#, "owner"),
        (r#"{"owner":"a\ufeffb"}"#, "owner"),
        (r#"{"owner":{"id":"a"}}"#, "owner"),
        (r#"{"nmae":"a"}"#, "nmae"),
        (r#"{"__proto__":{}}"#, "__proto__"),
        (r#"{"id":"other"}"#, "id"),
        ("[]", ""),
        ("null", ""),
        ("\"den\"", ""),
        ("", ""),
        ("{", ""),
        ("{}{}", ""),
        ("{'name':'a'}", ""),
        ("{\"name\":NaN}", ""),
    ];
    for (body, field) in channel {
        let answer = rest.call_raw(Method::PUT, "/api/channels/den", JSON, (*body).to_owned()).await;
        answer.blames(400, field);
    }
    let elsewhere: &[(Method, &str, &str, &str)] = &[
        (Method::POST, "/api/channels", r#"{"name":"a"}"#, "id"),
        (Method::POST, "/api/channels", r#"{"id":""}"#, "id"),
        (Method::POST, "/api/channels", r#"{"id":7}"#, "id"),
        (Method::POST, "/api/channels", r#"{"id":"a\u0000"}"#, "id"),
        (Method::POST, "/api/channels", r#"{"id":"\u2066a"}"#, "id"),
        (Method::POST, "/api/channels", &format!(r#"{{"id":"{long}"}}"#), "id"),
        (Method::PUT, "/api/channels/den/members/a", r#"{"role":"admin"}"#, "role"),
        (Method::PUT, "/api/channels/den/members/a", r#"{"role":"member","x":1}"#, "x"),
        (Method::PUT, "/api/channels/den/invitations/a", r#"{"state":"here"}"#, "state"),
        (Method::PUT, "/api/channels/den/seats/a", r#"{"userId":1}"#, "userId"),
        (Method::PUT, "/api/channels/den/seats/a", r#"{"userId":"a\tb"}"#, "userId"),
        (Method::PUT, "/api/channels/den/bans/a", r#"{"until":"later"}"#, "until"),
        (Method::PUT, "/api/channels/den/bans/a", r#"{"reason":"a\u0007"}"#, "reason"),
        (Method::PUT, "/api/channels/den/bans/a", &format!(r#"{{"reason":"{long}"}}"#), "reason"),
        (Method::PUT, "/api/users/a/entitlement", r#"{}"#, "pro"),
        (Method::PUT, "/api/users/a/entitlement", r#"{"pro":"yes"}"#, "pro"),
        (Method::PUT, "/api/users/a/entitlement", r#"{"pro":true,"expiresAt":0}"#, "expiresAt"),
        (Method::POST, "/api/channels/den/participants/a/mute", r#"{"audio":1}"#, "audio"),
        (Method::POST, "/api/channels/den/participants/a/deafen", r#"{}"#, "deafened"),
        (Method::POST, "/api/channels/den/participants/a/move", r#"{"to":""}"#, "to"),
        (Method::POST, "/api/channels/den/participants/a/kick", r#"{"reason":7}"#, "reason"),
        (Method::POST, "/api/channels/den/end-call", r#"{"why":"x"}"#, "why"),
        (Method::POST, "/api/keys", r#"{"scopes":["*"]}"#, "name"),
        (Method::POST, "/api/keys", r#"{"name":"a"}"#, "scopes"),
        (Method::POST, "/api/keys", r#"{"name":"a","scopes":[]}"#, "scopes"),
        (Method::POST, "/api/keys", r#"{"name":"a","scopes":["audit","root"]}"#, "scopes[1]"),
    ];
    for (method, path, body, field) in elsewhere {
        rest.call_raw(method.clone(), path, JSON, (*body).to_owned()).await.blames(400, field);
    }
    assert_eq!(everything(&rest).await, before, "nothing was stored");
    rest.end().await;
}

#[tokio::test]
async fn fields_that_do_not_fit_together_are_refused() {
    let rest = Rest::start().await;
    let window = json!({"opensAt": "2026-02-01T00:00:00Z", "closesAt": "2026-02-01T01:00:00+01:00"});
    rest.put("/api/channels/den", window).await.blames(422, "closesAt");
    rest.put("/api/channels/den", json!({"e2ee": "required", "recording": "allowed"})).await.blames(422, "recording");
    rest.put("/api/channels/den", json!({})).await.is(201);
    rest.put("/api/channels/den/bans/a", json!({"until": "2020-01-01T00:00:00Z"})).await.blames(422, "until");
    rest.end().await;
}

#[tokio::test]
async fn what_looks_like_sql_is_only_a_name() {
    let rest = Rest::start().await;
    let nasty = [
        "'; DROP TABLE channels; --",
        "\" OR 1=1 --",
        "a%' OR '1'='1",
        "\\'; SELECT pg_sleep(9)",
        "$1",
        "{{7*7}}",
        "../../etc/passwd",
        "😀ñ\u{301}",
    ];
    for text in nasty {
        let made = rest.post("/api/channels", json!({"id": text, "name": text, "owner": text})).await;
        let path = made.header("location").to_owned();
        assert_eq!(made.is(201)["name"], text);
        assert_eq!(rest.get(&path).await.is(200)["owner"], text);
        rest.put(&format!("{path}/members/{}", path.rsplit('/').next().expect("an id")), json!({})).await.is(201);
        assert_eq!(rest.get(&format!("{path}/members")).await.is(200)["items"][0]["userId"], text);
    }
    assert_eq!(rest.get("/api/channels").await.is(200)["items"].as_array().expect("items").len(), nasty.len());
    rest.end().await;
}

#[tokio::test]
async fn paths_and_queries_are_checked_too() {
    let rest = Rest::start().await;
    for id in ["%00", "%20a", "a%0A", "%E2%80%AE", &"x".repeat(129)] {
        rest.get(&format!("/api/channels/{id}")).await.blames(400, "id");
        rest.put(&format!("/api/channels/{id}"), json!({})).await.blames(400, "id");
        rest.put(&format!("/api/users/{id}/entitlement"), json!({"pro": true})).await.blames(400, "user");
    }
    rest.get("/api/channels/%FF%FE").await.blames(400, "path");
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("after=", "after"),
        ("after=%00", "after"),
        ("offset=3", "offset"),
    ] {
        rest.get(&format!("/api/channels?{query}")).await.blames(400, field);
    }
    for query in ["after=-1", "after=1e3", "wait=26", "after=99999999999999999999"] {
        rest.get(&format!("/api/events?{query}")).await.blames(400, query.split('=').next().expect("a name"));
    }
    rest.get("/api/audit?after=x").await.blames(400, "after");
    rest.get("/api/audit?channel=%20").await.blames(400, "channel");
    assert_eq!(rest.get("/api/channels").await.is(200)["items"], json!([]));
    rest.end().await;
}

#[tokio::test]
async fn a_body_has_a_type_and_a_size() {
    let rest = Rest::start().await;
    let put = async |headers: &[(&'static str, &str)], body: String| rest.call_raw(Method::PUT, "/api/channels/den", headers, body).await;
    put(&[("content-type", "text/plain")], "{}".into()).await.blames(415, "Content-Type");
    put(&[("content-type", "application/x-www-form-urlencoded")], "name=a".into()).await.blames(415, "Content-Type");
    put(&[], "{}".into()).await.blames(415, "Content-Type");
    put(&[("content-type", "Application/JSON; charset=utf-8")], "{}".into()).await.is(201);
    put(JSON, json!({"name": "x".repeat(1 << 20)}).to_string()).await.refused(413, "INVALID_REQUEST");
    put(JSON, format!("{{}}{}", " ".repeat(17 * 1024))).await.refused(413, "INVALID_REQUEST");
    put(JSON, "\u{feff}{}".into()).await.blames(400, "");
    let bytes = rest.call_raw(Method::PUT, "/api/channels/den", JSON, b"{\"name\":\"\xff\"}".to_vec()).await;
    bytes.refused(400, "INVALID_REQUEST");
    rest.end().await;
}

#[tokio::test]
async fn a_path_or_method_that_is_not_there_is_refused_in_the_same_form() {
    let rest = Rest::start().await;
    for path in ["/api", "/api/", "/api/nothing", "/api/channels/a/b/c", "/api/channels/", "/api/v1/channels", "/api/dev/token"] {
        rest.get(path).await.refused(404, "NOT_FOUND");
        rest.post(path, json!({})).await.refused(404, "NOT_FOUND");
    }
    for (method, path, allowed) in [
        (Method::PATCH, "/api/channels", "GET,HEAD,POST"),
        (Method::POST, "/api/channels/den", "GET,HEAD,PUT,DELETE"),
        (Method::DELETE, "/api/channels", "GET,HEAD,POST"),
        (Method::GET, "/api/channels/den/end-call", "POST"),
    ] {
        let answer = rest.call(method, path, None).await;
        let mut allow: Vec<_> = answer.header("allow").split(',').collect();
        let mut wanted: Vec<_> = allowed.split(',').collect();
        allow.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(allow, wanted, "{path}");
        answer.refused(405, "INVALID_REQUEST");
    }
    rest.end().await;
}
