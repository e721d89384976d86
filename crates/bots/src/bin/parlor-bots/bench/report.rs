//! The results: a table for people, and JSON.

use std::fmt;
use std::time::Duration;

use anyhow::bail;
use serde::Serialize;

use super::PARLOR;
use super::compare;
use super::latency::Latency;
use super::limit::Cost;
use super::load::Row;
use super::ramp::{End, Ramp};

/// Above this load the bots themselves may have caused loss and delay, in percent of a core.
const BOTS_BUSY: f64 = 85.0;
/// Below this share of what was sent, the server did not keep up, in percent.
const KEPT_UP: f64 = 97.0;
/// Below this load a server that does not keep up was kept from it, in percent of a core.
const SATURATED: f64 = 85.0;
/// What the loudest of a large room may cost at the most, of what forwarding all costs.
const LOUDEST_TARGET: f64 = 0.1;

/// Everything measured in one run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    short: bool,
    window_s: f64,
    loads: Vec<Row>,
    ramps: Vec<Ramp>,
    latency: Option<Latency>,
    notes: Vec<String>,
    failures: Vec<String>,
}

impl Report {
    /// A report with nothing measured yet.
    pub const fn new(short: bool, window: Duration) -> Self {
        Self {
            short,
            window_s: window.as_secs_f64(),
            loads: Vec::new(),
            ramps: Vec::new(),
            latency: None,
            notes: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Adds the result of a workload.
    pub fn add_load(&mut self, row: Row) {
        self.loads.push(row);
    }

    /// Adds a highest rate: ours before the peer's.
    pub fn add_ramp(&mut self, ramp: Ramp) {
        self.ramps.push(ramp);
    }

    /// Adds the join latency.
    pub fn set_latency(&mut self, latency: Latency) {
        self.latency = Some(latency);
    }

    /// Adds what could not be measured, and why.
    pub fn add_note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Adds what our own server could not do.
    pub fn add_failure(&mut self, failure: String) {
        self.failures.push(failure);
    }

    /// An error if nothing came through: then the numbers mean nothing.
    pub fn verdict(&self) -> anyhow::Result<()> {
        if let Some(failure) = self.failures.first() {
            bail!("{} of the measurements failed, the first: {failure}", self.failures.len());
        }
        for row in self.loads.iter().filter(|row| row.sfu == PARLOR) {
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
            self.write_pairs(f)?;
            self.write_loudest(f)?;
        }
        if !self.ramps.is_empty() {
            self.write_ramps(f)?;
        }
        if let Some(latency) = &self.latency {
            writeln!(f, "\nJoin latency, from the request to the first packet that can be decoded ({} joins):", latency.joins)?;
            writeln!(f, "{:<18}{:>10}{:>10}", "", "p50 ms", "p95 ms")?;
            for (name, q) in [("audio", latency.audio), ("video", latency.video)] {
                writeln!(f, "{name:<18}{:>10.1}{:>10.1}", q.p50_ms, q.p95_ms)?;
            }
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))?;
        self.failures.iter().try_for_each(|failure| writeln!(f, "failed: {failure}"))
    }
}

/// What a reader has to know before believing a row.
fn remark(row: &Row) -> String {
    if row.bots_cpu_percent > BOTS_BUSY || row.skipped_frames > 0 {
        format!("  (the bots did not keep up: {} frames not sent)", row.skipped_frames)
    } else if row.kept_up_percent < KEPT_UP && row.server_cpu_percent < SATURATED {
        "  (the server did not get its core: something else runs on this machine)".to_owned()
    } else if row.kept_up_percent < KEPT_UP {
        format!("  (saturated: forwards {:.0}% of what arrives, the rest waits or is lost)", row.kept_up_percent)
    } else {
        String::new()
    }
}

impl Report {
    fn write_loads(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nForwarding, {:.0} s each; µs are server processor time per forwarded packet:", self.window_s)?;
        writeln!(
            f,
            "{:<20}{:<12}{:>8}{:>9}{:>8}{:>8}{:>8}{:>8}{:>9}{:>9}{:>8}{:>10}{:>7}{:>12}",
            "workload", "server", "in/s", "out/s", "µs", "user", "system", "load", "p50 ms", "p99 ms", "loss", "KiB/head", "bots", "timed"
        )?;
        for row in &self.loads {
            writeln!(
                f,
                "{:<20}{:<12}{:>8.0}{:>9.0}{:>8.2}{:>8.2}{:>8.2}{:>7.0}%{:>9.2}{:>9.2}{:>7.2}%{:>10.0}{:>6.0}%{:>12}{}",
                row.name,
                row.sfu,
                row.packets_in,
                row.packets_out,
                row.total_us(),
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
        writeln!(f, "load, bots: of the server and the bots, in percent of a core. timed: streams decrypted for delays, of all;")?;
        writeln!(f, "the others are counted by their clear headers. Loss is counted on all.")
    }

    fn write_pairs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nSide by side, µs per packet. The limit is a bare loop that seals and sends the same packets:")?;
        writeln!(f, "how many times {PARLOR}'s time the peer needs, and how many times the limit's {PARLOR} needs:")?;
        writeln!(
            f,
            "{:<20}{:>8}{:>16}{:>16}{:>18}{:>22}{:>22}",
            "workload", PARLOR, "peer", "limit: sendto", "limit: sendmmsg", "the same, every 0.8 ms", "limit: GSO, 5 at once"
        )?;
        for pair in compare::pairs(&self.loads, PARLOR) {
            let ours = pair.ours.total_us();
            let limit = |cost: Cost| format!("{:.2} {:>6.1}x", cost.total(), ours / cost.total().max(0.001));
            let limits = pair.ours.limits;
            let peer = pair.theirs.map(|row| format!("{:.2} {:>5.1}x", row.total_us(), row.total_us() / ours.max(0.001)));
            writeln!(
                f,
                "{:<20}{:>8.2}{:>16}{:>16}{:>18}{:>22}{:>22}",
                pair.ours.name,
                ours,
                peer.unwrap_or_else(|| "-".to_owned()),
                limit(limits.sendto),
                limit(limits.sendmmsg),
                limit(limits.calm),
                limit(limits.gso)
            )?;
        }
        Ok(())
    }

    fn write_loudest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((few, all, ratio)) = compare::loudest(&self.loads) else { return Ok(()) };
        let verdict = if ratio <= LOUDEST_TARGET { "within" } else { "above" };
        writeln!(
            f,
            "\nOnly the loudest: for each packet in, {} costs {:.1} µs and {} {:.1} µs:",
            few.name,
            few.us_per_packet_in(),
            all.name,
            all.us_per_packet_in()
        )?;
        writeln!(f, "{ratio:.3} of it, {verdict} the target of {LOUDEST_TARGET}.")
    }

    fn write_ramps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nThe highest rate of one core with less than 1 % of the packets missing, rooms of talkers added one by one:")?;
        for ramp in &self.ramps {
            let end = match &ramp.end {
                End::Server => "then the server was full".to_owned(),
                End::Bots => "then the bots were full: the server may carry more".to_owned(),
                End::Plan => "no more was tried".to_owned(),
                End::Fill(reason) => format!("then a further room could not be filled: {reason}"),
            };
            match ramp.best() {
                Some(best) => writeln!(
                    f,
                    "{:<12}{:>9.0} packets/s  ({} rooms of {}; server {:.0}%, bots {:.0}%; {end})",
                    ramp.sfu, best.packets_out, best.rooms, ramp.people, best.server_cpu_percent, best.bots_cpu_percent
                )?,
                None => writeln!(f, "{:<12}        0 packets/s  ({end})", ramp.sfu)?,
            }
            for step in &ramp.steps {
                writeln!(
                    f,
                    "{:>14} rooms {:>9.0}/s  {:>6.2}% missing  server {:>3.0}%  bots {:>3.0}%",
                    step.rooms, step.packets_out, step.missing_percent, step.server_cpu_percent, step.bots_cpu_percent
                )?;
            }
        }
        match compare::rates(&self.ramps) {
            Some(ratio) => writeln!(f, "{PARLOR} carries {ratio:.1} times the peer's."),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new(true, Duration::from_secs(1));
        let row =
            |sfu: &str, user_us| Row { name: "audio 8 talkers".into(), sfu: sfu.into(), packets_out: 10.0, user_us, ..Row::default() };
        report.add_load(row(PARLOR, 2.0));
        report.add_load(row("Janus 1.1.2", 8.0));
        report.add_note("something was left out".into());
        report
    }

    #[test]
    fn the_table_says_how_many_times_the_peer_needs() {
        let text = report().to_string();
        assert!(text.contains("8.00   4.0x"), "{text}");
        assert!(text.ends_with("something was left out\n"), "{text}");
    }

    #[test]
    fn only_our_own_failure_is_one() {
        let mut report = report();
        report.add_load(Row { name: "x".into(), sfu: "Janus 1.1.2".into(), ..Row::default() });
        report.verdict().expect("the peer's row does not matter");
        report.add_load(Row { name: "x".into(), sfu: PARLOR.into(), ..Row::default() });
        assert!(report.verdict().is_err());
    }
}
