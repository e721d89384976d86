//! The Parlor server for one measurement: fresh, on free ports, with the settings of the workload.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use super::process::Process;

/// Far above any room measured: the tiers' limits are not what is measured.
const PARTICIPANTS: &str = "1000";

/// A setting of the server that a workload is about: its name in the configuration file, and its value.
pub type Setting = (&'static str, &'static str);

/// What came of starting a server.
pub enum Started {
    /// The server runs.
    Up(BenchServer),
    /// The server does not know this setting: it is older than the workload.
    Unknown(&'static str),
}

/// A running server; it is stopped when dropped.
pub struct BenchServer {
    /// The process of the server.
    pub process: Process,
    url: String,
}

impl BenchServer {
    /// Starts the server and waits until it answers.
    pub async fn start<V: AsRef<OsStr>>(binary: &Path, cores: &[usize], settings: &[(&'static str, V)]) -> anyhow::Result<Started> {
        if !binary.is_file() {
            bail!("there is no server at {}; build it (cargo build --release) or name it with --server", binary.display());
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(std::fs::canonicalize(binary)?);
        // Nobody's configuration but ours: results are to be comparable.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PARLOR_")) {
            command.env_remove(name);
        }
        command
            .args(["serve", "--dev", "--media-port", "0", "--listen-ip", "127.0.0.1", "--log-level", "warn"])
            .args(["--http-listen", &format!("127.0.0.1:{port}")])
            .env("PARLOR_MEDIA__WORKERS", "1")
            .env("PARLOR_LIMITS__PARTICIPANTS_FREE", PARTICIPANTS)
            .env("PARLOR_LIMITS__PARTICIPANTS_PRO", PARTICIPANTS);
        for (name, value) in settings {
            command.env(variable(name), value);
        }
        let mut server = Self { process: Process::start(command, "parlor", cores)?, url: format!("http://127.0.0.1:{port}") };
        let health = format!("{}/healthz", server.url);
        let is_up = async || reqwest::get(&health).await.is_ok_and(|answer| answer.status().is_success());
        match server.process.wait_until_up(is_up).await {
            Ok(()) => Ok(Started::Up(server)),
            Err(error) => match refused(&server.process.output(), settings) {
                Some(name) => Ok(Started::Unknown(name)),
                None => Err(error.context("the server cannot be measured")),
            },
        }
    }

    /// Starts a server with settings that every version knows.
    pub async fn start_plain(binary: &Path, cores: &[usize]) -> anyhow::Result<Self> {
        match Self::start::<&str>(binary, cores, &[]).await? {
            Started::Up(server) => Ok(server),
            Started::Unknown(name) => bail!("the server does not know {name}"),
        }
    }

    /// The address at which it serves.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The server's counters, for whoever looks for the reason of a failure.
    pub async fn counters(&self) -> anyhow::Result<String> {
        let answer = reqwest::get(format!("{}/api/dev/stats", self.url)).await.context("no counters")?;
        Ok(answer.text().await?)
    }
}

/// The environment variable of a setting: `media.workers` is `PARLOR_MEDIA__WORKERS`.
fn variable(setting: &str) -> String {
    format!("PARLOR_{}", setting.replace('.', "__").to_uppercase())
}

/// The setting that the server complained of.
fn refused<V>(output: &str, settings: &[(&'static str, V)]) -> Option<&'static str> {
    settings.iter().map(|(name, _)| *name).find(|name| output.contains(&format!("there is no key \"{name}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_has_a_variable() {
        assert_eq!(variable("media.flush_interval_us"), "PARLOR_MEDIA__FLUSH_INTERVAL_US");
    }

    #[test]
    fn an_unknown_setting_is_found_in_what_the_server_says() {
        let settings = [("media.workers", "2"), ("media.flush_interval_us", "2000")];
        assert_eq!(
            refused(r#"parlor: the environment variable PARLOR_X: there is no key "media.flush_interval_us"."#, &settings),
            Some("media.flush_interval_us")
        );
        assert_eq!(refused(r#"parlor: media.flush_interval_us is too long"#, &settings), None);
        assert_eq!(refused::<&str>(r#"there is no key "media.workers"#, &[]), None);
    }
}
