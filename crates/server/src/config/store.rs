//! `[store]`: the database that keeps channels, people and events.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Secret;

/// The file of the store if nothing else is configured.
const FILE_NAME: &str = "parlor.db";
/// The address of a store in memory, which is gone with the process.
const IN_MEMORY: &str = "sqlite::memory:";

/// The section `[store]`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// `sqlite:parlor.db` or `postgres://user:password@host/database`. Not set: the file `parlor.db` beside the
    /// configuration file; in development mode in memory. It is a secret because it may hold a password.
    pub url: Secret,
    /// Milliseconds for which a server that is not heard of keeps its place in the store, 1,000 to 60,000. So long the next start waits
    /// after a crash, and after so long without the store (or paused) another server may take its place.
    pub lease_ms: u64,
    /// Days for which a line of the audit log is kept, at least 1.
    pub audit_keep_days: u32,
    /// The most lines of the audit log, at least 1; the oldest are removed first. A line has about 300 bytes.
    pub audit_keep_lines: u64,
    /// The directory of the configuration file.
    #[serde(skip)]
    pub(super) directory: PathBuf,
}

impl Default for Store {
    fn default() -> Self {
        Self { url: Secret::default(), lease_ms: 5_000, audit_keep_days: 365, audit_keep_lines: 1_000_000, directory: PathBuf::new() }
    }
}

impl Store {
    /// The configuration of a store at this address.
    #[must_use]
    pub fn at(url: &str) -> Self {
        Self { url: Secret::new(url.to_owned()), ..Self::default() }
    }

    /// The address of the store in effect.
    #[must_use]
    pub fn effective_url(&self, dev: bool) -> String {
        match self.url.reveal() {
            "" if dev => IN_MEMORY.to_owned(),
            "" => format!("sqlite:{}", self.directory.join(FILE_NAME).display()),
            url => url.to_owned(),
        }
    }

    /// How long the place in the store is taken at a time: [`Store::lease_ms`].
    #[must_use]
    pub const fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    /// How long a line of the audit log is kept, and how many lines at the most.
    #[must_use]
    pub const fn audit_kept(&self) -> (Duration, u64) {
        (Duration::from_secs(self.audit_keep_days as u64 * 24 * 60 * 60), self.audit_keep_lines)
    }

    /// Whether other nodes may use the same store.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.url.reveal().starts_with("postgres")
    }

    /// Remembers where the configuration file is.
    pub(super) fn beside(&mut self, file: &Path) {
        self.directory = file.parent().map(Path::to_path_buf).unwrap_or_default();
    }
}
