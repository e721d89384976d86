//! The rate at which people get into rooms in which others are.

use std::time::Duration;

use anyhow::Context;
use futures_util::TryStreamExt;
use futures_util::stream::{self, StreamExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Measured;
use super::line::{AT_ONCE, Crowd, Line, Target, order};
use super::loads::Clock;
use super::report::{Quantiles, Report};

/// People in each room.
const ROOM: usize = 8;

/// How many people join, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many people are there while others come.
    pub people: usize,
    /// Joins a second then.
    pub rate: u32,
    /// The time for which they come.
    pub window: Duration,
}

/// Fills rooms as fast as the server can, then lets others come at a fixed rate; gives those who are there.
pub async fn measure(measured: &Measured, plan: &Plan, report: &mut Report) -> anyhow::Result<Crowd> {
    let mut crowd = Crowd::connect(&measured.target, "member", plan.people).await?;
    let rooms = plan.people.div_ceil(ROOM);
    let name = format!("{} people in rooms of {ROOM}", plan.people);
    let clock = Clock::start(&measured.server)?;
    let join = |(number, member)| order(member, "voice:join", channel(number % rooms));
    stream::iter(crowd.members().iter().enumerate()).map(join).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let (took, loads) = clock.stop(&measured.server)?;
    #[expect(clippy::cast_precision_loss, reason = "some thousand people")]
    let rate = plan.people as f64 / took.as_secs_f64();
    report.add(&name, "joined, a second, 64 at a time", rate, None, Some(loads));

    let clock = Clock::start(&measured.server)?;
    let (whole, joining) = newcomers(&measured.target, plan, rooms).await?;
    let (_, loads) = clock.stop(&measured.server)?;
    crowd.check()?;
    let name = format!("{name}, {} joins/s", plan.rate);
    report.add(&name, "join, p50 ms", joining.p50_ms, None, Some(loads));
    report.add(&name, "join, p99 ms", joining.p99_ms, None, None);
    report.add(&name, "connect and join, p50 ms", whole.p50_ms, None, None);
    report.add(&name, "connect and join, p99 ms", whole.p99_ms, None, None);
    Ok(crowd)
}

/// Each comes at its time, whether or not those before are in: who has to wait for a slow server is counted so.
/// What they waited from that time on, and from `voice:join` on.
async fn newcomers(target: &Target, plan: &Plan, rooms: usize) -> anyhow::Result<(Quantiles, Quantiles)> {
    let (begin, pause) = (Instant::now(), Duration::from_secs(1) / plan.rate);
    let mut coming = JoinSet::new();
    let mut times = Vec::new();
    for number in 0.. {
        let due = begin + pause * number;
        if due.duration_since(begin) >= plan.window {
            break;
        }
        sleep_until(due).await;
        let (target, number) = (target.clone(), number as usize);
        coming.spawn(async move {
            let mut line = Line::connect(&target, "newcomer", number).await?;
            let asked = Instant::now();
            line.request("voice:join", &channel(number % rooms)).await?;
            let times = (due.elapsed(), asked.elapsed());
            line.request("voice:leave", "{}").await?;
            line.close().await;
            anyhow::Ok(times)
        });
        while let Some(done) = coming.try_join_next() {
            times.push(done??);
        }
    }
    while let Some(done) = coming.join_next().await {
        times.push(done?.context("a newcomer did not get in")?);
    }
    let (whole, joining): (Vec<_>, Vec<_>) = times.into_iter().unzip();
    Ok((Quantiles::of(&whole)?, Quantiles::of(&joining)?))
}

fn channel(room: usize) -> String {
    format!("{{\"channelId\":\"room-{room}\"}}")
}
