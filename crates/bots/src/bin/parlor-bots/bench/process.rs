//! A server process for one measurement: on its own core, with its output in a file.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use parlor_bots::affinity::{self, CpuTime};

/// How long a server may take to start.
const START: Duration = Duration::from_secs(10);
/// Between two looks at whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// A running server; it is stopped when dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command on these cores; on all that the bots may use if none is named.
    pub fn start(mut command: Command, name: &str, cores: &[usize]) -> anyhow::Result<Self> {
        let unique = rand::random::<u32>();
        let log = std::env::temp_dir().join(format!("{name}-bench-{}-{unique:08x}.log", std::process::id()));
        let output = std::fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command.current_dir(std::env::temp_dir()).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let cores = cores.to_vec();
        // A process inherits the cores of the thread that starts it.
        let spawn = move || {
            if !cores.is_empty() {
                affinity::pin_current_thread_to(&cores)?;
            }
            command.spawn()
        };
        let child = std::thread::spawn(spawn).join().map_err(|_| anyhow::anyhow!("starting {name} panicked"))?;
        Ok(Self { child: child.with_context(|| format!("cannot start {name}"))?, log })
    }

    /// Waits until it answers.
    pub async fn wait_until_up(&mut self, is_up: impl AsyncFn() -> bool) -> anyhow::Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < START {
            if is_up().await {
                return Ok(());
            }
            if self.child.try_wait()?.is_some() {
                bail!("it ended at once; it said:\n{}", self.output());
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("it did not come up; it said:\n{}", self.output())
    }

    /// The file with its output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The text it wrote.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Processor time it has used, over all its threads.
    pub fn cpu_time(&self) -> anyhow::Result<CpuTime> {
        Ok(CpuTime::of_process(self.child.id())?)
    }

    /// Its resident memory in bytes.
    pub fn memory(&self) -> anyhow::Result<u64> {
        Ok(affinity::resident_bytes(self.child.id())?)
    }

    /// Its open files, sockets included; 0 if it is gone.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(Path::new("/proc").join(self.child.id().to_string()).join("fd")).map_or(0, Iterator::count)
    }

    /// Whether it is still there.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.log);
    }
}
