//! What each tier may do, and how much of it.

use parlor_proto::event::Reply;
use parlor_proto::media::Source;
use parlor_proto::request::Request;
use parlor_proto::rtp::ParameterValue;
use parlor_proto::{Error, ErrorCode, MediaKind, ProducerId, SessionId, Tier};
use parlor_testkit::fake_media::{Answer, Operation};
use parlor_testkit::test_room::{TestRoom, config};
use serde_json::json;

use crate::refused;

fn capability(result: Result<ProducerId, Error>) -> String {
    let error = result.expect_err("refused");
    assert_eq!(error.code, ErrorCode::CapabilityRequired);
    error.details["capability"].as_str().expect("a text").to_owned()
}

#[test]
fn permissions_follow_the_user_s_tier() {
    let mut room = TestRoom::free();
    for (user, tier, video, bitrate) in [("free", Tier::Free, false, 32_000), ("pro", Tier::Pro, true, 64_000)] {
        let session = room.connect();
        let permissions = room.try_join(session, user, tier).expect("joins").permissions;
        let expected = json!({"audio": true, "video": video, "screenshare": video, "maxBitrate": bitrate, "expiresAt": null});
        assert_eq!(serde_json::to_value(permissions).expect("serializes"), expected);
    }
}

#[test]
fn a_sender_is_told_the_bitrate_of_its_sound_where_its_encoder_looks_for_it() {
    let mut room = TestRoom::free();
    for (user, tier, bitrate) in [("free", Tier::Free, 32_000), ("pro", Tier::Pro, 64_000)] {
        let session = room.connect();
        let joined = room.try_join(session, user, tier).expect("joins");
        let asked = room.ask(session, Request::GetRouterRtpCapabilities).expect("answered");
        let Reply::RouterRtpCapabilities { rtp_capabilities: again } = asked else { panic!("{asked:?}") };
        for codec in joined.router_rtp_capabilities.expect("an SFU").codecs.iter().chain(&again.codecs) {
            let told = codec.parameters.get("maxaveragebitrate");
            let expected = ParameterValue::Number(bitrate);
            assert_eq!(told, Some(&expected).filter(|_| codec.mime_type == "audio/opus"), "{}", codec.mime_type);
        }
    }
}

#[test]
fn everyone_may_speak() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    room.produce(alice, MediaKind::Audio, Source::Mic).expect("audio is for everyone");
}

#[test]
fn a_camera_needs_video_calling() {
    let mut room = TestRoom::pro();
    let alice = room.join("alice", Tier::Free);
    assert_eq!(capability(room.produce(alice, MediaKind::Video, Source::Camera)), "VIDEO_CALLING");
    assert!(room.media.producers.is_empty());
}

#[test]
fn a_shared_screen_needs_screen_share_with_its_sound_too() {
    let mut room = TestRoom::pro();
    let alice = room.join("alice", Tier::Free);
    assert_eq!(capability(room.produce(alice, MediaKind::Video, Source::Screen)), "SCREEN_SHARE");
    assert_eq!(capability(room.produce(alice, MediaKind::Audio, Source::Screen)), "SCREEN_SHARE");
}

#[test]
fn a_source_fits_its_kind() {
    let mut room = TestRoom::pro();
    let alice = room.join("alice", Tier::Pro);
    assert_eq!(refused(room.produce(alice, MediaKind::Video, Source::Mic)), ErrorCode::InvalidRequest);
    assert_eq!(refused(room.produce(alice, MediaKind::Audio, Source::Camera)), ErrorCode::InvalidRequest);
}

#[test]
fn the_media_plane_is_given_each_producer_s_bitrate() {
    let mut room = TestRoom::pro();
    let (free, pro) = (room.join("free", Tier::Free), room.join("pro", Tier::Pro));
    for (session, kind, source, bitrate) in [
        (free, MediaKind::Audio, Source::Mic, 32_000),
        (pro, MediaKind::Audio, Source::Mic, 64_000),
        (pro, MediaKind::Audio, Source::Screen, 64_000),
        (pro, MediaKind::Video, Source::Camera, 2_500_000),
        (pro, MediaKind::Video, Source::Screen, 1_500_000),
    ] {
        let id = room.produce(session, kind, source).expect("allowed");
        assert_eq!(room.media.producers[&id].max_bitrate, bitrate, "{kind:?} {source:?}");
    }
}

/// Everybody with a camera up to the limit, and one more who is refused.
fn fill_video(room: &mut TestRoom, limit: u32) -> (Vec<SessionId>, SessionId) {
    let senders: Vec<_> = (0..limit).map(|n| room.join(&format!("user{n}"), Tier::Pro)).collect();
    for sender in &senders {
        room.produce(*sender, MediaKind::Video, Source::Camera).expect("a slot is free");
    }
    let late = room.join("late", Tier::Pro);
    let error = room.produce(late, MediaKind::Video, Source::Camera).expect_err("no slot is free");
    assert_eq!(error.code, ErrorCode::VideoLimitReached);
    assert_eq!((&error.details["current"], &error.details["max"]), (&json!(limit), &json!(limit)));
    (senders, late)
}

#[test]
fn a_free_channel_shows_4_videos() {
    fill_video(&mut TestRoom::free(), 4);
}

#[test]
fn a_pro_channel_shows_6_videos() {
    fill_video(&mut TestRoom::pro(), 6);
}

#[test]
fn a_shared_screen_counts_as_a_video_and_its_sound_does_not() {
    let mut config = config("den", 1);
    config.policy.videos_free = 2;
    let mut room = TestRoom::new(config);
    let (alice, bob) = (room.join("alice", Tier::Pro), room.join("bob", Tier::Pro));
    room.produce(alice, MediaKind::Video, Source::Camera).expect("first");
    room.produce(alice, MediaKind::Audio, Source::Screen).expect("sound takes no slot");
    room.produce(alice, MediaKind::Video, Source::Screen).expect("second");
    assert_eq!(refused(room.produce(bob, MediaKind::Video, Source::Screen)), ErrorCode::VideoLimitReached);
    room.produce(bob, MediaKind::Audio, Source::Mic).expect("sound takes no slot");
}

#[test]
fn a_slot_is_free_again_when_its_video_is_closed_or_its_sender_gone() {
    let mut room = TestRoom::free();
    let (senders, late) = fill_video(&mut room, 4);
    let camera = *room.model(senders[0]).producers.first().expect("has a camera");
    room.ask(senders[0], parlor_proto::Request::CloseProducer { producer: camera }).expect("closes");
    room.produce(late, MediaKind::Video, Source::Camera).expect("a slot is free");
    room.disconnect(senders[1]);
    room.produce(senders[0], MediaKind::Video, Source::Camera).expect("a slot is free");
}

#[test]
fn a_video_that_is_still_being_made_holds_its_slot() {
    let mut config = config("den", 1);
    config.policy.videos_free = 1;
    let mut room = TestRoom::new(config);
    let (alice, bob) = (room.join("alice", Tier::Pro), room.join("bob", Tier::Pro));
    let (first, second) =
        (room.produce_request(alice, MediaKind::Video, Source::Camera), room.produce_request(bob, MediaKind::Video, Source::Camera));
    room.media.answer(Operation::Produce, Answer::Never);
    room.send(alice, first);
    assert_eq!(refused(room.ask(bob, second.clone())), ErrorCode::VideoLimitReached);
    // The first never comes about: its slot goes back.
    room.advance(std::time::Duration::from_secs(5));
    room.media.answer(Operation::Produce, Answer::Now);
    room.ask(bob, second).expect("a slot is free");
}
