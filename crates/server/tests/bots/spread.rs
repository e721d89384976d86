//! A room on two media workers: no participant can tell.

use futures_util::future::join_all;
use parlor_bots::{Bot, VideoOptions};
use parlor_testkit::wait::{PATIENCE, seen};
use serde_json::{Value, json};

use crate::{World, assert_smooth, hears_more, hears_silence, stream_of};

/// Participants of a room that is on both workers.
const LARGE: usize = 14;

async fn workers(world: &World) -> Vec<Value> {
    let url = format!("http://{}/api/dev/stats", world.server.http_addresses()[0]);
    let stats: Value = reqwest::get(url).await.expect("answers").json().await.expect("json");
    stats["workers"].as_array().expect("workers").iter().map(|worker| worker["sfu"].clone()).collect()
}

async fn until(world: &World, what: &str, condition: impl Fn(&[Value]) -> bool) {
    seen(what, async || workers(world).await, |workers| condition(workers)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_on_two_workers_is_like_any_other() {
    let world = World::with(|config| config.media.workers = 2).await;
    let (ann, track) = world.talker("ann").await;
    let mut listeners: Vec<Bot> = Vec::new();
    for n in 2..LARGE {
        listeners.push(world.join(&format!("user{n}")).await);
    }
    // The last to join receives on the other worker, and sends where everybody does.
    let (zed, _) = world.talker("zed").await;
    let stats = hears_more(&zed, "ann", false, 50).await;
    assert_smooth(stream_of(&stats, "ann", false).expect("is heard"));
    hears_more(&ann, "zed", false, 50).await;
    let hears_both = async |listener: &Bot| tokio::join!(hears_more(listener, "ann", false, 20), hears_more(listener, "zed", false, 20));
    join_all(listeners.iter().map(hears_both)).await;
    let of = |workers: &[Value], what: &str| -> Vec<u64> { workers.iter().filter_map(|worker| worker[what].as_u64()).collect() };
    let now = workers(&world).await;
    assert_eq!(of(&now, "producers"), [2, 0]);
    assert_eq!(of(&now, "mirrors"), [0, 2]);
    assert!(of(&now, "consumers").iter().all(|consumers| *consumers >= 5), "{now:?}");
    assert!(now[1]["rtpForwarded"].as_u64() > now[1]["rtpPiped"].as_u64().map(|piped| 4 * piped), "crossed once, sent to many: {now:?}");

    ann.request("voice:rtc:pauseProducer", json!({ "producerId": track.id })).await.expect("pauses");
    hears_silence(&zed, "ann").await;
    ann.request("voice:rtc:resumeProducer", json!({ "producerId": track.id })).await.expect("resumes");
    let stats = hears_more(&zed, "ann", false, 50).await;
    assert_smooth(stream_of(&stats, "ann", false).expect("is heard"));

    // A picture needs a key frame for each who comes to it.
    ann.produce_video(VideoOptions::default()).await.expect("shows");
    let stats = hears_more(&zed, "ann", true, 50).await;
    assert_smooth(stream_of(&stats, "ann", true).expect("is seen"));

    ann.leave().await.expect("leaves");
    zed.received(PATIENCE, "no stream", |stats| stats.streams.is_empty()).await.expect("is gone");
    until(&world, "one mirror", |workers| of(workers, "mirrors") == [0, 0] || of(workers, "mirrors") == [0, 1]).await;
    until(&world, "one producer", |workers| of(workers, "producers") == [1, 0]).await;
    drop((listeners, zed));
    for what in ["routers", "transports", "producers", "mirrors", "consumers"] {
        until(&world, what, |workers| of(workers, what) == [0, 0]).await;
    }
}
