//! `parlor-bots signal`: the signaling of one server under many sessions: memory, processor time, joins, broadcasts.
//!
//! Sessions here are plain socket.io connections without media, so that one core can keep thousands of them beside
//! the server they measure.

mod broadcast;
mod idle;
mod joins;
mod line;
mod loads;
mod mesh;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::bench::Cores;
use crate::bench::server::{BenchServer, Started};
use line::Target;
use report::Report;

/// Files this process needs besides its sessions' sockets.
const OTHER_FILES: u64 = 64;
/// The HMAC secret of the servers measured here, which nobody else can reach.
const SECRET: &str = "a-server-for-one-measurement-0123456789";

/// The arguments of `signal`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The server to measure
    #[arg(long, env = "PARLOR_BIN", value_name = "FILE", default_value = "target/release/parlor")]
    server: PathBuf,
    /// A quick look with few sessions instead of a measurement
    #[arg(long)]
    short: bool,
    /// Only what has this in its name: "idle", "joins", "broadcast", "mesh"
    #[arg(long, default_value = "", value_name = "NAME")]
    only: String,
    /// Idle sessions
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    sessions: usize,
    /// Participants present while others join
    #[arg(long, default_value_t = 5_000, value_name = "N")]
    people: usize,
    /// Rooms of four in mesh calls
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    rooms: usize,
    /// Length of each measurement
    #[arg(long, default_value_t = 10, value_name = "N")]
    seconds: u64,
    /// Write the results here too, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Arguments {
    /// The cores to bind to, as for `bench`.
    pub fn cores(&self) -> Option<Cores> {
        Cores::unless(self.short)
    }

    fn window(&self) -> Duration {
        if self.short { Duration::from_secs(1) } else { Duration::from_secs(self.seconds.max(1)) }
    }

    fn sessions(&self) -> usize {
        if self.short { 200 } else { self.sessions.max(1) }
    }

    fn joins(&self) -> joins::Plan {
        let (people, rate) = if self.short { (80, 20) } else { (self.people.max(1), 100) };
        joins::Plan { people, rate, window: self.window() }
    }

    fn mesh(&self) -> mesh::Plan {
        let (rooms, rate) = if self.short { (20, 100.0) } else { (self.rooms.max(1), 4_000.0) };
        mesh::Plan { rooms, rate, window: self.window() }
    }

    fn wants(&self, name: &str) -> bool {
        name.contains(&self.only)
    }
}

/// Measures everything and prints the table.
pub async fn run(arguments: Arguments, cores: Option<Cores>) -> anyhow::Result<()> {
    raise_open_files(arguments.sessions().max(arguments.joins().people).max(arguments.mesh().rooms * 4))?;
    let mut report = Report::new(arguments.short);
    if arguments.wants("idle") {
        eprintln!("idle…");
        let measured = Measured::start(&arguments, cores).await?;
        let result = idle::measure(&measured, arguments.sessions(), arguments.window(), &mut report).await;
        measured.explain(result)?;
    }
    if arguments.wants("joins") || arguments.wants("broadcast") {
        let measured = Measured::start(&arguments, cores).await?;
        let result = in_rooms(&measured, &arguments, &mut report).await;
        measured.explain(result)?;
    }
    if arguments.wants("mesh") {
        eprintln!("mesh…");
        let measured = Measured::start(&arguments, cores).await?;
        let result = mesh::measure(&measured, &arguments.mesh(), &mut report).await;
        measured.explain(result)?;
    }
    print!("{report}");
    if let Some(path) = &arguments.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

async fn in_rooms(measured: &Measured, arguments: &Arguments, report: &mut Report) -> anyhow::Result<()> {
    if arguments.wants("broadcast") {
        eprintln!("broadcast…");
        broadcast::measure(measured, "broadcast", arguments.window(), report).await?;
    }
    if arguments.wants("joins") {
        eprintln!("joins…");
        let plan = arguments.joins();
        let present = joins::measure(measured, &plan, report).await?;
        if arguments.wants("broadcast") || arguments.only.is_empty() {
            eprintln!("broadcast among many…");
            let name = format!("broadcast, {} others present", present.members().len());
            broadcast::measure(measured, &name, arguments.window(), report).await?;
        }
    }
    Ok(())
}

/// A server that is measured, with a store of its own.
pub struct Measured {
    /// The server that is measured.
    pub server: BenchServer,
    /// The place where sessions go.
    pub target: Target,
    store: PathBuf,
}

impl Measured {
    async fn start(arguments: &Arguments, cores: Option<Cores>) -> anyhow::Result<Self> {
        let store = std::env::temp_dir().join(format!("parlor-bench-{:016x}.db", rand::random::<u64>()));
        // A store on the disk, as in production: joins and the event feed are part of what is measured.
        let settings = [
            ("auth.secret", SECRET.to_owned()),
            ("limits.joins_per_minute", "1000000".to_owned()),
            ("limits.reconnect_interval_ms", "0".to_owned()),
            ("store.url", format!("sqlite:{}", store.display())),
        ];
        let cores: Vec<usize> = cores.iter().map(|cores| cores.server).collect();
        let server = match BenchServer::start(&arguments.server, &cores, &settings).await? {
            Started::Up(server) => server,
            Started::Unknown(setting) => bail!("the server does not know {setting}"),
        };
        let target = Target::new(server.url(), SECRET)?;
        Ok(Self { server, target, store })
    }

    /// Sessions the server counts.
    pub async fn sessions(&self) -> anyhow::Result<u64> {
        let counters: serde_json::Value = serde_json::from_str(&self.server.counters().await?)?;
        counters.get("sessions").and_then(serde_json::Value::as_u64).context("the server does not count its sessions")
    }

    fn explain(&self, result: anyhow::Result<()>) -> anyhow::Result<()> {
        result.with_context(|| format!("the server said:\n{}", self.server.process.output()))
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm"] {
            let mut name = self.store.clone().into_os_string();
            name.push(suffix);
            let _ = std::fs::remove_file(name);
        }
    }
}

/// Each session is an open file here and in the server, which raises its own limit.
pub fn raise_open_files(sessions: usize) -> anyhow::Result<()> {
    let needed = sessions as u64 + OTHER_FILES;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if hard < needed {
        bail!(
            "{sessions} sessions need {needed} open files, and this process may have {hard} (`ulimit -Hn`): allow more, or use fewer --sessions"
        );
    }
    if soft < needed {
        setrlimit(Resource::RLIMIT_NOFILE, needed, hard)?;
    }
    Ok(())
}
