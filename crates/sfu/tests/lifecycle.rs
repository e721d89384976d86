//! Pauses, ends and new beginnings of what is sent and received.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use common::{Camera, World, assert_contiguous, fixtures, origin, speak};
use parlor_proto::error::ErrorCode;
use parlor_proto::media::{Layers, MediaCommand, MediaEvent, MediaKind};
use parlor_proto::transport::{Direction, Protocol, TransportFailure, TransportState};

#[test]
fn a_paused_producer_is_silent_and_leaves_no_gap() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    let consumed = world.consume(bob, producer);
    speak(&mut world, alice, 1_111, 0, 50, -30);
    world.command(MediaCommand::SetProducerPaused { producer, paused: true });
    speak(&mut world, alice, 1_111, 50, 1_000, -30);
    let silent = world.clients[bob].received_of(&consumed.rtp).count();
    assert_eq!(silent, 50, "a muted microphone is silent whatever the client sends");
    world.command(MediaCommand::SetProducerPaused { producer, paused: false });
    speak(&mut world, alice, 1_111, 1_050, 50, -30);
    world.run(Duration::from_millis(100));

    assert_contiguous(&world.clients[bob], &consumed);
    let times: Vec<u32> = world.clients[bob].received_of(&consumed.rtp).map(|packet| packet.header.timestamp).collect();
    assert_eq!(times.len(), 100);
    assert_eq!(times[50].wrapping_sub(times[49]), 1_001 * 960, "the pause is in the timestamps, not in the numbers");
}

#[test]
fn a_paused_consumer_is_silent_alone_and_resumes_with_a_key_frame() {
    let mut world = World::new();
    let router = world.router();
    let alice = world.connected(router, Direction::Send);
    let (bob, carol) = (world.connected(router, Direction::Recv), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Video, &fixtures::video("1", 2_222));
    let (for_bob, for_carol) = (world.consume(bob, producer), world.consume(carol, producer));
    let mut camera = Camera::simple(alice, 2_222);
    camera.film(&mut world, Duration::from_secs(1));
    let consumer = for_bob.consumer;
    world.pause_consumer(consumer, true);
    world.run(Duration::from_millis(50));
    let (bob_before, carol_before) =
        (world.clients[bob].received_of(&for_bob.rtp).count(), world.clients[carol].received_of(&for_carol.rtp).count());
    camera.film(&mut world, Duration::from_secs(2));
    assert_eq!(world.clients[bob].received_of(&for_bob.rtp).count(), bob_before);
    assert!(world.clients[carol].received_of(&for_carol.rtp).count() > carol_before + 50);
    let key_frames = camera.key_frames(0);
    world.pause_consumer(consumer, false);
    camera.film(&mut world, Duration::from_secs(1));

    assert_eq!(camera.key_frames(0), key_frames + 1, "one is asked for");
    let resumed = world.clients[bob].received_of(&for_bob.rtp).nth(bob_before).expect("resumed");
    assert!(origin(&resumed.payload).2, "what comes first begins a key frame");
    assert_contiguous(&world.clients[bob], &for_bob);
}

#[test]
fn a_resumed_producer_is_asked_for_a_key_frame() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Video, &fixtures::video("1", 2_222));
    let consumed = world.consume(bob, producer);
    let mut camera = Camera::simple(alice, 2_222);
    camera.film(&mut world, Duration::from_secs(1));
    world.command(MediaCommand::SetProducerPaused { producer, paused: true });
    camera.film(&mut world, Duration::from_secs(1));
    let (key_frames, before) = (camera.key_frames(0), world.clients[bob].received_of(&consumed.rtp).count());
    world.command(MediaCommand::SetProducerPaused { producer, paused: false });
    camera.film(&mut world, Duration::from_secs(1));

    assert_eq!(camera.key_frames(0), key_frames + 1);
    let resumed = world.clients[bob].received_of(&consumed.rtp).nth(before).expect("resumed");
    assert!(origin(&resumed.payload).2);
    assert_contiguous(&world.clients[bob], &consumed);
}

#[test]
fn a_closed_producer_ends_its_consumers_and_frees_its_names() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let rtp = fixtures::video("1", 2_222);
    // One camera throughout: numbers that begin again under one key would be a replay to SRTP.
    let mut camera = Camera::simple(alice, 2_222);
    for round in 0..3 {
        let producer = world.produce(alice, MediaKind::Video, &rtp);
        let consumed = world.consume(bob, producer);
        camera.film(&mut world, Duration::from_secs(1));
        let received = world.clients[bob].received_of(&consumed.rtp).count();
        assert!(received > 15, "round {round}: {received}");
        assert_contiguous(&world.clients[bob], &consumed);
        world.command(MediaCommand::CloseProducer { producer });
        assert_eq!((world.sfu.stats().producers, world.sfu.stats().consumers), (0, 0));
        camera.film(&mut world, Duration::from_millis(500));
        let after = world.clients[bob].received_of(&consumed.rtp).count();
        assert!(after <= received + 1, "nothing comes any more");
        world.clients[alice].stop_sending("1");
    }
}

/// The RTP a client sent since it is recorded.
fn recorded_rtp(world: &mut World, client: usize) -> Vec<Vec<u8>> {
    let mut recorded = world.clients[client].recorded.take().expect("recorded");
    recorded.retain(|bytes| matches!(bytes[..], [128..=191, second, ..] if !(192..=223).contains(&second)));
    recorded
}

#[test]
fn a_stream_that_is_produced_again_goes_on_after_a_rollover_and_is_not_replayed() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let rtp = fixtures::audio("0", 1_111);
    let producer = world.produce(alice, MediaKind::Audio, &rtp);
    world.clients[alice].recorded = Some(Vec::new());
    speak(&mut world, alice, 1_111, 65_530, 20, -30);
    world.run(Duration::from_millis(50));
    let old = recorded_rtp(&mut world, alice);
    assert_eq!((old.len(), world.sfu.stats().rtp_in), (20, 20));
    world.command(MediaCommand::CloseProducer { producer });
    world.clients[alice].stop_sending("0");

    let producer = world.produce(alice, MediaKind::Audio, &rtp);
    let consumed = world.consume(bob, producer);
    let (address, before) = (world.clients[alice].address, world.sfu.stats());
    old.iter().for_each(|bytes| world.inject(address, bytes));
    let after = world.sfu.stats();
    assert_eq!(after.rtp_in, before.rtp_in, "what was said before is not heard again");
    assert_eq!(after.drops.replayed, before.drops.replayed + 20);
    speak(&mut world, alice, 1_111, 65_550, 10, -30);
    world.run(Duration::from_millis(50));
    assert_eq!(world.clients[bob].received_of(&consumed.rtp).count(), 10, "the round of its numbers is known");
}

#[test]
fn a_stream_that_is_known_by_its_name_goes_on_like_one_that_was_signaled() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let rtp = fixtures::simulcast("1");
    let producer = world.produce(alice, MediaKind::Video, &rtp);
    let mut camera = Camera::simulcast(alice).starting_at(65_520);
    world.clients[alice].recorded = Some(Vec::new());
    camera.film(&mut world, Duration::from_secs(1));
    let old = recorded_rtp(&mut world, alice);
    assert!(camera.next_seq(0) > 65_536 && old.len() > 50);
    world.command(MediaCommand::CloseProducer { producer });
    world.clients[alice].stop_sending("1");

    let producer = world.produce(alice, MediaKind::Video, &rtp);
    let consumed = world.consume(bob, producer);
    let (address, before) = (world.clients[alice].address, world.sfu.stats());
    old.iter().for_each(|bytes| world.inject(address, bytes));
    assert_eq!(world.sfu.stats().rtp_in, before.rtp_in, "what was shown before is not shown again");
    camera.film(&mut world, Duration::from_secs(2));
    assert_eq!(world.sfu.stats().drops.transport, before.drops.transport, "the round of its numbers is known");
    assert!(world.clients[bob].received_of(&consumed.rtp).count() > 30, "and the picture goes on");
    assert_contiguous(&world.clients[bob], &consumed);
}

#[test]
fn a_stream_that_was_replaced_does_not_come_back() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let mut rtp = fixtures::simulcast("1");
    let producer = world.produce(alice, MediaKind::Video, &rtp);
    let consumed = world.consume(bob, producer);
    world.clients[alice].recorded = Some(Vec::new());
    Camera::simulcast(alice).film(&mut world, Duration::from_secs(1));
    let old = recorded_rtp(&mut world, alice);
    // Another encoder, with other SSRCs for the same names.
    world.clients[alice].stop_sending("1");
    for (encoding, ssrc) in rtp.encodings.iter_mut().zip([8_000, 8_010, 8_020]) {
        encoding.ssrc = Some(ssrc);
    }
    world.clients[alice].start_sending(MediaKind::Video, &rtp);
    let mut camera = Camera::simulcast_from(alice, 8_000);
    camera.film(&mut world, Duration::from_secs(2));
    let (address, before) = (world.clients[alice].address, world.sfu.stats());
    let asked = world.clients[alice].key_frames_wanted();
    old.iter().for_each(|bytes| world.inject(address, bytes));
    let after = world.sfu.stats();
    assert!(old.len() > 50);
    assert_eq!(after.rtp_in, before.rtp_in);
    assert_eq!(after.drops.unknown_stream, before.drops.unknown_stream + old.len() as u64);
    let received = world.clients[bob].received_of(&consumed.rtp).count();
    // So short that nobody's layer goes up.
    camera.film(&mut world, Duration::from_millis(300));
    assert!(world.clients[bob].received_of(&consumed.rtp).count() >= received + 8, "the picture goes on");
    assert_eq!(world.clients[alice].key_frames_wanted(), asked, "without another key frame");
    assert_contiguous(&world.clients[bob], &consumed);
}

#[test]
fn numbers_of_streams_to_a_receiver_are_for_one_use() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Video, &fixtures::video("1", 2_222));
    let mut ssrcs = Vec::new();
    for _ in 0..100 {
        let consumed = world.consume(bob, producer);
        let encoding = &consumed.rtp.encodings[0];
        ssrcs.extend([encoding.ssrc.expect("an ssrc"), encoding.rtx.as_ref().expect("repairs").ssrc]);
        world.close_consumer(consumed.consumer);
    }
    // One after the other, and not zero: what is drawn would be the same again some day.
    assert!(ssrcs.iter().all(|ssrc| *ssrc != 0));
    assert!(ssrcs.windows(2).all(|pair| matches!(pair[1].wrapping_sub(pair[0]), 1 | 2)), "{ssrcs:?}");
}

#[test]
fn media_sections_of_consumers_are_never_named_twice() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    let mut mids = Vec::new();
    for _ in 0..5 {
        let consumed = world.consume(bob, producer);
        mids.push(consumed.rtp.mid.clone());
        world.close_consumer(consumed.consumer);
    }
    mids.sort();
    mids.dedup();
    assert_eq!(mids.len(), 5);
    assert_eq!(world.sfu.stats().consumers, 0);
}

#[test]
fn a_mid_or_ssrc_in_use_is_refused() {
    let mut world = World::new();
    let router = world.router();
    let alice = world.connected(router, Direction::Send);
    world.produce(alice, MediaKind::Video, &fixtures::video("1", 2_222));
    for rtp in [fixtures::video("1", 3_333), fixtures::video("2", 2_222), fixtures::video("2", 2_221), fixtures::video("2", 2_223)] {
        let error = world.try_produce(alice, MediaKind::Video, &rtp).expect_err("refused");
        assert_eq!(error.code, ErrorCode::InvalidRequest, "{rtp:?}");
    }
    let mut other_ids = fixtures::video("2", 4_444);
    for extension in &mut other_ids.header_extensions {
        extension.id = if extension.id == 3 {
            4
        } else if extension.id == 4 {
            3
        } else {
            extension.id
        };
    }
    let error = world.try_produce(alice, MediaKind::Video, &other_ids).expect_err("refused");
    assert_eq!(error.code, ErrorCode::InvalidRequest, "one id, two meanings");
    assert_eq!(world.sfu.stats().producers, 1);
    let second = world.client(router, Direction::Send);
    assert!(world.try_produce(second, MediaKind::Video, &fixtures::video("1", 2_222)).is_ok(), "another transport is another matter");
}

#[test]
fn what_does_not_fit_the_transport_is_refused() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.client(router, Direction::Send), world.client(router, Direction::Recv));
    let refused = world.try_produce(bob, MediaKind::Audio, &fixtures::audio("0", 1)).expect_err("refused");
    assert_eq!(refused.code, ErrorCode::InvalidState);
    let producer = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1));
    let refused = world.try_consume(alice, producer, fixtures::chrome_capabilities()).expect_err("refused");
    assert_eq!(refused.code, ErrorCode::InvalidState);
    let refused = world.try_consume(bob, producer, fixtures::RtpCapabilities::default()).expect_err("refused");
    assert_eq!(refused.code, ErrorCode::Incompatible);
}

#[test]
fn a_transport_takes_dtls_parameters_once() {
    let mut world = World::new();
    let router = world.router();
    let alice = world.client(router, Direction::Send);
    world.connect(alice);
    world.connect(alice);
    let failed = world.events.iter().find_map(|event| match event {
        MediaEvent::TransportFailed { error, .. } => Some(error.code),
        _ => None,
    });
    assert_eq!(failed, Some(ErrorCode::InvalidState));
    world.until("a connected transport", |world| world.clients[alice].connected);
}

#[test]
fn a_client_with_another_certificate_than_announced_does_not_connect() {
    let mut world = World::new();
    let router = world.router();
    let (alice, mallory) = (world.client(router, Direction::Send), world.client(router, Direction::Send));
    let (transport, dtls) = (world.clients[alice].transport, world.clients[mallory].dtls_parameters());
    world.command(MediaCommand::ConnectTransport { transport, dtls });
    world.until("a failed transport", |world| world.state(alice) == TransportState::Failed);
    let (protocol, reason) = (Some(Protocol::Udp), Some(TransportFailure::CertificateMismatch));
    assert!(world.events.contains(&MediaEvent::TransportState { transport, state: TransportState::Failed, protocol, reason }));
}

#[test]
fn an_ice_restart_carries_a_call_over() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    let consumed = world.consume(bob, producer);
    speak(&mut world, alice, 1_111, 0, 50, -30);
    let ice = world.restart_ice(bob);
    speak(&mut world, alice, 1_111, 50, 250, -30);
    assert_eq!(world.state(bob), TransportState::Connected, "the old credentials are good until the new are used");
    let old = world.clients[bob].password().to_owned();
    assert_ne!(old, ice.password);
    world.clients[bob].restart_ice(&ice);
    speak(&mut world, alice, 1_111, 300, 1_000, -30);
    world.run(Duration::from_millis(100));
    assert_eq!(world.state(bob), TransportState::Connected);
    assert_contiguous(&world.clients[bob], &consumed);
    assert_eq!(world.clients[bob].received_of(&consumed.rtp).count(), 1_300);
}

#[test]
fn a_killed_client_is_given_up_within_twenty_seconds() {
    let mut world = World::new();
    let router = world.router();
    let alice = world.connected(router, Direction::Send);
    world.run(Duration::from_secs(30));
    assert_eq!(world.state(alice), TransportState::Connected, "a quiet client is not a dead one");
    world.clients[alice].killed = true;
    world.run(Duration::from_secs(12));
    assert_eq!(world.state(alice), TransportState::Disconnected);
    world.run(Duration::from_secs(8));
    assert_eq!(world.state(alice), TransportState::Failed);
}

#[test]
fn a_closed_router_leaves_nothing() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    world.consume(bob, producer);
    world.command_of(router, MediaCommand::CloseRouter);
    let stats = world.sfu.stats();
    assert_eq!((stats.routers, stats.transports, stats.producers, stats.consumers), (0, 0, 0, 0));
    world.events.clear();
    speak(&mut world, alice, 1_111, 0, 50, -30);
    assert!(world.events.is_empty(), "{:?}", world.events);
    assert!(world.sfu.stats().drops.unknown_address > 0, "its addresses are strangers now");
}

#[test]
fn commands_for_what_is_gone_change_nothing() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    let consumer = world.consume(bob, producer).consumer;
    let (transport, receives) = (world.clients[alice].transport, world.clients[bob].transport);
    world.command(MediaCommand::CloseTransport { transport });
    world.events.clear();
    for command in [
        MediaCommand::CloseTransport { transport },
        MediaCommand::CloseProducer { producer },
        MediaCommand::SetProducerPaused { producer, paused: true },
        MediaCommand::CloseConsumer { transport: receives, consumer },
        MediaCommand::SetConsumerPaused { transport: receives, consumer, paused: true },
        MediaCommand::RequestKeyFrame { transport: receives, consumer },
        MediaCommand::RestartIce { transport },
    ] {
        world.command(command);
    }
    assert!(world.events.is_empty(), "{:?}", world.events);
    let refused = world.try_consume(bob, producer, fixtures::chrome_capabilities()).expect_err("refused");
    assert_eq!(refused.code, ErrorCode::NotFound);
}

#[test]
fn a_call_by_tcp_survives_a_new_connection() {
    let mut world = World::new();
    let router = world.router();
    let alice = world.connected(router, Direction::Send);
    let bob = world.client(router, Direction::Recv);
    world.clients[bob].protocol = Protocol::Tcp;
    world.connect(bob);
    world.until("a connected transport", |world| world.clients[bob].connected && world.state(bob) == TransportState::Connected);
    let producer = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    let consumed = world.consume(bob, producer);
    speak(&mut world, alice, 1_111, 0, 50, -30);
    assert_eq!(world.clients[bob].received_of(&consumed.rtp).count(), 50);

    let now = world.now();
    world.sfu.handle_tcp_closed(world.clients[bob].address, now);
    speak(&mut world, alice, 1_111, 50, 10, -30);
    assert!(world.clients[bob].received_of(&consumed.rtp).count() <= 50, "there is nowhere to send");
    // The next connection, from the same address for simplicity; its first check makes it the path.
    speak(&mut world, alice, 1_111, 60, 400, -30);
    assert!(world.clients[bob].received_of(&consumed.rtp).count() > 200);
    assert_eq!(world.state(bob), TransportState::Connected);
}

#[test]
fn nothing_is_sent_to_a_client_that_is_gone() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    world.consume(bob, producer);
    world.clients[bob].killed = true;
    speak(&mut world, alice, 1_111, 0, 1_000, -30);
    let forwarded = world.sfu.stats().rtp_forwarded;
    speak(&mut world, alice, 1_111, 1_000, 100, -30);
    assert_eq!(world.sfu.stats().rtp_forwarded, forwarded);
}

#[test]
fn an_order_for_one_room_reaches_nothing_of_another() {
    let mut world = World::new();
    let (ours, theirs) = (world.router(), world.router());
    let (alice, bob) = (world.connected(ours, Direction::Send), world.connected(ours, Direction::Recv));
    let mallory = world.connected(theirs, Direction::Recv);
    let rtp = fixtures::audio("0", 1_111);
    let producer = world.produce(alice, MediaKind::Audio, &rtp);
    let consumed = world.consume(bob, producer);
    assert_eq!(world.try_consume(mallory, producer, fixtures::chrome_capabilities()).map(|_| ()).unwrap_err().code, ErrorCode::NotFound);
    let (send, recv, consumer) = (world.clients[alice].transport, world.clients[bob].transport, consumed.consumer);
    for command in [
        MediaCommand::SetProducerPaused { producer, paused: true },
        MediaCommand::SetProducerMaxBitrate { producer, max_bitrate: 0 },
        MediaCommand::SetConsumerPaused { transport: recv, consumer, paused: true },
        MediaCommand::CloseConsumer { transport: recv, consumer },
        MediaCommand::CloseProducer { producer },
        MediaCommand::CloseTransport { transport: send },
        MediaCommand::CloseTransport { transport: recv },
        MediaCommand::RestartIce { transport: send },
        MediaCommand::CloseRouter,
    ] {
        world.events.clear();
        world.command_of(theirs, command);
        assert!(world.events.is_empty(), "{:?}", world.events);
    }
    speak(&mut world, alice, 1_111, 0, 50, -30);
    world.run(Duration::from_millis(100));
    assert_eq!(world.clients[bob].received_of(&consumed.rtp).count(), 50, "all goes on");
}

#[test]
fn an_order_about_a_consumer_that_names_another_transport_is_ignored() {
    let mut world = World::new();
    let router = world.router();
    let alice = world.connected(router, Direction::Send);
    let [bob, carol] = [(); 2].map(|()| world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Video, &fixtures::simulcast("1"));
    let consumed = world.consume(bob, producer);
    let mut camera = Camera::simulcast(alice);
    camera.film(&mut world, Duration::from_secs(8));
    let consumer = consumed.consumer;
    let requests = world.clients[alice].key_frames_wanted();
    let transport = world.clients[carol].transport;
    let smallest = Layers { spatial_layer: 0, temporal_layer: None };
    for order in [
        MediaCommand::RequestKeyFrame { transport, consumer },
        MediaCommand::SetPreferredLayers { transport, consumer, layers: smallest },
        MediaCommand::SetConsumerPaused { transport, consumer, paused: true },
        MediaCommand::CloseConsumer { transport, consumer },
    ] {
        world.command(order.clone());
        let before = world.clients[bob].received_of(&consumed.rtp).count();
        camera.film(&mut world, Duration::from_secs(2));
        let received = world.clients[bob].received_of(&consumed.rtp).count() - before;
        assert!(received > 100, "{received} packets after {order:?}: as before");
        assert_eq!(world.clients[alice].key_frames_wanted(), requests, "{order:?}");
    }
    world.close_consumer(consumer);
    assert_eq!(world.sfu.stats().consumers, 0, "by its own transport it is found");
}
