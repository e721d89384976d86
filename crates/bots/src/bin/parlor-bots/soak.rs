//! `parlor-bots soak`: people come, talk, show themselves and go for a long time, in several rooms; the server's memory
//! has to stay flat.

mod trend;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use parlor_bots::{AudioOptions, Bot, BotError, BotOptions, Engine, VideoOptions};
use serde_json::Value;

use crate::bench::server::{BenchServer, Started};
use trend::Trend;

/// Rooms, and people who come and go in each.
const ROOMS: usize = 4;
const SEATS: usize = 6;
/// Every so many people show themselves.
const SHOWS: usize = 3;
/// For how long somebody stays and stays away, in milliseconds.
const STAY: std::ops::Range<u64> = 1_000..6_000;
const AWAY: std::ops::Range<u64> = 100..1_000;
/// The time for which who went without a word is waited for: less than the shortest stay, so that nobody is alone with them.
const GRACE_MS: &str = "500";
/// The longest a newcomer may wait for a connection.
const PATIENCE: Duration = Duration::from_secs(15);
/// The longest until everybody who leaves at the end is forgotten, those included who went without a word.
const FORGET: Duration = Duration::from_secs(45);
/// The part of the run that counts; before, buffers, pools and the allocator's arenas grow to their size.
const COUNTED: f64 = 0.5;
/// What the memory may grow by each second of that part: in a run of ten minutes, with [`NOISE`], some 3 KiB for every one who came.
const MAX_GROWTH: f64 = 4.0 * 1024.0;
/// What it may move by without growing: the allocator gives memory back late, and how many are there varies.
const NOISE: f64 = 4.0 * 1024.0 * 1024.0;

/// The arguments of `soak`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The server to try
    #[arg(long, env = "PARLOR_BIN", value_name = "FILE", default_value = "target/release/parlor")]
    server: PathBuf,
    /// For how long
    #[arg(long, env = "SOAK_SECONDS", default_value_t = 600, value_name = "N")]
    seconds: u64,
}

/// What happened, over all seats.
#[derive(Default)]
struct Happened {
    joins: AtomicU64,
    failures: AtomicU64,
    /// Stays in which something was received, and in which nothing was though somebody sent.
    heard: AtomicU64,
    deaf: AtomicU64,
    over: AtomicBool,
}

/// Runs for the time asked for, and says what passed.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let length = Duration::from_secs(arguments.seconds.max(4));
    let mut server = match BenchServer::start(&arguments.server, &[], &[("limits.resume_grace_ms", GRACE_MS)]).await? {
        Started::Up(server) => server,
        Started::Unknown(name) => anyhow::bail!("the server does not know {name}"),
    };
    let engine = Engine::start(None)?;
    let happened = Arc::new(Happened::default());
    let seat = |number: usize| tokio::spawn(sit(server.url().to_owned(), engine.clone(), number, Arc::clone(&happened)));
    let seats: Vec<_> = (0..ROOMS * SEATS).map(seat).collect();
    let (begin, mut trend) = (Instant::now(), Trend::default());
    let mut said = Duration::ZERO;
    while begin.elapsed() < length {
        let pause = (length / 200).clamp(Duration::from_millis(200), Duration::from_secs(2));
        tokio::time::sleep(pause).await;
        let memory = server.process.memory()?;
        trend.add(begin.elapsed(), memory);
        if begin.elapsed().saturating_sub(said) > length / 10 {
            said = begin.elapsed();
            eprintln!("{:>5} s: {:>7} KiB, {} joins", said.as_secs(), memory / 1024, happened.joins.load(Ordering::Relaxed));
        }
    }
    happened.over.store(true, Ordering::Relaxed);
    for seat in seats {
        seat.await?;
    }
    let emptied = wait_until_empty(&server).await;
    let checks = judge(&happened, &trend, length, emptied, server.process.is_running());
    let failed = checks.iter().filter(|(passed, _)| !passed).count();
    for (passed, what) in &checks {
        println!("{} {what}", if *passed { "ok    " } else { "FAILED" });
    }
    println!("{} passed, {failed} failed", checks.len() - failed);
    if failed > 0 {
        println!("{}", server.process.output());
        anyhow::bail!("the soak failed");
    }
    Ok(())
}

fn judge(happened: &Happened, trend: &Trend, length: Duration, emptied: bool, running: bool) -> Vec<(bool, String)> {
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (joins, failures, heard, deaf) = (of(&happened.joins), of(&happened.failures), of(&happened.heard), of(&happened.deaf));
    let counted = length.mul_f64(COUNTED);
    let slope = trend.slope(length.saturating_sub(counted));
    let growth = slope.unwrap_or(f64::INFINITY) * counted.as_secs_f64();
    let allowed = MAX_GROWTH.mul_add(counted.as_secs_f64(), NOISE);
    vec![
        (running, "the server still runs".to_owned()),
        (joins > 0 && failures == 0, format!("{joins} joins, {failures} of them failed")),
        (heard > 0 && deaf == 0, format!("{heard} stays with media of others, {deaf} without")),
        (
            growth <= allowed,
            format!(
                "memory: {:.0} KiB/s over the last {:.0} s, {:.0} KiB in all, at most {:.0} KiB",
                slope.unwrap_or_default() / 1024.0,
                counted.as_secs_f64(),
                growth / 1024.0,
                allowed / 1024.0
            ),
        ),
        (emptied, "nobody is left when all have gone".to_owned()),
    ]
}

/// Fills one seat: somebody comes, stays, goes, and somebody else comes. The same person may not come as often as that.
async fn sit(url: String, engine: Engine, number: usize, happened: Arc<Happened>) {
    let room = format!("soak-{}", number % ROOMS);
    let (mut visits, mut times) = (0u64, 0u64);
    while !happened.over.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(rand::random_range(AWAY))).await;
        visits += 1;
        let options = BotOptions { open_streams: 2, ..BotOptions::new(&url, &room, &format!("guest-{number}-{visits}")) };
        happened.joins.fetch_add(1, Ordering::Relaxed);
        match stay(&engine, options, (number / ROOMS).is_multiple_of(SHOWS)).await {
            Ok((bot, heard)) => {
                match heard {
                    Some(true) => drop(happened.heard.fetch_add(1, Ordering::Relaxed)),
                    Some(false) => drop(happened.deaf.fetch_add(1, Ordering::Relaxed)),
                    None => {}
                }
                times += 1;
                // Some go without a word.
                if times.is_multiple_of(4) {
                    drop(bot);
                } else if let Err(error) = bot.leave().await {
                    tracing::warn!(%error, "could not leave");
                    happened.failures.fetch_add(1, Ordering::Relaxed);
                }
            }
            Err(error) => {
                tracing::warn!(%error, number, "could not take part");
                happened.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Takes part for a while; whether anything was heard, if somebody else was there all the time.
async fn stay(engine: &Engine, options: BotOptions, shows: bool) -> Result<(Bot, Option<bool>), BotError> {
    let bot = Bot::join(engine, options).await?;
    bot.connected(PATIENCE).await?;
    bot.produce_audio(AudioOptions::default()).await?;
    if shows {
        bot.produce_video(VideoOptions { bitrates: vec![100_000, 300_000], ..VideoOptions::default() }).await?;
    }
    tokio::time::sleep(Duration::from_millis(rand::random_range(STAY))).await;
    let stats = bot.stats().await?;
    let expected = !stats.streams.is_empty();
    let heard = stats.streams.iter().any(|(_, stream)| stream.packets > 0);
    Ok((bot, expected.then_some(heard)))
}

async fn wait_until_empty(server: &BenchServer) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < FORGET {
        if server.counters().await.is_ok_and(|text| is_empty(&text)) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    false
}

/// Whether the server counts neither rooms nor sessions any more.
fn is_empty(counters: &str) -> bool {
    serde_json::from_str::<Value>(counters)
        .is_ok_and(|counters| ["rooms", "sessions"].iter().all(|name| counters.get(name).and_then(Value::as_u64) == Some(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened(joins: u64, failures: u64, heard: u64, deaf: u64) -> Happened {
        let [joins, failures, heard, deaf] = [joins, failures, heard, deaf].map(AtomicU64::new);
        Happened { joins, failures, heard, deaf, over: AtomicBool::new(true) }
    }

    fn trend(bytes_per_second: u64) -> Trend {
        let mut trend = Trend::default();
        (0..600).for_each(|second| trend.add(Duration::from_secs(second), 50_000_000 + second * bytes_per_second));
        trend
    }

    fn failed(happened: &Happened, trend: &Trend) -> usize {
        judge(happened, trend, Duration::from_secs(600), true, true).iter().filter(|(passed, _)| !passed).count()
    }

    #[test]
    fn memory_that_grows_fails() {
        assert_eq!(failed(&happened(9, 0, 9, 0), &trend(1_000)), 0);
        assert_eq!(failed(&happened(9, 0, 9, 0), &trend(40_000)), 1);
        assert_eq!(failed(&happened(9, 0, 9, 0), &Trend::default()), 1, "nothing measured is no success");
    }

    #[test]
    fn a_join_that_fails_and_a_stay_without_media_fail() {
        assert_eq!(failed(&happened(9, 1, 9, 0), &trend(0)), 1);
        assert_eq!(failed(&happened(9, 0, 9, 1), &trend(0)), 1);
        assert_eq!(failed(&happened(0, 0, 0, 0), &trend(0)), 2, "nothing tried is no success");
    }

    #[test]
    fn a_server_is_empty_without_rooms_and_sessions() {
        assert!(is_empty(r#"{"rooms":0,"sessions":0,"workers":[]}"#));
        for text in ["", "{}", r#"{"rooms":1,"sessions":0}"#, r#"{"rooms":0,"sessions":2}"#] {
            assert!(!is_empty(text), "{text}");
        }
    }
}
