//! `parlor-bots bench`: the release server under load, beside the least the same packets could cost.
//!
//! Server and bots are separate processes, each on a core of its own.

mod latency;
mod limit;
mod load;
mod report;
mod server;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use parlor_bots::{Engine, affinity};

use load::{Load, Media};
use report::Report;
use server::BenchServer;

/// Who runs where.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    /// The server's.
    pub server: usize,
    /// The bots'.
    pub bots: usize,
}

/// The arguments of `bench`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The server to measure
    #[arg(long, env = "PARLOR_BIN", value_name = "FILE", default_value = "target/release/parlor")]
    server: PathBuf,
    /// A quick look at every kind of load instead of a measurement
    #[arg(long)]
    short: bool,
    /// Only the workloads whose name contains this, for example "audio 50"
    #[arg(long, default_value = "")]
    only: String,
    /// Length of each measurement
    #[arg(long, default_value_t = 10, value_name = "N")]
    seconds: u64,
    /// Write the results here too, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Arguments {
    /// The cores to bind to: none for a quick look (the machine may be busy with something else) and on a
    /// machine with a single one. To be asked before anything is bound.
    pub fn cores(&self) -> Option<Cores> {
        (!self.short && affinity::cores() > 1).then_some(Cores { server: 0, bots: 1 })
    }

    fn window(&self) -> Duration {
        if self.short { Duration::from_millis(1000) } else { Duration::from_secs(self.seconds.max(1)) }
    }

    fn loads(&self) -> Vec<Load> {
        let audio = if self.short { vec![4, 8] } else { vec![8, 25, 50] };
        let video = if self.short { vec![4] } else { vec![10, 50, 100] };
        let audio = audio.into_iter().map(|talkers| Load { media: Media::Audio, senders: talkers, receivers: talkers });
        let video = video.into_iter().map(|receivers| Load { media: Media::Video, senders: 1, receivers });
        audio.chain(video).filter(|load| load.name().contains(&self.only)).collect()
    }
}

/// Measures everything and prints the table.
pub async fn run(arguments: Arguments, cores: Option<Cores>) -> anyhow::Result<()> {
    let mut report = Report::new(arguments.short, arguments.window());
    for load in arguments.loads() {
        eprintln!("{}…", load.name());
        let limits = limit::measure(load.packet_bytes(), load.destinations(), arguments.window().min(Duration::from_secs(2)), cores)
            .await
            .context("the limit could not be measured")?;
        let server = BenchServer::start(&arguments.server, cores.map(|c| c.server)).await?;
        let engine = Engine::start(cores.map(|c| c.bots))?;
        let row = load.measure(&server, &engine, arguments.window(), limits).await;
        report.add_load(explained(row, &load.name(), &server).await?);
    }
    if "join latency".contains(&arguments.only) {
        eprintln!("join latency…");
        let server = BenchServer::start(&arguments.server, cores.map(|c| c.server)).await?;
        let engine = Engine::start(cores.map(|c| c.bots))?;
        let joins = if arguments.short { 5 } else { 40 };
        report.set_latency(explained(latency::measure(&server, &engine, joins).await, "join latency", &server).await?);
    }
    print!("{report}");
    if let Some(path) = &arguments.json {
        let json = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    report.verdict()
}

/// Adds to an error what the server knows of it.
async fn explained<T>(result: anyhow::Result<T>, name: &str, server: &BenchServer) -> anyhow::Result<T> {
    match result {
        Ok(value) => Ok(value),
        Err(error) => {
            let (log, counters) = (server.log().display(), server.counters().await);
            Err(error.context(format!("{name} (the server's log: {log}; its counters: {counters})")))
        }
    }
}
