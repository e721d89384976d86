//! Fetches the document of public keys: over HTTPS, or from a file.

use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::config::KeySource;
use crate::net::fetch::{Document, MAX_BYTES, check_length};

/// The source of key documents, ready to be used.
#[derive(Debug)]
pub enum Fetcher {
    Url(Document),
    File(PathBuf),
}

impl Fetcher {
    /// Prepares the source for use.
    pub fn new(source: KeySource) -> Result<Self, String> {
        match source {
            KeySource::Url(url) => Ok(Self::Url(Document::new(url)?)),
            KeySource::File(path) => Ok(Self::File(path)),
        }
    }

    /// Whether a fetch costs next to nothing, so that it can be done often.
    pub const fn is_cheap(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Fetches the document as it is now; the error says why that failed.
    pub async fn get(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::Url(document) => document.get().await.map_err(|error| error.to_string()),
            Self::File(path) => read(path).await,
        }
    }
}

/// The source as the log names it.
impl std::fmt::Display for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(document) => write!(f, "{document}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).await.map_err(|error| error.to_string())?;
    let mut document = Vec::new();
    // One byte more than may be: so it is known that there is more, and not read.
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut document).await.map_err(|error| error.to_string())?;
    check_length(document.len()).map_err(|error| error.to_string())?;
    Ok(document)
}
