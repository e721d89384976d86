//! The results: a table for people, and JSON.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::loads::Loads;

/// Everything measured in one run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    short: bool,
    figures: Vec<Figure>,
}

/// A number of the report.
#[derive(Clone, Debug, Serialize)]
struct Figure {
    /// The load under which it was measured.
    load: String,
    /// The words that say what it is.
    what: &'static str,
    /// The number itself.
    value: f64,
    /// What it should be below.
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<f64>,
    /// The load of both sides meanwhile.
    #[serde(flatten)]
    loads: Option<Loads>,
}

/// A distribution of times in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Quantiles {
    /// The time that half of them took less than.
    pub p50_ms: f64,
    /// 99 of 100 took less.
    pub p99_ms: f64,
}

impl Quantiles {
    /// The distribution of these times.
    pub fn of(times: &[Duration]) -> anyhow::Result<Self> {
        let mut histogram = Histogram::<u32>::new(3)?;
        for time in times {
            histogram.record(u64::try_from(time.as_micros())?)?;
        }
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a few seconds")]
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Ok(Self { p50_ms: at(0.5), p99_ms: at(0.99) })
    }
}

impl Report {
    /// A report with nothing measured yet.
    pub const fn new(short: bool) -> Self {
        Self { short, figures: Vec::new() }
    }

    /// Adds a number to the report.
    pub fn add(&mut self, load: &str, what: &'static str, value: f64, goal: Option<f64>, loads: Option<Loads>) {
        self.figures.push(Figure { load: load.to_owned(), what, value, goal, loads });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.short {
            writeln!(f, "A quick look: the numbers are no measurement.")?;
        }
        let mut load = "";
        for figure in &self.figures {
            if figure.load != load {
                load = &figure.load;
                writeln!(f, "\n{load:<56}{:>10}{:>8}{:>8}{:>8}  limit", "", "goal", "server", "bots")?;
            }
            let goal = figure.goal.map(|goal| format!("< {goal}")).unwrap_or_default();
            write!(f, "  {:<54}{:>10.1}{goal:>8}", figure.what, figure.value)?;
            match &figure.loads {
                Some(loads) => writeln!(f, "{:>7.0}%{:>7.0}%  {}", loads.server_percent, loads.bots_percent, loads.limit())?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
