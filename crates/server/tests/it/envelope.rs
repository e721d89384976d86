//! The dialect of `/ws`: protobuf messages over real sockets, and its clients in calls with those of the other dialects.

use futures_util::{SinkExt, StreamExt};
use parlor::Server;
use parlor_proto::codec::envelope::generated::envelope::Payload;
use parlor_proto::codec::envelope::generated::{
    Envelope, Error, VoiceIceCandidate, VoiceJoinRequest, VoiceJoinResponse, VoiceLeaveEvent, VoiceLeaveRequest, VoiceSdpAnswer,
    VoiceSdpOffer, VoiceSpeakingEvent, VoiceStateUpdate,
};
use prost::Message as _;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::client::Client;
use super::mesh::{Plain, SOON, in_call, in_voice};
use super::{dev_server, server_without_join_limit};

/// A client of the dialect.
struct Envelopes {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    sent: u32,
}

/// Reads messages of the client until one is of this kind, and gives its content.
macro_rules! of {
    ($client:expr, $kind:ident) => {
        loop {
            if let Payload::$kind(content) = $client.next().await.unwrap_or_else(|code| panic!("closed with {code}")).1 {
                break content;
            }
        }
    };
}

impl Envelopes {
    async fn open(server: &Server, user: &str) -> Self {
        let token = server.issue_token(user, None, false).expect("a token");
        Self::open_with(server, &token).await
    }

    async fn open_with(server: &Server, token: &str) -> Self {
        let url = format!("ws://{}/ws?token={token}", server.http_addresses()[0]);
        Self { stream: connect_async(url).await.expect("a WebSocket").0, sent: 0 }
    }

    /// A client that is in the den, and what it was told when it joined.
    async fn joined(server: &Server, user: &str) -> (Self, VoiceJoinResponse) {
        let mut client = Self::open(server, user).await;
        client.send(join("den")).await;
        let response = of!(client, VoiceJoinResponse);
        (client, response)
    }

    /// Sends a message, and returns its id.
    async fn send(&mut self, payload: Payload) -> String {
        self.sent += 1;
        let request_id = self.sent.to_string();
        let bytes = Envelope { request_id: request_id.clone(), payload: Some(payload) }.encode_to_vec();
        self.send_raw(bytes).await;
        request_id
    }

    async fn send_raw(&mut self, bytes: Vec<u8>) {
        self.stream.send(Message::binary(bytes)).await.expect("sends");
    }

    /// The next message with the id of what it answers; the code if the connection was closed instead.
    async fn next(&mut self) -> Result<(String, Payload), u16> {
        loop {
            match timeout(SOON, self.stream.next()).await.expect("soon") {
                Some(Ok(Message::Binary(bytes))) => {
                    let Envelope { request_id, payload } = Envelope::decode(bytes).expect("an envelope");
                    return Ok((request_id, payload.expect("a message")));
                }
                Some(Ok(Message::Close(frame))) => return Err(frame.map_or(1005, |frame| frame.code.into())),
                Some(Ok(Message::Text(text))) => panic!("a text: {text}"),
                Some(Ok(_)) => {}
                other => panic!("the connection broke: {other:?}"),
            }
        }
    }

    /// Sends a message that is refused, and returns the refusal.
    async fn refused(&mut self, payload: Payload) -> Error {
        let id = self.send(payload).await;
        let error = of!(self, Error);
        assert_eq!(error.request_id, id);
        error
    }
}

fn join(channel: &str) -> Payload {
    Payload::VoiceJoinRequest(VoiceJoinRequest { channel_id: channel.to_owned() })
}

fn offer(to: &str, sdp: &str) -> Payload {
    let (target_user_id, sdp, channel_id) = (to.to_owned(), sdp.to_owned(), "den".to_owned());
    Payload::VoiceSdpOffer(VoiceSdpOffer { target_user_id, sdp, channel_id, sender_user_id: "mallory".to_owned() })
}

fn answer(to: &str, sdp: &str) -> Payload {
    let (target_user_id, sdp, channel_id) = (to.to_owned(), sdp.to_owned(), "den".to_owned());
    Payload::VoiceSdpAnswer(VoiceSdpAnswer { target_user_id, sdp, channel_id, sender_user_id: String::new() })
}

fn candidate(to: &str, json: &str) -> Payload {
    let (target_user_id, candidate_json, channel_id) = (to.to_owned(), json.to_owned(), "den".to_owned());
    Payload::VoiceIceCandidate(VoiceIceCandidate { target_user_id, candidate_json, channel_id, sender_user_id: String::new() })
}

#[tokio::test]
async fn the_flow_of_ws_whoever_joins_learns_who_is_there_and_they_of_them() {
    let server = dev_server().await;
    let (mut alice, first) = Envelopes::joined(&server, "alice").await;
    assert!(first.participants.is_empty());
    let (mut bob, second) = Envelopes::joined(&server, "bob").await;
    assert_eq!(second.participants.iter().map(|one| one.user_id.as_str()).collect::<Vec<_>>(), ["alice"]);
    let came = of!(alice, VoiceParticipantJoinedEvent);
    assert_eq!((came.channel_id.as_str(), came.participant.expect("somebody").user_id.as_str()), ("den", "bob"));

    alice.send(offer("bob", "v=0")).await;
    let told = of!(bob, VoiceSdpOffer);
    assert_eq!((told.sender_user_id.as_str(), told.sdp.as_str(), told.channel_id.as_str()), ("alice", "v=0", "den"));
    bob.send(answer("alice", "v=1")).await;
    let told = of!(alice, VoiceSdpAnswer);
    assert_eq!((told.sender_user_id.as_str(), told.sdp.as_str()), ("bob", "v=1"));
    for n in 0..20 {
        bob.send(candidate("alice", &format!("{{\"candidate\": \"{n}\"}}"))).await;
    }
    for n in 0..20 {
        assert_eq!(of!(alice, VoiceIceCandidate).candidate_json, format!("{{\"candidate\": \"{n}\"}}"), "in order, as it was written");
    }

    let state = VoiceStateUpdate { muted: true, deafened: true, user_id: "alice".to_owned(), ..VoiceStateUpdate::default() };
    bob.send(Payload::VoiceStateUpdate(state)).await;
    let told = of!(alice, VoiceStateUpdate);
    assert_eq!((told.user_id.as_str(), told.muted, told.deafened), ("bob", true, true), "of oneself, whoever one says one is");
    bob.send(Payload::VoiceStateUpdate(VoiceStateUpdate::default())).await;
    bob.send(Payload::VoiceSpeakingEvent(VoiceSpeakingEvent { speaking: true, ..VoiceSpeakingEvent::default() })).await;
    while !of!(alice, VoiceSpeakingEvent).speaking {}

    let left = bob.send(Payload::VoiceLeaveRequest(VoiceLeaveRequest { channel_id: "den".to_owned() })).await;
    let gone =
        |name: &str| VoiceLeaveEvent { channel_id: "den".into(), user_id: "bob".into(), display_name: name.into(), ..Default::default() };
    assert_eq!(of!(alice, VoiceLeaveEvent), gone("bob"));
    let (id, reply) = loop {
        let (id, payload) = bob.next().await.expect("an answer");
        if let Payload::VoiceLeaveEvent(event) = payload {
            break (id, event);
        }
    };
    assert_eq!((id, reply), (left, gone("")), "who asked is answered in the same words");
    bob.send(join("den")).await;
    of!(bob, VoiceJoinResponse);
    drop(bob);
    assert_eq!(of!(alice, VoiceLeaveEvent).user_id, "bob", "whose connection breaks has left at once");
}

#[tokio::test]
async fn with_clients_of_every_other_dialect_exactly_one_of_each_pair_makes_the_offer() {
    let server = dev_server().await;
    let mut anna = in_call(&server, "anna").await;
    let (mut mia, there) = Envelopes::joined(&server, "mia").await;
    assert_eq!(there.participants[0].user_id, "anna", "anna has the smaller id, and mia waits");
    assert_eq!(anna.of("user_joined").await["data"]["user"]["id"], "mia", "and is told to make an offer");
    let mut vera = in_voice(&server, "vera").await;
    let (hello, present) = (vera.of("hello").await, vera.next().await.expect("a message"));
    let met = [hello, present].map(|message| (message["type"].clone(), message["user"]["id"].clone()));
    assert_eq!(met, [(json!("hello"), json!("anna")), (json!("hello"), json!("mia"))], "vera waits for both");
    let (mut ben, joined) = Client::joined(&server, "ben", "den").await;
    let others = joined["participants"].as_array().expect("a list");
    let offers: Vec<_> = others.iter().map(|one| (one["userId"].as_str().unwrap_or_default(), one["mesh"]["makeOffer"].clone())).collect();
    assert!(offers.contains(&("mia", json!(true))), "ben makes the offer to mia, having the smaller id: {offers:?}");

    anna.send(json!({"type": "offer", "data": {"target_user_id": "mia", "sdp": {"type": "offer", "sdp": "v=0"}}})).await;
    let told = of!(mia, VoiceSdpOffer);
    assert_eq!((told.sender_user_id.as_str(), told.sdp.as_str()), ("anna", "v=0"));
    mia.send(candidate("anna", r#"{"candidate":"c","sdpMid":"0"}"#)).await;
    assert_eq!(anna.of("ice_candidate").await["data"]["candidate"], json!({"candidate": "c", "sdpMid": "0"}));
    mia.send(answer("ben", "v=2")).await;
    assert_eq!(ben.event("voice:mesh:answer").await, json!({"userId": "mia", "sdp": "v=2"}));
    ben.request("voice:mesh:ice", json!({"userId": "mia", "candidate": {"candidate": "d", "sdpMid": "0"}})).await;
    let told = of!(mia, VoiceIceCandidate);
    let init: serde_json::Value = serde_json::from_str(&told.candidate_json).expect("JSON");
    assert_eq!((told.sender_user_id.as_str(), init), ("ben", json!({"candidate": "d", "sdpMid": "0"})));
    drop(vera);
    assert_eq!(of!(mia, VoiceLeaveEvent).user_id, "vera");
}

#[tokio::test]
async fn what_is_not_allowed_is_refused_by_its_id_and_the_connection_stays() {
    let server = dev_server().await;
    let (mut alice, _) = Envelopes::joined(&server, "alice").await;
    for (payload, code, name) in [
        (offer("nobody", "v=0"), 404, "NOT_FOUND"),
        (offer("alice", "v=0"), 404, "NOT_FOUND"),
        (offer("bob", ""), 400, "INVALID_REQUEST"),
        (join(&"x".repeat(10_000)), 400, "INVALID_REQUEST"),
        (join("a\0b"), 400, "INVALID_REQUEST"),
        (Payload::VoiceJoinResponse(VoiceJoinResponse::default()), 404, "UNKNOWN_EVENT"),
        (Payload::VoiceLeaveRequest(VoiceLeaveRequest { channel_id: "attic".to_owned() }), 409, "NOT_IN_CHANNEL"),
    ] {
        let error = alice.refused(payload).await;
        assert_eq!((error.code, error.name.as_str()), (code, name), "{}", error.details_json);
        assert!(error.message.ends_with('.'));
    }
    let elsewhere = VoiceStateUpdate { channel_id: "attic".to_owned(), ..VoiceStateUpdate::default() };
    assert_eq!(alice.refused(Payload::VoiceStateUpdate(elsewhere)).await.name, "NOT_IN_CHANNEL");
    alice.send_raw(vec![0xff; 100]).await;
    assert_eq!(of!(alice, Error).name, "INVALID_REQUEST");
    let mut second = Envelopes::open(&server, "alice").await;
    assert_eq!(second.refused(join("den")).await.name, "ALREADY_IN_CHANNEL");
    let (_sam, _) = Client::joined(&server, "sam", "sfu-room").await;
    assert_eq!(second.refused(join("sfu-room")).await.name, "INVALID_STATE");
    second.stream.send(Message::text("{}")).await.expect("sends");
    assert_eq!(
        loop {
            if let Err(code) = second.next().await {
                break code;
            }
        },
        1003,
        "texts are no messages of this dialect"
    );
}

#[tokio::test]
async fn who_has_no_token_is_told_so_in_an_envelope_and_disconnected() {
    let server = dev_server().await;
    let mut nobody = Envelopes::open_with(&server, "not-a-token").await;
    let error = of!(nobody, Error);
    assert_eq!((error.code, error.name.as_str(), error.request_id.as_str()), (401, "UNAUTHENTICATED", ""));
    assert_eq!(nobody.next().await.expect_err("closed"), 4401);
}

#[tokio::test]
async fn who_goes_to_another_channel_leaves_the_first_and_who_is_put_out_is_told_why_and_may_go_on() {
    let server = dev_server().await;
    let (mut alice, _) = Envelopes::joined(&server, "alice").await;
    let (mut bob, _) = Envelopes::joined(&server, "bob").await;
    bob.send(join("attic")).await;
    of!(bob, VoiceJoinResponse);
    assert_eq!(of!(alice, VoiceLeaveEvent).user_id, "bob");
    let mut moved = Plain::open(&server, "/ws/voice/attic", "alice").await;
    moved.send(json!({"type": "hello"})).await;
    let left = of!(alice, VoiceLeaveEvent);
    assert_eq!((left.user_id.as_str(), left.reason.as_str(), left.rejoin), ("alice", "moved-device", false));
    drop(moved);
    alice.send(join("den")).await;
    of!(alice, VoiceJoinResponse);
}

#[tokio::test]
async fn who_goes_to_another_channel_without_waiting_hears_of_it_like_everybody() {
    let server = server_without_join_limit().await;
    let (mut bob, _) = Envelopes::joined(&server, "bob").await;
    for n in 0..20 {
        // The room that is left answers by itself, before or after the one that is joined.
        let channel = format!("attic-{n}");
        bob.send(Payload::VoiceLeaveRequest(VoiceLeaveRequest::default())).await;
        let joined = bob.send(join(&channel)).await;
        let elsewhere = VoiceStateUpdate { channel_id: "den".to_owned(), ..VoiceStateUpdate::default() };
        let refused = bob.send(Payload::VoiceStateUpdate(elsewhere)).await;
        let mut answers = Vec::new();
        while answers.len() < 3 {
            match bob.next().await.expect("an answer") {
                (id, Payload::VoiceJoinResponse(_)) => answers.push(id),
                (_, Payload::VoiceLeaveEvent(left)) if left.user_id.is_empty() || left.user_id == "bob" => answers.push(String::new()),
                (id, Payload::Error(error)) => {
                    assert_eq!((&id, error.name.as_str()), (&refused, "NOT_IN_CHANNEL"), "what is said now is for the new channel");
                    answers.push(id);
                }
                _ => {}
            }
        }
        assert!(answers.contains(&joined));
        let token = server.issue_token("alice", None, false).expect("a token");
        let mut alice = Envelopes::open_with(&server, &token).await;
        alice.send(join(&channel)).await;
        assert_eq!(of!(bob, VoiceParticipantJoinedEvent).channel_id, channel);
        alice.send(Payload::VoiceLeaveRequest(VoiceLeaveRequest::default())).await;
        of!(bob, VoiceLeaveEvent);
    }
}

#[tokio::test]
async fn what_is_over_the_rate_is_refused_by_its_id() {
    let server = dev_server().await;
    let (mut alice, _) = Envelopes::joined(&server, "alice").await;
    let mut ids = std::collections::HashSet::new();
    for _ in 0..450 {
        ids.insert(alice.send(offer("nobody", "v=0")).await);
    }
    let mut limited = 0;
    while limited < 10 {
        let (id, Payload::Error(error)) = alice.next().await.expect("an answer") else { continue };
        assert!(ids.remove(&id), "{id:?}: {}", error.name);
        limited += usize::from(error.name == "RATE_LIMITED");
    }
}
