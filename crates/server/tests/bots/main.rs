//! Whole calls with bots: real sockets, real ICE, DTLS and SRTP, by an independent WebRTC implementation.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod audio;
mod flood;
mod leaving;
mod moderation;
mod network;
mod spread;
#[path = "../support/mod.rs"]
mod support;
mod video;

use std::time::Duration;

use parlor::config::Config;
use parlor::{Options, Server};
use parlor_bots::{AudioOptions, Bot, BotError, BotOptions, BotStats, Engine, Producer, StreamStats};
use parlor_testkit::wait::{PATIENCE, seen};

use self::support::test_config;

/// A server with a media thread for bots.
struct World {
    server: Server,
    engine: Engine,
}

impl World {
    /// A server in development mode on free ports of this machine.
    async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// A server with changes to its configuration.
    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = test_config();
        change(&mut config);
        let server = Server::start(&config, Options { dev: true, ..Options::default() }).await.expect("starts");
        Self { server, engine: Engine::start(None).expect("starts") }
    }

    fn options(&self, channel: &str, user: &str) -> BotOptions {
        BotOptions::new(&format!("http://{}", self.server.http_addresses()[0]), channel, user)
    }

    async fn try_join(&self, options: BotOptions) -> Result<Bot, BotError> {
        let bot = Bot::join(&self.engine, options).await?;
        bot.connected(PATIENCE).await?;
        Ok(bot)
    }

    /// A participant of the channel "room", connected.
    async fn join(&self, user: &str) -> Bot {
        self.try_join(self.options("room", user)).await.expect("joins")
    }

    /// A participant who talks.
    async fn talker(&self, user: &str) -> (Bot, Producer) {
        let bot = self.join(user).await;
        let producer = bot.produce_audio(AudioOptions::default()).await.expect("talks");
        (bot, producer)
    }
}

/// What a bot received of a user, sound or picture.
fn stream_of<'a>(stats: &'a BotStats, user: &str, video: bool) -> Option<&'a StreamStats> {
    stats.streams.iter().find(|(consumer, _)| consumer.user == user && consumer.video == video).map(|(_, stream)| stream)
}

/// Packets received of a user.
fn packets_of(stats: &BotStats, user: &str, video: bool) -> u64 {
    stream_of(stats, user, video).map_or(0, |stream| stream.packets)
}

/// Waits until so many more packets of a user have come.
async fn hears_more(bot: &Bot, user: &str, video: bool, packets: u64) -> BotStats {
    let before = packets_of(&bot.stats().await.expect("is there"), user, video);
    let more = |stats: &BotStats| packets_of(stats, user, video) >= before + packets;
    bot.received(PATIENCE, &format!("{packets} more packets of {user}"), more).await.expect("is heard")
}

/// Waits until no packet of a user has come for some time: far longer than the 20 ms between two of them.
async fn hears_silence(bot: &Bot, user: &str) {
    const SILENCE: Duration = Duration::from_millis(500);
    let heard = async || packets_of(&bot.stats().await.expect("is there"), user, false);
    let in_a_while = async || {
        let before = heard().await;
        tokio::time::sleep(SILENCE).await;
        heard().await - before
    };
    seen(&format!("{user} is not heard by {}", bot.user()), in_a_while, |packets| *packets == 0).await;
}

/// The stream had no gap and no leap of time or picture number, whatever was done to it.
fn assert_smooth(stream: &StreamStats) {
    let faults = (stream.lost, stream.duplicates, stream.time_leaps, stream.picture_leaps);
    assert_eq!(faults, (0, 0, 0, 0), "lost, duplicates, leaps of time, leaps of picture number in {stream:?}");
    assert_eq!(stream.payload_types.len(), 1, "one payload type in {stream:?}");
}
