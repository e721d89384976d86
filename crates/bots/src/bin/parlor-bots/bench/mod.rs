//! `parlor-bots bench`: the release server under load, beside a peer and the least the same packets could cost.
//!
//! Server and bots are separate processes, each on a core of its own.

mod compare;
mod janus;
mod latency;
mod limit;
mod load;
pub mod process;
mod ramp;
mod report;
pub mod server;
mod sfu;
mod workloads;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use parlor_bots::{Engine, affinity};

use janus::JanusServer;
use limit::Limits;
use load::{Load, Row};
use ramp::{Plan, Ramp};
use report::Report;
use server::{BenchServer, Started};
use sfu::Sfu;

/// Our own name in the table.
const PARLOR: &str = "Parlor";
/// Above this many packets a second, the bots read in batches, see [`Engine::start_coalescing`].
const MANY_PACKETS: f64 = 150_000.0;
/// How long bots let packets lie: times are the kernel's all the same.
const COALESCE: Duration = Duration::from_millis(2);
/// Packets a talker sends each second.
const AUDIO_RATE: f64 = 50.0;

/// The cores that each side runs on.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    /// The server's core.
    pub server: usize,
    /// The bots' core.
    pub bots: usize,
}

/// The server that is measured beside Parlor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Peers {
    /// Janus from Debian, if it is installed
    Janus,
    /// Nobody
    None,
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
    /// Only what has this in its name: "audio 50", "video", "k5", "rooms", "2 workers", "highest rate", "join latency"…
    #[arg(long, default_value = "", value_name = "NAME")]
    only: String,
    /// Who is measured beside Parlor, with the same bots
    #[arg(long, default_value = "janus", value_enum)]
    peers: Peers,
    /// Length of each measurement
    #[arg(long, default_value_t = 10, value_name = "N")]
    seconds: u64,
    /// Write the results here too, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Cores {
    /// The cores to bind to: none for a quick look (the machine may be busy with something else) and on a
    /// machine with a single one. To be asked before anything is bound.
    pub fn unless(short: bool) -> Option<Self> {
        (!short && affinity::cores() > 1).then_some(Self { server: 0, bots: 1 })
    }
}

impl Arguments {
    /// The cores to bind to.
    pub fn cores(&self) -> Option<Cores> {
        Cores::unless(self.short)
    }

    fn window(&self) -> Duration {
        if self.short { Duration::from_millis(700) } else { Duration::from_secs(self.seconds.max(1)) }
    }

    fn ramp(&self) -> Plan {
        if self.short {
            return Plan { people: 4, rooms: 2, window: self.window() };
        }
        Plan { people: 25, rooms: 24, window: self.window().min(Duration::from_secs(4)) }
    }
}

/// What one run has at hand.
struct Bench {
    arguments: Arguments,
    cores: Option<Cores>,
    /// Every core, for workloads that use them all.
    every_core: Vec<usize>,
    /// The peer's name in the table, if it is measured.
    janus: Option<String>,
    report: Report,
}

/// Measures everything and prints the table. `all_cores` is how many there were before anything was bound.
pub async fn run(arguments: Arguments, cores: Option<Cores>, all_cores: usize) -> anyhow::Result<()> {
    let mut report = Report::new(arguments.short, arguments.window());
    let janus = (arguments.peers == Peers::Janus).then(janus::version);
    if janus == Some(None) {
        report.add_note("Janus is not installed (Debian's package is called janus), and not measured.".to_owned());
    }
    let janus = janus.flatten().map(|version| format!("Janus {version}"));
    let every_core = if cores.is_some() { (0..all_cores).collect() } else { Vec::new() };
    let mut bench = Bench { arguments, cores, every_core, janus, report };
    bench.measure_all().await?;
    let Bench { arguments, report, .. } = bench;
    print!("{report}");
    if let Some(path) = &arguments.json {
        let json = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    report.verdict()
}

impl Bench {
    fn wants(&self, name: &str) -> bool {
        name.contains(&self.arguments.only)
    }

    fn server_cores(&self) -> Vec<usize> {
        self.cores.iter().map(|cores| cores.server).collect()
    }

    async fn measure_all(&mut self) -> anyhow::Result<()> {
        for load in workloads::all(self.arguments.short) {
            if self.wants(&load.name) {
                self.measure_load(&load).await?;
            }
        }
        if self.wants("highest rate") {
            self.measure_ramps().await?;
        }
        if self.wants("join latency") {
            self.measure_latency().await?;
        }
        Ok(())
    }

    async fn measure_load(&mut self, load: &Load) -> anyhow::Result<()> {
        eprintln!("{}…", load.name);
        let window = self.arguments.window();
        let limits = limit::measure(load.packet_bytes(), load.room(0).destinations(), window.min(Duration::from_secs(2)), self.cores)
            .await
            .context("the limit could not be measured")?;
        let cores = if load.every_core { self.every_core.clone() } else { self.server_cores() };
        let server = match BenchServer::start(&self.arguments.server, &cores, &load.settings).await? {
            Started::Up(server) => Sfu::Parlor(server),
            Started::Unknown(_) if load.or_without => Sfu::Parlor(BenchServer::start_plain(&self.arguments.server, &cores).await?),
            Started::Unknown(setting) => {
                self.report.add_note(format!("{}: not measured, this server does not know {setting}.", load.name));
                return Ok(());
            }
        };
        let row = self.measure_on(&server, PARLOR, load, limits).await;
        match explained(row, &load.name, &server).await {
            Ok(row) => self.report.add_load(row),
            Err(error) => self.report.add_failure(format!("{error:#}")),
        }
        drop(server);
        let Some(name) = self.janus.clone().filter(|_| load.peers) else { return Ok(()) };
        eprintln!("{}, {name}…", load.name);
        match self.measure_janus(&name, load, limits).await {
            Ok(row) => self.report.add_load(row),
            // What a peer cannot do is a result, not a failure of ours.
            Err(error) => self.report.add_note(format!("{}, {name}: not measured: {error:#}", load.name)),
        }
        Ok(())
    }

    async fn measure_janus(&self, name: &str, load: &Load, limits: Limits) -> anyhow::Result<Row> {
        let server = Sfu::Janus(JanusServer::start(&self.server_cores()).await?);
        self.measure_on(&server, name, load, limits).await
    }

    async fn measure_on(&self, sfu: &Sfu, name: &str, load: &Load, limits: Limits) -> anyhow::Result<Row> {
        #[expect(clippy::cast_precision_loss, reason = "a number of rooms")]
        let expected = load.copies() * AUDIO_RATE * (load.rooms * load.people) as f64;
        let pause = if expected > MANY_PACKETS { COALESCE } else { Duration::ZERO };
        let engine = Engine::start_coalescing(self.cores.map(|c| c.bots), pause)?;
        let row = load.measure(sfu, &engine, self.arguments.window(), limits).await?;
        Ok(Row { sfu: name.to_owned(), ..row })
    }

    async fn measure_ramps(&mut self) -> anyhow::Result<()> {
        eprintln!("highest rate…");
        let server = Sfu::Parlor(BenchServer::start_plain(&self.arguments.server, &self.server_cores()).await?);
        let ramp = self.measure_ramp(&server, PARLOR).await;
        match explained(ramp, "highest rate", &server).await {
            Ok(ramp) => self.report.add_ramp(ramp),
            Err(error) => self.report.add_failure(format!("{error:#}")),
        }
        drop(server);
        let Some(name) = self.janus.clone() else { return Ok(()) };
        eprintln!("highest rate, {name}…");
        let ramp = async {
            let server = Sfu::Janus(JanusServer::start(&self.server_cores()).await?);
            self.measure_ramp(&server, &name).await
        };
        match ramp.await {
            Ok(ramp) => self.report.add_ramp(ramp),
            Err(error) => self.report.add_note(format!("highest rate, {name}: not measured: {error:#}")),
        }
        Ok(())
    }

    async fn measure_ramp(&self, sfu: &Sfu, name: &str) -> anyhow::Result<Ramp> {
        let engine = Engine::start_coalescing(self.cores.map(|c| c.bots), COALESCE)?;
        ramp::measure(sfu, name, &engine, self.arguments.ramp()).await
    }

    async fn measure_latency(&mut self) -> anyhow::Result<()> {
        eprintln!("join latency…");
        let server = BenchServer::start_plain(&self.arguments.server, &self.server_cores()).await?;
        let engine = Engine::start(self.cores.map(|c| c.bots))?;
        let joins = if self.arguments.short { 5 } else { 40 };
        let latency = latency::measure(&server, &engine, joins).await;
        self.report.set_latency(explained(latency, "join latency", &Sfu::Parlor(server)).await?);
        Ok(())
    }
}

async fn explained<T>(result: anyhow::Result<T>, name: &str, sfu: &Sfu) -> anyhow::Result<T> {
    match result {
        Ok(value) => Ok(value),
        Err(error) => Err(sfu.explain(error).await.context(name.to_owned())),
    }
}
