//! Channels that are open for a while: they say whether they are, and their tags do not hide it when that changes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parlor_proto::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::Rest;

const PAST: &str = "2020-01-01T00:00:00Z";
const FUTURE: &str = "2100-01-31T18:00:00Z";

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Timestamp(i64::try_from(since.as_millis()).expect("not so far away"))
}

/// A channel of the list, of its own path and for users is the same.
async fn shown(rest: &Rest, id: &str) -> [Value; 2] {
    let channel = rest.get(&format!("/api/channels/{id}")).await.is(200);
    let listed = rest.get("/api/channels").await.is(200)["items"].as_array().expect("items").contains(&channel);
    assert!(listed, "{channel}");
    let look = rest.call_as(&rest.token("alice"), Method::GET, &format!("/api/voice/{id}/window"), None).await.is(200);
    for field in ["name", "voiceActive", "roomId", "opensAt", "closesAt"] {
        assert_eq!(look[field], channel[field], "{field}");
    }
    assert_eq!(look["channelId"], id);
    [channel["voiceActive"].clone(), channel["roomId"].clone()]
}

#[tokio::test]
async fn a_channel_says_whether_it_is_open_now() {
    let rest = Rest::start().await;
    let (open, closed) = (|id: &str| [json!(true), json!(id)], [json!(false), Value::Null]);
    for (id, opens, closes, wanted) in [
        ("always", None, None, open("always")),
        ("since", Some(PAST), None, open("since")),
        ("until", None, Some(FUTURE), open("until")),
        ("within", Some(PAST), Some(FUTURE), open("within")),
        ("later", Some(FUTURE), None, closed.clone()),
        ("over", None, Some(PAST), closed),
    ] {
        rest.put(&format!("/api/channels/{id}"), json!({"opensAt": opens, "closesAt": closes})).await.is(201);
        assert_eq!(shown(&rest, id).await, wanted, "{id}");
    }
    rest.end().await;
}

#[tokio::test]
async fn what_a_client_has_of_a_channel_is_not_called_current_once_it_has_opened() {
    let rest = Rest::start().await;
    let opens = Timestamp(now().0 + 1_500);
    rest.put("/api/channels/den", json!({"opensAt": opens.to_rfc3339()})).await.is(201);
    let known = [("if-none-match", "\"1-closed\"")];
    loop {
        let asked = now();
        let answer = rest.call_raw(Method::GET, "/api/channels/den", &known, "").await;
        if answer.status == 200 {
            assert!(now() >= opens, "too early");
            assert_eq!((answer.header("etag"), &answer.body["voiceActive"]), ("\"1\"", &json!(true)));
            assert_eq!(answer.body["version"], 1, "nobody has changed it");
            break;
        }
        assert!(asked < opens, "too late");
        assert_eq!(answer.header("etag"), "\"1-closed\"");
        answer.is(304);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rest.call_raw(Method::GET, "/api/channels/den", &[("if-none-match", "\"1\"")], "").await.is(304);
    rest.end().await;
}

#[tokio::test]
async fn a_change_is_not_refused_because_the_window_closed_meanwhile() {
    let rest = Rest::start().await;
    let put = async |name: &'static str, value: &str, text: &str| {
        let headers = [("content-type", "application/json"), (name, value)];
        rest.call_raw(Method::PUT, "/api/channels/den", &headers, json!({"name": text, "closesAt": PAST}).to_string()).await
    };
    assert_eq!(put("if-none-match", "*", "one").await.header("etag"), "\"1-closed\"");
    assert_eq!(put("if-match", "\"1\"", "two").await.header("etag"), "\"2-closed\"", "seen while it was open");
    put("if-match", "\"2-closed\"", "three").await.is(200);
    for stale in ["\"1\"", "\"2-closed\"", "\"3-open\"", "\"-closed\"", "\"3-closed-closed\"", "W/\"3-closed\""] {
        put("if-match", stale, "four").await.refused(412, "PRECONDITION_FAILED");
    }
    put("if-none-match", "\"3\"", "four").await.refused(412, "PRECONDITION_FAILED");
    let delete = async |tag: &str| rest.call_raw(Method::DELETE, "/api/channels/den", &[("if-match", tag)], "").await;
    delete("\"2-closed\"").await.refused(412, "PRECONDITION_FAILED");
    delete("\"3\"").await.is(204);
    rest.end().await;
}

#[tokio::test]
async fn a_stranger_learns_of_no_window() {
    let rest = Rest::start().await;
    rest.put("/api/channels/den", json!({"access": "members", "opensAt": FUTURE})).await.is(201);
    rest.put("/api/channels/den/members/alice", json!({})).await.is(201);
    let look = async |bearer: &str, id: &str| rest.call_as(bearer, Method::GET, &format!("/api/voice/{id}/window"), None).await;
    let [alice, mallory] = ["alice", "mallory"].map(|user| rest.token(user));
    assert_eq!(look(&alice, "den").await.is(200)["voiceActive"], false);
    assert_eq!(look(&rest.key, "den").await.is(200)["opensAt"], FUTURE);
    let hidden = look(&mallory, "den").await.refused(404, "CHANNEL_NOT_FOUND");
    assert_eq!(hidden, look(&mallory, "none").await.refused(404, "CHANNEL_NOT_FOUND"), "as if there were none");
    look("nonsense", "den").await.refused(401, "UNAUTHENTICATED");
    rest.put("/api/channels/den/bans/alice", json!({})).await.is(200);
    look(&alice, "den").await.refused(403, "PERMISSION_DENIED");
    // Who is in the call is for those who may join it now.
    rest.put("/api/channels/hall", json!({"opensAt": FUTURE})).await.is(201);
    rest.call_as(&mallory, Method::GET, "/api/voice/hall/participants", None).await.refused(403, "CHANNEL_CLOSED");
    assert_eq!(look(&mallory, "hall").await.is(200)["voiceActive"], false);
    rest.end().await;
}
