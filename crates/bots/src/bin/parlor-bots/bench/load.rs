//! One workload: rooms filled with bots, and what they cost the server while nothing changes.

use std::time::{Duration, Instant};

use parlor_bots::Engine;
use parlor_bots::Totals;
use parlor_bots::affinity::CpuTime;
use serde::Serialize;

use super::limit::Limits;
use super::server::Setting;
use super::sfu::{AUDIO_BYTES, Media, Person, Room, Sfu, VIDEO_BYTES};

/// Rest between filling and measuring.
const SETTLE: Duration = Duration::from_secs(2);
/// Streams of each bot that are decrypted in an audio room; the others are counted by their clear headers.
const OPEN_STREAMS: usize = 2;
/// With more bots than this, decrypting is left to a few.
const ALL_TIMED: usize = 101;
/// How many of each room time the packets they get.
const FEW_TIMED: usize = 1;

/// A workload that is measured.
#[derive(Clone, Debug)]
pub struct Load {
    /// What the table calls it.
    pub name: String,
    /// The media that is sent.
    pub media: Media,
    /// In how many rooms.
    pub rooms: usize,
    /// Each with how many people.
    pub people: usize,
    /// Settings of the server that it is about.
    pub settings: Vec<Setting>,
    /// A server that does not know them is measured without: it does by itself what they ask for.
    pub or_without: bool,
    /// Measured with Janus too.
    pub peers: bool,
    /// The server may use every core.
    pub every_core: bool,
}

/// The result of a workload.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    /// The name of the workload.
    pub name: String,
    /// The name of the server.
    pub sfu: String,
    /// People in all rooms.
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
    /// Time spent in the kernel.
    pub system_us: f64,
    /// The server's load, in percent of a core.
    pub server_cpu_percent: f64,
    /// One-way delay, bot to bot, that half of the packets did not exceed, in milliseconds.
    pub delay_p50_ms: f64,
    /// The delay that 99 of 100 packets stay below.
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

impl Row {
    /// Server processor time per forwarded packet.
    pub fn total_us(&self) -> f64 {
        self.user_us + self.system_us
    }

    /// Server processor time for everything that came of one packet in. When the server is saturated, only what it did
    /// forward counts.
    pub fn us_per_packet_in(&self) -> f64 {
        let handled = self.packets_in * (self.kept_up_percent / 100.0).min(1.0);
        self.server_cpu_percent / 100.0 * 1e6 / handled.max(1.0)
    }

    /// Share of what was sent that did not arrive within the window, or was lost, in percent.
    pub fn missing_percent(&self) -> f64 {
        self.lost_percent.max(100.0 - self.kept_up_percent)
    }
}

/// Counters at one moment.
#[derive(Clone, Copy)]
pub struct Reading {
    server: CpuTime,
    bots: Totals,
    at: Instant,
}

impl Reading {
    /// Reads the server's and the bots'.
    pub async fn take(sfu: &Sfu, engine: &Engine) -> anyhow::Result<Self> {
        Ok(Self { server: sfu.process().cpu_time()?, bots: engine.totals().await?, at: Instant::now() })
    }

    /// What happened since. `copies` is how many come of one packet sent.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn row(self, before: Self, copies: f64) -> Row {
        let seconds = self.at.duration_since(before.at).as_secs_f64();
        let sent = (self.bots.sent - before.bots.sent) as f64;
        let received = (self.bots.received - before.bots.received) as f64;
        let lost = self.bots.lost.saturating_sub(before.bots.lost) as f64;
        let cpu = self.server.since(before.server);
        Row {
            packets_in: sent / seconds,
            packets_out: received / seconds,
            kept_up_percent: 100.0 * received / (sent * copies).max(1.0),
            lost_percent: 100.0 * lost / (received + lost).max(1.0),
            user_us: cpu.user.as_secs_f64() * 1e6 / received.max(1.0),
            system_us: cpu.system.as_secs_f64() * 1e6 / received.max(1.0),
            server_cpu_percent: 100.0 * cpu.total().as_secs_f64() / seconds,
            bots_cpu_percent: 100.0 * self.bots.cpu.since(before.bots.cpu).total().as_secs_f64() / seconds,
            skipped_frames: self.bots.skipped - before.bots.skipped,
            ..Row::default()
        }
    }
}

impl Load {
    /// Payload of a packet.
    pub const fn packet_bytes(&self) -> usize {
        match self.media {
            Media::Audio { .. } => AUDIO_BYTES,
            Media::Video => VIDEO_BYTES,
        }
    }

    /// The room with this number.
    pub const fn room(&self, number: usize) -> Room {
        let everybody = self.rooms * self.people <= ALL_TIMED;
        let opened = match self.media {
            Media::Audio { .. } => OPEN_STREAMS,
            Media::Video => usize::MAX,
        };
        Room { number, media: self.media, people: self.people, timed: if everybody { self.people } else { FEW_TIMED }, opened }
    }

    /// How many packets the server sends for one that it gets.
    #[expect(clippy::cast_precision_loss, reason = "counts of people")]
    pub fn copies(&self) -> f64 {
        let room = self.room(0);
        room.streams() as f64 / room.senders().max(1) as f64
    }

    /// Fills the rooms and measures them.
    pub async fn measure(&self, sfu: &Sfu, engine: &Engine, window: Duration, limits: Limits) -> anyhow::Result<Row> {
        let empty = sfu.process().memory()?;
        let mut people: Vec<Person> = Vec::new();
        for number in 0..self.rooms {
            people.extend(sfu.fill(engine, self.room(number)).await?);
        }
        tokio::time::sleep(SETTLE.min(window)).await;
        engine.take_delays().await?;
        let before = Reading::take(sfu, engine).await?;
        tokio::time::sleep(window).await;
        let after = Reading::take(sfu, engine).await?;
        let delays = engine.take_delays().await?;
        let memory = sfu.process().memory()?.saturating_sub(empty);
        let (streams, participants) = (self.rooms * self.room(0).streams(), people.len());
        drop(people);
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let memory_kib = memory as f64 / 1024.0 / participants.max(1) as f64;
        Ok(Row {
            name: self.name.clone(),
            participants,
            delay_p50_ms: delays.quantile(0.5).as_secs_f64() * 1e3,
            delay_p99_ms: delays.quantile(0.99).as_secs_f64() * 1e3,
            memory_kib,
            opened_streams: format!("{}/{streams}", streams.min(self.opened())),
            limits,
            ..after.row(before, self.copies())
        })
    }

    fn opened(&self) -> usize {
        let room = self.room(0);
        room.opened.saturating_mul(room.timed).saturating_mul(self.rooms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audio(people: usize, loud: usize, rooms: usize) -> Load {
        let media = Media::Audio { loud };
        Load { name: "x".into(), media, rooms, people, settings: Vec::new(), or_without: false, peers: false, every_core: false }
    }

    #[test]
    fn a_packet_goes_to_everybody_else() {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(audio(8, 8, 1).copies(), 7.0));
        assert!(near(audio(100, 5, 1).copies(), 4.95), "only those of the loud are forwarded");
        let video = Load { media: Media::Video, people: 11, ..audio(0, 0, 1) };
        assert!(near(video.copies(), 10.0));
    }

    #[test]
    fn what_a_packet_in_costs_counts_only_what_was_forwarded() {
        let row = Row { packets_in: 1000.0, kept_up_percent: 50.0, server_cpu_percent: 100.0, ..Row::default() };
        assert!((row.us_per_packet_in() - 2000.0).abs() < 1e-6);
        assert!((row.missing_percent() - 50.0).abs() < 1e-6);
    }

    #[test]
    fn a_row_is_the_difference_of_two_readings() {
        let begin = Instant::now();
        let bots = |sent, received, lost| Totals { sent, received, lost, ..Totals::default() };
        let cpu = |ms| CpuTime { user: Duration::from_millis(ms), system: Duration::from_millis(ms) };
        let before = Reading { server: cpu(100), bots: bots(10, 70, 5), at: begin };
        let after = Reading { server: cpu(200), bots: bots(110, 763, 12), at: begin + Duration::from_secs(2) };
        let row = after.row(before, 7.0);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(near(row.packets_in, 50.0) && near(row.packets_out, 346.5));
        assert!(near(row.kept_up_percent, 99.0) && near(row.lost_percent, 1.0));
        assert!(near(row.server_cpu_percent, 10.0) && near(row.total_us(), 0.2e6 / 693.0));
    }
}
