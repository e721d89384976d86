//! `parlor-bots attack`: what strangers and hostile participants could do, one after the other, beside a call; what the call lost by it,
//! and what the server held for them.

mod call;
mod media;
mod strangers;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use parlor_bots::Engine;

use crate::bench::server::{BenchServer, Started};
use crate::signal::raise_open_files;
use call::{Call, Lost};

/// What the server may hold more during an attack than before it. A few thousand connections with their buffers need a third of that.
const MAX_GROWTH: u64 = 64 << 20;
/// Between two looks at the server.
const LOOK: Duration = Duration::from_millis(100);
/// What is left of an attack on the machine is gone after this.
const CALM: Duration = Duration::from_secs(1);
/// A quick look takes so much less of everything.
const SHORT_DIVISOR: u32 = 8;

/// The arguments of `attack`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The server to attack
    #[arg(long, env = "PARLOR_BIN", value_name = "FILE", default_value = "target/release/parlor")]
    server: PathBuf,
    /// Only these attacks
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<Attack>,
    /// How long each goes on
    #[arg(long, default_value_t = 10, value_name = "N")]
    seconds: u64,
    /// Connections of a stranger
    #[arg(long, default_value_t = 3_000, value_name = "N")]
    connections: usize,
    /// A quick look at each: less of everything, and only that the server and the call live counts
    #[arg(long)]
    short: bool,
}

/// A kind of hostile behaviour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Attack {
    /// A stranger asks for a file on thousands of connections, and reads nothing
    Assets,
    /// A stranger sends the beginnings of thousands of bodies to one engine.io session
    Bodies,
    /// A stranger opens thousands of connections and says nothing
    Silent,
    /// A participant sends 12,000 packets a second with one byte in each
    Packets,
    /// A participant sends 20 Mbit/s, nearly all of it header extensions
    Headers,
    /// A listener sends 15,000 reports a second, each of which tells of 8,191 packets
    Feedback,
    /// A participant has the media sent to somebody who never asked for it, by one check
    Spoof,
}

/// What an attack works with.
struct Stage<'a> {
    url: &'a str,
    engine: &'a Engine,
    connections: usize,
    /// What is sent is divided by this.
    divisor: u32,
    until: Instant,
}

/// What one attack did.
struct Outcome {
    attack: Attack,
    /// In words: what was sent, and what came of it.
    said: String,
    lost: Lost,
    /// More memory than before, at the most, in bytes.
    growth: u64,
    /// Open files of the server at the most.
    files: usize,
    /// What was wrong, besides losses.
    wrong: Option<String>,
}

/// Attacks a server started for the purpose with everything asked for, and says what the call beside it lost.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let divisor = if arguments.short { SHORT_DIVISOR } else { 1 };
    let connections = arguments.connections / divisor as usize;
    raise_open_files(connections)?;
    let mut server = match BenchServer::start::<&str>(&arguments.server, &[], &[]).await? {
        Started::Up(server) => server,
        Started::Unknown(name) => anyhow::bail!("the server does not know {name}"),
    };
    let (engine, attackers) = (Engine::start(None)?, Engine::start(None)?);
    let call = Call::begin(server.url(), &engine).await?;
    let all = Attack::value_variants();
    let chosen = all.iter().filter(|attack| arguments.only.is_empty() || arguments.only.contains(attack));
    let length = Duration::from_secs(if arguments.short { 2 } else { arguments.seconds.max(2) });
    let mut failed = Vec::new();
    println!("{:<10}{:>10}{:>9}{:>17}{:>11}{:>13}{:>10}", "attack", "+memory", "files", "call lost", "p99", "newcomers", "server");
    for attack in chosen {
        let url = server.url().to_owned();
        let stage = Stage { url: &url, engine: &attackers, connections, divisor, until: Instant::now() + length };
        let (outcome, load) = one(*attack, &stage, &call, &mut server).await?;
        print(&outcome, load);
        failed.extend(outcome.failure(arguments.short));
        if !server.process.is_running() {
            println!("{}", server.process.output());
            anyhow::bail!("the server is gone after {attack:?}");
        }
        tokio::time::sleep(CALM).await;
    }
    match failed.is_empty() {
        true => Ok(()),
        false => anyhow::bail!("{}", failed.join("\n")),
    }
}

/// One attack, with an eye on the server; also how busy that was, in percent of a core.
async fn one(attack: Attack, stage: &Stage<'_>, call: &Call, server: &mut BenchServer) -> anyhow::Result<(Outcome, u64)> {
    let (before, cpu, begin) = (server.process.memory()?, server.process.cpu_time()?, Instant::now());
    call.reset().await?;
    let (mut growth, mut files) = (0, 0);
    let look = async {
        loop {
            // It may be gone: that is found afterwards.
            growth = growth.max(server.process.memory().unwrap_or(0).saturating_sub(before));
            files = files.max(server.process.open_files());
            tokio::time::sleep(LOOK).await;
        }
    };
    let act = async {
        match attack {
            Attack::Assets => strangers::assets(stage).await,
            Attack::Bodies => strangers::bodies(stage).await,
            Attack::Silent => strangers::silent(stage).await,
            Attack::Packets => media::packets(stage).await,
            Attack::Headers => media::headers(stage).await,
            Attack::Feedback => media::feedback(stage).await,
            Attack::Spoof => media::spoof(stage).await,
        }
    };
    let come = call.newcomers(stage.url);
    let (said, wrong) = tokio::select! {
        result = act => result?,
        () = look => unreachable!("it never ends"),
        () = come => unreachable!("it never ends"),
    };
    let used = server.process.cpu_time()?.total().saturating_sub(cpu.total());
    let load = (used.as_secs_f64() / begin.elapsed().as_secs_f64() * 100.0).round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some hundred")]
    let load = load as u64;
    Ok((Outcome { attack, said, lost: call.lost().await?, growth, files, wrong }, load))
}

impl Outcome {
    /// The reason why it counts as failed. On a slow build only that the call goes on counts.
    fn failure(&self, short: bool) -> Option<String> {
        let Lost { received, lost, refused, .. } = self.lost;
        let wrong = match self {
            _ if received == 0 => "the call stood still".to_owned(),
            _ if self.growth > MAX_GROWTH => format!("the server held {} MiB for it", self.growth >> 20),
            _ if short => return None,
            _ if lost > 0 => format!("the call lost {lost} of {} packets", received + lost),
            _ if refused > 0 => format!("{refused} honest newcomers were refused"),
            Self { wrong: Some(wrong), .. } => wrong.clone(),
            _ => return None,
        };
        Some(format!("{:?}: {wrong}", self.attack))
    }
}

fn print(outcome: &Outcome, load: u64) {
    let Outcome { attack, said, lost, growth, files, .. } = outcome;
    let Lost { received, lost, p99, came, refused } = *lost;
    let name = attack.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    println!(
        "{name:<10}{:>7.1} MiB{files:>7}{:>17}{:>8.1} ms{:>13}{load:>9}%  {said}",
        (growth / 1024) as f64 / 1024.0,
        format!("{lost} of {}", received + lost),
        p99.as_secs_f64() * 1_000.0,
        format!("{} of {}", came, came + refused),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(lost: Lost, growth: u64, wrong: Option<&str>, short: bool) -> Option<String> {
        let wrong = wrong.map(str::to_owned);
        Outcome { attack: Attack::Packets, said: String::new(), lost, growth, files: 0, wrong }.failure(short)
    }

    #[test]
    fn a_loss_a_refusal_too_much_memory_and_a_call_that_stands_still_fail() {
        let fine = Lost { received: 9, came: 3, ..Lost::default() };
        assert_eq!(failure(fine, MAX_GROWTH, None, false), None);
        for (lost, growth, wrong) in [
            (Lost { lost: 1, ..fine }, 0, None),
            (Lost { refused: 1, ..fine }, 0, None),
            (fine, 0, Some("it went on")),
            (fine, MAX_GROWTH + 1, None),
            (Lost::default(), 0, None),
        ] {
            assert!(failure(lost, growth, wrong, false).is_some(), "{lost:?} {growth} {wrong:?}");
        }
        assert_eq!(failure(Lost { lost: 1, ..fine }, 0, None, true), None, "on a slow build");
        assert!(failure(Lost::default(), 0, None, true).is_some());
        assert!(failure(fine, MAX_GROWTH + 1, None, true).is_some());
    }
}
