//! What a session costs that is only there.

use std::time::{Duration, Instant};

use anyhow::bail;

use super::Measured;
use super::line::Crowd;
use super::loads::Clock;
use super::report::Report;

/// Memory of a session we want to stay below, in KiB.
const MEMORY_GOAL: f64 = 32.0;
/// Longer than a heartbeat's interval: every buffer has been used once.
const SETTLE: Duration = Duration::from_secs(9);
/// The longest the server may take to forget sessions that are gone.
const FORGET: Duration = Duration::from_secs(30);

/// Connects so many sessions, lets them rest, and cuts them off.
pub async fn measure(measured: &Measured, sessions: usize, window: Duration, report: &mut Report) -> anyhow::Result<()> {
    let process = &measured.server.process;
    let each = |now: u64, before: u64| kib(now.saturating_sub(before)) / count(sessions);
    // The first ones make the server's tables and threads, which are not theirs.
    drop(Crowd::connect(&measured.target, "first", 10).await?);
    until_empty(measured).await?;
    let before = process.memory()?;

    let clock = Clock::start(&measured.server)?;
    let mut crowd = Crowd::connect(&measured.target, "idle", sessions).await?;
    let (took, loads) = clock.stop(&measured.server)?;
    let connected = process.memory()?;
    let name = format!("{sessions} idle sessions");
    report.add(&name, "connected, a second", count(sessions) / took.as_secs_f64(), None, Some(loads));
    report.add(&name, "memory of each when all are connected, KiB", each(connected, before), Some(MEMORY_GOAL), None);

    tokio::time::sleep(SETTLE).await;
    let clock = Clock::start(&measured.server)?;
    tokio::time::sleep(window).await;
    let (_, loads) = clock.stop(&measured.server)?;
    crowd.check()?;
    report.add(&name, "memory of each when all had a heartbeat, KiB", each(process.memory()?, before), Some(MEMORY_GOAL), None);
    report.add(&name, "processor time at rest, % of a core", loads.server_percent, None, Some(loads));

    // What the allocator keeps is used again: a second crowd as large as the first costs nothing more.
    let full = process.memory()?;
    drop(crowd);
    until_empty(measured).await?;
    let mut crowd = Crowd::connect(&measured.target, "again", sessions).await?;
    crowd.check()?;
    report.add(&name, "more memory when as many come again, KiB each", each(process.memory()?, full), None, None);
    Ok(())
}

async fn until_empty(measured: &Measured) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        let left = measured.sessions().await?;
        if left == 0 {
            return Ok(());
        }
        if begin.elapsed() > FORGET {
            bail!("the server still counts {left} sessions {} s after they were cut off", FORGET.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "memory of a machine")]
fn kib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}

#[expect(clippy::cast_precision_loss, reason = "some thousand sessions")]
fn count(sessions: usize) -> f64 {
    sessions as f64
}
