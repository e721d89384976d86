//! The parts that all commands on the store share: opening it, reading arguments, walking through pages.

use std::future::Future;
use std::path::PathBuf;

use clap::Args;
use parlor_proto::ids::{check_id, check_name};
use parlor_proto::{Actor, ChannelId, Timestamp, UserId, limits};
use parlor_store::{Page, Store, StoreError};
use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::Value as Setting;

use crate::cli::load::load;
use crate::cli::output::{self, Output, explain, usage};
use crate::clock;
use crate::config::Period;

/// Rows of a page when a whole list is read.
const PAGE: u32 = 500;

/// Options of every command that works on the store.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command on the store")]
pub struct Common {
    /// Configuration file [default: parlor.toml, if it is there]
    #[arg(long, env = "PARLOR_CONFIG", value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The store, instead of the configured one: sqlite:FILE or postgres://HOST/DATABASE
    #[arg(long, value_name = "ADDRESS", global = true)]
    store: Option<String>,
    /// Print JSON, for scripts
    #[arg(long, global = true)]
    json: bool,
}

/// The open store, and the options that every command has.
pub struct Records {
    pub store: Store,
    pub output: Output,
    /// The user of the command line, for the audit log.
    pub by: Actor,
    pub now: Timestamp,
}

impl Common {
    /// Opens the store and runs a command on it. A command that does not write makes no store if there is none.
    pub fn run<F: Future<Output = anyhow::Result<()>>>(self, writes: bool, command: impl FnOnce(Records) -> F) -> anyhow::Result<()> {
        let Self { config, store, json } = self;
        let named = store.is_some();
        let flags = store.map(|address| ("store.url", Setting::String(address))).into_iter().collect();
        let url = load(config, flags)?.store.effective_url(false);
        anyhow::ensure!(url != "sqlite::memory:", "the configured store is in the memory of the server, out of reach from here");
        let made = Store::is_missing(&url);
        if made && !writes {
            anyhow::bail!(
                "there is no store yet at {url}. It is made when the server starts, or by the first command that writes. \
                 If there is one elsewhere, name it with --store or its configuration with --config."
            );
        }
        // The database's own words about a failure are for the operator, who is at the terminal.
        let log = tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR).with_target(false).with_ansi(output::colours());
        let _ = log.with_writer(std::io::stderr).try_init();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let store = Store::open(&url).await.map_err(|error| match error {
                StoreError::Url(problem) if named => usage(format!("--store: {problem}")),
                error => explain(error, ""),
            })?;
            if made {
                eprintln!("made a new store: {url}");
            }
            let records = Records { store: store.clone(), output: Output { json }, by: Actor::CommandLine, now: clock::wall() };
            let result = command(records).await;
            store.close().await;
            result
        })
    }
}

/// Reads a list to its end.
pub async fn all<T>(
    channel: &str,
    mut read: impl AsyncFnMut(Page) -> Result<Vec<T>, StoreError>,
    id: impl Fn(&T) -> String,
) -> anyhow::Result<Vec<T>> {
    let (mut all, mut page) = (Vec::new(), Page::first(PAGE));
    loop {
        let rows = read(page).await.map_err(|error| explain(error, channel))?;
        let Some(last) = rows.last() else { return Ok(all) };
        page = Page::after(id(last), PAGE);
        let complete = rows.len() < PAGE as usize;
        all.extend(rows);
        if complete {
            return Ok(all);
        }
    }
}

impl Records {
    /// Fails unless the channel exists: an empty list would not tell.
    pub async fn need_channel(&self, channel: &ChannelId) -> anyhow::Result<()> {
        let missing = || explain(StoreError::NotFound(parlor_store::What::Channel), channel.as_str());
        let found = self.store.channel(channel).await.map_err(|error| explain(error, channel.as_str()))?;
        found.map(drop).ok_or_else(missing)
    }
}

/// Reads a channel's id.
pub fn channel_id(text: &str) -> Result<ChannelId, &'static str> {
    ChannelId::new(text)
}

/// Reads a user's id.
pub fn user_id(text: &str) -> Result<UserId, &'static str> {
    UserId::new(text)
}

/// Reads the name of a seat.
pub fn seat(text: &str) -> Result<String, &'static str> {
    check_id(text).map(|()| text.to_owned())
}

/// Reads a length of time that is longer than zero.
pub fn period(text: &str) -> Result<Period, &'static str> {
    let period: Period = text.parse()?;
    if period.is_zero() { Err("must be more than 0") } else { Ok(period) }
}

/// Reads a name to show.
pub fn display_name(text: &str) -> Result<String, &'static str> {
    check_name(text, limits::MAX_NAME_CHARS).map(|()| text.to_owned())
}

/// Reads a moment, such as `2100-12-24T18:00:00Z`.
pub fn moment(text: &str) -> Result<Timestamp, &'static str> {
    Timestamp::parse_rfc3339(text).ok_or("must be a moment with its time zone, as 2100-12-24T18:00:00Z")
}

/// Reads one of the words of an enumeration; clap has made sure that it is one.
pub fn word<T: DeserializeOwned + Default>(word: String) -> T {
    serde_json::from_value(Value::String(word)).unwrap_or_default()
}

/// Writes a moment as JSON, or null.
pub fn time(moment: Option<Timestamp>) -> Value {
    moment.map_or(Value::Null, |moment| Value::String(moment.to_rfc3339()))
}
