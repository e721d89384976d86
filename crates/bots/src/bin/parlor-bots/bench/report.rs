//! The results: a table for people, and JSON.

use std::fmt;
use std::time::Duration;

use anyhow::bail;
use serde::Serialize;

use super::latency::Latency;
use super::load::Row;

/// Above this load the bots themselves may have caused loss and delay, in percent of a core.
const BOTS_BUSY: f64 = 85.0;
/// Below this share of what was sent, the server did not keep up, in percent.
const KEPT_UP: f64 = 97.0;

/// Everything measured in one run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    short: bool,
    window_s: f64,
    loads: Vec<Row>,
    latency: Option<Latency>,
}

impl Report {
    /// Nothing measured yet.
    pub const fn new(short: bool, window: Duration) -> Self {
        Self { short, window_s: window.as_secs_f64(), loads: Vec::new(), latency: None }
    }

    /// Adds a workload.
    pub fn add_load(&mut self, row: Row) {
        self.loads.push(row);
    }

    /// Adds the join latency.
    pub fn set_latency(&mut self, latency: Latency) {
        self.latency = Some(latency);
    }

    /// An error if nothing came through: then the numbers mean nothing.
    pub fn verdict(&self) -> anyhow::Result<()> {
        for row in &self.loads {
            if row.packets_out < 1.0 {
                bail!("{}: nothing was forwarded", row.name);
            }
            if row.lost_percent > 50.0 {
                bail!("{}: more than half of the packets were lost", row.name);
            }
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.short {
            writeln!(f, "A quick look: the numbers are no measurement.")?;
        }
        if !self.loads.is_empty() {
            self.write_loads(f)?;
            self.write_limits(f)?;
        }
        if let Some(latency) = &self.latency {
            writeln!(f, "\nJoin latency, from the request to the first packet that can be decoded ({} joins):", latency.joins)?;
            writeln!(f, "{:<18}{:>10}{:>10}", "", "p50 ms", "p95 ms")?;
            for (name, q) in [("audio", latency.audio), ("video", latency.video)] {
                writeln!(f, "{name:<18}{:>10.1}{:>10.1}", q.p50_ms, q.p95_ms)?;
            }
        }
        Ok(())
    }
}

/// What a reader has to know before believing a row.
fn remark(row: &Row) -> String {
    if row.bots_cpu_percent > BOTS_BUSY || row.skipped_frames > 0 {
        format!("  (the bots did not keep up: {} frames not sent)", row.skipped_frames)
    } else if row.kept_up_percent < KEPT_UP {
        format!("  (saturated: forwards {:.0}% of what arrives, the rest waits)", row.kept_up_percent)
    } else {
        String::new()
    }
}

impl Report {
    fn write_loads(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nForwarding, {:.0} s each; µs are server processor time per forwarded packet:", self.window_s)?;
        writeln!(
            f,
            "{:<18}{:>9}{:>9}{:>8}{:>8}{:>8}{:>8}{:>9}{:>9}{:>8}{:>10}{:>7}{:>12}",
            "workload", "in/s", "out/s", "µs", "user", "system", "server", "p50 ms", "p99 ms", "loss", "KiB/head", "bots", "timed"
        )?;
        for row in &self.loads {
            writeln!(
                f,
                "{:<18}{:>9.0}{:>9.0}{:>8.2}{:>8.2}{:>8.2}{:>7.0}%{:>9.2}{:>9.2}{:>7.2}%{:>10.0}{:>6.0}%{:>12}{}",
                row.name,
                row.packets_in,
                row.packets_out,
                row.user_us + row.system_us,
                row.user_us,
                row.system_us,
                row.server_cpu_percent,
                row.delay_p50_ms,
                row.delay_p99_ms,
                row.lost_percent,
                row.memory_kib,
                row.bots_cpu_percent,
                row.opened_streams,
                remark(row),
            )?;
        }
        writeln!(f, "server, bots: load in percent of a core. timed: streams decrypted for delays, of all;")?;
        writeln!(f, "the others are counted by their clear headers. Loss is counted on all.")
    }

    fn write_limits(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nThe limit: a bare loop that seals and sends the same packets, µs per packet (user + system),")?;
        writeln!(f, "and how many times that the server needs:")?;
        writeln!(f, "{:<18}{:>24}{:>24}{:>24}", "workload", "sendto", "sendmmsg", "GSO, 5 at a time")?;
        for row in &self.loads {
            let total = row.user_us + row.system_us;
            let cell = |cost: super::limit::Cost| {
                format!("{:.2} ({:.2}+{:.2}) {:>5.1}x", cost.total(), cost.user_us, cost.system_us, total / cost.total().max(0.001))
            };
            let limits = row.limits;
            writeln!(f, "{:<18}{:>24}{:>24}{:>24}", row.name, cell(limits.sendto), cell(limits.sendmmsg), cell(limits.gso))?;
        }
        Ok(())
    }
}
