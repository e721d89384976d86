//! How long a newcomer waits for sound and picture: from sending `voice:join` on a connected socket to the first
//! packet with which decoding can begin.

use std::time::Duration;

use anyhow::Context;
use hdrhistogram::Histogram;
use parlor_bots::{AudioOptions, Bot, BotOptions, BotStats, Engine, VideoOptions};
use serde::Serialize;

use super::server::BenchServer;

/// The people who talk in the room.
const TALKERS: usize = 7;
/// How long a newcomer may wait: a machine may be busy with other things while nothing is measured.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two newcomers: longer than the time within which a sender is asked for one key frame only, so that nobody
/// has to wait because of the one before.
const PAUSE: Duration = Duration::from_millis(700);

/// What newcomers waited, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latency {
    /// How many newcomers came.
    pub joins: usize,
    /// To the first audio packet.
    pub audio: Quantiles,
    /// To the first packet of a key frame.
    pub video: Quantiles,
}

/// Times of waiting in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Quantiles {
    /// The time that half of them waited less than.
    pub p50_ms: f64,
    /// 95 of 100 waited less.
    pub p95_ms: f64,
}

/// Lets newcomers join one after the other.
pub async fn measure(server: &BenchServer, engine: &Engine, joins: usize) -> anyhow::Result<Latency> {
    let options = |user: String| BotOptions::new(server.url(), "latency", &user);
    let mut room = Vec::new();
    for number in 0..=TALKERS {
        let bot = Bot::join(engine, options(format!("member-{number}"))).await?;
        bot.connected(PATIENCE).await?;
        if number == 0 {
            bot.produce_video(VideoOptions::default()).await?;
        } else {
            bot.produce_audio(AudioOptions::default()).await?;
        }
        room.push(bot);
    }
    let (mut audio, mut video) = (Histogram::<u32>::new(3)?, Histogram::<u32>::new(3)?);
    for number in 0..joins {
        let bot = Bot::join(engine, options(format!("newcomer-{number}"))).await?;
        let both = |stats: &BotStats| first(stats, true).is_some() && first(stats, false).is_some();
        let stats = bot.received(PATIENCE, "sound and picture", both).await?;
        let (sound, picture) = (first(&stats, false).unwrap_or_default(), first(&stats, true).unwrap_or_default());
        let shower = room.first().context("the room is empty")?.stats().await?;
        tracing::info!(number, sound, picture, asked = shower.key_frames_asked, skipped = shower.skipped, "a newcomer, in µs");
        audio.record(sound)?;
        video.record(picture)?;
        bot.leave().await?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(Latency { joins, audio: quantiles(&audio), video: quantiles(&video) })
}

/// Microseconds from the request to the first useful packet of a kind.
fn first(stats: &BotStats, video: bool) -> Option<u64> {
    let of_kind = stats.streams.iter().filter(|(_, stream)| stream.video == video);
    let earliest = of_kind.filter_map(|(_, stream)| stream.first_decodable_ns).min()?;
    Some(earliest.saturating_sub(stats.requested_ns) / 1000)
}

fn quantiles(waited: &Histogram<u32>) -> Quantiles {
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a few seconds")]
    let at = |quantile| waited.value_at_quantile(quantile) as f64 / 1000.0;
    Quantiles { p50_ms: at(0.5), p95_ms: at(0.95) }
}
