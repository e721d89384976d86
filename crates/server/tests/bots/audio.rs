//! Sound: everybody hears everybody, unless somebody is muted, paused, deaf or in another room.

use serde_json::json;

use crate::{World, assert_smooth, hears_more, hears_silence, packets_of, stream_of};
use parlor_bots::{AudioOptions, Bot, BotStats};
use parlor_testkit::wait::PATIENCE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_hears_everybody_else() {
    let world = World::start().await;
    let mut bots = Vec::new();
    for user in ["ann", "ben", "cid", "dot"] {
        bots.push(world.talker(user).await.0);
    }
    for bot in &bots {
        let others: Vec<&str> = bots.iter().map(Bot::user).filter(|user| *user != bot.user()).collect();
        let all = |stats: &BotStats| others.iter().all(|user| packets_of(stats, user, false) >= 50);
        let stats = bot.received(PATIENCE, "a second of everybody", all).await.expect("hears");
        assert_eq!(stats.streams.len(), 3, "nobody hears themselves");
        stats.streams.iter().for_each(|(_, stream)| assert_smooth(stream));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_producer_is_silent_whatever_it_sends_and_goes_on_without_a_gap() {
    let world = World::start().await;
    let (ann, track) = world.talker("ann").await;
    let ben = world.join("ben").await;
    hears_more(&ben, "ann", false, 20).await;

    // Only the server is told: the packets keep coming.
    ann.request("voice:rtc:pauseProducer", json!({ "producerId": track.id })).await.expect("pauses");
    ben.event("voice:producerPaused", PATIENCE, |e| e["producerId"] == track.id).await.expect("is told");
    hears_silence(&ben, "ann").await;

    ann.request("voice:rtc:resumeProducer", json!({ "producerId": track.id })).await.expect("resumes");
    ben.event("voice:producerResumed", PATIENCE, |e| e["producerId"] == track.id).await.expect("is told");
    let stats = hears_more(&ben, "ann", false, 50).await;
    assert_smooth(stream_of(&stats, "ann", false).expect("is heard"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_consumer_gets_nothing_and_goes_on_without_a_gap() {
    let world = World::start().await;
    let (_ann, _) = world.talker("ann").await;
    let (ben, cid) = (world.join("ben").await, world.join("cid").await);
    hears_more(&ben, "ann", false, 20).await;

    let consumer = &ben.consumers()[0].id;
    ben.request("voice:rtc:pauseConsumer", json!({ "consumerId": consumer })).await.expect("pauses");
    hears_silence(&ben, "ann").await;
    hears_more(&cid, "ann", false, 10).await;

    ben.request("voice:rtc:resumeConsumer", json!({ "consumerId": consumer })).await.expect("resumes");
    let stats = hears_more(&ben, "ann", false, 50).await;
    assert_smooth(stream_of(&stats, "ann", false).expect("is heard"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_muted_are_silent_and_the_deafened_hear_nothing() {
    let world = World::start().await;
    let ((ann, _), (ben, _)) = (world.talker("ann").await, world.talker("ben").await);
    hears_more(&ben, "ann", false, 20).await;
    hears_more(&ann, "ben", false, 20).await;

    ann.request("voice:state:update", json!({ "muted": true })).await.expect("mutes");
    ben.event("voice:participant:state", PATIENCE, |e| e["userId"] == "ann" && e["muted"] == true).await.expect("is told");
    hears_silence(&ben, "ann").await;
    ann.request("voice:state:update", json!({ "muted": false })).await.expect("unmutes");
    hears_more(&ben, "ann", false, 20).await;

    ann.request("voice:state:update", json!({ "deafened": true })).await.expect("deafens");
    hears_silence(&ann, "ben").await;
    ann.request("voice:state:update", json!({ "deafened": false })).await.expect("hears again");
    let stats = hears_more(&ann, "ben", false, 20).await;
    assert_smooth(stream_of(&stats, "ben", false).expect("is heard"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loudest_are_announced() {
    let world = World::start().await;
    let (ann, _) = world.talker("ann").await;
    let ben = world.join("ben").await;
    let speaks = |e: &serde_json::Value| e["speakers"].as_array().is_some_and(|list| list.iter().any(|s| s["userId"] == "ann"));
    ben.event("voice:activeSpeakers", PATIENCE, speaks).await.expect("ann is announced");
    ben.forget_events();
    drop(ann);
    let silent = |e: &serde_json::Value| e["speakers"].as_array().is_some_and(Vec::is_empty);
    ben.event("voice:activeSpeakers", PATIENCE, silent).await.expect("silence is announced");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_holds_25_and_hears_those_who_talk() {
    const PEOPLE: usize = 25;
    const TALKING: usize = 4;
    let world = World::with(|config| config.limits.participants_free = 25).await;
    let mut bots = Vec::new();
    for number in 0..PEOPLE {
        let bot = world.join(&format!("bot-{number}")).await;
        let track = bot.produce_audio(AudioOptions::default()).await.expect("talks");
        if number >= TALKING {
            // Connected and unmuted, but with nothing to say: what discontinuous transmission is for.
            bot.set_sending(&track, false).await.expect("falls silent");
        }
        bots.push(bot);
    }
    let refused = world.try_join(world.options("room", "one-more")).await;
    assert_eq!(refused.err().expect("is refused").code(), Some("CHANNEL_FULL"));
    for (number, bot) in bots.iter().enumerate() {
        let talkers: Vec<String> = (0..TALKING).filter(|n| *n != number).map(|n| format!("bot-{n}")).collect();
        let all = |stats: &BotStats| stats.streams.len() == PEOPLE - 1 && talkers.iter().all(|user| packets_of(stats, user, false) >= 25);
        let stats = bot.received(PATIENCE, "everybody who talks", all).await.expect("hears");
        for user in &talkers {
            assert_smooth(stream_of(&stats, user, false).expect("is heard"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_do_not_hear_each_other() {
    let world = World::start().await;
    let mut bots = Vec::new();
    for (room, user) in [("red", "ann"), ("red", "ben"), ("blue", "cid"), ("blue", "dot")] {
        let bot = world.try_join(world.options(room, user)).await.expect("joins");
        let track = bot.produce_audio(AudioOptions::default()).await.expect("talks");
        bots.push((bot, track));
    }
    for (listener, talker) in [(0, "ben"), (1, "ann"), (2, "dot"), (3, "cid")] {
        let stats = hears_more(&bots[listener].0, talker, false, 30).await;
        assert_eq!(stats.streams.len(), 1, "only the one other of the room: {stats:?}");
    }
    let error = bots[0].0.consume(&bots[2].1.id).await.expect_err("is in another room");
    assert_eq!(error.code(), Some("NOT_FOUND"));
}
