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

/// Where the server runs.
pub const SERVER_CORE: usize = 0;
/// Where the bots run.
pub const BOTS_CORE: usize = 1;

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
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let pinned = affinity::cores() > 1 || std::thread::available_parallelism().is_err();
    let mut report = Report::new(arguments.short, arguments.window());
    for load in arguments.loads() {
        eprintln!("{}…", load.name());
        let limits = limit::measure(load.packet_bytes(), load.destinations(), arguments.window().min(Duration::from_secs(2)))
            .await
            .context("the limit could not be measured")?;
        let server = BenchServer::start(&arguments.server, pinned_core()).await?;
        let engine = Engine::start(pinned.then_some(BOTS_CORE))?;
        let row = load.measure(&server, &engine, arguments.window(), limits).await;
        report.add_load(row.with_context(|| format!("{}: see the server's log in {}", load.name(), server.log().display()))?);
    }
    if "join latency".contains(&arguments.only) {
        eprintln!("join latency…");
        let server = BenchServer::start(&arguments.server, pinned_core()).await?;
        let engine = Engine::start(pinned.then_some(BOTS_CORE))?;
        let joins = if arguments.short { 5 } else { 50 };
        report.set_latency(latency::measure(&server, &engine, joins).await.context("join latency")?);
    }
    print!("{report}");
    if let Some(path) = &arguments.json {
        let json = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    report.verdict()
}

/// The bots are bound to one core already, so what is counted here is whether there is another.
fn pinned_core() -> Option<usize> {
    std::fs::metadata(format!("/sys/devices/system/cpu/cpu{BOTS_CORE}")).is_ok().then_some(SERVER_CORE)
}
