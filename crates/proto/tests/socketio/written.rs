//! Every reply, event and error as it is written: name and shape, compared with `tests/golden/*.json`.
//!
//! `PARLOR_BLESS=1 cargo test -p parlor-proto --test socketio` writes the files anew; clients depend on every word.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use parlor_proto::codec::socketio::{event_name, reply_name};
use parlor_proto::event::{
    AppData, CallTopology, CloseReason, EntitlementReason, Event, IceServer, IceSetup, IceTransportPolicy, Joined, LeftReason, Own,
    Participant, ParticipantState, Policy, ProducerInfo, Reply, Resumed, RtcConfig, ServerMuted, SlotStatus, Speaker, VideoSlots,
};
use parlor_proto::ids::{ChannelId, ConsumerId, PeerId, ProducerId, ResumeToken, TransportId, UserId};
use parlor_proto::media::{Layers, MediaKind, Source, StreamType};
use parlor_proto::mesh::{MeshCandidate, MeshDescription, Sender};
use parlor_proto::rtp::{RtpCapabilities, RtpParameters};
use parlor_proto::transport::{
    CandidateKind, Direction, DtlsFingerprint, DtlsParameters, DtlsRole, IceCandidate, IceParameters, Protocol, TcpType, TransportFailure,
    TransportState,
};
use parlor_proto::{
    Error, ErrorCode, EventKind, MeshLinks, MeshPeer, ModerationAction, Permissions, ReplyKind, Restrictions, Role, Signal, Timestamp,
};
use serde_json::{Value, json};
use strum::VariantArray;

use crate::examples;

const TRANSPORT: TransportId = TransportId::from_random(1);
const PRODUCER: ProducerId = ProducerId::from_random(2);
const CONSUMER: ConsumerId = ConsumerId::from_random(3);

fn user() -> UserId {
    UserId::new("alice").expect("fine")
}

fn channel() -> ChannelId {
    ChannelId::new("den").expect("fine")
}

fn capabilities() -> Arc<RtpCapabilities> {
    serde_json::from_value(examples::capabilities()).expect("valid")
}

fn rtp() -> Box<RtpParameters> {
    serde_json::from_value(examples::vp8()).expect("valid")
}

fn producer() -> ProducerInfo {
    let app_data = AppData { source: Source::Camera };
    ProducerInfo { producer_id: PRODUCER, user_id: user(), kind: MediaKind::Video, app_data, paused: false }
}

fn participant() -> Participant {
    let server_muted = ServerMuted { audio: false, video: true, screen: false };
    let state = ParticipantState { muted: true, server_muted, ..ParticipantState::default() };
    let (role, moderator) = (Role::Speaker, true);
    Participant { user_id: user(), name: "Alice".into(), state, role, moderator, producers: vec![producer()], mesh: None }
}

fn mesh_joined() -> Joined {
    let mesh = Some(MeshPeer { peer_id: PeerId::from_random(5), make_offer: true });
    Joined {
        topology: CallTopology::Mesh,
        sfu_endpoint: None,
        mesh: Some(MeshLinks::between(2)),
        participants: vec![Participant { producers: Vec::new(), mesh, ..participant() }],
        router_rtp_capabilities: None,
        video_slots: VideoSlots { current: 0, max: 4 },
        ..joined()
    }
}

fn sender() -> Sender {
    Sender { user_id: user(), name: "Alice".into(), peer_id: PeerId::from_random(5) }
}

fn description() -> MeshDescription {
    MeshDescription { from: sender(), signal: Signal::of_sdp("v=0\r\n").expect("fine") }
}

fn candidate(candidate: Value) -> MeshCandidate {
    MeshCandidate { from: sender(), signal: Signal::of_candidate(candidate).expect("fine") }
}

fn permissions(expires_at: Option<Timestamp>) -> Permissions {
    Permissions { audio: true, video: expires_at.is_some(), screenshare: expires_at.is_some(), max_bitrate: 32_000, expires_at }
}

fn ice_setup() -> IceSetup {
    let server = IceServer { urls: vec!["turn:turn.example.org".into()], username: Some("u".into()), credential: Some("c".into()) };
    let stun = IceServer { urls: vec!["stun:stun.example.org".into()], username: None, credential: None };
    IceSetup {
        rtc_config: RtcConfig { ice_servers: vec![stun, server], ice_transport_policy: IceTransportPolicy::Relay },
        turn_credential_expires_at: Some("2026-03-01T19:00:00Z".into()),
        turn_credential_ttl: Some(3_600),
    }
}

fn joined() -> Joined {
    Joined {
        channel_id: channel(),
        channel_name: "The den".into(),
        topology: CallTopology::Sfu,
        sfu_endpoint: Some("sfu-1".into()),
        mesh: None,
        user_id: UserId::new("bob").expect("fine"),
        participants: vec![participant()],
        permissions: permissions(None),
        ice: ice_setup(),
        router_rtp_capabilities: Some(capabilities()),
        e2ee: Policy::Off,
        recording: Policy::Off,
        role: Role::Speaker,
        moderator: false,
        state: ParticipantState::default(),
        video_slots: VideoSlots { current: 1, max: 4 },
        resume_token: ResumeToken::from_random(4),
        resume_grace_ms: 10_000,
        resumed: false,
    }
}

fn resumed() -> Resumed {
    let own = Own { transports: vec![TRANSPORT], producers: vec![PRODUCER], consumers: vec![CONSUMER], slots: vec![Source::Camera] };
    let joined = Joined { resumed: true, permissions: permissions(Some(Timestamp(1_772_388_000_000))), ..joined() };
    Resumed { joined, own }
}

const SLOTS: VideoSlots = VideoSlots { current: 4, max: 4 };

fn transport_created() -> Reply {
    let ip = "192.0.2.1".parse().expect("an address");
    let udp = IceCandidate {
        foundation: "1".into(),
        priority: 2_130_706_431,
        ip,
        address: ip,
        protocol: Protocol::Udp,
        port: 7401,
        kind: CandidateKind::Host,
        tcp_type: None,
    };
    let tcp = IceCandidate { protocol: Protocol::Tcp, tcp_type: Some(TcpType::Passive), ..udp.clone() };
    Reply::TransportCreated {
        transport_id: TRANSPORT,
        direction: Direction::Send,
        ice_parameters: ice(),
        ice_candidates: vec![udp, tcp],
        dtls_parameters: DtlsParameters {
            role: DtlsRole::Auto,
            fingerprints: vec![DtlsFingerprint { algorithm: "sha-256".into(), value: "AB:CD".into() }],
        },
    }
}

fn ice() -> IceParameters {
    IceParameters { username_fragment: "ufrag".into(), password: "password".into(), ice_lite: true }
}

fn replies() -> Vec<Reply> {
    vec![
        Reply::Joined(Box::new(joined())),
        Reply::Joined(Box::new(mesh_joined())),
        Reply::Resumed(Box::new(resumed())),
        Reply::Left { channel_id: channel() },
        Reply::RouterRtpCapabilities { rtp_capabilities: capabilities() },
        Reply::IceServers { ice: ice_setup() },
        transport_created(),
        Reply::TransportConnected { transport_id: TRANSPORT },
        Reply::IceRestarted { transport_id: TRANSPORT, ice_parameters: ice() },
        Reply::TransportClosed { transport_id: TRANSPORT },
        Reply::Produced { producer_id: PRODUCER },
        Reply::ProducerPaused { producer_id: PRODUCER },
        Reply::ProducerResumed { producer_id: PRODUCER },
        Reply::ProducerClosed { producer_id: PRODUCER },
        Reply::Consumed {
            id: CONSUMER,
            consumer_id: CONSUMER,
            producer_id: PRODUCER,
            user_id: user(),
            kind: MediaKind::Video,
            rtp_parameters: rtp(),
            stream_type: StreamType::Simulcast,
            app_data: AppData { source: Source::Camera },
            paused: false,
            producer_paused: true,
        },
        Reply::ConsumerPaused { consumer_id: CONSUMER },
        Reply::ConsumerResumed { consumer_id: CONSUMER },
        Reply::ConsumerClosed { consumer_id: CONSUMER },
        Reply::PreferredLayersSet { consumer_id: CONSUMER, layers: Layers { spatial_layer: 1, temporal_layer: Some(0) } },
        Reply::KeyFrameRequested { consumer_id: CONSUMER },
        Reply::StateUpdated { state: ParticipantState { muted: true, deafened: true, ..ParticipantState::default() } },
        Reply::Slot { source: Source::Camera, status: SlotStatus::Queued, position: Some(2), slots: SLOTS },
        Reply::Slot { source: Source::Screen, status: SlotStatus::Granted, position: None, slots: SLOTS },
        Reply::Slot { source: Source::Camera, status: SlotStatus::Released, position: None, slots: SLOTS },
        Reply::Moderated { action: ModerationAction::Mute, user_id: Some(user()) },
        Reply::Moderated { action: ModerationAction::EndCall, user_id: None },
        Reply::MeshRelayed { user_id: user() },
        Reply::ConnectionReported { transport_id: Some(TRANSPORT), user_id: None },
        Reply::ConnectionReported { transport_id: None, user_id: Some(user()) },
        Reply::Pong { echo: Some(1), server_time_ms: 1_772_200_000_000 },
    ]
}

fn events() -> Vec<Event> {
    vec![
        Event::ParticipantJoined(participant()),
        Event::ParticipantJoined(mesh_joined().participants.remove(0)),
        Event::ParticipantLeft { user_id: user(), name: "Alice".into(), peer_id: None },
        Event::ParticipantState { user_id: user(), state: ParticipantState::default() },
        Event::NewProducer(producer()),
        Event::ProducerClosed { producer_id: PRODUCER, user_id: user(), reason: None },
        Event::ProducerClosed { producer_id: PRODUCER, user_id: user(), reason: Some(CloseReason::Entitlement) },
        Event::ProducerPaused { producer_id: PRODUCER, user_id: user() },
        Event::ProducerResumed { producer_id: PRODUCER, user_id: user() },
        Event::ActiveSpeakers { speakers: vec![Speaker { user_id: user(), producer_id: PRODUCER, level: -23 }] },
        Event::ActiveSpeakers { speakers: Vec::new() },
        Event::TransportState { transport_id: TRANSPORT, state: TransportState::Disconnected, reason: None },
        Event::TransportState {
            transport_id: TRANSPORT,
            state: TransportState::Failed,
            reason: Some(TransportFailure::CertificateUnsupported),
        },
        Event::LayersChanged { consumer_id: CONSUMER, layers: Some(Layers { spatial_layer: 2, temporal_layer: None }) },
        Event::LayersChanged { consumer_id: CONSUMER, layers: None },
        Event::Left { channel_id: channel(), reason: LeftReason::MediaLost, rejoin: true, to: None },
        Event::Left { channel_id: channel(), reason: LeftReason::ShuttingDown, rejoin: true, to: None },
        Event::Left { channel_id: channel(), reason: LeftReason::Moved, rejoin: false, to: ChannelId::new("attic").ok() },
        Event::SlotGranted { source: Source::Camera, slots: SLOTS },
        Event::SlotQueue { source: Source::Screen, position: 1, slots: SLOTS },
        Event::Entitlement { permissions: permissions(None), reason: EntitlementReason::Expired },
        Event::Entitlement { permissions: permissions(Some(Timestamp(1_772_388_000_000))), reason: EntitlementReason::Changed },
        Event::Moderation {
            action: ModerationAction::Kick,
            by_user_id: Some(user()),
            restrictions: Restrictions { audio: true, ..Restrictions::default() },
            reason: Some("Noise.".into()),
        },
        Event::MeshLinks(MeshLinks::between(6)),
        Event::MeshOffer(description()),
        Event::MeshAnswer(description()),
        Event::MeshIce(candidate(json!({"candidate": "candidate:1 1 UDP 1 192.0.2.1 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0}))),
        Event::MeshIce(candidate(Value::Null)),
        Event::Moderation { action: ModerationAction::Deafen, by_user_id: None, restrictions: Restrictions::default(), reason: None },
    ]
}

/// Compares with a file of golden values, or writes it if `PARLOR_BLESS` is set.
fn golden(name: &str, values: &[Value]) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name].iter().collect();
    if std::env::var_os("PARLOR_BLESS").is_some() {
        let lines: Vec<String> = values.iter().map(|value| format!("  {value}")).collect();
        return std::fs::write(&path, format!("[\n{}\n]\n", lines.join(",\n"))).expect("the file can be written");
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}; PARLOR_BLESS=1 writes it", path.display()));
    let expected: Vec<Value> = serde_json::from_str(&text).expect("a JSON array");
    for (n, (is, wanted)) in values.iter().zip(&expected).enumerate() {
        assert_eq!(is, wanted, "{}, line {}", path.display(), n + 2);
    }
    assert_eq!(values.len(), expected.len(), "{} has another number of entries", path.display());
}

#[test]
fn every_reply_has_its_documented_name_and_shape() {
    let values: Vec<Value> = replies().iter().map(|r| json!({"event": reply_name(r), "payload": r})).collect();
    let all: HashSet<_> = ReplyKind::VARIANTS.iter().copied().collect();
    assert_eq!(replies().iter().map(ReplyKind::from).collect::<HashSet<_>>(), all);
    golden("replies.json", &values);
}

#[test]
fn every_event_has_its_documented_name_and_shape() {
    let values: Vec<Value> = events().iter().map(|e| json!({"event": event_name(e), "payload": e})).collect();
    let all: HashSet<_> = EventKind::VARIANTS.iter().copied().collect();
    assert_eq!(events().iter().map(EventKind::from).collect::<HashSet<_>>(), all);
    golden("events.json", &values);
}

/// Clients are checked against these: see `web/sdk/test/protocol.test.ts`.
#[test]
fn every_request_is_taken_in_its_documented_shape() {
    let without_ignored = |example: examples::Example| {
        let mut payload = example.payload;
        if let Some(Value::Object(app_data)) = payload.get_mut("appData") {
            app_data.remove("note");
        }
        json!({"event": example.event, "payload": payload})
    };
    let values: Vec<Value> = examples::all().into_iter().map(without_ignored).collect();
    golden("requests.json", &values);
}

#[test]
fn every_error_has_its_documented_shape() {
    let values: Vec<Value> = ErrorCode::ALL.iter().map(|code| json!(Error::new(*code))).collect();
    golden("errors.json", &values);
}

#[test]
fn the_reasons_for_being_out_are_written_as_they_are_named() {
    for reason in LeftReason::VARIANTS {
        assert_eq!(json!(reason), reason.as_str());
    }
    for reason in CloseReason::VARIANTS {
        assert_eq!(json!(reason), reason.as_str());
    }
}

#[test]
fn everything_written_is_one_json_object_and_only_errors_have_a_code() {
    let written = replies().into_iter().map(|r| json!(r)).chain(events().into_iter().map(|e| json!(e)));
    for value in written {
        let object = value.as_object().expect("an object");
        assert!(!object.contains_key("code") && !object.contains_key("error"), "{value}");
    }
}

#[test]
fn what_is_written_of_ortc_can_be_read_again() {
    let again: RtpParameters = serde_json::from_value(json!(rtp())).expect("readable");
    assert_eq!(again, *rtp());
    let again: RtpCapabilities = serde_json::from_value(json!(capabilities())).expect("readable");
    assert_eq!(again, *capabilities());
}
