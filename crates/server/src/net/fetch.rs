//! Fetches small documents from other servers: over HTTPS, within a time and a size.

use std::fmt;
use std::time::Duration;

use reqwest::{Client, StatusCode, Url, redirect};

use crate::config::is_loopback;
use crate::cryptography;

/// The time for the whole answer. A user may be waiting for it to be let in.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of a document: the key set of a large identity provider has about 10 KiB, a list of TURN servers 1 KiB.
pub const MAX_BYTES: usize = 1024 * 1024;

/// A document of another server.
#[derive(Debug)]
pub struct Document {
    client: Client,
    url: Url,
}

/// Why a document was not fetched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FetchError {
    /// The other server answered, and not with the document.
    Status(StatusCode),
    /// There was no answer, or none that can be read.
    Failed(String),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "the answer is {status}"),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

/// The document as the log names it, without what follows the path, which may be a secret.
impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.url.origin().ascii_serialization(), self.url.path())
    }
}

impl Document {
    /// Prepares to fetch a document. Plain HTTP is for addresses of this machine alone.
    pub fn new(url: Url) -> Result<Self, String> {
        cryptography::choose();
        let local = is_loopback(&url);
        let builder = Client::builder()
            .timeout(TIMEOUT)
            // Redirects are not followed: whoever could redirect the request would choose the document.
            .redirect(redirect::Policy::none())
            .referer(false)
            .https_only(!local)
            .user_agent(concat!("parlor/", env!("CARGO_PKG_VERSION")));
        let builder = if local { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(|error| format!("no HTTPS client can be made: {error}"))?;
        Ok(Self { client, url })
    }

    /// Fetches the document as it is now.
    pub async fn get(&self) -> Result<Vec<u8>, FetchError> {
        let mut response = self.client.get(self.url.clone()).send().await.map_err(|error| explain(&error))?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let mut document = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| explain(&error))? {
            check_length(document.len() + chunk.len())?;
            document.extend_from_slice(&chunk);
        }
        Ok(document)
    }
}

/// Refuses a document that is too long.
pub fn check_length(bytes: usize) -> Result<(), FetchError> {
    if bytes > MAX_BYTES { Err(FetchError::Failed("it has over 1 MiB".to_owned())) } else { Ok(()) }
}

/// The innermost cause of an error: those around it repeat the address, with what may be secret in it.
fn explain(error: &reqwest::Error) -> FetchError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    FetchError::Failed(if error.is_timeout() { "no answer within 5 s".to_owned() } else { cause.to_string() })
}
