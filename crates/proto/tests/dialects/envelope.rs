//! The dialect of `/ws`: its messages as bytes, and what is not one of them.

use parlor_proto::codec::envelope::generated::envelope::Payload;
use parlor_proto::codec::envelope::generated::{
    Envelope, IceServer, VoiceIceCandidate, VoiceJoinRequest, VoiceJoinResponse, VoiceLeaveRequest, VoiceParticipant, VoiceSdpAnswer,
    VoiceSdpOffer, VoiceSpeakingEvent, VoiceStateUpdate,
};
use parlor_proto::codec::envelope::{Inside, Tag, decode, encode_error, encode_event, encode_reply};
use parlor_proto::event::{Event, IceSetup, IceTransportPolicy, Reply, RtcConfig};
use parlor_proto::mesh::{MeshCandidate, Sender, Signal};
use parlor_proto::{ChannelId, Error, ErrorCode, Offers, Request, limits};
use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Value, json};

use crate::{PEER, channel, events, golden, joined, user};

fn inside() -> Inside {
    Inside { channel: channel(), user: user("bob") }
}

fn message(payload: Payload) -> Vec<u8> {
    Envelope { request_id: "7".to_owned(), payload: Some(payload) }.encode_to_vec()
}

fn offer(target: &str, sdp: &str, channel: &str) -> Payload {
    let (target_user_id, sdp, channel_id) = (target.to_owned(), sdp.to_owned(), channel.to_owned());
    Payload::VoiceSdpOffer(VoiceSdpOffer { target_user_id, sdp, channel_id, sender_user_id: "mallory".to_owned() })
}

fn candidate(json: &str) -> Payload {
    let (target_user_id, candidate_json) = ("alice".to_owned(), json.to_owned());
    Payload::VoiceIceCandidate(VoiceIceCandidate { target_user_id, candidate_json, ..VoiceIceCandidate::default() })
}

fn messages() -> Vec<Payload> {
    let channel_id = || "den".to_owned();
    let init = r#"{"candidate":"candidate:1 1 UDP 1 192.0.2.1 9 typ host","sdpMid":"0","sdpMLineIndex":0}"#;
    vec![
        Payload::VoiceJoinRequest(VoiceJoinRequest { channel_id: channel_id() }),
        Payload::VoiceLeaveRequest(VoiceLeaveRequest { channel_id: channel_id() }),
        Payload::VoiceLeaveRequest(VoiceLeaveRequest::default()),
        offer("alice", "v=0\r\n", "den"),
        offer("alice", "v=0\r\n", ""),
        Payload::VoiceSdpAnswer(VoiceSdpAnswer {
            target_user_id: "alice".to_owned(),
            sdp: "v=0\r\n".to_owned(),
            channel_id: channel_id(),
            sender_user_id: String::new(),
        }),
        candidate(init),
        candidate("candidate:1 1 UDP 1 192.0.2.1 9 typ host"),
        candidate(""),
        candidate("null"),
        Payload::VoiceStateUpdate(VoiceStateUpdate {
            channel_id: channel_id(),
            user_id: "mallory".to_owned(),
            muted: true,
            deafened: false,
        }),
        Payload::VoiceSpeakingEvent(VoiceSpeakingEvent { channel_id: channel_id(), user_id: String::new(), speaking: true }),
        Payload::VoiceJoinRequest(VoiceJoinRequest::default()),
        offer("", "v=0\r\n", "den"),
        offer("alice", "", "den"),
        offer("alice", "v=0\r\n", "attic"),
        Payload::VoiceJoinResponse(VoiceJoinResponse::default()),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn written(bytes: &[u8]) -> Value {
    let envelope = Envelope::decode(bytes).expect("an envelope");
    json!({"message": format!("{envelope:?}"), "bytes": hex(bytes)})
}

#[test]
fn every_message_of_ws_is_as_it_is_on_file() {
    let read = messages().into_iter().map(|payload| {
        let bytes = message(payload);
        let (asked, request) = decode(&bytes, Some(&channel()));
        let asks = match request {
            Ok(request) => format!("{request:?}"),
            Err(error) => format!("{:?}: {}", error.code, Value::from(error.details)),
        };
        assert_eq!(asked.request_id, "7");
        let mut read = written(&bytes);
        read["name"] = asked.name.into();
        read["asks"] = asks.into();
        read
    });
    let asked = || Tag { request_id: "7".to_owned(), name: "voice_join_request" };
    let reply = |reply: &Reply| encode_reply(asked(), reply, Some(&inside())).map(|bytes| written(&bytes));
    let pushed = events().into_iter().map(|event| {
        let messages: Vec<_> = encode_event(&event, &inside()).iter().map(|bytes| written(bytes)).collect();
        json!({"event": format!("{event:?}"), "messages": messages})
    });
    let transcript = json!({
        "read": read.collect::<Vec<_>>(),
        "joined": reply(&joined()),
        "left": reply(&Reply::Left { channel_id: channel() }),
        "other replies": reply(&Reply::StateUpdated { state: Default::default() }),
        "pushed": pushed.collect::<Vec<_>>(),
        "refused": written(&encode_error(asked(), &Error::new(ErrorCode::ChannelFull).with("max", 8))),
        "refused connection": written(&encode_error(Tag::default(), &Error::new(ErrorCode::Unauthenticated))),
    });
    golden("envelope.json", &transcript);
}

#[test]
fn a_client_of_this_dialect_decides_by_user_ids_who_makes_the_offer() {
    let join = message(Payload::VoiceJoinRequest(VoiceJoinRequest { channel_id: "den".to_owned() }));
    let Ok(Request::Join { mesh, .. }) = decode(&join, None).1 else { panic!("no join") };
    assert!(mesh.only && mesh.offers == Offers::SmallerId);
}

#[test]
fn who_joins_learns_the_ice_servers_and_whether_only_relays_may_be_used_and_no_log_learns_the_password() {
    let Reply::Joined(mut joined) = joined() else { panic!("no reply to a join") };
    let server = parlor_proto::event::IceServer {
        urls: vec!["turn:turn.example.com".to_owned()],
        username: Some("1:bob".to_owned()),
        credential: Some("secret".to_owned()),
    };
    let rtc_config = RtcConfig { ice_servers: vec![server], ice_transport_policy: IceTransportPolicy::Relay };
    joined.ice = IceSetup { rtc_config, ..IceSetup::default() };
    let bytes = encode_reply(Tag::default(), &Reply::Joined(joined), None).expect("a message");
    let envelope = Envelope::decode(bytes.as_slice()).expect("an envelope");
    assert!(!format!("{envelope:?}").contains("secret"));
    let Some(Payload::VoiceJoinResponse(response)) = envelope.payload else { panic!("another message") };
    let IceServer { urls, username, credential } = &response.ice_servers[0];
    assert_eq!((urls[0].as_str(), username.as_str(), credential.as_str()), ("turn:turn.example.com", "1:bob", "secret"));
    assert!(response.relay_only);
}

#[test]
fn what_a_client_of_this_dialect_relays_arrives_in_it_unchanged() {
    for json in [r#"{"candidate":"candidate:1","sdpMid":null,"mine":[1, null]}"#, r#"{ "candidate" : "" }"#] {
        let Ok(Request::MeshIce { signal, .. }) = decode(&message(candidate(json)), None).1 else { panic!("refused: {json}") };
        let from = Sender { user_id: user("alice"), name: "Alice".to_owned(), peer_id: PEER };
        let messages = encode_event(&Event::MeshIce(MeshCandidate { from, signal }), &inside());
        let Some(Payload::VoiceIceCandidate(told)) = Envelope::decode(messages[0].as_slice()).expect("an envelope").payload else {
            panic!("another message")
        };
        assert_eq!((told.candidate_json.as_str(), told.sender_user_id.as_str(), told.target_user_id.as_str()), (json, "alice", "bob"));
    }
}

fn refused(bytes: &[u8]) -> (String, Error) {
    match decode(bytes, Some(&channel())) {
        (asked, Err(error)) => (asked.request_id, error),
        (_, Ok(request)) => panic!("taken as {request:?}"),
    }
}

#[test]
fn what_is_no_envelope_is_refused() {
    let fine = message(offer("alice", "v=0", "den"));
    let cut = fine.get(..fine.len() - 1).expect("shorter");
    let no_utf8 = [0x0a, 1, 0xff];
    let wrong_wire_type = [0x08, 1];
    let longer_than_it_is = [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f];
    let group_without_end = [0x0b; 200];
    for bytes in [cut, &no_utf8[..], &wrong_wire_type, &longer_than_it_is, &group_without_end, &[0xff; 32], &[0]] {
        assert_eq!(refused(bytes).1.code, ErrorCode::InvalidRequest, "{}", hex(bytes));
    }
    assert_eq!(refused(&[]).1.code, ErrorCode::UnknownEvent, "an envelope with nothing in it");
}

#[test]
fn unknown_fields_are_skipped_and_unknown_messages_refused_by_their_id() {
    let mut with_more = message(Payload::VoiceJoinRequest(VoiceJoinRequest { channel_id: "den".to_owned() }));
    // The fields 1000, a number, and 1001, a text.
    with_more.extend([0xc0, 0x3e, 5, 0xca, 0x3e, 1, b'x']);
    assert!(matches!(decode(&with_more, None).1, Ok(Request::Join { .. })));
    // The field 190, of which this version knows nothing.
    let (request_id, error) = refused(&[0x0a, 1, b'9', 0xf2, 0x0b, 0]);
    assert_eq!((request_id.as_str(), error.code), ("9", ErrorCode::UnknownEvent));
}

#[test]
fn what_is_too_long_is_refused() {
    let long_sdp = "x".repeat(limits::MAX_SDP_BYTES + 1);
    let long_id = "u".repeat(limits::MAX_ID_CHARS + 1);
    let long_candidate = "x".repeat(limits::MAX_CANDIDATE_BYTES + 1);
    for payload in
        [offer("alice", &long_sdp, "den"), offer(&long_id, "v=0", "den"), offer("a\0b", "v=0", "den"), candidate(&long_candidate)]
    {
        assert_eq!(refused(&message(payload)).1.code, ErrorCode::InvalidRequest);
    }
    let request_id = "r".repeat(limits::MAX_TEXT_BYTES + 1);
    let bytes = Envelope { request_id, payload: Some(offer("alice", "v=0", "den")) }.encode_to_vec();
    assert_eq!(refused(&bytes), (String::new(), Error::invalid("request_id", "is too long")), "it would come back with every answer");
}

#[test]
fn a_bomb_of_empty_messages_is_no_request() {
    // As many empty participants as fit into a message: two bytes each.
    let participants = vec![VoiceParticipant::default(); limits::MAX_MESSAGE_BYTES / 2 - 16];
    let bomb = message(Payload::VoiceJoinResponse(VoiceJoinResponse { participants, ..VoiceJoinResponse::default() }));
    assert!(bomb.len() <= limits::MAX_MESSAGE_BYTES);
    assert_eq!(refused(&bomb).1.code, ErrorCode::UnknownEvent);
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes, Some(&channel()));
    }

    #[test]
    fn a_message_that_is_cut_or_changed_is_read_or_refused(n in 0..20_usize, cut in 0..200_usize, at in 0..200_usize, byte: u8) {
        let all = messages();
        let mut bytes = message(all[n % all.len()].clone());
        bytes.truncate(cut);
        if let Some(changed) = bytes.get_mut(at) {
            *changed = byte;
        }
        let _ = decode(&bytes, None);
    }

    #[test]
    fn who_sent_a_message_is_never_what_the_client_wrote(sender in "[a-z]{1,8}", target in "[a-z]{1,8}") {
        let payload = VoiceSdpOffer { target_user_id: target, sdp: "v=0".to_owned(), channel_id: String::new(), sender_user_id: sender };
        let Ok(Request::MeshOffer { signal, .. }) = decode(&message(Payload::VoiceSdpOffer(payload)), None).1 else { panic!("refused") };
        prop_assert_eq!(signal, Signal::of_sdp("v=0").expect("fine"));
    }
}

#[test]
fn a_message_for_another_channel_than_the_clients_is_refused() {
    let attic = ChannelId::new("attic").expect("an id");
    assert!(decode(&message(offer("alice", "v=0", "den")), Some(&channel())).1.is_ok());
    assert!(decode(&message(offer("alice", "v=0", "den")), None).1.is_ok(), "the room knows whether the client is in one");
    assert_eq!(decode(&message(offer("alice", "v=0", "d\0n")), None).1.expect_err("refused").code, ErrorCode::InvalidRequest);
    let error = decode(&message(offer("alice", "v=0", "den")), Some(&attic)).1.expect_err("refused");
    assert_eq!(error.code, ErrorCode::NotInChannel);
}
