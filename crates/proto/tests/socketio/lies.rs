//! ORTC and DTLS parameters that lie, and what they are answered.

use parlor_proto::codec::socketio::decode_request;
use parlor_proto::limits;
use serde_json::{Value, json};

use crate::examples::{self, ID, fingerprint, opus, produce, vp8};
use crate::invalid;

/// The refusal of a camera after something in its parameters was changed; names the field and the reason.
fn altered(change: impl FnOnce(&mut Value)) -> (String, String) {
    let mut rtp = vp8();
    change(&mut rtp);
    invalid("voice:rtc:produce", &produce("video", "camera", &rtp))
}

#[test]
fn an_ssrc_is_used_once_also_by_rtx_and_is_not_0() {
    for encodings in [
        json!([{"ssrc": 1}, {"ssrc": 1}]),
        json!([{"ssrc": 1, "rtx": {"ssrc": 1}}]),
        json!([{"ssrc": 1, "rtx": {"ssrc": 2}}, {"ssrc": 3, "rtx": {"ssrc": 2}}]),
        json!([{"ssrc": 0}]),
    ] {
        let (field, reason) = altered(|rtp| rtp["encodings"] = encodings);
        assert_eq!((field.as_str(), reason.as_str()), ("rtpParameters.encodings", "an ssrc is 0 or used twice"));
    }
}

#[test]
fn a_rid_is_used_once() {
    let (field, reason) = altered(|rtp| rtp["encodings"][1]["rid"] = json!("r0"));
    assert_eq!((field.as_str(), reason.as_str()), ("rtpParameters.encodings", "rid r0 is used twice"));
}

#[test]
fn a_payload_type_is_used_once() {
    let (field, reason) = altered(|rtp| rtp["codecs"][1]["payloadType"] = json!(96));
    assert_eq!((field.as_str(), reason.as_str()), ("rtpParameters.codecs", "payload type 96 is used twice"));
}

#[test]
fn an_extension_id_and_a_uri_are_used_once() {
    for (key, value) in [("id", json!(4)), ("uri", json!("urn:ietf:params:rtp-hdrext:sdes:mid"))] {
        let (field, reason) = altered(|rtp| rtp["headerExtensions"][1][key] = value);
        assert_eq!((field.as_str(), reason.as_str()), ("rtpParameters.headerExtensions", "an id or uri is used twice"));
    }
}

#[test]
fn ten_thousand_encodings_are_refused() {
    let many: Vec<Value> = (1..=10_000).map(|n| json!({"ssrc": n})).collect();
    let (field, reason) = altered(|rtp| rtp["encodings"] = json!(many));
    assert_eq!((field.as_str(), reason.as_str()), ("rtpParameters.encodings", "has more than 4 entries"));
}

#[test]
fn lists_are_bounded() {
    let codec = |n: usize| json!({"mimeType": "video/VP8", "payloadType": n % 128, "clockRate": 90000});
    let extension = |n: usize| json!({"uri": format!("urn:{n}"), "id": n % 14 + 1});
    let (field, _) = altered(|rtp| rtp["codecs"] = (0..=limits::MAX_CODECS).map(codec).collect());
    assert_eq!(field, "rtpParameters.codecs");
    let (field, _) = altered(|rtp| rtp["headerExtensions"] = (0..=limits::MAX_HEADER_EXTENSIONS).map(extension).collect());
    assert_eq!(field, "rtpParameters.headerExtensions");
    let feedback: Value = (0..=limits::MAX_RTCP_FEEDBACK).map(|_| json!({"type": "nack"})).collect();
    assert_eq!(altered(|rtp| rtp["codecs"][0]["rtcpFeedback"] = feedback).0, "rtpParameters.codecs");
    let many: serde_json::Map<String, Value> = (0..=limits::MAX_CODEC_PARAMETERS).map(|n| (format!("p{n}"), json!(n))).collect();
    assert_eq!(altered(|rtp| rtp["codecs"][0]["parameters"] = json!(many)).0, "rtpParameters.codecs");
}

#[test]
fn negative_and_too_large_numbers_are_refused() {
    for path in ["/codecs/0/payloadType", "/codecs/0/clockRate", "/headerExtensions/0/id", "/encodings/0/maxBitrate"] {
        for number in [json!(-1), json!(1.5), json!(1e300), json!(u64::MAX), json!(i64::MIN)] {
            if path.ends_with("maxBitrate") && number == json!(u64::MAX) {
                continue; // It is informative, and 64 bits wide.
            }
            let (field, _) = altered(|rtp| *rtp.pointer_mut(path).expect("the example has it") = number.clone());
            let name = path.rsplit('/').next().expect("has a name");
            assert!(field.starts_with("rtpParameters") && field.ends_with(name), "{path}={number}: {field}");
        }
    }
    for number in [json!(-1), json!(1u64 << 32), json!("1")] {
        assert_eq!(altered(|rtp| rtp["encodings"] = json!([{"ssrc": number}])).0, "rtpParameters.encodings[0].ssrc");
    }
}

#[test]
fn a_payload_type_fits_in_seven_bits() {
    assert_eq!(altered(|rtp| rtp["codecs"][0]["payloadType"] = json!(128)).1, "a payload type is over 127");
}

#[test]
fn an_extension_id_is_between_1_and_14() {
    for id in [0, 15, 255] {
        assert_eq!(altered(|rtp| rtp["headerExtensions"][0]["id"] = json!(id)).1, "an id is not between 1 and 14");
    }
}

#[test]
fn there_is_a_codec_that_carries_media_and_comes_first() {
    let reason = "must begin with a codec that carries media";
    assert_eq!(altered(|rtp| rtp["codecs"] = json!([])).1, reason);
    assert_eq!(altered(|rtp| rtp["codecs"].as_array_mut().expect("a list").reverse()).1, reason);
}

#[test]
fn rtx_repairs_a_codec_that_is_there() {
    for apt in [json!(95), json!("96"), json!(97), json!(-1)] {
        assert_eq!(altered(|rtp| rtp["codecs"][1]["parameters"]["apt"] = apt).1, "an rtx codec has no apt, or one that is not there");
    }
    assert_eq!(altered(|rtp| rtp["codecs"][1]["parameters"] = json!({})).1, "an rtx codec has no apt, or one that is not there");
}

#[test]
fn a_codec_is_of_the_kind_that_is_sent() {
    let (field, reason) = invalid("voice:rtc:produce", &produce("video", "camera", &opus()));
    assert_eq!((field.as_str(), reason.as_str()), ("rtpParameters.codecs", "a mime type does not begin with video/"));
    for mime in ["", "video", "video/", "é", "vidéo/x", "text/html"] {
        assert_eq!(altered(|rtp| rtp["codecs"][0]["mimeType"] = json!(mime)).0, "rtpParameters.codecs", "{mime}");
    }
}

#[test]
fn a_clock_does_not_stand_still() {
    assert_eq!(altered(|rtp| rtp["codecs"][0]["clockRate"] = json!(0)).1, "a clock rate is 0");
}

#[test]
fn an_encoding_can_be_told_apart() {
    assert_eq!(altered(|rtp| rtp["encodings"] = json!([])).1, "must not be empty");
    assert_eq!(altered(|rtp| rtp["encodings"] = json!([{}])).1, "an encoding has neither ssrc nor rid");
    assert_eq!(
        altered(|rtp| rtp["encodings"] = json!([{"ssrc": 5}, {"rid": "b"}])).1,
        "several encodings need a rid each, or an ssrc each"
    );
}

#[test]
fn a_mid_and_a_rid_are_short_plain_tokens() {
    for text in ["", "a b", "é", "a\r\nb", "\u{0}", "12345678901234567"] {
        assert_eq!(altered(|rtp| rtp["mid"] = json!(text)).0, "rtpParameters.mid", "{text:?}");
        assert_eq!(altered(|rtp| rtp["encodings"][0]["rid"] = json!(text)).0, "rtpParameters.encodings", "{text:?}");
    }
}

#[test]
fn texts_are_short() {
    let long = json!("x".repeat(limits::MAX_TEXT_BYTES + 1));
    for path in
        ["/codecs/0/mimeType", "/headerExtensions/0/uri", "/encodings/2/scalabilityMode", "/rtcp/cname", "/codecs/0/rtcpFeedback/0/type"]
    {
        let (field, reason) = altered(|rtp| *rtp.pointer_mut(path).expect("the example has it") = long.clone());
        assert!(field.starts_with("rtpParameters") && reason.contains("over 256 bytes"), "{path}: {field} {reason}");
    }
    assert_eq!(altered(|rtp| rtp["codecs"][0]["parameters"]["x"] = long.clone()).0, "rtpParameters.codecs");
}

#[test]
fn capabilities_are_bounded_like_parameters() {
    let altered = |change: &dyn Fn(&mut Value)| {
        let mut payload = json!({"channelId": "den", "rtpCapabilities": examples::capabilities()});
        change(&mut payload["rtpCapabilities"]);
        invalid("voice:join", &payload).0
    };
    let codec = json!({"kind": "video", "mimeType": "video/VP8", "clockRate": 90000});
    let extension = json!({"kind": "video", "uri": "urn:x", "preferredId": 1});
    assert_eq!(altered(&|c| c["codecs"] = json!(vec![codec.clone(); 10_000])), "rtpCapabilities.codecs");
    assert_eq!(altered(&|c| c["headerExtensions"] = json!(vec![extension.clone(); 10_000])), "rtpCapabilities.headerExtensions");
    assert_eq!(altered(&|c| c["codecs"][0]["kind"] = json!("video")), "rtpCapabilities.codecs");
    assert_eq!(altered(&|c| c["codecs"][0]["preferredPayloadType"] = json!(128)), "rtpCapabilities.codecs");
    assert_eq!(altered(&|c| c["codecs"][0]["preferredPayloadType"] = json!(-1)), "rtpCapabilities.codecs[0].preferredPayloadType");
    assert_eq!(altered(&|c| c["codecs"][0]["clockRate"] = json!(0)), "rtpCapabilities.codecs");
}

#[test]
fn fingerprints_are_there_and_trustworthy() {
    let connect = |fingerprints: Value| {
        let payload = json!({"transportId": ID, "dtlsParameters": {"role": "client", "fingerprints": fingerprints}});
        invalid("voice:rtc:connectTransport", &payload)
    };
    assert_eq!(connect(json!([])), ("dtlsParameters.fingerprints".into(), "must not be empty".into()));
    let many = vec![fingerprint(); limits::MAX_FINGERPRINTS + 1];
    assert_eq!(connect(json!(many)).1, "has more than 8 entries");
    let sha1 = json!([{"algorithm": "sha-1", "value": (["AB"; 20].join(":"))}]);
    assert_eq!(connect(sha1).1, "has none of sha-256, sha-384, sha-512");
    for value in ["", "AB", "AB:CD", "not hex", &["GG"; 32].join(":"), &["AB"; 33].join(":"), &["AB"; 32].join("")] {
        assert_eq!(connect(json!([{"algorithm": "sha-256", "value": value}])).0, "dtlsParameters.fingerprints", "{value}");
    }
    assert_eq!(connect(json!("AB:CD")).0, "dtlsParameters.fingerprints");
}

#[test]
fn a_dtls_role_is_one_of_three_and_may_be_left_out() {
    let payload = |role: Value| json!({"transportId": ID, "dtlsParameters": {"role": role, "fingerprints": [fingerprint()]}});
    for role in ["auto", "client", "server"] {
        assert!(decode_request("voice:rtc:connectTransport", &payload(json!(role))).is_ok());
    }
    assert_eq!(invalid("voice:rtc:connectTransport", &payload(json!("actpass"))).0, "dtlsParameters.role");
    let without = json!({"transportId": ID, "dtlsParameters": {"fingerprints": [fingerprint()]}});
    assert!(decode_request("voice:rtc:connectTransport", &without).is_ok());
}
