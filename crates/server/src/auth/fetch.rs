//! Fetches the document of public keys: over HTTPS, or from a file.

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use reqwest::{Client, StatusCode, Url, redirect};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::config::{KeySource, is_loopback};

/// The time for the whole answer. A user may be waiting for it to be let in.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of a document: the key set of a large identity provider has about 10 KiB.
const MAX_BYTES: usize = 1024 * 1024;

/// The source of key documents, ready to be used.
#[derive(Debug)]
pub enum Fetcher {
    Url { client: Client, url: Url },
    File(PathBuf),
}

impl Fetcher {
    /// Prepares the source for use.
    pub fn new(source: KeySource) -> Result<Self, String> {
        match source {
            KeySource::Url(url) => Ok(Self::Url { client: client(&url)?, url }),
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
            Self::Url { client, url } => get(client, url).await,
            Self::File(path) => read(path).await,
        }
    }
}

/// The source as the log names it, without what follows the path, which may be a secret.
impl std::fmt::Display for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url { url, .. } => write!(f, "{}{}", url.origin().ascii_serialization(), url.path()),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

fn client(url: &Url) -> Result<Client, String> {
    static PROVIDER: Once = Once::new();
    // The library leaves the choice of the cryptography to the program. A failure here only says that the choice was made before.
    PROVIDER.call_once(|| drop(rustls::crypto::aws_lc_rs::default_provider().install_default()));
    let local = is_loopback(url);
    let builder = Client::builder()
        .timeout(TIMEOUT)
        // Redirects are not followed: whoever could redirect the request would choose the keys.
        .redirect(redirect::Policy::none())
        .referer(false)
        .https_only(!local)
        .user_agent(concat!("parlor/", env!("CARGO_PKG_VERSION")));
    let builder = if local { builder.no_proxy() } else { builder };
    builder.build().map_err(|error| format!("no HTTPS client can be made: {error}"))
}

async fn get(client: &Client, url: &Url) -> Result<Vec<u8>, String> {
    let mut response = client.get(url.clone()).send().await.map_err(|error| explain(&error))?;
    if response.status() != StatusCode::OK {
        return Err(format!("the answer is {}", response.status()));
    }
    let mut document = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| explain(&error))? {
        if document.len() + chunk.len() > MAX_BYTES {
            return Err(too_long());
        }
        document.extend_from_slice(&chunk);
    }
    Ok(document)
}

/// The innermost cause of an error: those around it repeat the address, with what may be secret in it.
fn explain(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if error.is_timeout() { "no answer within 5 s".to_owned() } else { cause.to_string() }
}

async fn read(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).await.map_err(|error| error.to_string())?;
    let mut document = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut document).await.map_err(|error| error.to_string())?;
    if document.len() > MAX_BYTES { Err(too_long()) } else { Ok(document) }
}

fn too_long() -> String {
    "it has over 1 MiB".to_owned()
}
