//! Picture: whole frames after a key frame, layers up and down, repair of loss.

use std::time::Duration;

use parlor_bots::{Bot, BotOptions, BotStats, FrameCounts, VideoCodec, VideoOptions};
use parlor_testkit::wait::PATIENCE;
use serde_json::json;

use crate::{World, assert_smooth, hears_more, packets_of, stream_of};

/// A bandwidth estimate that took a busy machine for a full network needs a while to rise again.
const CLIMBED: Duration = Duration::from_secs(45);

/// Layers that a decoder model can tell apart, small enough for a busy machine.
fn simulcast(codec: VideoCodec) -> VideoOptions {
    VideoOptions { codec, bitrates: vec![100_000, 250_000, 600_000], temporal_layers: 2, ..VideoOptions::default() }
}

fn single(codec: VideoCodec) -> VideoOptions {
    VideoOptions { codec, bitrates: vec![400_000], ..VideoOptions::default() }
}

fn frames(stats: &BotStats, user: &str) -> FrameCounts {
    stream_of(stats, user, true).map(|stream| stream.frames).unwrap_or_default()
}

/// Waits until frames of a layer are decoded.
async fn sees_layer(bot: &Bot, user: &str, layer: u8) -> BotStats {
    let before = frames(&bot.stats().await.expect("is there"), user).decoded;
    let on = |stats: &BotStats| frames(stats, user).layer == Some(layer) && frames(stats, user).decoded >= before + 15;
    bot.received(CLIMBED, &format!("layer {layer} of {user}"), on).await.expect("sees the layer")
}

async fn is_seen(codec: VideoCodec) {
    let world = World::start().await;
    let ann = world.join("ann").await;
    ann.produce_video(single(codec)).await.expect("shows");
    // Ben comes early in the stream, and Cid in the middle of it.
    let ben = world.join("ben").await;
    let seen = |stats: &BotStats| frames(stats, "ann").decoded >= 30;
    ben.received(PATIENCE, "a second of picture", seen).await.expect("sees");
    let cid = world.join("cid").await;
    let stats = cid.received(PATIENCE, "a second of picture", seen).await.expect("sees");
    let stream = stream_of(&stats, "ann", true).expect("is seen");
    assert_smooth(stream);
    assert_eq!(stream.frames.dropped, 0, "no frame came in parts: {stream:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vp8_is_seen_by_those_present_and_by_newcomers() {
    is_seen(VideoCodec::Vp8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h264_is_seen_by_those_present_and_by_newcomers() {
    is_seen(VideoCodec::H264).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_late_into_a_busy_room_hears_eight_and_sees_one() {
    let world = World::start().await;
    let mut talkers = Vec::new();
    for number in 0..8 {
        talkers.push(world.talker(&format!("talker{number}")).await.0);
    }
    talkers[0].produce_video(single(VideoCodec::Vp8)).await.expect("shows");
    talkers[1].received(PATIENCE, "a picture", |stats| frames(stats, "talker0").decoded >= 30).await.expect("sees");
    let late = world.join("late").await;
    let all = |stats: &BotStats| {
        frames(stats, "talker0").decoded >= 30 && talkers.iter().all(|talker| packets_of(stats, talker.user(), false) >= 25)
    };
    let stats = late.received(PATIENCE, "everybody's sound and the picture", all).await.expect("hears and sees");
    assert_smooth(stream_of(&stats, "talker0", true).expect("is seen"));
}

async fn layers_switch(codec: VideoCodec) {
    let world = World::start().await;
    let (ann, ben) = (world.join("ann").await, world.join("ben").await);
    ann.produce_video(simulcast(codec)).await.expect("shows");
    ben.received(PATIENCE, "a picture", |stats| frames(stats, "ann").decoded > 0).await.expect("sees");
    let consumer = ben.consumers()[0].id.clone();
    for layer in [0, 2, 1, 2, 0] {
        ben.prefer_layers(&consumer, layer, None).await.expect("may wish");
        let told = |e: &serde_json::Value| e["consumerId"] == consumer && e["layers"]["spatialLayer"] == layer;
        sees_layer(&ben, "ann", layer).await;
        ben.event("voice:layersChanged", CLIMBED, told).await.expect("is told");
        ben.forget_events();
    }
    let stats = ben.stats().await.expect("is there");
    assert_smooth(stream_of(&stats, "ann", true).expect("is seen"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vp8_layers_switch_up_and_down_in_one_unbroken_stream() {
    layers_switch(VideoCodec::Vp8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h264_layers_switch_up_and_down_in_one_unbroken_stream() {
    layers_switch(VideoCodec::H264).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_frame_comes_when_it_is_asked_for() {
    let world = World::start().await;
    let (ann, ben) = (world.join("ann").await, world.join("ben").await);
    ann.produce_video(single(VideoCodec::Vp8)).await.expect("shows");
    let stats = ben.received(PATIENCE, "a picture", |stats| frames(stats, "ann").decoded >= 10).await.expect("sees");
    let keys = frames(&stats, "ann").keys;
    let consumer = ben.consumers()[0].id.clone();
    ben.request("voice:rtc:requestKeyFrame", json!({ "consumerId": consumer })).await.expect("may ask");
    ben.received(PATIENCE, "another key frame", |stats| frames(stats, "ann").keys > keys).await.expect("gets it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_survives_the_loss_of_5_percent_both_ways() {
    let world = World::start().await;
    let lossy = |user| BotOptions { loss_percent: 5, ..world.options("room", user) };
    let ann = world.try_join(lossy("ann")).await.expect("joins");
    let ben = world.try_join(lossy("ben")).await.expect("joins");
    ann.produce_video(single(VideoCodec::Vp8)).await.expect("shows");
    let begun = ben.received(PATIENCE, "a picture", |stats| frames(stats, "ann").decoded >= 10).await.expect("sees");
    // 150 frames take 5 s if nothing stands still.
    let enough = frames(&begun, "ann").decoded + 150;
    let stats = ben.received(PATIENCE, "150 more frames", |stats| frames(stats, "ann").decoded >= enough).await.expect("goes on");
    let stream = stream_of(&stats, "ann", true).expect("is seen");
    // There are two ways with 5 % loss each; unrepaired, every tenth packet would be missing.
    assert!(stream.lost * 50 < stream.packets, "lost after repair: {} of {}", stream.lost, stream.packets);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_track_ends_for_everybody_and_a_new_one_begins() {
    let world = World::start().await;
    let (ann, ben) = (world.join("ann").await, world.join("ben").await);
    let camera = ann.produce_video(single(VideoCodec::Vp8)).await.expect("shows");
    hears_more(&ben, "ann", true, 20).await;
    let old = camera.id.clone();
    ann.close_producer(camera).await.expect("closes");
    ben.event("voice:producerClosed", PATIENCE, |e| e["producerId"] == old).await.expect("is told");
    ben.received(PATIENCE, "no stream", |stats| stats.streams.is_empty()).await.expect("is gone");
    ann.produce_video(single(VideoCodec::H264)).await.expect("shows again");
    ben.received(PATIENCE, "a picture again", |stats| frames(stats, "ann").decoded >= 10).await.expect("sees");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_picture_comes_back_with_a_key_frame() {
    let world = World::start().await;
    let (ann, ben) = (world.join("ann").await, world.join("ben").await);
    let camera = ann.produce_video(single(VideoCodec::Vp8)).await.expect("shows");
    let before = ben.received(PATIENCE, "a picture", |stats| frames(stats, "ann").decoded >= 10).await.expect("sees");
    ann.pause_producer(&camera).await.expect("pauses");
    ben.event("voice:producerPaused", PATIENCE, |_| true).await.expect("is told");
    ann.resume_producer(&camera).await.expect("resumes");
    let more = frames(&before, "ann").decoded + 60;
    let stats = ben.received(PATIENCE, "the picture again", |stats| frames(stats, "ann").decoded >= more).await.expect("sees");
    assert!(frames(&stats, "ann").keys >= 2, "a key frame after the pause: {stats:?}");
    assert_smooth(stream_of(&stats, "ann", true).expect("is seen"));
}
