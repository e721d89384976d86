//! One workload: a room filled with bots, and what it costs the server while nothing changes.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use parlor_bots::affinity::CpuTime;
use parlor_bots::{AudioOptions, Bot, BotOptions, Delays, Engine, VideoOptions};
use serde::Serialize;

use super::limit::Limits;
use super::server::BenchServer;

/// Audio payload in bytes: about 40 kbit/s.
const AUDIO_BYTES: usize = 100;
/// Bitrate of the video.
const VIDEO_BITRATE: u32 = 1_500_000;
/// Payload of a video packet, for the limit.
const VIDEO_BYTES: usize = 1_042;
/// Bots that join at the same time.
const JOINING: usize = 4;
/// How long a room may take to fill.
const FILL: Duration = Duration::from_secs(60);
/// Rest between filling and measuring.
const SETTLE: Duration = Duration::from_secs(2);
/// Streams of each bot that are decrypted in an audio room; the others are counted by their clear headers.
const OPEN_STREAMS: usize = 2;

/// What is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Media {
    /// Everybody talks.
    Audio,
    /// One shows a picture.
    Video,
}

/// A room.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// What is sent.
    pub media: Media,
    /// By how many.
    pub senders: usize,
    /// Received by how many.
    pub receivers: usize,
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The workload.
    pub name: String,
    /// People in the room.
    pub participants: usize,
    /// Packets the bots sent, per second.
    pub packets_in: f64,
    /// Packets the bots received, per second.
    pub packets_out: f64,
    /// Of what the bots sent, how much arrived within the window, in percent. Clearly less than 100 without loss means
    /// that the server is saturated and packets wait in it.
    pub kept_up_percent: f64,
    /// Share of packets lost on the way, in percent.
    pub lost_percent: f64,
    /// Server processor time per forwarded packet, in the program.
    pub user_us: f64,
    /// And in the kernel.
    pub system_us: f64,
    /// The server's load, in percent of a core.
    pub server_cpu_percent: f64,
    /// One-way delay, bot to bot, that half of the packets did not exceed, in milliseconds.
    pub delay_p50_ms: f64,
    /// And 99 of 100.
    pub delay_p99_ms: f64,
    /// Server memory for each participant, in KiB.
    pub memory_kib: f64,
    /// The bots' load, in percent of a core.
    pub bots_cpu_percent: f64,
    /// Frames the bots could not send in time.
    pub skipped_frames: u64,
    /// Streams decrypted and timed, of all streams received.
    pub opened_streams: String,
    /// The least such packets cost.
    pub limits: Limits,
}

/// Counters at one moment.
struct Reading {
    server: CpuTime,
    bots: CpuTime,
    sent: u64,
    received: u64,
    lost: u64,
    skipped: u64,
}

impl Load {
    /// What the table calls it.
    pub fn name(&self) -> String {
        match self.media {
            Media::Audio => format!("audio {} talkers", self.senders),
            Media::Video => format!("video 1 to {}", self.receivers),
        }
    }

    /// Payload of a packet.
    pub const fn packet_bytes(&self) -> usize {
        match self.media {
            Media::Audio => AUDIO_BYTES,
            Media::Video => VIDEO_BYTES,
        }
    }

    /// To how many each packet goes.
    pub const fn destinations(&self) -> usize {
        match self.media {
            Media::Audio => self.receivers - 1,
            Media::Video => self.receivers,
        }
    }

    const fn people(&self) -> usize {
        match self.media {
            Media::Audio => self.senders,
            Media::Video => 1 + self.receivers,
        }
    }

    /// Fills the room and measures it.
    pub async fn measure(&self, server: &BenchServer, engine: &Engine, window: Duration, limits: Limits) -> anyhow::Result<Row> {
        let empty = server.memory()?;
        let bots = self.fill(server, engine).await?;
        tokio::time::sleep(SETTLE.min(window)).await;
        delays(&bots).await?;
        let before = Reading::take(server, engine, &bots).await?;
        let begin = std::time::Instant::now();
        tokio::time::sleep(window).await;
        let after = Reading::take(server, engine, &bots).await?;
        let seconds = begin.elapsed().as_secs_f64();
        let delays = delays(&bots).await?;
        let memory = server.memory()?.saturating_sub(empty);
        let streams = self.destinations() * self.senders;
        let opened = if self.media == Media::Audio { streams.min(OPEN_STREAMS * self.people()) } else { streams };
        drop(bots);
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let row = {
            let received = (after.received - before.received) as f64;
            let lost = after.lost.saturating_sub(before.lost) as f64;
            let cpu = after.server.since(before.server);
            let due = (after.sent - before.sent) as f64 * self.destinations() as f64;
            Row {
                name: self.name(),
                participants: self.people(),
                packets_in: (after.sent - before.sent) as f64 / seconds,
                packets_out: received / seconds,
                kept_up_percent: 100.0 * received / due.max(1.0),
                lost_percent: 100.0 * lost / (received + lost).max(1.0),
                user_us: cpu.user.as_secs_f64() * 1e6 / received.max(1.0),
                system_us: cpu.system.as_secs_f64() * 1e6 / received.max(1.0),
                server_cpu_percent: 100.0 * cpu.total().as_secs_f64() / seconds,
                delay_p50_ms: delays.quantile(0.5).as_secs_f64() * 1e3,
                delay_p99_ms: delays.quantile(0.99).as_secs_f64() * 1e3,
                memory_kib: memory as f64 / 1024.0 / self.people() as f64,
                bots_cpu_percent: 100.0 * after.bots.since(before.bots).total().as_secs_f64() / seconds,
                skipped_frames: after.skipped - before.skipped,
                opened_streams: format!("{opened}/{streams}"),
                limits,
            }
        };
        Ok(row)
    }

    async fn fill(&self, server: &BenchServer, engine: &Engine) -> anyhow::Result<Vec<Bot>> {
        let open_streams = if self.media == Media::Audio { OPEN_STREAMS } else { usize::MAX };
        let join = |number: usize| async move {
            let options = BotOptions { open_streams, ..BotOptions::new(server.url(), "bench", &format!("bot-{number}")) };
            let bot = Bot::join(engine, options).await?;
            bot.connected(FILL).await?;
            match self.media {
                Media::Audio => drop(bot.produce_audio(AudioOptions { bytes: AUDIO_BYTES, ..AudioOptions::default() }).await?),
                Media::Video if number == 0 => {
                    let options = VideoOptions { bitrates: vec![VIDEO_BITRATE], ..VideoOptions::default() };
                    bot.produce_video(options).await?;
                }
                Media::Video => {}
            }
            Ok::<Bot, parlor_bots::BotError>(bot)
        };
        // The first alone: it is the one who shows.
        let first = join(0).await?;
        let others = stream::iter(1..self.people()).map(join).buffer_unordered(JOINING);
        let mut bots: Vec<Bot> = others.try_collect().await?;
        for bot in &bots {
            let expected = if self.media == Media::Audio { self.people() - 1 } else { 1 };
            let complete = |stats: &parlor_bots::BotStats| {
                let running = |stream: &parlor_bots::StreamStats| stream.first_decodable_ns.is_some();
                stats.streams.iter().filter(|(_, stream)| running(stream)).count() == expected
            };
            bot.received(FILL, "media of everybody", complete).await?;
        }
        bots.push(first);
        Ok(bots)
    }
}

impl Reading {
    async fn take(server: &BenchServer, engine: &Engine, bots: &[Bot]) -> anyhow::Result<Self> {
        // The server first, and then the bots one by one: what this shifts is a few packets of each stream.
        let (server, media) = (server.cpu_time()?, engine.cpu_time().await?);
        let mut reading = Self { server, bots: media, sent: 0, received: 0, lost: 0, skipped: 0 };
        for bot in bots {
            let stats = bot.stats().await?;
            reading.sent += stats.sent;
            reading.skipped += stats.skipped;
            reading.received += stats.streams.iter().map(|(_, s)| s.packets).sum::<u64>();
            reading.lost += stats.streams.iter().map(|(_, s)| s.lost).sum::<u64>();
        }
        Ok(reading)
    }
}

/// The delays since the last call, of all bots.
async fn delays(bots: &[Bot]) -> anyhow::Result<Delays> {
    let mut all = Delays::new();
    for bot in bots {
        all.add(&bot.take_delays().await?);
    }
    Ok(all)
}
