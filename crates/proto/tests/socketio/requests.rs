//! Every request: read when it is right, refused by name when it is not.

use std::collections::BTreeSet;

use parlor_proto::codec::socketio::{REQUEST_EVENTS, decode_request};
use parlor_proto::limits::{MAX_CONNECT_MS, MAX_ID_CHARS, MAX_MESSAGE_BYTES, MAX_REASON_CHARS};
use parlor_proto::media::{Layers, Source};
use parlor_proto::{Connection, ErrorCode, MediaKind, Moderation, Request, Target, Timestamp, UserId};
use serde_json::{Value, json};

use crate::examples::{self, ID};
use crate::{invalid, refusal};

#[test]
fn every_request_has_an_example_here() {
    assert_eq!(examples::all().iter().map(|e| e.event).collect::<BTreeSet<_>>(), REQUEST_EVENTS.into_iter().collect());
}

#[test]
fn a_valid_request_is_read() {
    for example in examples::all() {
        decode_request(example.event, &example.payload).unwrap_or_else(|error| panic!("{}: {error} {:?}", example.event, error.details));
    }
}

#[test]
fn what_is_read_is_what_was_said() {
    let payload = examples::produce("video", "screen", &examples::vp8());
    let Ok(Request::Produce { transport, kind, source, rtp, paused }) = decode_request("voice:rtc:produce", &payload) else {
        panic!("a produce request")
    };
    assert_eq!((transport.to_wire().as_str(), kind, source, paused), (ID, MediaKind::Video, Source::Screen, false));
    assert_eq!(rtp.encodings.iter().map(|e| e.rid.as_deref()).collect::<Vec<_>>(), [Some("r0"), Some("r1"), Some("r2")]);
    assert_eq!(rtp.codecs[1].apt(), Some(96));
    let layers = decode_request("voice:rtc:setPreferredLayers", &json!({"consumerId": ID, "spatialLayer": 2}));
    assert!(matches!(layers, Ok(Request::SetPreferredLayers { layers: Layers { spatial_layer: 2, temporal_layer: None }, .. })));
    let state = decode_request("voice:state:update", &json!({"deafened": true}));
    assert_eq!(state, Ok(Request::UpdateState { muted: None, deafened: Some(true), speaking: None }));
}

#[test]
fn a_missing_field_is_named() {
    for example in examples::all() {
        for field in example.required {
            let mut payload = example.payload.clone();
            payload.as_object_mut().expect("an object").remove(*field).expect("the example has it");
            let (path, reason) = invalid(example.event, &payload);
            assert!(path == *field && reason.starts_with("is missing"), "{} without {field}: {path:?} {reason}", example.event);
            // `null` is how many libraries write what is not there.
            payload[*field] = Value::Null;
            assert_eq!(invalid(example.event, &payload), (path, reason), "{} with null for {field}", example.event);
        }
    }
    let mut payload = examples::produce("video", "screen", &examples::vp8());
    payload["rtpParameters"]["codecs"][0].as_object_mut().expect("an object").remove("mimeType");
    assert_eq!(invalid("voice:rtc:produce", &payload), ("rtpParameters.codecs[0].mimeType".into(), "is missing".into()));
}

#[test]
fn null_is_read_as_if_it_were_not_there() {
    let read = |payload| decode_request("voice:state:update", &payload);
    assert_eq!(read(json!({"deafened": null, "muted": true})), read(json!({"muted": true})));
    let consume = |more: Value| {
        let mut payload = json!({"producerId": ID});
        payload.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        decode_request("voice:rtc:consume", &payload)
    };
    assert_eq!(consume(json!({"paused": null, "transportId": null, "rtpCapabilities": null})), consume(json!({})));
    let mut payload = examples::produce("video", "screen", &examples::vp8());
    let plain = decode_request("voice:rtc:produce", &payload);
    payload["paused"] = Value::Null;
    payload["rtpParameters"]["rtcp"] = json!({"cname": null});
    payload["rtpParameters"]["encodings"][0]["dtx"] = Value::Null;
    assert!(plain.is_ok() && decode_request("voice:rtc:produce", &payload).is_ok());
}

#[test]
fn an_optional_field_may_be_left_out() {
    for example in examples::all() {
        for field in example.optional {
            let mut payload = example.payload.clone();
            payload.as_object_mut().expect("an object").remove(*field).expect("the example has it");
            assert!(decode_request(example.event, &payload).is_ok(), "{} without {field}", example.event);
        }
    }
}

#[test]
fn every_field_is_in_a_list_of_the_examples() {
    for example in examples::all() {
        let listed: BTreeSet<_> = example.required.iter().chain(example.optional).copied().collect();
        let there: BTreeSet<_> = example.payload.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(listed, there, "{}", example.event);
    }
}

#[test]
fn a_field_of_the_wrong_type_is_named() {
    for example in examples::all() {
        for field in example.required.iter().chain(example.optional) {
            for wrong in [json!(-1), json!(1.5), json!([7]), json!({"x": 1}), json!(["x"]), json!("\u{0}")] {
                // An empty object is right where all fields are optional, an object where one is wanted.
                let mut payload = example.payload.clone();
                payload[*field] = wrong.clone();
                let Err(error) = decode_request(example.event, &payload) else {
                    let fits = *field == "rtpCapabilities" && wrong.is_object();
                    assert!(fits, "{} took {wrong} for {field}", example.event);
                    continue;
                };
                let named = error.details.get("field").and_then(Value::as_str).is_some_and(|path| path.starts_with(field))
                    || error.details.get("reason").and_then(Value::as_str).is_some_and(|reason| reason.starts_with("is missing"));
                // `setPreferredLayers` is flattened: its error names the payload as a whole.
                let flat = example.event == "voice:rtc:setPreferredLayers" && error.code == ErrorCode::InvalidRequest;
                let id = error.code == ErrorCode::NotFound && field.ends_with("Id") && wrong.is_string();
                let token = error.code == ErrorCode::SessionExpired && *field == "resumeToken" && wrong.is_string();
                assert!(named || flat || id || token, "{} {field}={wrong}: {error:?}", example.event);
            }
        }
    }
}

#[test]
fn a_payload_that_is_no_object_is_refused() {
    let takes_nothing = ["voice:rtc:getRouterRtpCapabilities", "voice:rtc:getIceServers"];
    for event in REQUEST_EVENTS.into_iter().filter(|e| !takes_nothing.contains(e)) {
        for payload in [json!(null), json!([]), json!("{}"), json!(7), json!(true), json!([{"channelId": "den"}])] {
            let (path, reason) = invalid(event, &payload);
            assert_eq!((path.as_str(), reason.as_str()), ("", "the payload must be one JSON object"));
        }
    }
}

#[test]
fn unknown_fields_are_ignored() {
    for example in examples::all() {
        let mut payload = example.payload;
        payload["userId"] = json!("somebody else");
        payload["x"] = json!([[[[]]]]);
        assert!(decode_request(example.event, &payload).is_ok(), "{}", example.event);
    }
}

#[test]
fn an_unknown_event_is_refused() {
    for event in ["", "voice", "voice:Join", "voice:join ", "voice:rtc:fly", "connect", "disconnect", "\u{0}", "voice:rtc:error"] {
        assert_eq!(refusal(event, &json!({})).code, ErrorCode::UnknownEvent, "{event:?}");
    }
}

#[test]
fn an_id_that_cannot_be_one_is_not_found() {
    let long = "a".repeat(10_000);
    let hyphens = "01234567-89ab-cdef-0123-456789abcdef";
    let ids = ["", "x", &ID[1..], hyphens, "0123456789ABCDEF0123456789ABCDEF", "{}", "\u{0}", "０１２３", &long];
    for example in examples::all() {
        for field in ["transportId", "producerId", "consumerId"] {
            for id in ids.iter().filter(|_| example.payload.get(field).is_some()) {
                let mut payload = example.payload.clone();
                payload[field] = json!(id);
                let error = refusal(example.event, &payload);
                assert_eq!(error.code, ErrorCode::NotFound, "{} {field}={id}", example.event);
                assert!(error.details.is_empty());
            }
        }
    }
}

#[test]
fn a_channel_id_is_short_and_printable() {
    for event in ["voice:join", "voice:leave"] {
        for id in ["", " den", "den ", "a\nb", "a\u{202e}b", "a\u{200b}b", &"x".repeat(MAX_ID_CHARS + 1)] {
            assert_eq!(invalid(event, &json!({"channelId": id})).0, "channelId", "{id:?}");
        }
        for id in ["den", "mysea-42", "Стол №5 🎲", &"ж".repeat(MAX_ID_CHARS)] {
            assert!(decode_request(event, &json!({"channelId": id})).is_ok(), "{id:?}");
        }
    }
}

#[test]
fn a_token_that_cannot_be_one_is_over() {
    for token in ["", "x", &ID[1..], "0123456789ABCDEF0123456789ABCDEF"] {
        let error = refusal("voice:resume", &json!({"channelId": "den", "resumeToken": token}));
        assert_eq!(error.code, ErrorCode::SessionExpired, "{token:?}");
    }
}

#[test]
fn a_slot_is_for_a_picture() {
    for event in ["voice:slot:request", "voice:slot:release"] {
        assert_eq!(invalid(event, &json!({"source": "mic"})).0, "source");
    }
}

#[test]
fn an_act_of_moderation_says_what_it_needs() {
    let moderate = |payload: Value| decode_request("voice:moderate", &payload);
    let user = UserId::new("mallory").expect("fine");
    let until = Some(Timestamp(1_772_388_000_000));
    assert_eq!(
        moderate(json!({"action": "ban", "userId": "mallory", "until": "2026-03-01T19:00:00+01:00", "audio": true})),
        Ok(Request::Moderate { action: Moderation::Ban { user, until, reason: None } })
    );
    assert_eq!(moderate(json!({"action": "end-call"})), Ok(Request::Moderate { action: Moderation::EndCall { reason: None } }));
    for (payload, field) in [
        (json!({"action": "mute", "userId": "mallory"}), "audio"),
        (json!({"action": "ban", "userId": "mallory", "until": "tomorrow"}), "until"),
        (json!({"action": "kick", "userId": "mallory", "reason": ""}), "reason"),
        (json!({"action": "kick", "userId": "mallory", "reason": "a\nb"}), "reason"),
        (json!({"action": "kick", "userId": "mallory", "reason": "x".repeat(MAX_REASON_CHARS + 1)}), "reason"),
        (json!({"action": "kick", "userId": ""}), "userId"),
        (json!({"action": "promote", "userId": "mallory"}), "action"),
    ] {
        assert_eq!(invalid("voice:moderate", &payload).0, field, "{payload}");
    }
}

#[test]
fn a_report_of_a_connection_has_words_of_closed_lists_and_small_numbers_only() {
    let event = "voice:rtc:reportConnection";
    let least = json!({"userId": "bob", "outcome": "failed", "checks": "sent"});
    let Ok(Request::ReportConnection { of, .. }) = decode_request(event, &least) else { panic!("in a mesh call a user is named") };
    assert_eq!(of, Connection::Peer(Target::User(UserId::new("bob").expect("fine"))));
    for (field, wrong) in [
        ("outcome", json!("192.0.2.1")),
        ("checks", json!("some")),
        ("iceState", json!("melted")),
        ("dtlsState", json!("192.0.2.1")),
        ("network", json!("My Wi-Fi")),
        ("connectMs", json!(MAX_CONNECT_MS + 1)),
        ("candidates.host.udp", json!({"host": {"udp": 256}})),
        ("candidates.host.ip", json!({"host": {"ip": "192.0.2.1"}})),
        ("candidates.tunnel", json!({"tunnel": {}})),
        ("pair.local", json!({"local": "192.0.2.1", "remote": "host", "protocol": "udp"})),
        ("pair.protocol", json!({"local": "host", "remote": "host", "protocol": "quic"})),
        ("pair.relayProtocol", json!({"local": "host", "remote": "host", "protocol": "udp", "relayProtocol": "quic"})),
    ] {
        let mut payload = least.clone();
        let name = field.split('.').next().expect("one");
        payload[name] = wrong;
        assert_eq!(invalid(event, &payload).0, field, "{payload}");
    }
}

#[test]
fn a_source_fits_its_kind() {
    for (kind, source, rtp) in [("video", "mic", examples::vp8()), ("audio", "camera", examples::opus())] {
        assert_eq!(invalid("voice:rtc:produce", &examples::produce(kind, source, &rtp)).0, "appData.source");
    }
    assert_eq!(invalid("voice:rtc:produce", &examples::produce("audio", "radio", &examples::opus())).0, "appData.source");
}

#[test]
fn a_refusal_is_short_whatever_was_sent() {
    let huge = "\u{1f600}".repeat(MAX_MESSAGE_BYTES / 4);
    let payloads = [
        ("voice:rtc:createTransport", json!({"direction": huge})),
        ("voice:join", json!({"channelId": huge})),
        ("voice:rtc:produce", examples::produce(&huge, &huge, &examples::opus())),
        (huge.as_str(), json!({})),
    ];
    for (event, payload) in payloads {
        let written = serde_json::to_string(&refusal(event, &payload)).expect("serializes");
        assert!(written.len() < 1_200, "{} bytes", written.len());
    }
}
