//! What the measurements say beside each other.

use super::load::Row;
use super::ramp::Ramp;

/// A workload on our server, and on the peer's if it was measured there.
pub struct Pair<'a> {
    /// Parlor's row.
    pub ours: &'a Row,
    /// The peer's row.
    pub theirs: Option<&'a Row>,
}

/// The workloads in order, each with its peer.
pub fn pairs<'a>(rows: &'a [Row], ours: &str) -> Vec<Pair<'a>> {
    let of_ours = rows.iter().filter(|row| row.sfu == ours);
    of_ours.map(|row| Pair { ours: row, theirs: rows.iter().find(|other| other.name == row.name && other.sfu != ours) }).collect()
}

/// What forwarding the loudest costs of what forwarding all costs, for each packet that arrives: the names of both
/// workloads and the ratio.
pub fn loudest(rows: &[Row]) -> Option<(&Row, &Row, f64)> {
    let few = rows.iter().find(|row| is_k(&row.name))?;
    let all = rows.iter().find(|row| row.name.ends_with(" all") && row.participants == few.participants)?;
    let cost = all.us_per_packet_in();
    (cost > 0.0).then(|| (few, all, few.us_per_packet_in() / cost))
}

/// Whether it is a workload with a number of loudest talkers, as `audio 100 k5`.
fn is_k(name: &str) -> bool {
    let last = name.rsplit(' ').next().unwrap_or_default();
    last.strip_prefix('k').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// How many times the peer's highest rate ours is.
pub fn rates(ramps: &[Ramp]) -> Option<f64> {
    let [ours, theirs, ..] = ramps else { return None };
    Some(ours.best()?.packets_out / theirs.best()?.packets_out.max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::ramp::{End, Step};

    fn row(name: &str, sfu: &str) -> Row {
        Row { name: name.into(), sfu: sfu.into(), participants: 100, kept_up_percent: 100.0, packets_in: 5000.0, ..Row::default() }
    }

    #[test]
    fn a_workload_is_paired_with_the_peers() {
        let rows = [row("a", "Parlor"), row("a", "Janus 1"), row("b", "Parlor")];
        let pairs = pairs(&rows, "Parlor");
        assert_eq!(pairs.iter().map(|p| (p.ours.name.as_str(), p.theirs.is_some())).collect::<Vec<_>>(), [("a", true), ("b", false)]);
    }

    #[test]
    fn the_loudest_are_compared_with_all_also_when_all_is_too_much() {
        let few = Row { server_cpu_percent: 9.0, ..row("audio 100 k5", "Parlor") };
        let all = Row { server_cpu_percent: 100.0, kept_up_percent: 50.0, ..row("audio 100 all", "Parlor") };
        let rows = [all, few];
        let (_, _, ratio) = loudest(&rows).expect("both are there");
        assert!((ratio - 0.045).abs() < 1e-9, "{ratio}");
        assert!(loudest(&rows[..1]).is_none());
        assert!(!is_k("audio 100 kittens") && !is_k("audio 100 k"));
    }

    #[test]
    fn highest_rates_are_compared() {
        let ramp = |packets_out| {
            let step = Step { rooms: 1, packets_out, missing_percent: 0.0, server_cpu_percent: 0.0, bots_cpu_percent: 0.0 };
            Ramp { sfu: String::new(), people: 1, steps: vec![step], end: End::Server }
        };
        assert!(rates(&[ramp(300.0), ramp(100.0)]).is_some_and(|ratio| (ratio - 3.0).abs() < 1e-9));
        assert_eq!(rates(&[ramp(300.0)]), None);
    }
}
