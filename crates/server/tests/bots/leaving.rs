//! Going away: politely, by a killed process, by a machine that froze; and coming back.

use std::time::{Duration, Instant};

use crate::{World, hears_more};
use parlor_bots::BotError;
use parlor_testkit::wait::PATIENCE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_is_gone_for_the_others_and_may_come_back() {
    let world = World::start().await;
    let (ann, _) = world.talker("ann").await;
    let ben = world.join("ben").await;
    hears_more(&ben, "ann", false, 10).await;

    ann.leave().await.expect("leaves");
    ben.event("voice:participant:left", PATIENCE, |e| e["userId"] == "ann").await.expect("is told");
    ben.received(PATIENCE, "no stream", |stats| stats.streams.is_empty()).await.expect("is gone");
    ben.forget_events();

    let (ann, _) = world.talker("ann").await;
    ben.event("voice:participant:joined", PATIENCE, |e| e["userId"] == "ann").await.expect("is told");
    hears_more(&ben, "ann", false, 10).await;
    assert_eq!(ann.joined().participants.len(), 1, "ben is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_killed_is_gone_at_once_where_nobody_may_come_back() {
    let world = World::with(|config| config.limits.resume_grace_ms = 0).await;
    let (ann, _) = world.talker("ann").await;
    let ben = world.join("ben").await;
    hears_more(&ben, "ann", false, 10).await;
    let killed = Instant::now();
    drop(ann);
    ben.event("voice:participant:left", Duration::from_secs(5), |e| e["userId"] == "ann").await.expect("is told");
    assert!(killed.elapsed() < Duration::from_secs(2), "took {:?}", killed.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_freezes_is_noticed_within_20_seconds() {
    let world = World::with(|config| config.limits.resume_grace_ms = 0).await;
    let (ann, _) = world.talker("ann").await;
    let ben = world.join("ben").await;
    hears_more(&ben, "ann", false, 10).await;
    ann.freeze().await.expect("freezes");
    ben.event("voice:participant:left", Duration::from_secs(20), |e| e["userId"] == "ann").await.expect("is told in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_loses_media_is_told_over_the_socket() {
    let world = World::start().await;
    let (ann, _) = world.talker("ann").await;
    ann.freeze_media().await.expect("freezes");
    let lost = |e: &serde_json::Value| e["state"] == "disconnected" || e["state"] == "failed";
    ann.event("voice:transportState", Duration::from_secs(40), lost).await.expect("is told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_user_cannot_be_in_a_channel_twice() {
    let world = World::start().await;
    let first = world.join("ann").await;
    let second = world.try_join(world.options("room", "ann")).await;
    assert_eq!(second.err().as_ref().and_then(BotError::code), Some("ALREADY_IN_CHANNEL"));
    drop(first);
    let begin = Instant::now();
    loop {
        match world.try_join(world.options("room", "ann")).await {
            Ok(_) => return,
            Err(error) if error.code() == Some("ALREADY_IN_CHANNEL") && begin.elapsed() < Duration::from_secs(2) => {}
            Err(error) => panic!("cannot come back: {error}"),
        }
    }
}
