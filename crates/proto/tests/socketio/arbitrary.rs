//! Whatever JSON arrives, the answer is a request or a documented refusal, and never a panic.

use parlor_proto::ErrorCode;
use parlor_proto::codec::socketio::{REQUEST_EVENTS, decode_request};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use crate::examples;

/// Keys that mean something, so that arbitrary objects come close to real ones.
const KEYS: [&str; 30] = [
    "channelId",
    "rtpCapabilities",
    "direction",
    "transportId",
    "dtlsParameters",
    "fingerprints",
    "algorithm",
    "value",
    "role",
    "kind",
    "rtpParameters",
    "codecs",
    "mimeType",
    "payloadType",
    "clockRate",
    "parameters",
    "headerExtensions",
    "encodings",
    "ssrc",
    "rid",
    "rtx",
    "appData",
    "source",
    "producerId",
    "resumeToken",
    "action",
    "userId",
    "until",
    "reason",
    "to",
];

fn json_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        select(vec![
            "send",
            "audio",
            "video",
            "mic",
            "audio/opus",
            "video/VP8",
            "video/rtx",
            "sha-256",
            "mute",
            "ban",
            "2026-03-01T18:00:00Z",
            examples::ID
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u8..200).prop_map(Value::from),
        any::<f64>().prop_map(|n| json!(n)),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        let key = prop_oneof![4 => select(KEYS.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A refusal that is documented, and short.
fn check(event: &str, payload: &Value) {
    if let Err(error) = decode_request(event, payload) {
        let known = REQUEST_EVENTS.contains(&event);
        match error.code {
            ErrorCode::InvalidRequest | ErrorCode::NotFound => assert!(known, "{event}"),
            ErrorCode::SessionExpired => assert_eq!(event, "voice:resume"),
            ErrorCode::UnknownEvent => assert!(!known, "{event}"),
            other => panic!("{event} {payload} was answered {other:?}"),
        }
        assert!(serde_json::to_string(&error).expect("serializes").len() < 2_000, "a long refusal: {error:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_json_never_panics(event in select(REQUEST_EVENTS.to_vec()), payload in json_value()) {
        check(event, &payload);
    }

    #[test]
    fn an_arbitrary_event_never_panics(event in any::<String>(), payload in json_value()) {
        check(&event, &payload);
    }

    /// Valid requests with a few of their parts replaced get much deeper than arbitrary ones.
    #[test]
    fn a_damaged_request_never_panics(which in any::<Index>(), damage in prop::collection::vec((any::<Index>(), json_value()), 1..4)) {
        let all = examples::all();
        let example = which.get(&all);
        let mut payload = example.payload.clone();
        for (place, value) in damage {
            let paths = examples::paths(&payload);
            if !paths.is_empty() && let Some(part) = payload.pointer_mut(place.get::<String>(&paths)) {
                *part = value;
            }
        }
        check(example.event, &payload);
    }
}
