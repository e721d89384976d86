//! Moderation and tiers, measured by the packets that arrive.

use serde_json::{Value, json};

use crate::{World, hears_more, hears_silence, packets_of, stream_of};
use parlor::config::{Sources, load};
use parlor_bots::{AudioOptions, Bot, VideoOptions};
use parlor_testkit::wait::PATIENCE;

/// A world whose room belongs to "mod".
async fn world() -> World {
    let file = "[[channels]]\nid = \"room\"\ntier = \"pro\"\nowner = \"mod\"\n";
    let channels = load(&Sources { file: Some(("x".into(), file.into())), ..Sources::default() }).expect("valid").channels;
    World::with(|config| {
        config.channels = channels;
        config.limits.joins_per_minute = 1000;
    })
    .await
}

async fn moderate(moderator: &Bot, action: Value) {
    moderator.request("voice:moderate", action).await.expect("moderates");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_who_is_silenced_no_packet_passes_whatever_a_modified_client_does() {
    let world = world().await;
    let (moderator, ben) = (world.join("mod").await, world.join("ben").await);
    let (ann, track) = world.talker("ann").await;
    hears_more(&ben, "ann", false, 20).await;
    moderate(&moderator, json!({"action": "mute", "userId": "ann", "audio": true})).await;
    hears_silence(&ben, "ann").await;

    ann.request("voice:rtc:resumeProducer", json!({ "producerId": track.id })).await.expect("is answered");
    ann.request("voice:state:update", json!({"muted": false})).await.expect("is answered");
    hears_silence(&ben, "ann").await;
    ann.close_producer(track).await.expect("closes");
    ann.produce_audio(AudioOptions::default()).await.expect("is let, and not heard");
    hears_silence(&ben, "ann").await;

    // Leaving and coming back does not end the restriction.
    ann.leave().await.expect("leaves");
    ben.event("voice:participant:left", PATIENCE, |e| e["userId"] == "ann").await.expect("is told");
    let (ann, _) = world.talker("ann").await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let stats = ben.stats().await.expect("is there");
    assert_eq!(packets_of(&stats, "ann", false), 0, "{:?}", stream_of(&stats, "ann", false));

    // A release switches nothing on: that is for its owner to do.
    moderate(&moderator, json!({"action": "mute", "userId": "ann", "audio": false})).await;
    hears_silence(&ben, "ann").await;
    ann.request("voice:state:update", json!({"muted": false})).await.expect("is answered");
    hears_more(&ben, "ann", false, 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_deafened_gets_no_sound_and_the_others_do() {
    let world = world().await;
    let (moderator, ben) = (world.join("mod").await, world.join("ben").await);
    let (_ann, _) = world.talker("ann").await;
    hears_more(&ben, "ann", false, 20).await;
    moderate(&moderator, json!({"action": "deafen", "userId": "ben", "deafened": true})).await;
    hears_silence(&ben, "ann").await;
    hears_more(&moderator, "ann", false, 20).await;
    moderate(&moderator, json!({"action": "deafen", "userId": "ben", "deafened": false})).await;
    hears_more(&ben, "ann", false, 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_muted_camera_shows_nothing_while_its_owner_is_heard() {
    let world = world().await;
    let (moderator, ben) = (world.join("mod").await, world.join("ben").await);
    let (ann, _) = world.talker("ann").await;
    ann.produce_video(VideoOptions::default()).await.expect("shows");
    hears_more(&ben, "ann", true, 30).await;
    moderate(&moderator, json!({"action": "mute", "userId": "ann", "video": true})).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let before = packets_of(&ben.stats().await.expect("is there"), "ann", true);
    hears_more(&ben, "ann", false, 50).await;
    assert_eq!(packets_of(&ben.stats().await.expect("is there"), "ann", true), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_socket_does_not_interrupt_what_is_heard() {
    let world = world().await;
    let ben = world.join("ben").await;
    let (ann, _) = world.talker("ann").await;
    hears_more(&ben, "ann", false, 20).await;
    ann.socket().cut();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    hears_more(&ben, "ann", false, 50).await;
    let left = ben.event("voice:participant:left", std::time::Duration::from_secs(1), |_| true).await;
    assert!(left.is_err(), "nobody left: {left:?}");
}
