//! Capability matching with what real browsers say.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

#[allow(unused, reason = "only the fixtures are needed")]
mod common;

use common::fixtures::{capabilities, parameters, red};
use parlor_proto::error::ErrorCode;
use parlor_proto::media::{MediaKind, StreamType};
use parlor_proto::rtp::{ExtensionDirection, ParameterValue, RtpCapabilities, RtpEncoding, RtpHeaderExtensionParameters, RtpParameters};
use parlor_sfu::ortc::{self, Codec, ConsumerStreams, uri};

const BROWSERS: [&str; 2] = ["chrome", "firefox"];

fn streams() -> ConsumerStreams {
    ConsumerStreams { mid: "3".into(), ssrc: 10, rtx: 11, cname: "someone".into() }
}

fn consumer(kind: MediaKind, rtp: &RtpParameters, caps: &RtpCapabilities) -> Option<RtpParameters> {
    ortc::consumer_parameters(&ortc::check_producer(kind, rtp).expect("produced"), caps, &streams())
}

fn extension(rtp: &RtpParameters, uri: &str) -> Option<u8> {
    rtp.header_extensions.iter().find(|e| e.uri == uri).map(|e| e.id)
}

#[test]
fn router_capabilities_are_valid_and_name_no_id_twice() {
    let router = ortc::router_capabilities();
    router.validate().expect("valid");
    let mut types: Vec<_> = router.codecs.iter().map(|codec| codec.preferred_payload_type.expect("given")).collect();
    let all = types.len();
    types.sort_unstable();
    types.dedup();
    assert_eq!(types.len(), all);
    for one in &router.header_extensions {
        assert!(router.header_extensions.iter().all(|other| (other.uri == one.uri) == (other.preferred_id == one.preferred_id)));
    }
}

#[test]
fn opus_is_mono_with_fec_and_dtx_and_without_nack() {
    let router = ortc::router_capabilities();
    let opus = &router.codecs[0];
    assert_eq!((opus.mime_type.as_str(), opus.clock_rate, opus.channels), ("audio/opus", 48_000, Some(2)));
    for (name, value) in [("useinbandfec", 1), ("usedtx", 1), ("stereo", 0), ("sprop-stereo", 0)] {
        assert_eq!(opus.parameters[name], ParameterValue::Number(value), "{name}");
    }
    assert!(opus.rtcp_feedback.iter().all(|feedback| feedback.kind != "nack"));
}

#[test]
fn both_browsers_can_produce_what_they_offer() {
    for browser in BROWSERS {
        let audio = ortc::check_producer(MediaKind::Audio, &parameters(browser, "audio")).expect("audio");
        assert_eq!((audio.codec, audio.stream_type), (Codec::Opus, StreamType::Simple));
        let vp8 = ortc::check_producer(MediaKind::Video, &parameters(browser, "vp8")).expect("vp8");
        assert_eq!((vp8.codec, vp8.stream_type), (Codec::Vp8, StreamType::Simple));
        assert!(vp8.rtx_payload_type.is_some());
        let simulcast = ortc::check_producer(MediaKind::Video, &parameters(browser, "simulcast")).expect("simulcast");
        assert_eq!(simulcast.stream_type, StreamType::Simulcast);
        let vp9 = ortc::check_producer(MediaKind::Video, &parameters(browser, "vp9")).expect("vp9");
        assert_eq!((vp9.codec, vp9.stream_type), (Codec::Vp9, StreamType::Svc));
    }
    let h264 = ortc::check_producer(MediaKind::Video, &parameters("chrome", "h264")).expect("h264");
    assert_eq!(h264.codec, Codec::H264);
}

#[test]
fn a_consumer_gets_the_routers_numbers_whatever_the_producers_are() {
    for (sender, receiver) in [("chrome", "firefox"), ("firefox", "chrome"), ("chrome", "chrome"), ("firefox", "firefox")] {
        let caps = capabilities(receiver);
        let audio = consumer(MediaKind::Audio, &parameters(sender, "audio"), &caps).expect("compatible");
        assert_eq!(audio.codecs.iter().map(|codec| codec.payload_type).collect::<Vec<_>>(), [111]);
        let video = consumer(MediaKind::Video, &parameters(sender, "vp8"), &caps).expect("compatible");
        assert_eq!(video.codecs.iter().map(|codec| codec.payload_type).collect::<Vec<_>>(), [96, 97]);
        assert_eq!(video.codecs[1].apt(), Some(96));
        assert_eq!((extension(&video, uri::MID), extension(&video, uri::TRANSPORT_CC)), (Some(4), Some(3)));
        video.validate(MediaKind::Video).expect("valid");
        audio.validate(MediaKind::Audio).expect("valid");
        assert_eq!((video.mid.as_deref(), video.rtcp.cname.as_deref()), (Some("3"), Some("someone")));
    }
}

#[test]
fn a_simulcast_producer_is_one_stream_to_its_consumer() {
    let rtp = consumer(MediaKind::Video, &parameters("chrome", "simulcast"), &capabilities("chrome")).expect("compatible");
    assert_eq!(rtp.encodings.len(), 1);
    assert_eq!((rtp.encodings[0].ssrc, rtp.encodings[0].rtx.map(|rtx| rtx.ssrc)), (Some(10), Some(11)));
    assert_eq!((extension(&rtp, uri::RID), extension(&rtp, uri::REPAIRED_RID)), (None, None));
}

#[test]
fn sound_and_picture_are_both_numbered_for_transport_feedback() {
    for browser in BROWSERS {
        let caps = capabilities(browser);
        for (kind, name) in [(MediaKind::Audio, "audio"), (MediaKind::Video, "vp8")] {
            let rtp = consumer(kind, &parameters(browser, name), &caps).expect("compatible");
            assert!(extension(&rtp, uri::TRANSPORT_CC).is_some(), "{browser} {name}");
            assert!(rtp.codecs[0].rtcp_feedback.iter().any(|feedback| feedback.kind == "transport-cc"), "{browser} {name}");
            assert!(rtp.codecs[0].rtcp_feedback.iter().all(|feedback| feedback.kind != "goog-remb"), "one estimate is enough");
        }
    }
}

#[test]
fn a_receiver_that_numbers_pictures_only_estimates_by_itself() {
    let mut caps = capabilities("chrome");
    for codec in caps.codecs.iter_mut().filter(|codec| codec.kind == MediaKind::Audio) {
        codec.rtcp_feedback.clear();
    }
    let rtp = consumer(MediaKind::Video, &parameters("chrome", "vp8"), &caps).expect("compatible");
    assert_eq!(extension(&rtp, uri::TRANSPORT_CC), None);
    assert!(extension(&rtp, uri::ABS_SEND_TIME).is_some());
    assert!(rtp.codecs[0].rtcp_feedback.iter().any(|feedback| feedback.kind == "goog-remb"));
}

#[test]
fn a_receiver_without_the_codec_cannot_consume() {
    let h264 = ortc::check_producer(MediaKind::Video, &parameters("chrome", "h264")).expect("produced");
    assert!(ortc::can_consume(&h264, &capabilities("chrome")));
    assert!(!ortc::can_consume(&h264, &capabilities("firefox")), "Firefox came without H264");
    assert!(!ortc::can_consume(&h264, &RtpCapabilities::default()));
    assert_eq!(ortc::consumer_parameters(&h264, &capabilities("firefox"), &streams()), None);
}

#[test]
fn a_receiver_without_rtx_gets_none() {
    let mut caps = capabilities("chrome");
    caps.codecs.retain(|codec| codec.mime_type != "video/rtx");
    let rtp = consumer(MediaKind::Video, &parameters("chrome", "vp8"), &caps).expect("compatible");
    assert_eq!(rtp.codecs.len(), 1);
    assert_eq!(rtp.encodings[0].rtx, None);
}

#[test]
fn an_extension_the_receiver_may_not_receive_is_left_out() {
    let mut caps = capabilities("chrome");
    for extension in caps.header_extensions.iter_mut().filter(|e| e.uri == uri::VIDEO_ORIENTATION) {
        extension.direction = ExtensionDirection::Sendonly;
    }
    let rtp = consumer(MediaKind::Video, &parameters("chrome", "vp8"), &caps).expect("compatible");
    assert_eq!(extension(&rtp, uri::VIDEO_ORIENTATION), None);
}

#[test]
fn h264_profiles_are_told_apart() {
    let with = |profile: &str, mode: i64| {
        let mut rtp = parameters("chrome", "h264");
        rtp.codecs[0].parameters.insert("profile-level-id".into(), ParameterValue::Text(profile.into()));
        rtp.codecs[0].parameters.insert("packetization-mode".into(), ParameterValue::Number(mode));
        ortc::check_producer(MediaKind::Video, &rtp)
    };
    assert!(with("42e01f", 1).is_ok());
    assert!(with("42e034", 0).is_ok(), "the level may differ");
    assert!(with("4d801f", 1).is_ok(), "main, restricted to constrained baseline");
    assert!(with("42001f", 1).is_ok(), "plain baseline: encoders do not use what the constrained one leaves out");
    for (profile, mode) in [("64001f", 1), ("58001f", 1), ("4d001f", 1), ("42e01f", 2), ("nonsense", 1), ("é2e01f", 1), ("", 1)] {
        assert_eq!(with(profile, mode).expect_err("refused").code, ErrorCode::Incompatible, "{profile} {mode}");
    }
}

/// RFC 6184, section 8.1: then it is baseline, level 1, and one NAL unit in each packet.
#[test]
fn h264_without_a_profile_is_what_the_rfc_says_it_is() {
    let mut rtp = parameters("chrome", "h264");
    rtp.codecs[0].parameters.clear();
    let format = ortc::check_producer(MediaKind::Video, &rtp).expect("accepted");
    let mut caps = capabilities("chrome");
    assert!(ortc::can_consume(&format, &caps), "who has constrained baseline can decode it");
    caps.codecs.iter_mut().filter(|codec| codec.mime_type == "video/H264").for_each(|codec| codec.parameters.clear());
    assert!(ortc::can_consume(&format, &caps));
    let mut given = parameters("chrome", "h264");
    given.codecs[0].parameters = [("profile-level-id".to_owned(), ParameterValue::Text("42000A".to_owned()))].into();
    assert!(ortc::can_consume(&ortc::check_producer(MediaKind::Video, &given).expect("accepted"), &caps), "written out it is the same");
}

#[test]
fn a_producer_that_lies_is_refused() {
    let refused = |change: &dyn Fn(&mut RtpParameters)| {
        let mut rtp = parameters("chrome", "vp8");
        change(&mut rtp);
        ortc::check_producer(MediaKind::Video, &rtp).expect_err("refused").code
    };
    assert_eq!(refused(&|rtp| rtp.codecs[0].payload_type = 72), ErrorCode::InvalidRequest, "an RTCP packet type");
    assert_eq!(refused(&|rtp| rtp.codecs[0].mime_type = "video/AV2".into()), ErrorCode::Incompatible);
    assert_eq!(refused(&|rtp| rtp.codecs[0].clock_rate = 8_000), ErrorCode::Incompatible);
    assert_eq!(refused(&|rtp| rtp.codecs.truncate(0)), ErrorCode::InvalidRequest);
    assert_eq!(refused(&|rtp| rtp.encodings = vec![RtpEncoding::default(); 10_000]), ErrorCode::InvalidRequest);
    let twice = RtpHeaderExtensionParameters { uri: "x".into(), id: 4, encrypt: false };
    assert_eq!(refused(&|rtp| rtp.header_extensions.push(twice.clone())), ErrorCode::InvalidRequest);
    let mut nameless = parameters("chrome", "simulcast");
    nameless.mid = None;
    assert_eq!(ortc::check_producer(MediaKind::Video, &nameless).expect_err("refused").code, ErrorCode::InvalidRequest);
    let mut two = parameters("chrome", "audio");
    two.encodings.push(RtpEncoding { ssrc: Some(5), ..RtpEncoding::default() });
    assert_eq!(ortc::check_producer(MediaKind::Audio, &two).expect_err("refused").code, ErrorCode::InvalidRequest);
}

#[test]
fn who_takes_the_first_codec_of_sound_takes_opus_and_redundancy_is_named_as_browsers_read_it() {
    let sound: Vec<_> = ortc::router_capabilities().codecs.into_iter().filter(|codec| codec.kind == MediaKind::Audio).collect();
    assert_eq!(sound.iter().map(|codec| codec.mime_type.as_str()).collect::<Vec<_>>(), ["audio/opus", "audio/red"]);
    assert_eq!(sound[1].parameters[""], ParameterValue::Text("111/111".into()));
    assert_eq!((sound[1].preferred_payload_type, sound[1].channels), (Some(63), Some(2)));
}

#[test]
fn redundancy_goes_to_who_has_it_and_the_others_get_opus() {
    let (rtp, caps) = red("0", 5);
    let format = ortc::check_producer(MediaKind::Audio, &rtp).expect("produced");
    assert_eq!((format.codec, format.payload_type, format.red), (Codec::Opus, 63, Some(111)));
    let types = |rtp: &RtpParameters| rtp.codecs.iter().map(|codec| codec.payload_type).collect::<Vec<_>>();
    let with = consumer(MediaKind::Audio, &rtp, &caps).expect("compatible");
    assert_eq!(types(&with), [63, 111]);
    with.validate(MediaKind::Audio).expect("valid");
    assert!(extension(&with, uri::TRANSPORT_CC).is_some(), "feedback is listed at what is in the blocks");
    assert_eq!(types(&consumer(MediaKind::Audio, &rtp, &capabilities("firefox")).expect("compatible")), [111]);
    let may_have = consumer(MediaKind::Audio, &parameters("chrome", "audio"), &caps).expect("compatible");
    assert_eq!(types(&may_have), [111, 63], "for when it loses packets");
    assert_eq!(may_have.codecs[1].parameters[""], ParameterValue::Text("111/111".into()));
    may_have.validate(MediaKind::Audio).expect("valid");
    assert_eq!(types(&consumer(MediaKind::Audio, &parameters("chrome", "audio"), &capabilities("firefox")).expect("compatible")), [111]);
}

#[test]
fn redundancy_of_nothing_that_is_listed_is_refused() {
    let refused = |change: &dyn Fn(&mut RtpParameters)| {
        let (mut rtp, _) = red("0", 5);
        change(&mut rtp);
        ortc::check_producer(MediaKind::Audio, &rtp).map_err(|error| error.code)
    };
    assert_eq!(refused(&|rtp| rtp.codecs.truncate(1)).expect_err("refused"), ErrorCode::InvalidRequest);
    assert_eq!(refused(&|rtp| rtp.codecs[1].payload_type = 110).expect_err("refused"), ErrorCode::InvalidRequest);
    assert!(refused(&|rtp| rtp.codecs[0].parameters.clear()).is_ok(), "browsers' parameters get lost on the way");
    assert_eq!(refused(&|rtp| rtp.codecs[0].channels = None).expect_err("refused"), ErrorCode::Incompatible);
}

/// What a browser that has AV1 sends and receives of it.
fn av1(profile: i64) -> (RtpParameters, RtpCapabilities) {
    let mut rtp = parameters("chrome", "vp8");
    let mut caps = capabilities("chrome");
    let format = [("level-idx", 5), ("profile", profile), ("tier", 0)];
    let format = format.map(|(name, value)| (name.to_owned(), ParameterValue::Number(value)));
    rtp.codecs[0].mime_type = "video/AV1".to_owned();
    rtp.codecs[0].parameters = format.clone().into();
    let vp8 = caps.codecs.iter_mut().find(|codec| codec.mime_type == "video/VP8").expect("has VP8");
    vp8.mime_type = "video/AV1".to_owned();
    vp8.parameters = format.into();
    let mut descriptor = caps.header_extensions.iter().find(|extension| extension.uri == uri::MID).expect("has mid").clone();
    (descriptor.kind, descriptor.uri, descriptor.preferred_id) = (MediaKind::Video, uri::DEPENDENCY_DESCRIPTOR.to_owned(), 9);
    caps.header_extensions.push(descriptor);
    (rtp, caps)
}

#[test]
fn av1_is_forwarded_with_its_dependency_descriptor_and_no_other_codec_has_one() {
    let (rtp, caps) = av1(0);
    let format = ortc::check_producer(MediaKind::Video, &rtp).expect("produced");
    assert_eq!(format.codec, Codec::Av1);
    let consumed = consumer(MediaKind::Video, &rtp, &caps).expect("compatible");
    assert_eq!(consumed.codecs.iter().map(|codec| codec.payload_type).collect::<Vec<_>>(), [45, 46]);
    assert!(extension(&consumed, uri::DEPENDENCY_DESCRIPTOR).is_some());
    let vp9 = consumer(MediaKind::Video, &parameters("chrome", "vp9"), &caps).expect("compatible");
    assert_eq!(extension(&vp9, uri::DEPENDENCY_DESCRIPTOR), None);
    assert!(consumer(MediaKind::Video, &rtp, &capabilities("chrome")).is_none(), "a receiver without AV1");
}

#[test]
fn av1_is_of_the_main_profile() {
    assert_eq!(ortc::check_producer(MediaKind::Video, &av1(1).0).expect_err("refused").code, ErrorCode::Incompatible);
}
