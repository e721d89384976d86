//! Ways through the network: TCP only, and a network that changes in the middle of a call.

use futures_util::future::join_all;
use parlor_bots::{AudioOptions, Bot, BotOptions, BotStats, VideoOptions};
use parlor_proto::transport::Direction;
use parlor_testkit::wait::PATIENCE;

use crate::{World, assert_smooth, hears_more, packets_of, stream_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_alone_carries_sound_and_picture_to_udp_and_back() {
    let world = World::start().await;
    let tcp = BotOptions { tcp: true, ..world.options("room", "ann") };
    let ann = world.try_join(tcp).await.expect("joins over TCP");
    let ben = world.join("ben").await;
    for bot in [&ann, &ben] {
        bot.produce_audio(AudioOptions::default()).await.expect("talks");
        bot.produce_video(VideoOptions { bitrates: vec![400_000], ..VideoOptions::default() }).await.expect("shows");
    }
    for (bot, other) in [(&ann, "ben"), (&ben, "ann")] {
        let both = |stats: &BotStats| {
            packets_of(stats, other, false) >= 50 && stream_of(stats, other, true).is_some_and(|s| s.frames.decoded >= 30)
        };
        let stats = bot.received(PATIENCE, "sound and picture", both).await.expect("arrives");
        stats.streams.iter().for_each(|(_, stream)| assert_smooth(stream));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_that_wait_for_each_other_all_arrive() {
    let world = World::with(|config| config.media.flush_interval_us = 2_000).await;
    let tcp = BotOptions { tcp: true, ..world.options("room", "ann") };
    let bots = [world.try_join(tcp).await.expect("joins over TCP"), world.join("ben").await, world.join("cid").await];
    for bot in &bots {
        bot.produce_audio(AudioOptions::default()).await.expect("talks");
        bot.produce_video(VideoOptions { bitrates: vec![400_000], ..VideoOptions::default() }).await.expect("shows");
    }
    let gets = async |(bot, other): (&Bot, &Bot)| {
        let (heard, seen) = tokio::join!(hears_more(bot, other.user(), false, 50), hears_more(bot, other.user(), true, 50));
        assert_smooth(stream_of(&heard, other.user(), false).expect("is heard"));
        assert_smooth(stream_of(&seen, other.user(), true).expect("is seen"));
    };
    let pairs = bots.iter().flat_map(|bot| bots.iter().map(move |other| (bot, other))).filter(|(bot, other)| bot.user() != other.user());
    join_all(pairs.map(gets)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_goes_on_after_the_network_changed() {
    let world = World::start().await;
    let ((ann, _), (ben, _)) = (world.talker("ann").await, world.talker("ben").await);
    hears_more(&ben, "ann", false, 20).await;
    hears_more(&ann, "ben", false, 20).await;
    // The network changes twice, to a new socket each time.
    for _ in 0..2 {
        ann.restart_ice(Direction::Send).await.expect("restarts");
        ann.restart_ice(Direction::Recv).await.expect("restarts");
        ann.connected(PATIENCE).await.expect("finds the new way");
        hears_more(&ben, "ann", false, 50).await;
        hears_more(&ann, "ben", false, 50).await;
    }
}
