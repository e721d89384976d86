//! Calls from client to client: who makes the offer to whom, what is passed on and to whom, and what such a call cannot do.

use std::time::Duration;

use parlor_proto::event::{CallTopology, Event, IceTransportPolicy, LeftReason, Reply};
use parlor_proto::mesh::{MeshDescription, Sender};
use parlor_proto::transport::Direction;
use parlor_proto::{
    Actor, Channel, Error, ErrorCode, MeshLinks, Moderation, Offers, PeerId, Privacy, Request, SessionId, Signal, Source, Target, Tier,
    Topology,
};
use parlor_rooms::{MediaConfig, Output, Policy};
use parlor_testkit::test_room::{TestRoom, identity, user_id};
use serde_json::json;

use crate::refused;

fn offer(to: &str, sdp: &str) -> Request {
    Request::MeshOffer { to: Target::User(user_id(to)), signal: Signal::of_sdp(sdp).expect("fine") }
}

fn candidate(to: &str, n: usize) -> Request {
    Request::MeshIce { to: Target::User(user_id(to)), signal: Signal::of_candidate(json!({"candidate": n.to_string()})).expect("fine") }
}

/// What a session was sent by others, in a few words.
fn sent(events: &[Event]) -> Vec<String> {
    let description = |word: &str, MeshDescription { from, signal }: &MeshDescription| {
        Some(format!("{word} of {}: {}", from.user_id, signal.sdp().unwrap_or_default()))
    };
    let one = |event: &Event| match event {
        Event::MeshOffer(told) => description("offer", told),
        Event::MeshAnswer(told) => description("answer", told),
        Event::MeshIce(told) => Some(format!("ice of {}: {}", told.from.user_id, told.signal.candidate_init())),
        _ => None,
    };
    events.iter().filter_map(one).collect()
}

fn peer_of(room: &mut TestRoom, told: SessionId) -> PeerId {
    let joined = room.events(told).into_iter().find_map(|event| match event {
        Event::ParticipantJoined(participant) => participant.mesh,
        _ => None,
    });
    joined.expect("somebody came").peer_id
}

#[test]
fn a_mesh_orders_nothing_of_the_media_plane_and_says_what_it_is() {
    let mut room = TestRoom::mesh();
    let session = room.connect();
    let joined = room.try_join(session, "alice", Tier::Free).expect("joins");
    assert_eq!((joined.topology, joined.mesh), (CallTopology::Mesh, Some(MeshLinks::between(1))));
    assert!(joined.sfu_endpoint.is_none() && joined.router_rtp_capabilities.is_none());
    assert_eq!(room.media.router, None);
    assert!(!room.said.iter().any(|output| matches!(output, Output::Media(..))));
}

#[test]
fn whoever_comes_makes_the_offers_unless_their_dialects_have_it_otherwise() {
    // The one who comes is "m"; the others were there before.
    for (newcomer, present, user, newcomer_offers) in [
        (Offers::Newcomer, Offers::Newcomer, "a", true),
        (Offers::Newcomer, Offers::Present, "z", false),
        (Offers::Present, Offers::Present, "z", false),
        (Offers::Present, Offers::Newcomer, "a", true),
        (Offers::Newcomer, Offers::SmallerId, "a", false),
        (Offers::Newcomer, Offers::SmallerId, "z", true),
        (Offers::SmallerId, Offers::Present, "z", true),
        (Offers::SmallerId, Offers::SmallerId, "a", false),
    ] {
        let mut room = TestRoom::mesh();
        room.mesh.offers = present;
        let there = room.join(user, Tier::Free);
        room.mesh.offers = newcomer;
        let session = room.connect();
        let joined = room.try_join(session, "m", Tier::Free).expect("joins");
        let told_newcomer = joined.participants[0].mesh.expect("a mesh").make_offer;
        let told_present = room.events(there).into_iter().find_map(|event| match event {
            Event::ParticipantJoined(participant) => participant.mesh,
            _ => None,
        });
        assert_eq!(told_newcomer, newcomer_offers, "{newcomer:?} comes to {present:?} {user}");
        assert_eq!(told_present.expect("told").make_offer, !newcomer_offers, "exactly one of the two");
    }
}

#[test]
fn a_message_reaches_the_one_it_is_for_with_its_senders_name_on_it_and_in_order() {
    let mut room = TestRoom::mesh();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|user| room.join(user, Tier::Free));
    for session in [alice, bob, carol] {
        room.events(session);
    }
    assert_eq!(room.ask(bob, offer("alice", "v=0")), Ok(Reply::MeshRelayed { user_id: user_id("alice") }));
    for n in 0..3 {
        room.ask(bob, candidate("alice", n)).expect("passed on");
    }
    let answer = Request::MeshAnswer { to: Target::User(user_id("bob")), signal: Signal::of_sdp("v=1").expect("fine") };
    room.ask(alice, answer).expect("passed on");
    let expected =
        ["offer of bob: v=0", r#"ice of bob: {"candidate":"0"}"#, r#"ice of bob: {"candidate":"1"}"#, r#"ice of bob: {"candidate":"2"}"#];
    assert_eq!(sent(&room.events(alice)), expected);
    assert_eq!(sent(&room.events(bob)), ["answer of alice: v=1"]);
    assert!(sent(&room.events(carol)).is_empty(), "nobody else is told");
}

#[test]
fn what_somebody_wrote_is_passed_on_as_it_is() {
    let mut room = TestRoom::mesh();
    let alice = room.join("alice", Tier::Free);
    let bob = room.join("bob", Tier::Free);
    let written = json!({"sdp": {"type": "offer", "sdp": "v=0\r\n"}, "restart": true, "userId": "mallory", "nothing": null});
    let signal = Signal::description(written.as_object().cloned().expect("an object")).expect("fine");
    room.ask(bob, Request::MeshOffer { to: Target::User(user_id("alice")), signal: signal.clone() }).expect("passed on");
    let events = room.events(alice);
    let Some(Event::MeshOffer(told)) = events.last() else { panic!("{events:?}") };
    assert_eq!(told.signal, signal);
    assert_eq!(
        (told.from.user_id.clone(), told.from.name.as_str()),
        (user_id("bob"), "Bob"),
        "the sender is who they are, whatever they write"
    );
}

#[test]
fn a_stay_is_addressed_by_its_id_and_a_later_stay_of_the_same_user_has_another() {
    let mut room = TestRoom::mesh();
    let alice = room.join("alice", Tier::Free);
    let bob = room.join("bob", Tier::Free);
    let first = peer_of(&mut room, alice);
    let to = |peer| Request::MeshOffer { to: Target::Peer(peer), signal: Signal::of_sdp("v=0").expect("fine") };
    room.ask(alice, to(first)).expect("passed on");
    let told = room.events(bob);
    let from = told.iter().find_map(|event| match event {
        Event::MeshOffer(MeshDescription { from: Sender { peer_id, .. }, .. }) => Some(*peer_id),
        _ => None,
    });
    room.ask(bob, to(from.expect("an offer"))).expect("the way back");
    room.ask(bob, Request::Leave { channel: None }).expect("leaves");
    room.join("bob", Tier::Free);
    assert_ne!(peer_of(&mut room, alice), first);
    assert_eq!(refused(room.ask(alice, to(first))), ErrorCode::NotFound);
}

#[test]
fn nothing_reaches_anybody_outside_the_call_or_oneself() {
    let mut room = TestRoom::mesh();
    let alice = room.join("alice", Tier::Free);
    for to in ["nobody", "alice"] {
        assert_eq!(refused(room.ask(alice, offer(to, "v=0"))), ErrorCode::NotFound, "{to}");
    }
    let stranger = room.connect();
    assert_eq!(refused(room.ask(stranger, offer("alice", "v=0"))), ErrorCode::NotInChannel);
    assert!(sent(&room.events(alice)).is_empty());
}

#[test]
fn one_participant_can_send_another_only_so_much_and_the_others_are_not_affected() {
    let mut room = TestRoom::mesh();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|user| room.join(user, Tier::Free));
    let passed = (0..1000).filter(|n| room.ask(bob, candidate("alice", *n)).is_ok()).count();
    assert_eq!(passed, 60);
    assert_eq!(refused(room.ask(bob, candidate("alice", 0))), ErrorCode::RateLimited);
    room.ask(carol, candidate("alice", 0)).expect("carol has sent nothing yet");
    room.ask(bob, candidate("carol", 0)).expect("carol was sent nothing yet");
    room.advance(Duration::from_secs(1));
    room.ask(bob, candidate("alice", 0)).expect("some is earned again");
    assert_eq!(sent(&room.events(alice)).len(), 62);
}

#[test]
fn who_leaves_and_comes_again_may_not_send_more_for_it() {
    let mut room = TestRoom::mesh();
    let [alice, bob] = ["alice", "bob"].map(|user| room.join(user, Tier::Free));
    for n in 0..60 {
        room.ask(bob, candidate("alice", n)).expect("not too many yet");
    }
    room.ask(bob, Request::Leave { channel: None }).expect("leaves");
    let bob = room.join("bob", Tier::Free);
    assert_eq!(refused(room.ask(bob, candidate("alice", 0))), ErrorCode::RateLimited);
    room.advance(Duration::from_secs(6));
    room.ask(bob, candidate("alice", 0)).expect("all is earned again");
    room.events(alice);
}

#[test]
fn a_call_says_how_many_links_it_has_whenever_somebody_comes_or_goes() {
    let mut room = TestRoom::mesh();
    let alice = room.join("alice", Tier::Free);
    let links = |room: &mut TestRoom| {
        let told = room.events(alice).into_iter().filter_map(|event| match event {
            Event::MeshLinks(links) => Some((links.participants, links.links, links.sfu_recommended)),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    for user in ["b", "c", "d", "e", "f"] {
        room.join(user, Tier::Free);
    }
    assert_eq!(links(&mut room), [(2, 1, false), (3, 3, false), (4, 6, false), (5, 10, false), (6, 15, true)]);
    let last = room.join("g", Tier::Free);
    room.ask(last, Request::Leave { channel: None }).expect("leaves");
    assert_eq!(links(&mut room), [(7, 21, true), (6, 15, true)]);
}

#[test]
fn a_mesh_is_full_with_eight_unless_its_channel_says_otherwise() {
    let mut room = TestRoom::mesh();
    for n in 0..8 {
        room.join(&format!("user{n}"), Tier::Pro);
    }
    let session = room.connect();
    let full = room.try_join(session, "late", Tier::Pro).expect_err("full");
    assert_eq!((full.code, &full.details["max"]), (ErrorCode::ChannelFull, &json!(8)));
    let policy = Policy::default();
    let channel = |topology, tier| Channel { topology, tier, ..room.channel.clone() };
    assert_eq!(policy.participants(&channel(Topology::Mesh, Tier::Pro)), 8);
    assert_eq!(policy.participants(&channel(Topology::Sfu, Tier::Pro)), 25);
}

#[test]
fn what_others_send_while_a_connection_is_lost_is_there_when_the_client_is_back() {
    let mut room = TestRoom::mesh();
    let alice = room.join("alice", Tier::Free);
    let bob = room.join("bob", Tier::Free);
    let peer = peer_of(&mut room, alice);
    room.lose(bob);
    for n in 0..2 {
        room.ask(alice, candidate("bob", n)).expect("kept");
    }
    let again = room.connect();
    let resumed = room.resume(bob, again).expect("resumes");
    assert_eq!(resumed.joined.topology, CallTopology::Mesh);
    assert!(resumed.joined.participants[0].mesh.expect("a mesh").make_offer, "as when they met: whoever came later");
    assert_eq!(sent(&room.events(again)), [r#"ice of alice: {"candidate":"0"}"#, r#"ice of alice: {"candidate":"1"}"#]);
    let to = Request::MeshAnswer { to: Target::Peer(peer), signal: Signal::of_sdp("v=0").expect("fine") };
    room.ask(alice, to).expect("the stay is the same");
    assert_eq!(sent(&room.events(again)), ["answer of alice: v=0"]);
}

#[test]
fn what_somebody_sent_who_has_left_meanwhile_is_not_delivered() {
    let mut room = TestRoom::mesh();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|user| room.join(user, Tier::Free));
    room.lose(bob);
    room.ask(alice, candidate("bob", 1)).expect("kept");
    room.ask(carol, candidate("bob", 2)).expect("kept");
    room.ask(alice, Request::Leave { channel: None }).expect("leaves");
    room.join("alice", Tier::Free);
    let again = room.connect();
    room.resume(bob, again).expect("resumes");
    assert_eq!(sent(&room.events(again)), [r#"ice of carol: {"candidate":"2"}"#]);
}

#[test]
fn only_so_much_waits_for_a_lost_connection() {
    let mut room = TestRoom::mesh();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|user| room.join(user, Tier::Free));
    room.lose(carol);
    let kept = (0..60).filter(|n| room.ask(alice, candidate("carol", *n)).is_ok()).count();
    let kept = kept + (0..60).filter(|n| room.ask(bob, candidate("carol", *n)).is_ok()).count();
    assert_eq!(kept, 64);
}

#[test]
fn only_so_many_bytes_wait_for_a_lost_connection() {
    let mut room = TestRoom::mesh();
    let senders = ["a", "b", "c", "d"].map(|user| room.join(user, Tier::Free));
    let carol = room.join("carol", Tier::Free);
    room.lose(carol);
    let large = "x".repeat(40 * 1024);
    let kept: usize = senders.iter().map(|sender| (0..4).filter(|_| room.ask(*sender, offer("carol", &large)).is_ok()).count()).sum();
    assert_eq!(kept, 6, "256 KiB");
}

#[test]
fn in_privacy_mode_nobody_shows_another_an_address_of_their_own() {
    let mut room = TestRoom::mesh();
    let private = Channel { privacy: Privacy::Relay, ..room.channel.clone() };
    room.change_channel(private);
    let [alice, _bob] = ["alice", "bob"].map(|user| room.join(user, Tier::Free));
    let candidate = |text: &str| Request::MeshIce {
        to: Target::User(user_id("bob")),
        signal: Signal::of_candidate(json!({ "candidate": text })).expect("fine"),
    };
    let error = room.ask(alice, candidate("candidate:1 1 udp 1 192.168.1.23 5000 typ host")).expect_err("refused");
    assert_eq!((error.code, &error.details["reason"]), (ErrorCode::PermissionDenied, &json!("relay_only")));
    room.ask(alice, candidate("candidate:1 1 udp 1 198.51.100.7 50000 typ relay raddr 0.0.0.0 rport 0")).expect("a relay's");
    assert_eq!(refused(room.ask(alice, offer("bob", "v=0\r\nc=IN IP4 192.168.1.23\r\n"))), ErrorCode::PermissionDenied);
    room.ask(alice, offer("bob", "v=0\r\nc=IN IP4 0.0.0.0\r\n")).expect("no address");
}

#[test]
fn where_only_relays_may_be_used_in_all_channels_a_mesh_is_no_exception() {
    let mut config = parlor_testkit::test_room::config("den", 1);
    (config.channel.topology, config.media) = (Topology::Mesh, MediaConfig::Mesh);
    config.policy.ice_transport_policy = IceTransportPolicy::Relay;
    let mut room = TestRoom::new(config);
    let [alice, _bob] = ["alice", "bob"].map(|user| room.join(user, Tier::Free));
    assert_eq!(refused(room.ask(alice, offer("bob", "v=0\r\nc=IN IP4 192.168.1.23\r\n"))), ErrorCode::PermissionDenied);
}

#[test]
fn a_mesh_call_in_which_addresses_are_hidden_from_now_on_begins_anew() {
    let mut room = TestRoom::mesh();
    let alice = room.join("alice", Tier::Free);
    let private = Channel { privacy: Privacy::Relay, ..room.channel.clone() };
    room.change_channel(private);
    let told = room.events(alice);
    assert!(matches!(told.last(), Some(Event::Left { reason: LeftReason::TopologyChanged, rejoin: true, .. })), "{told:?}");
    let mut sfu = TestRoom::free();
    let alice = sfu.join("alice", Tier::Free);
    let private = Channel { privacy: Privacy::Relay, ..sfu.channel.clone() };
    sfu.change_channel(private);
    assert!(sfu.is_inside(alice), "media goes by the server as before");
}

#[test]
fn what_somebody_sent_who_has_left_takes_no_room_of_what_waits() {
    let mut room = TestRoom::mesh();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|user| room.join(user, Tier::Free));
    room.lose(carol);
    let large = "x".repeat(48 * 1024);
    for _ in 0..5 {
        room.ask(alice, offer("carol", &large)).expect("is kept");
    }
    assert_eq!(refused(room.ask(bob, offer("carol", &large))), ErrorCode::InvalidState, "too much waits");
    room.ask(alice, Request::Leave { channel: None }).expect("leaves");
    room.ask(bob, offer("carol", &large)).expect("nothing waits any more");
}

#[test]
fn what_is_for_an_sfu_is_refused_in_a_mesh_and_the_other_way_round() {
    let mut room = TestRoom::mesh();
    let alice = room.join("alice", Tier::Pro);
    for request in [
        Request::CreateTransport { direction: Direction::Send },
        Request::GetRouterRtpCapabilities,
        Request::RequestSlot { source: Source::Camera },
    ] {
        assert_eq!(refused(room.ask(alice, request)), ErrorCode::InvalidState);
    }
    let mut sfu = TestRoom::free();
    let [alice, _bob] = ["alice", "bob"].map(|user| sfu.join(user, Tier::Free));
    assert_eq!(refused(sfu.ask(alice, offer("bob", "v=0"))), ErrorCode::InvalidState);
    sfu.mesh.only = true;
    let session = sfu.connect();
    assert_eq!(refused(sfu.try_join(session, "carol", Tier::Free)), ErrorCode::InvalidState, "she would neither hear nor be heard");
}

#[test]
fn nobody_is_muted_where_the_server_cannot_see_to_it() {
    let mut room = TestRoom::mesh();
    let moderator = room.join_as(parlor_proto::Identity { moderator: true, ..identity("alice", Tier::Free) });
    let bob = room.join("bob", Tier::Free);
    let mute = Moderation::Mute { user: user_id("bob"), audio: Some(true), video: None, screen: None };
    let error: Error = room.ask(moderator, Request::Moderate { action: mute.clone() }).expect_err("refused");
    assert_eq!(error.code, ErrorCode::InvalidState);
    assert!(error.message.contains("Remove the person instead"), "{}", error.message);
    // An administrator's act is in the store already: whoever is silenced does not get into such a call, and does not stay.
    room.moderate(&mute, &Actor::Server);
    assert!(!room.is_inside(bob));
    assert!(room.events(bob).iter().any(|event| matches!(event, Event::Left { reason: LeftReason::AccessLost, .. })));
}

#[test]
fn a_channel_whose_media_takes_another_way_from_now_on_has_its_people_join_again() {
    for (mut room, topology) in [(TestRoom::mesh(), Topology::Sfu), (TestRoom::free(), Topology::Mesh)] {
        let alice = room.join("alice", Tier::Free);
        let changed = Channel { topology, ..room.channel.clone() };
        room.change_channel(changed);
        let told = room.events(alice);
        assert!(matches!(told.last(), Some(Event::Left { reason: LeftReason::TopologyChanged, rejoin: true, .. })), "{told:?}");
        assert!(room.closed);
    }
}
