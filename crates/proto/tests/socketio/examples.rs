//! A valid payload of every request.

use serde_json::{Value, json};

pub const ID: &str = "0123456789abcdef0123456789abcdef";

/// A request as a real client sends it, with its required and optional fields.
pub struct Example {
    pub event: &'static str,
    pub payload: Value,
    pub required: &'static [&'static str],
    pub optional: &'static [&'static str],
}

pub fn fingerprint() -> Value {
    json!({"algorithm": "sha-256", "value": (["CD"; 32].join(":"))})
}

/// `rtpParameters` of a microphone.
pub fn opus() -> Value {
    json!({
        "mid": "0",
        "codecs": [{
            "mimeType": "audio/opus", "payloadType": 111, "clockRate": 48000, "channels": 2,
            "parameters": {"minptime": 10, "useinbandfec": 1},
            "rtcpFeedback": [{"type": "transport-cc", "parameter": ""}]
        }],
        "headerExtensions": [{"uri": "urn:ietf:params:rtp-hdrext:sdes:mid", "id": 4, "encrypt": false, "parameters": {}}],
        "encodings": [{"ssrc": 1111, "dtx": true}],
        "rtcp": {"cname": "cname", "reducedSize": true, "mux": true}
    })
}

/// `rtpParameters` of a camera in three simulcast layers.
pub fn vp8() -> Value {
    json!({
        "mid": "1",
        "codecs": [
            {"mimeType": "video/VP8", "payloadType": 96, "clockRate": 90000, "parameters": {},
             "rtcpFeedback": [{"type": "nack"}, {"type": "nack", "parameter": "pli"}]},
            {"mimeType": "video/rtx", "payloadType": 97, "clockRate": 90000, "parameters": {"apt": 96}, "rtcpFeedback": []}
        ],
        "headerExtensions": [
            {"uri": "urn:ietf:params:rtp-hdrext:sdes:mid", "id": 4},
            {"uri": "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", "id": 10}
        ],
        "encodings": [
            {"rid": "r0", "maxBitrate": 150_000, "scaleResolutionDownBy": 4},
            {"rid": "r1", "maxBitrate": 500_000, "scaleResolutionDownBy": 2},
            {"rid": "r2", "maxBitrate": 1_500_000, "scalabilityMode": "L1T3"}
        ],
        "rtcp": {"cname": "cname"}
    })
}

pub fn capabilities() -> Value {
    json!({
        "codecs": [
            {"kind": "audio", "mimeType": "audio/opus", "preferredPayloadType": 100, "clockRate": 48000, "channels": 2,
             "parameters": {"useinbandfec": 1}, "rtcpFeedback": []},
            {"kind": "video", "mimeType": "video/VP8", "preferredPayloadType": 101, "clockRate": 90000}
        ],
        "headerExtensions": [
            {"kind": "audio", "uri": "urn:ietf:params:rtp-hdrext:sdes:mid", "preferredId": 1, "preferredEncrypt": false, "direction": "recvonly"}
        ]
    })
}

/// `voice:rtc:produce` with these parameters.
pub fn produce(kind: &str, source: &str, rtp: &Value) -> Value {
    json!({"transportId": ID, "kind": kind, "rtpParameters": rtp, "appData": {"source": source, "note": "ignored"}, "paused": false})
}

pub fn all() -> Vec<Example> {
    let example = |event, payload, required, optional| Example { event, payload, required, optional };
    let of_producer = || json!({"producerId": ID});
    let of_consumer = || json!({"consumerId": ID});
    let connect = json!({"transportId": ID, "dtlsParameters": {"role": "client", "fingerprints": [fingerprint()]}});
    let consume = json!({"producerId": ID, "transportId": ID, "rtpCapabilities": capabilities(), "paused": true});
    let produced: &[&str] = &["transportId", "kind", "rtpParameters", "appData"];
    let whom = |action: &str| json!({"action": action, "userId": "mallory"});
    let with = |mut payload: Value, more: Value| {
        payload.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        payload
    };
    vec![
        example("voice:resume", json!({"channelId": "den", "resumeToken": ID}), &["channelId", "resumeToken"], &[]),
        example("voice:slot:request", json!({"source": "camera"}), &["source"], &[]),
        example("voice:slot:release", json!({"source": "screen"}), &["source"], &[]),
        example(
            "voice:moderate",
            with(whom("mute"), json!({"audio": true, "video": false, "screen": true})),
            &["action", "userId"],
            &["audio", "video", "screen"],
        ),
        example("voice:moderate", with(whom("deafen"), json!({"deafened": true})), &["action", "userId", "deafened"], &[]),
        example("voice:moderate", with(whom("kick"), json!({"reason": "Noise."})), &["action", "userId"], &["reason"]),
        example(
            "voice:moderate",
            with(whom("ban"), json!({"until": "2026-03-01T18:00:00Z", "reason": "Spam."})),
            &["action", "userId"],
            &["until", "reason"],
        ),
        example("voice:moderate", with(whom("move"), json!({"to": "attic"})), &["action", "userId", "to"], &[]),
        example("voice:moderate", json!({"action": "end-call", "reason": "Good night."}), &["action"], &["reason"]),
        example("voice:mesh:offer", json!({"userId": "bob", "sdp": "v=0\r\n"}), &["userId", "sdp"], &[]),
        example("voice:mesh:answer", json!({"userId": "bob", "sdp": "v=0\r\n"}), &["userId", "sdp"], &[]),
        example(
            "voice:mesh:ice",
            json!({"userId": "bob", "candidate": {"candidate": "candidate:1 1 UDP 1 192.0.2.1 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0}}),
            &["userId"],
            &["candidate"],
        ),
        example(
            "voice:rtc:reportConnection",
            json!({
                "transportId": ID,
                "outcome": "connected",
                "candidates": {"host": {"udp": 2, "tcp": 1}, "srflx": {"udp": 1}, "relay": {"udp": 1, "tls": 1}},
                "checks": "answered",
                "iceState": "completed",
                "dtlsState": "connected",
                "pair": {"local": "relay", "remote": "host", "protocol": "udp", "relayProtocol": "tls"},
                "connectMs": 120,
                "network": "wifi"
            }),
            &["transportId", "outcome", "checks"],
            &["candidates", "iceState", "dtlsState", "pair", "connectMs", "network"],
        ),
        example("voice:ping", json!({"echo": 1}), &[], &["echo"]),
        example(
            "voice:join",
            json!({"channelId": "den", "rtpCapabilities": capabilities(), "takeOver": true}),
            &["channelId"],
            &["rtpCapabilities", "takeOver"],
        ),
        example("voice:leave", json!({"channelId": "den"}), &[], &["channelId"]),
        example("voice:rtc:getRouterRtpCapabilities", json!({}), &[], &[]),
        example("voice:rtc:getIceServers", json!({}), &[], &[]),
        example("voice:rtc:createTransport", json!({"direction": "send"}), &["direction"], &[]),
        example("voice:rtc:connectTransport", connect, &["transportId", "dtlsParameters"], &[]),
        example("voice:rtc:restartIce", json!({"transportId": ID}), &["transportId"], &[]),
        example("voice:rtc:closeTransport", json!({"transportId": ID}), &["transportId"], &[]),
        example("voice:rtc:produce", produce("audio", "mic", &opus()), produced, &["paused"]),
        example("voice:rtc:produce", produce("video", "camera", &vp8()), produced, &["paused"]),
        example("voice:rtc:pauseProducer", of_producer(), &["producerId"], &[]),
        example("voice:rtc:resumeProducer", of_producer(), &["producerId"], &[]),
        example("voice:rtc:closeProducer", of_producer(), &["producerId"], &[]),
        example("voice:rtc:consume", consume, &["producerId"], &["transportId", "rtpCapabilities", "paused"]),
        example("voice:rtc:pauseConsumer", of_consumer(), &["consumerId"], &[]),
        example("voice:rtc:resumeConsumer", of_consumer(), &["consumerId"], &[]),
        example("voice:rtc:closeConsumer", of_consumer(), &["consumerId"], &[]),
        example(
            "voice:rtc:setPreferredLayers",
            json!({"consumerId": ID, "spatialLayer": 1, "temporalLayer": 2}),
            &["consumerId", "spatialLayer"],
            &["temporalLayer"],
        ),
        example("voice:rtc:requestKeyFrame", of_consumer(), &["consumerId"], &[]),
        example("voice:state:update", json!({"muted": true, "deafened": false, "speaking": true}), &[], &["muted", "deafened", "speaking"]),
    ]
}

/// The paths of everything inside a value, as JSON pointers.
pub fn paths(value: &Value) -> Vec<String> {
    let inside: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(k, v)| (k.replace('~', "~0").replace('/', "~1"), v)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(n, v)| (n.to_string(), v)).collect(),
        _ => Vec::new(),
    };
    inside
        .into_iter()
        .flat_map(|(k, v)| std::iter::once(format!("/{k}")).chain(paths(v).into_iter().map(move |p| format!("/{k}{p}"))))
        .collect()
}
