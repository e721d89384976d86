//! Reads the configuration of a command: its file, the environment, its flags.

use std::path::PathBuf;

use toml::Value;

use crate::config::{self, Config, Sources};

/// Reads the configuration. An error names the wrong key, and where it comes from.
pub fn load(file: Option<PathBuf>, flags: Vec<(&'static str, Value)>) -> anyhow::Result<Config> {
    let env = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(config::load(&Sources { file: config::read_file(file)?, env: env.collect(), flags })?)
}
