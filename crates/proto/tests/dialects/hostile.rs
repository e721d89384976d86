//! Messages that no client sends: refused with an error that names the field, whatever they are.

use parlor_proto::codec::TextCodec;
use parlor_proto::codec::call::Call;
use parlor_proto::codec::voice::Voice;
use parlor_proto::{ErrorCode, limits};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::channel;

fn refused<C: TextCodec>(text: &str) -> ErrorCode {
    match C::decode(text, &channel()).1 {
        Err(error) => error.code,
        Ok(asked) => panic!("{text:.100} was taken as {asked:?}"),
    }
}

#[test]
fn what_is_too_long_too_deep_or_no_json_is_refused() {
    let deep = format!("{{\"type\":\"offer\",\"data\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
    for text in ["", "{", "null", "[]", "\u{0}", deep.as_str(), "{\"type\":1e999}"] {
        assert_eq!(refused::<Call>(text), ErrorCode::InvalidRequest, "{text:.40}");
        assert_eq!(refused::<Voice>(text), ErrorCode::InvalidRequest, "{text:.40}");
    }
    let long = "x".repeat(limits::MAX_SDP_BYTES + 1);
    let id = "u".repeat(limits::MAX_ID_CHARS + 1);
    for data in [
        json!({"target_user_id": "bob", "sdp": long}),
        json!({"target_user_id": id, "sdp": "v=0"}),
        json!({"target_user_id": "b\u{0}b", "sdp": "v=0"}),
    ] {
        assert_eq!(refused::<Call>(&json!({"type": "offer", "data": data}).to_string()), ErrorCode::InvalidRequest);
    }
}

#[test]
fn an_error_of_a_message_names_the_field_to_blame() {
    for (data, field) in [
        (json!({"sdp": "v=0"}), "data.target_user_id"),
        (json!({"target_user_id": "bob"}), "data.sdp"),
        (json!({"target_user_id": 1.5, "sdp": "v=0"}), "data.target_user_id"),
    ] {
        let text = json!({"type": "offer", "data": data}).to_string();
        let error = Call::decode(&text, &channel()).1.expect_err("refused");
        assert_eq!(error.details["field"], field);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z_]{0,12}".prop_map(Value::from),
        prop_oneof![Just("offer"), Just("answer"), Just("ice"), Just("ice_candidate"), Just("hello"), Just("join_call")]
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        let names =
            prop_oneof![Just("type"), Just("data"), Just("target"), Just("target_user_id"), Just("sdp"), Just("candidate"), Just("x")];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.prop_map(str::to_owned), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_read_never_breaks_anything_and_a_name_is_one_of_the_dialect(message in any_json()) {
        let text = message.to_string();
        for (name, asked) in [Call::decode(&text, &channel()), Voice::decode(&text, &channel())] {
            prop_assert!(name.is_empty() || message["type"] == name);
            prop_assert!(!name.is_empty() || asked.is_err(), "what has no name is no request");
        }
    }
}
