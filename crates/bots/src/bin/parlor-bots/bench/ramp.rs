//! The most one core carries: rooms of talkers are added until more than one packet in a hundred is missing.

use std::time::Duration;

use parlor_bots::Engine;
use serde::Serialize;

use super::load::Reading;
use super::sfu::{Media, Person, Room, Sfu};

/// Above this share of missing packets, it was too much, in percent.
const MAX_MISSING: f64 = 1.0;
/// Rest between filling a room and measuring.
const SETTLE: Duration = Duration::from_secs(1);
/// Above this load the bots are at their own end, in percent of a core.
const BOTS_FULL: f64 = 95.0;

/// The limits up to which rooms are added.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// People in each room, all of them talking.
    pub people: usize,
    /// Rooms at the most.
    pub rooms: usize,
    /// Length of each step.
    pub window: Duration,
}

/// A step of the ramp.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Step {
    /// How many rooms were filled.
    pub rooms: usize,
    /// Packets forwarded per second.
    pub packets_out: f64,
    /// Share of the packets missing, in percent.
    pub missing_percent: f64,
    /// The server's load, in percent of a core.
    pub server_cpu_percent: f64,
    /// The bots' share of their core.
    pub bots_cpu_percent: f64,
}

/// The reason why the ramp went no further.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum End {
    /// The server was full.
    Server,
    /// The bots were: the server may carry more.
    Bots,
    /// The plan ended: the server may carry more.
    Plan,
    /// A further room could not be filled.
    Fill(String),
}

/// All steps of a ramp.
#[derive(Clone, Debug, Serialize)]
pub struct Ramp {
    /// The name of the server.
    pub sfu: String,
    /// People in each room.
    pub people: usize,
    /// What was measured, in order.
    pub steps: Vec<Step>,
    /// The reason why it ended.
    pub end: End,
}

impl Ramp {
    /// The highest rate with less than 1 % missing.
    pub fn best(&self) -> Option<Step> {
        self.steps.iter().copied().filter(|step| step.missing_percent < MAX_MISSING).max_by(|a, b| a.packets_out.total_cmp(&b.packets_out))
    }
}

/// Adds rooms to a fresh server.
pub async fn measure(sfu: &Sfu, name: &str, engine: &Engine, plan: Plan) -> anyhow::Result<Ramp> {
    let mut people: Vec<Person> = Vec::new();
    let mut ramp = Ramp { sfu: name.to_owned(), people: plan.people, steps: Vec::new(), end: End::Plan };
    for number in 0..plan.rooms {
        // Nothing is decrypted: the rate is what is asked for, and the bots need their core for it.
        let media = Media::Audio { loud: plan.people };
        let room = Room { number, media, people: plan.people, timed: 0, opened: 0 };
        match sfu.fill(engine, room).await {
            Ok(more) => people.extend(more),
            Err(error) if number > 0 => {
                ramp.end = End::Fill(format!("{error:#}"));
                break;
            }
            Err(error) => return Err(error),
        }
        let step = measure_step(sfu, engine, room, plan.window).await?;
        ramp.steps.push(step);
        if let Some(end) = end(&step) {
            ramp.end = end;
            break;
        }
    }
    Ok(ramp)
}

#[expect(clippy::cast_precision_loss, reason = "counts of people")]
async fn measure_step(sfu: &Sfu, engine: &Engine, room: Room, window: Duration) -> anyhow::Result<Step> {
    tokio::time::sleep(SETTLE.min(window)).await;
    let before = Reading::take(sfu, engine).await?;
    tokio::time::sleep(window).await;
    let row = Reading::take(sfu, engine).await?.row(before, room.destinations() as f64);
    Ok(Step {
        rooms: room.number + 1,
        packets_out: row.packets_out,
        missing_percent: row.missing_percent().max(0.0),
        server_cpu_percent: row.server_cpu_percent,
        bots_cpu_percent: row.bots_cpu_percent,
    })
}

fn end(step: &Step) -> Option<End> {
    let bots = step.bots_cpu_percent > BOTS_FULL;
    (step.missing_percent >= MAX_MISSING || bots).then_some(if bots { End::Bots } else { End::Server })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(packets_out: f64, missing_percent: f64, bots_cpu_percent: f64) -> Step {
        Step { rooms: 1, packets_out, missing_percent, server_cpu_percent: 90.0, bots_cpu_percent }
    }

    #[test]
    fn the_best_step_is_the_highest_that_lost_less_than_one_percent() {
        let steps = vec![step(100.0, 0.0, 10.0), step(200.0, 0.9, 20.0), step(250.0, 1.0, 30.0)];
        let ramp = Ramp { sfu: "Parlor".into(), people: 25, steps, end: End::Server };
        assert!((ramp.best().expect("a step").packets_out - 200.0).abs() < 1e-9);
        assert!(Ramp { steps: vec![step(1.0, 5.0, 1.0)], ..ramp }.best().is_none());
    }

    #[test]
    fn full_bots_are_not_taken_for_a_full_server() {
        assert_eq!(end(&step(1.0, 0.5, 50.0)), None);
        assert_eq!(end(&step(1.0, 2.0, 50.0)), Some(End::Server));
        assert_eq!(end(&step(1.0, 2.0, 99.0)), Some(End::Bots));
    }
}
