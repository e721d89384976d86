//! The time until everybody in a room knows of an update.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::Measured;
use super::line::Line;
use super::loads::Clock;
use super::report::{Quantiles, Report};

/// People in the room.
const ROOM: usize = 25;
/// Between two updates. They come from each in turn, so that nobody meets the limit of a session.
const PAUSE: Duration = Duration::from_millis(10);
/// The longest an update may take to reach everybody.
const PATIENCE: Duration = Duration::from_secs(10);
/// What 99 of 100 updates should take less than, in milliseconds.
const GOAL: f64 = 5.0;
/// What others are told of an update.
const TOLD: &str = "42[\"voice:participant:state\"";

/// Lets everybody in a room change their state in turn, and measures until the last of the others was told.
pub async fn measure(measured: &Measured, name: &str, window: Duration, report: &mut Report) -> anyhow::Result<()> {
    let (told, mut ears) = mpsc::unbounded_channel();
    let (mut room, mut mouths) = (JoinSet::new(), Vec::new());
    for number in 0..ROOM {
        let mut line = Line::connect(&measured.target, "voter", number).await?;
        line.request("voice:join", "{\"channelId\":\"broadcast\"}").await?;
        let (mouth, orders) = mpsc::channel(1);
        mouths.push(mouth);
        room.spawn(sit(line, orders, told.clone()));
    }
    // Whoever came early is told of those who came later, not of updates: nothing to wait for.
    let mut tick = interval(PAUSE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (clock, begin) = (Clock::start(&measured.server)?, Instant::now());
    let mut times = Vec::new();
    let mut muted = false;
    while begin.elapsed() < window {
        muted = !muted;
        for mouth in &mouths {
            tick.tick().await;
            let sent = Instant::now();
            mouth.send(muted).await.context("a session broke")?;
            let mut last = sent;
            for _ in 1..ROOM {
                last = match timeout(PATIENCE, ears.recv()).await {
                    Ok(Some(at)) => at,
                    Ok(None) => bail!("the room broke"),
                    Err(_) => bail!("an update did not reach everybody"),
                };
            }
            times.push(last.duration_since(sent));
        }
    }
    let (_, loads) = clock.stop(&measured.server)?;
    let Quantiles { p50_ms, p99_ms } = Quantiles::of(&times)?;
    report.add(name, "until all 24 others were told, p50 ms", p50_ms, None, Some(loads));
    report.add(name, "until all 24 others were told, p99 ms", p99_ms, Some(GOAL), None);
    Ok(())
}

/// A participant, who says what it is told to say, and when it heard of others.
async fn sit(mut line: Line, mut orders: mpsc::Receiver<bool>, told: mpsc::UnboundedSender<Instant>) {
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some(muted) = order else { break };
                if line.send("voice:state:update", &format!("{{\"muted\":{muted}}}")).await.is_err() {
                    break;
                }
            }
            text = line.next() => match text {
                Ok(text) if text.starts_with(TOLD) => drop(told.send(Instant::now())),
                Ok(_) => {}
                Err(_) => break,
            },
        }
    }
    line.close().await;
}
