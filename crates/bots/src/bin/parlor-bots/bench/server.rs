//! A server process for one measurement: fresh, on its own core, on free ports.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use parlor_bots::affinity::{self, CpuTime};

/// How long the server may take to start.
const START: Duration = Duration::from_secs(10);
/// Far above any room measured: the tiers' limits are not what is measured.
const PARTICIPANTS: &str = "1000";

/// A running server; it is stopped when dropped.
pub struct BenchServer {
    child: Child,
    url: String,
    log: PathBuf,
}

impl BenchServer {
    /// Starts the server and waits until it answers.
    pub async fn start(binary: &Path, core: Option<usize>) -> anyhow::Result<Self> {
        if !binary.is_file() {
            bail!("there is no server at {}; build it (cargo build --release) or name it with --server", binary.display());
        }
        let binary = std::fs::canonicalize(binary)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = std::env::temp_dir().join(format!("parlor-bench-{}-{port}.log", std::process::id()));
        let output = std::fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(binary);
        // Nobody's configuration but ours: results are to be comparable.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PARLOR_")) {
            command.env_remove(name);
        }
        command
            .current_dir(std::env::temp_dir())
            .args(["serve", "--dev", "--media-port", "0", "--media-workers", "1", "--listen-ip", "127.0.0.1", "--log-level", "warn"])
            .arg("--http-listen")
            .arg(format!("127.0.0.1:{port}"))
            .env("PARLOR_LIMITS__PARTICIPANTS_FREE", PARTICIPANTS)
            .env("PARLOR_LIMITS__PARTICIPANTS_PRO", PARTICIPANTS)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        // A process inherits the core of the thread that starts it.
        let spawn = move || {
            core.map(affinity::pin_current_thread).transpose()?;
            command.spawn()
        };
        let child = std::thread::spawn(spawn).join().map_err(|_| anyhow::anyhow!("starting the server panicked"))??;
        let server = Self { child, url: format!("http://127.0.0.1:{port}"), log };
        server.wait_until_up().await?;
        Ok(server)
    }

    async fn wait_until_up(&self) -> anyhow::Result<()> {
        let begin = Instant::now();
        let health = format!("{}/healthz", self.url);
        while begin.elapsed() < START {
            if reqwest::get(&health).await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("the server did not come up; it said:\n{}", std::fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// Where it serves.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its counters, for whoever looks for the reason of a failure.
    pub async fn counters(&self) -> String {
        let counters = async { reqwest::get(format!("{}/api/dev/stats", self.url)).await?.text().await };
        counters.await.unwrap_or_else(|error| error.to_string())
    }

    /// What it wrote.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Processor time it has used.
    pub fn cpu_time(&self) -> anyhow::Result<CpuTime> {
        Ok(CpuTime::of_process(self.child.id())?)
    }

    /// Its resident memory in bytes.
    pub fn memory(&self) -> anyhow::Result<u64> {
        Ok(affinity::resident_bytes(self.child.id())?)
    }
}

impl Drop for BenchServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A log with something in it is kept for whoever looks for the reason.
        if std::fs::metadata(&self.log).is_ok_and(|m| m.len() == 0) {
            let _ = std::fs::remove_file(&self.log);
        }
    }
}
