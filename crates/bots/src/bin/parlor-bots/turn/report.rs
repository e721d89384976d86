//! The results: a table for people, and JSON.

use std::fmt;

use anyhow::bail;
use serde::Serialize;

use super::load::{Load, Row};
use super::servers::Server;

/// How many times coturn's packets a second of processor time ours should be.
const GOAL: f64 = 3.0;
/// Bytes of memory that an allocation may take.
const MEMORY_GOAL: f64 = 4_096.0;
/// Losses from which on a row says nothing, in percent.
const TOO_MANY_LOST: f64 = 1.0;

/// Everything measured in one run.
#[derive(Debug, Serialize)]
pub struct Report {
    short: bool,
    rows: Vec<Line>,
    allocations: usize,
    bytes_per_allocation: f64,
    notes: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Line {
    load: String,
    server: String,
    #[serde(flatten)]
    row: Row,
}

impl Report {
    /// A report with nothing measured yet.
    pub const fn new(short: bool) -> Self {
        Self { short, rows: Vec::new(), allocations: 0, bytes_per_allocation: 0.0, notes: Vec::new() }
    }

    /// Adds a result: ours before the other's.
    pub fn add(&mut self, server: &Server, load: &Load, row: Row) {
        self.rows.push(Line { load: load.to_string(), server: server.to_string(), row });
    }

    /// Adds the memory of an allocation.
    pub const fn memory(&mut self, allocations: usize, bytes: f64) {
        (self.allocations, self.bytes_per_allocation) = (allocations, bytes);
    }

    /// Adds what was not measured, and why.
    pub fn note(&mut self, note: &'static str) {
        self.notes.push(note);
    }

    /// An error if nothing came through: then the numbers mean nothing.
    pub fn verdict(&self) -> anyhow::Result<()> {
        match self.rows.iter().find(|line| line.row.lost_percent > 50.0) {
            Some(line) => bail!("{} through {}: more than half of the packets were lost", line.load, line.server),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.short {
            writeln!(f, "A quick look: the numbers are no measurement.")?;
        }
        writeln!(
            f,
            "{:<28}{:<10}{:>12}{:>10}{:>10}{:>10}{:>9}",
            "relayed", "server", "packets/s", "µs each", "user µs", "/CPU-s", "lost %"
        )?;
        for line in &self.rows {
            let Row { relayed_per_second, us_per_packet, user_us, lost_percent } = line.row;
            let per_cpu = 1e6 / us_per_packet.max(0.001);
            let doubt = if lost_percent > TOO_MANY_LOST { " *" } else { "" };
            writeln!(
                f,
                "{:<28}{:<10}{relayed_per_second:>12.0}{us_per_packet:>10.2}{user_us:>10.2}{per_cpu:>10.0}{lost_percent:>9.2}{doubt}",
                line.load, line.server
            )?;
        }
        for ours in self.rows.iter().filter(|line| line.server == "Parlor") {
            let Some(theirs) = self.rows.iter().find(|line| line.load == ours.load && line.server != ours.server) else { continue };
            let times = theirs.row.us_per_packet / ours.row.us_per_packet.max(0.001);
            writeln!(f, "{}: {times:.1} times coturn's packets in a second of processor time (goal {GOAL:.0})", ours.load)?;
        }
        writeln!(
            f,
            "{} allocations: {:.0} bytes each (goal {MEMORY_GOAL:.0}), beside what the kernel has for sockets",
            self.allocations, self.bytes_per_allocation
        )?;
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}
