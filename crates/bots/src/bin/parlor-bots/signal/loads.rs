//! The load of server and bots over some time.

use std::time::{Duration, Instant};

use parlor_bots::affinity::CpuTime;
use serde::Serialize;

use crate::bench::server::BenchServer;

/// Above this share of a core, that core is the limit.
const BUSY: f64 = 85.0;

/// Processor time from some moment on.
pub struct Clock {
    begin: Instant,
    server: CpuTime,
    bots: CpuTime,
}

/// Processor time of both, in percent of a core.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Loads {
    /// The server's, all threads.
    pub server_percent: f64,
    /// The bots' share of a core.
    pub bots_percent: f64,
}

impl Clock {
    /// Begins to measure.
    pub fn start(server: &BenchServer) -> anyhow::Result<Self> {
        Ok(Self { begin: Instant::now(), server: server.process.cpu_time()?, bots: CpuTime::of_process(std::process::id())? })
    }

    /// Until now: how long that is, and the loads.
    pub fn stop(&self, server: &BenchServer) -> anyhow::Result<(Duration, Loads)> {
        let took = self.begin.elapsed();
        let percent = |time: CpuTime| 100.0 * time.total().as_secs_f64() / took.as_secs_f64();
        let server = server.process.cpu_time()?.since(self.server);
        let bots = CpuTime::of_process(std::process::id())?.since(self.bots);
        Ok((took, Loads { server_percent: percent(server), bots_percent: percent(bots) }))
    }
}

impl Loads {
    /// What kept it from being more.
    pub fn limit(&self) -> &'static str {
        match (self.server_percent > BUSY, self.bots_percent > BUSY) {
            (true, true) => "both cores",
            (true, false) => "the server's core",
            (false, true) => "the bots' core",
            (false, false) => "no core: waiting",
        }
    }
}
