//! Channels and who belongs to them: made, read, changed, removed, in pages.

use reqwest::Method;
use serde_json::{Value, json};

use super::Rest;

#[tokio::test]
async fn a_channel_is_made_read_replaced_and_removed() {
    let rest = Rest::start().await;
    let made = rest.put("/api/channels/den", json!({"name": "The den", "tier": "pro", "access": "members", "maxParticipants": 5})).await;
    assert_eq!(made.header("etag"), "\"1\"");
    let made = made.is(201);
    assert_eq!(
        (&made["id"], &made["name"], &made["maxParticipants"], &made["version"]),
        (&json!("den"), &json!("The den"), &json!(5), &json!(1))
    );
    assert_eq!(
        (&made["kind"], &made["topology"], &made["privacy"], &made["opensAt"]),
        (&json!("voice"), &json!("sfu"), &json!("standard"), &Value::Null)
    );
    assert_eq!((&made["voiceActive"], &made["roomId"]), (&json!(true), &json!("den")), "without a window it is always open");
    assert_eq!(rest.get("/api/channels/den").await.is(200), made);

    let window = json!({"opensAt": "2026-01-31T18:00:00+02:00", "closesAt": "2026-02-01T18:00:00.5Z", "owner": "olga"});
    let replaced = rest.put("/api/channels/den", window.clone()).await;
    assert_eq!(replaced.header("etag"), "\"2-closed\"", "that is over");
    let replaced = replaced.is(200);
    assert_eq!(
        (&replaced["name"], &replaced["tier"], &replaced["maxParticipants"]),
        (&json!("den"), &json!("free"), &Value::Null),
        "what is not given is default"
    );
    assert_eq!((&replaced["opensAt"], &replaced["closesAt"]), (&json!("2026-01-31T16:00:00Z"), &json!("2026-02-01T18:00:00.5Z")));
    assert_eq!((&replaced["voiceActive"], &replaced["roomId"]), (&json!(false), &Value::Null));
    assert_eq!(rest.put("/api/channels/den", window).await.is(200)["version"], 2, "a repetition changes nothing");

    rest.delete("/api/channels/den").await.is(204);
    rest.get("/api/channels/den").await.refused(404, "CHANNEL_NOT_FOUND");
    rest.delete("/api/channels/den").await.refused(404, "CHANNEL_NOT_FOUND");
    rest.end().await;
}

#[tokio::test]
async fn a_channel_has_a_limit_of_spectators_of_its_own() {
    let rest = Rest::start().await;
    let made = rest.post("/api/channels", json!({"id": "den", "maxSpectators": 1000})).await.is(201);
    assert_eq!((&made["maxSpectators"], &made["maxParticipants"]), (&json!(1000), &Value::Null));
    assert_eq!(rest.put("/api/channels/den", json!({"maxSpectators": 7})).await.is(200)["maxSpectators"], 7);
    assert_eq!(rest.get("/api/channels/den").await.is(200)["maxSpectators"], 7);
    assert_eq!(rest.get("/api/channels").await.is(200)["items"][0]["maxSpectators"], 7);
    let same = rest.put("/api/channels/den", json!({"maxSpectators": 7.0})).await.is(200);
    assert_eq!((&same["version"], &same["maxSpectators"]), (&json!(2), &json!(7)));
    assert_eq!(rest.put("/api/channels/den", json!({"maxSpectators": null})).await.is(200)["maxSpectators"], Value::Null);
    rest.end().await;
}

#[tokio::test]
async fn a_creation_can_be_repeated_but_not_with_something_else() {
    let rest = Rest::start().await;
    let den = json!({"id": "den /ü?", "name": "The den"});
    let made = rest.post("/api/channels", den.clone()).await;
    assert_eq!(made.header("location"), "/api/channels/den%20%2F%C3%BC%3F");
    let (path, made) = (made.header("location").to_owned(), made.is(201));
    assert_eq!(rest.get(&path).await.is(200), made);
    assert_eq!(rest.post("/api/channels", den).await.is(200), made);
    let other = rest.post("/api/channels", json!({"id": "den /ü?", "name": "Another den"})).await;
    assert_eq!(other.refused(409, "CONFLICT")["field"], "id");
    assert_eq!(rest.get(&path).await.is(200), made);
    rest.end().await;
}

#[tokio::test]
async fn a_change_can_say_which_version_it_is_for() {
    let rest = Rest::start().await;
    let put = async |name: &'static str, value: &str, body: Value| {
        rest.call_raw(Method::PUT, "/api/channels/den", &[("content-type", "application/json"), (name, value)], body.to_string()).await
    };
    put("if-match", "\"1\"", json!({})).await.refused(412, "PRECONDITION_FAILED");
    put("if-match", "*", json!({})).await.refused(412, "PRECONDITION_FAILED");
    put("if-none-match", "*", json!({"name": "one"})).await.is(201);
    put("if-none-match", "*", json!({"name": "two"})).await.refused(412, "PRECONDITION_FAILED");
    put("if-match", "\"1\"", json!({"name": "two"})).await.is(200);
    let stale = put("if-match", "\"1\"", json!({"name": "three"})).await.refused(412, "PRECONDITION_FAILED");
    assert_eq!(stale["details"]["version"], 2);
    for never in ["2", "W/\"2\"", "nonsense", ""] {
        put("if-match", never, json!({"name": "three"})).await.refused(412, "PRECONDITION_FAILED");
    }
    put("if-match", "*", json!({"name": "three"})).await.is(200);
    put("if-match", "\"9\", \"3\"", json!({"name": "four"})).await.is(200);
    put("if-none-match", "\"4\"", json!({"name": "five"})).await.refused(412, "PRECONDITION_FAILED");
    put("if-none-match", "\"1\", W/\"4\"", json!({"name": "five"})).await.refused(412, "PRECONDITION_FAILED");
    put("if-none-match", "4", json!({"name": "five"})).await.refused(412, "PRECONDITION_FAILED");
    put("if-none-match", "\"1\", \"9\"", json!({"name": "five"})).await.is(200);
    rest.end().await;
}

#[tokio::test]
async fn a_removal_can_say_which_version_it_is_for() {
    let rest = Rest::start().await;
    let delete = async |headers: &[(&'static str, &str)]| rest.call_raw(Method::DELETE, "/api/channels/den", headers, "").await;
    delete(&[("if-match", "*")]).await.refused(404, "CHANNEL_NOT_FOUND");
    rest.put("/api/channels/den", json!({})).await.is(201);
    for never in ["\"2\"", "W/\"1\"", "1", "nonsense"] {
        delete(&[("if-match", never)]).await.refused(412, "PRECONDITION_FAILED");
    }
    for there in ["*", "\"1\"", "\"3\", W/\"1\""] {
        assert_eq!(delete(&[("if-none-match", there)]).await.refused(412, "PRECONDITION_FAILED")["field"], "If-None-Match");
    }
    delete(&[("if-match", "\"1\""), ("if-none-match", "\"1\"")]).await.refused(412, "PRECONDITION_FAILED");
    delete(&[("if-match", "\"0\", \"1\"")]).await.is(204);
    rest.put("/api/channels/den", json!({})).await.is(201);
    delete(&[("if-match", "*"), ("if-none-match", "\"7\"")]).await.is(204);
    rest.end().await;
}

#[tokio::test]
async fn what_a_client_has_already_is_not_sent_again() {
    let rest = Rest::start().await;
    rest.put("/api/channels/den", json!({})).await.is(201);
    for method in [Method::GET, Method::HEAD] {
        let read = async |name: &'static str, value: &str| rest.call_raw(method.clone(), "/api/channels/den", &[(name, value)], "").await;
        for known in ["\"1\"", "W/\"1\"", "*", "\"0\", W/\"1\""] {
            let answer = read("if-none-match", known).await;
            assert_eq!((answer.header("etag"), &answer.body), ("\"1\"", &Value::Null), "{method} {known}");
            answer.is(304);
        }
        for other in ["\"2\"", "1", "nonsense"] {
            assert_eq!(read("if-none-match", other).await.status, 200, "{method} {other}");
        }
        for (wanted, status) in [("\"1\"", 200), ("*", 200), ("\"2\", \"1\"", 200), ("W/\"1\"", 412), ("\"2\"", 412)] {
            assert_eq!(read("if-match", wanted).await.status, status, "{method} {wanted}");
        }
    }
    let missing = rest.call_raw(Method::GET, "/api/channels/attic", &[("if-none-match", "*")], "").await;
    missing.refused(404, "CHANNEL_NOT_FOUND");
    rest.end().await;
}

#[tokio::test]
async fn lists_come_in_pages_that_miss_nothing() {
    let rest = Rest::start().await;
    let mut ids: Vec<String> = (0..25).map(|n| format!("ch-{n:02}")).chain(["ÄÖ".into(), "日本 / 1".into()]).collect();
    for id in &ids {
        rest.post("/api/channels", json!({ "id": id })).await.is(201);
    }
    ids.sort();
    let mut seen = Vec::new();
    let mut path = "/api/channels?limit=4".to_owned();
    loop {
        let page = rest.get(&path).await.is(200);
        let items = page["items"].as_array().expect("items");
        assert!(items.len() <= 4);
        seen.extend(items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        let query = reqwest::Url::parse_with_params("http://x/", [("limit", "4"), ("after", next)]).expect("a query");
        path = format!("/api/channels?{}", query.query().expect("a query"));
    }
    assert_eq!(seen, ids);
    assert_eq!(rest.get("/api/channels?limit=27").await.is(200)["next"], Value::Null, "a full last page is the last");
    rest.end().await;
}

#[tokio::test]
async fn members_invitations_and_seats() {
    let rest = Rest::start().await;
    rest.put("/api/channels/den", json!({"access": "members"})).await.is(201);
    rest.put("/api/channels/den/members/alice", json!({})).await.is(201);
    rest.put("/api/channels/den/members/alice", json!({"role": "moderator"})).await.is(204);
    rest.put("/api/channels/den/members/bob", json!({"role": "member"})).await.is(201);
    let members = rest.get("/api/channels/den/members").await.is(200);
    assert_eq!((&members["items"][0]["userId"], &members["items"][0]["role"]), (&json!("alice"), &json!("moderator")));
    assert_eq!(rest.get("/api/channels/den/members?limit=1").await.is(200)["next"], "alice");
    assert_eq!(rest.get("/api/channels/den/members?limit=1&after=alice").await.is(200)["items"][0]["userId"], "bob");
    rest.delete("/api/channels/den/members/alice").await.is(204);
    rest.delete("/api/channels/den/members/alice").await.refused(404, "NOT_FOUND");
    rest.put("/api/channels/none/members/alice", json!({})).await.refused(404, "CHANNEL_NOT_FOUND");
    rest.get("/api/channels/none/members").await.refused(404, "CHANNEL_NOT_FOUND");

    let invite = async |state: &str| rest.put("/api/channels/den/invitations/carol", json!({ "state": state })).await;
    invite("present").await.refused(404, "NOT_FOUND");
    invite("invited").await.is(201);
    invite("left").await.refused(409, "CONFLICT");
    invite("present").await.is(204);
    invite("invited").await.is(204);
    assert_eq!(rest.get("/api/channels/den/invitations").await.is(200)["items"][0]["state"], "present");
    invite("left").await.is(204);
    invite("invited").await.refused(409, "CONFLICT");
    rest.delete("/api/channels/den/invitations/carol").await.is(204);
    invite("invited").await.is(201);
    rest.delete("/api/channels/den/invitations/nobody").await.refused(404, "NOT_FOUND");

    let seat = async |seat: &str, user: Value| rest.put(&format!("/api/channels/den/seats/{seat}"), json!({ "userId": user })).await;
    seat("left", json!("alice")).await.is(201);
    seat("left", json!("alice")).await.is(204);
    seat("left", json!("bob")).await.refused(409, "CONFLICT");
    seat("right", json!("alice")).await.refused(409, "CONFLICT");
    seat("left", Value::Null).await.is(204);
    seat("left", json!("bob")).await.is(204);
    assert_eq!(rest.get("/api/channels/den/seats").await.is(200)["items"], json!([{"seat": "left", "userId": "bob"}]));
    rest.delete("/api/channels/den/seats/left").await.is(204);
    rest.delete("/api/channels/den/seats/left").await.refused(404, "NOT_FOUND");
    rest.end().await;
}

#[tokio::test]
async fn times_in_the_audit_log_are_those_that_were_given() {
    let rest = Rest::start().await;
    let (opens, later) = ("2099-01-31T18:00:00Z", "2100-01-31T18:00:00Z");
    rest.put("/api/channels/den", json!({"opensAt": opens})).await.is(201);
    rest.put("/api/channels/den/bans/mallory", json!({"until": later})).await.is(200);
    rest.put("/api/users/alice/entitlement", json!({"pro": true, "expiresAt": later})).await.is(200);
    rest.call_as(&rest.key, Method::DELETE, "/api/users/alice/sessions", None).await.is(200);
    let log = rest.get("/api/audit").await.is(200);
    let details = |action: &str| {
        let found = log["items"].as_array().expect("items").iter().find(|entry| entry["action"] == action);
        found.unwrap_or_else(|| panic!("{action}: {log}"))["details"].clone()
    };
    assert!(details("channel.create").to_string().contains(opens), "{log}");
    assert_eq!(details("ban.put")["until"], later);
    assert_eq!(details("entitlement.put")["after"]["expiresAt"], later);
    let before = details("sessions.revoke")["before"].as_str().and_then(parlor_proto::Timestamp::parse_rfc3339);
    assert!(before.is_some(), "{log}");
    rest.end().await;
}

#[tokio::test]
async fn the_audit_log_says_who_did_what() {
    let rest = Rest::start().await;
    rest.put("/api/channels/den", json!({})).await.is(201);
    rest.put("/api/channels/den/members/alice", json!({})).await.is(201);
    rest.put("/api/channels/other", json!({})).await.is(201);
    let by = format!("key:{}", rest.key.split('_').nth(1).expect("an id"));
    let log = rest.get("/api/audit?channel=den").await.is(200);
    let entries = log["items"].as_array().expect("items");
    assert_eq!(entries.iter().map(|entry| &entry["action"]).collect::<Vec<_>>(), ["member.put", "channel.create"], "the newest first");
    assert!(entries.iter().all(|entry| entry["by"] == by && entry["channelId"] == "den"), "{log}");
    let first = rest.get("/api/audit?limit=1").await.is(200);
    let next = first["next"].as_str().expect("more");
    assert_eq!(rest.get(&format!("/api/audit?limit=1&after={next}")).await.is(200)["items"][0]["action"], "member.put");
    assert_eq!(rest.get("/api/audit?channel=none").await.is(200), json!({"items": [], "next": null}));
    rest.end().await;
}
