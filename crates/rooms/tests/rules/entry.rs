//! Coming and going.

use parlor_proto::event::{Event, Policy, Reply};
use parlor_proto::media::Source;
use parlor_proto::{ErrorCode, Grant, GrantRole, Identity, MediaCommand, MediaKind, MeshTerms, Request, Tier};
use parlor_rooms::{Ban, Output, RoomSize};
use parlor_testkit::test_room::{TestRoom, channel_id, config, identity, user_id};

use crate::refused;

#[test]
fn joined_carries_everything_the_client_needs() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    let mic = room.produce(alice, MediaKind::Audio, Source::Mic).expect("audio is for everyone");
    let session = room.connect();
    let joined = room.try_join(session, "bob", Tier::Pro).expect("joins");
    assert_eq!(joined.channel_id, channel_id("den"));
    assert_eq!((joined.channel_name.as_str(), joined.sfu_endpoint.as_deref()), ("The den", Some("sfu-1")));
    assert_eq!(joined.user_id, user_id("bob"));
    let [other] = joined.participants.as_slice() else { panic!("one other") };
    assert_eq!((other.user_id.as_str(), other.name.as_str()), ("alice", "Alice"));
    assert_eq!(other.producers.iter().map(|p| p.producer_id).collect::<Vec<_>>(), [mic]);
    assert!(joined.permissions.audio && joined.permissions.video && joined.permissions.screenshare);
    assert!(joined.router_rtp_capabilities.is_some_and(|capabilities| !capabilities.codecs.is_empty()));
    assert_eq!((joined.e2ee, joined.recording), (Policy::Off, Policy::Off));
}

#[test]
fn the_snapshot_lists_people_in_the_order_they_came() {
    let mut room = TestRoom::free();
    for user in ["zoe", "adam", "mia"] {
        room.join(user, Tier::Free);
    }
    let session = room.connect();
    let joined = room.try_join(session, "last", Tier::Free).expect("joins");
    let names: Vec<_> = joined.participants.iter().map(|p| p.user_id.as_str()).collect();
    assert_eq!(names, ["zoe", "adam", "mia"]);
}

#[test]
fn the_others_learn_who_joined_and_the_joiner_does_not() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    let bob = room.join("bob", Tier::Free);
    assert!(matches!(room.events(alice).as_slice(), [Event::ParticipantJoined(p)] if p.user_id == user_id("bob")));
    assert!(room.events(bob).is_empty());
}

#[test]
fn the_reply_to_join_comes_before_any_event() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    room.produce(alice, MediaKind::Audio, Source::Mic).expect("produces");
    let bob = room.join("bob", Tier::Free);
    room.produce(alice, MediaKind::Audio, Source::Screen).expect_err("free");
    let first = room.said.iter().find(|o| match o {
        Output::Reply { session, .. } => *session == bob,
        Output::Event { to, .. } => to.contains(&bob),
        _ => false,
    });
    assert!(matches!(first, Some(Output::Reply { .. })), "{first:?}");
}

#[test]
fn a_banned_user_is_refused_first_of_all() {
    // Also where the channel is full and the user in it: the ban is what is said.
    let mut config = config("den", 1);
    config.channel.max_participants = Some(1);
    let mut room = TestRoom::new(config);
    room.join("alice", Tier::Free);
    let session = room.connect();
    room.facts("alice").ban = Some(Ban::default());
    assert_eq!(refused(room.try_join(session, "alice", Tier::Free)), ErrorCode::PermissionDenied);
}

#[test]
fn the_same_user_is_refused_before_the_channel_counts_as_full() {
    let mut config = config("den", 1);
    config.channel.max_participants = Some(1);
    let mut room = TestRoom::new(config);
    room.join("alice", Tier::Free);
    let session = room.connect();
    let error = room.try_join(session, "alice", Tier::Free).expect_err("refused");
    assert_eq!((error.code, &error.details["reason"]), (ErrorCode::AlreadyInChannel, &"already_in_channel".into()));
}

#[test]
fn the_same_user_gets_in_once_the_old_connection_is_gone() {
    let mut room = TestRoom::free();
    room.join("bob", Tier::Free);
    let old = room.join("alice", Tier::Free);
    let new = room.connect();
    assert_eq!(refused(room.try_join(new, "alice", Tier::Free)), ErrorCode::AlreadyInChannel);
    assert!(room.is_inside(old), "the refused join disturbed the first connection");
    room.disconnect(old);
    room.try_join(new, "alice", Tier::Free).expect("the old entry is gone");
}

#[test]
fn a_session_joins_once() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    assert_eq!(refused(room.try_join(alice, "alice", Tier::Free)), ErrorCode::AlreadyInChannel);
    assert_eq!(refused(room.try_join(alice, "somebody else", Tier::Free)), ErrorCode::AlreadyInChannel);
    let body = Request::Join { channel: channel_id("den"), capabilities: None, take_over: false, mesh: MeshTerms::default() };
    assert_eq!(refused(room.ask(alice, body)), ErrorCode::InvalidState);
}

fn fill(mut room: TestRoom, limit: usize) {
    for n in 0..limit {
        room.join(&format!("user{n}"), Tier::Free);
    }
    let late = room.connect();
    let error = room.try_join(late, "late", Tier::Pro).expect_err("refused");
    assert_eq!(error.code, ErrorCode::ChannelFull);
    assert_eq!((&error.details["current"], &error.details["max"]), (&limit.into(), &limit.into()));
    let first = room.said.iter().find_map(|o| match o {
        Output::Reply { session, .. } => Some(*session),
        _ => None,
    });
    room.disconnect(first.expect("somebody is in"));
    room.try_join(late, "late", Tier::Pro).expect("there is room again");
}

#[test]
fn a_free_channel_holds_8() {
    fill(TestRoom::free(), 8);
}

#[test]
fn a_pro_channel_holds_25() {
    fill(TestRoom::pro(), 25);
}

#[test]
fn a_channel_s_own_limit_comes_before_the_tier_s() {
    let mut config = config("den", 1);
    config.channel.max_participants = Some(10);
    fill(TestRoom::new(config), 10);
}

#[test]
fn leaving_is_answered_and_told() {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    let reply = room.ask(alice, Request::Leave { channel: Some(channel_id("den")) });
    assert_eq!(reply, Ok(Reply::Left { channel_id: channel_id("den") }));
    assert_eq!(room.events(bob), [Event::ParticipantLeft { user_id: user_id("alice"), name: "Alice".to_owned(), peer_id: None }]);
    assert!(!room.is_inside(alice));
    assert_eq!(refused(room.ask(alice, Request::Leave { channel: None })), ErrorCode::NotInChannel);
}

#[test]
fn leaving_another_channel_changes_nothing() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    let body = Request::Leave { channel: Some(channel_id("attic")) };
    assert_eq!(refused(room.ask(alice, body)), ErrorCode::NotInChannel);
    assert!(room.is_inside(alice));
}

#[test]
fn who_disconnects_is_gone_at_once_and_their_producers_are_closed_first() {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Pro), room.join("bob", Tier::Free));
    let mic = room.produce(alice, MediaKind::Audio, Source::Mic).expect("produces");
    let camera = room.produce(alice, MediaKind::Video, Source::Camera).expect("produces");
    room.consume(bob, mic).expect("consumes");
    room.events(bob);
    room.disconnect(alice);
    let user_id = user_id("alice");
    let expected = [
        Event::ProducerClosed { producer_id: mic, user_id: user_id.clone(), reason: None },
        Event::ProducerClosed { producer_id: camera, user_id: user_id.clone(), reason: None },
        Event::ParticipantLeft { user_id, name: "Alice".to_owned(), peer_id: None },
    ];
    assert_eq!(room.events(bob), expected);
    assert!(room.model(bob).consumers.is_empty());
    assert_eq!(room.room.size(), RoomSize { participants: 1, transports: 1, ..RoomSize::default() });
    assert_eq!((room.media.producers.len(), room.media.consumers.len()), (0, 0));
}

#[test]
fn an_empty_room_closes_its_router_and_frees_everything() {
    let mut room = TestRoom::pro();
    let (alice, bob) = (room.join("alice", Tier::Pro), room.join("bob", Tier::Pro));
    let camera = room.produce(alice, MediaKind::Video, Source::Camera).expect("produces");
    room.consume(bob, camera).expect("consumes");
    room.disconnect(alice);
    assert!(!room.closed);
    room.ask(bob, Request::Leave { channel: None }).expect("leaves");
    assert!(room.closed && room.room.is_empty() && room.media.is_empty());
    assert_eq!(room.room.size(), RoomSize::default());
    assert_eq!(room.room.poll_timeout(), None);
    assert!(matches!(room.media.commands.last(), Some(MediaCommand::CloseRouter)));
}

#[test]
fn a_refused_join_leaves_no_empty_room_open() {
    let mut config = config("den", 1);
    config.channel.max_participants = Some(0);
    let mut room = TestRoom::new(config);
    let session = room.connect();
    assert_eq!(refused(room.try_join(session, "alice", Tier::Free)), ErrorCode::ChannelFull);
    assert!(room.closed && room.media.is_empty());
}

#[test]
fn a_finished_room_takes_nobody_in() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    room.disconnect(alice);
    let session = room.connect();
    assert_eq!(refused(room.try_join(session, "bob", Tier::Free)), ErrorCode::ShuttingDown);
}

#[test]
fn who_is_not_in_can_ask_for_nothing() {
    let mut room = TestRoom::free();
    room.join("alice", Tier::Free);
    let stranger = room.connect();
    for body in [
        Request::Leave { channel: None },
        Request::GetRouterRtpCapabilities,
        Request::CreateTransport { direction: parlor_proto::transport::Direction::Send },
        Request::UpdateState { muted: Some(true), deafened: None, speaking: None },
    ] {
        assert_eq!(refused(room.ask(stranger, body)), ErrorCode::NotInChannel);
    }
}

#[test]
fn a_disconnect_of_somebody_who_is_not_in_changes_nothing() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    let stranger = room.connect();
    room.disconnect(stranger);
    assert!(room.is_inside(alice) && room.events(alice).is_empty());
}

#[test]
fn spectators_take_nobodys_place_and_have_a_limit_of_their_own() {
    let mut config = config("den", 1);
    config.channel.max_participants = Some(1);
    config.policy.spectators = 1;
    let mut room = TestRoom::new(config);
    let watching = |user| {
        let grant = Grant { channel: channel_id("den"), role: GrantRole::Spectator };
        Identity { grants: Some(vec![grant]), ..identity(user, Tier::Free) }
    };
    let first = room.join_as(watching("ann"));
    room.join("alice", Tier::Free);
    for (who, role) in [(identity("bob", Tier::Free), None), (watching("ben"), Some("spectator".into()))] {
        let session = room.connect();
        let error = room.try_enter(session, who).expect_err("no place of this kind");
        assert_eq!((error.code, &error.details["current"], &error.details["max"]), (ErrorCode::ChannelFull, &1.into(), &1.into()));
        assert_eq!(error.details.get("role"), role.as_ref(), "whose places are taken");
    }
    // A lost connection's place is its user's.
    room.lose(first);
    let session = room.connect();
    room.try_enter(session, watching("ann")).expect("has a place");
}

#[test]
fn a_channels_own_limit_of_spectators_is_followed_in_mid_call() {
    let mut config = config("den", 1);
    config.channel.spectators = true;
    config.channel.max_participants = Some(2);
    (config.policy.spectators, config.channel.max_spectators) = (1, Some(2));
    let mut channel = config.channel.clone();
    let mut room = TestRoom::new(config);
    let watching = |user| {
        let grant = Grant { channel: channel_id("den"), role: GrantRole::Spectator };
        Identity { grants: Some(vec![grant]), ..identity(user, Tier::Free) }
    };
    let enters = |room: &mut TestRoom, who: Identity| {
        let session = room.connect();
        room.try_enter(session, who).map(|_| session).map_err(|error| error.details["max"].clone())
    };
    room.join("alice", Tier::Free);
    let watchers = ["ann", "ben"].map(|user| enters(&mut room, watching(user)).expect("the channel's own limit is stronger"));
    assert_eq!(enters(&mut room, watching("cas")), Err(2.into()));
    channel.max_spectators = Some(1);
    room.change_channel(channel.clone());
    assert!(watchers.iter().all(|session| room.is_inside(*session)), "who is in stays in");
    assert_eq!(enters(&mut room, watching("cas")), Err(1.into()));
    // However many listen, the seats are there for who speaks.
    let bob = room.join("bob", Tier::Free);
    room.disconnect(watchers[0]);
    assert_eq!(enters(&mut room, watching("cas")), Err(1.into()), "there is one still");
    room.disconnect(bob);
    channel.max_spectators = Some(3);
    room.change_channel(channel.clone());
    for user in ["cas", "dee"] {
        enters(&mut room, watching(user)).expect("there are more places now");
    }
    assert_eq!(enters(&mut room, watching("eli")), Err(3.into()), "a seat that is free is not for spectators");
    channel.max_spectators = None;
    room.change_channel(channel);
    assert_eq!(enters(&mut room, watching("eli")), Err(1.into()), "the server's again");
    room.join("bob", Tier::Free);
}
