//! `parlor-bots`: people to fill a room with, and benchmarks.

#![forbid(unsafe_code)]

mod attack;
mod bench;
mod join;
mod signal;
mod soak;
mod turn;

use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use clap::{Parser, Subcommand};
use parlor_bots::affinity;
use tracing_subscriber::EnvFilter;

const EXAMPLES: &str = "\
Examples:
  parlor-bots join --channel test --bots 8 --audio --video --seconds 60
      Eight people who talk and show themselves in the channel \"test\" of a server started with
      `parlor serve --dev`, as many of them as there are video slots. Join it in a browser to
      meet them: their picture is coloured stripes that swing, their sound is none.
  parlor-bots join --channel den --mesh call,envelope --bots 4 --audio
      Four people in a mesh call, two on `/ws/call` and two on `/ws`, each with a connection to
      each other one and to every browser that joins.
  parlor-bots join --url http://203.0.113.9:7400 --secret-file secret.txt --bots 2
      Two listeners on a server in production, with tokens signed by its secret.
  parlor-bots bench
      Start a server of its own and measure it: packets, processor time, delay, memory.
  parlor-bots bench --only join --peers none
      Only the join latency, without Janus beside it.
  parlor-bots signal --sessions 10000
      Ten thousand people who are only connected, then five thousand in rooms while others come.
  parlor-bots turn --peers none
      What the embedded TURN server needs for a relayed packet, without coturn beside it.
  parlor-bots soak --seconds 600
      Ten minutes of people who come, talk, show themselves and go.
  parlor-bots attack --only silent,packets
      Two of the things strangers and hostile participants could do, beside a call that should not notice.";

#[derive(Debug, Parser)]
#[command(name = "parlor-bots", version, about = "Bots that take part in Parlor calls", after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Join a channel with bots and say what they receive
    Join(join::Arguments),
    /// Measure a server started for the purpose, and print a table
    Bench(bench::Arguments),
    /// Measure the signaling of a server started for the purpose: many sessions, joins, broadcasts
    Signal(signal::Arguments),
    /// Attack a server started for the purpose, and say what a call beside it lost and what the server held
    Attack(attack::Arguments),
    /// Join and leave a server started for the purpose for a long time, and see that its memory stays flat
    Soak(soak::Arguments),
    /// Measure the embedded TURN server beside coturn: processor time of a relayed packet, memory of an allocation
    Turn(turn::Arguments),
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let colours = AutoStream::choice(&std::io::stderr()) != ColorChoice::Never;
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    let cli = Cli::parse();
    let cores = match &cli.command {
        Command::Bench(arguments) => arguments.cores(),
        Command::Signal(arguments) => arguments.cores(),
        Command::Turn(arguments) => arguments.cores(),
        Command::Join(_) | Command::Attack(_) | Command::Soak(_) => None,
    };
    let all_cores = affinity::cores();
    // Before any other thread starts, so that all of them stay away from the server's core.
    let pinned = cores.map_or(Ok(()), |cores| affinity::pin_current_thread(cores.bots));
    let result = pinned.map_err(anyhow::Error::from).and_then(|()| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        match cli.command {
            Command::Join(arguments) => runtime.block_on(join::run(arguments)),
            Command::Bench(arguments) => runtime.block_on(bench::run(arguments, cores, all_cores)),
            Command::Signal(arguments) => runtime.block_on(signal::run(arguments, cores)),
            Command::Attack(arguments) => runtime.block_on(attack::run(arguments)),
            Command::Soak(arguments) => runtime.block_on(soak::run(arguments)),
            Command::Turn(arguments) => runtime.block_on(turn::run(arguments, cores)),
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("parlor-bots: {error:#}");
            ExitCode::FAILURE
        }
    }
}
