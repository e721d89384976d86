//! TLS for clients behind firewalls that let nothing else through: the certificate, read again when its file changes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// How often the files are looked at: a certificate is renewed weeks before it ends.
const LOOK: Duration = Duration::from_secs(60);

/// The certificate in use.
#[derive(Debug)]
pub struct Tls {
    chain: PathBuf,
    key: PathBuf,
    config: Arc<ServerConfig>,
    changed: Option<SystemTime>,
    looked: Instant,
}

impl Tls {
    /// Reads chain and key.
    pub fn read(chain: PathBuf, key: PathBuf, now: Instant) -> anyhow::Result<Self> {
        let config = read(&chain, &key)?;
        let changed = modified(&chain);
        Ok(Self { chain, key, config, changed, looked: now })
    }

    /// The configuration of a new connection.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Reads the files again if they have changed. Ones that cannot be read leave the certificate as it was.
    pub fn look(&mut self, now: Instant) {
        if now.saturating_duration_since(self.looked) < LOOK {
            return;
        }
        self.looked = now;
        let changed = modified(&self.chain);
        if changed == self.changed {
            return;
        }
        match read(&self.chain, &self.key) {
            Ok(config) => {
                tracing::info!("the certificate of TURN over TLS was read again");
                (self.config, self.changed) = (config, changed);
            }
            Err(error) => tracing::warn!(error = format!("{error:#}"), "the new certificate of TURN over TLS is not used"),
        }
    }
}

fn modified(path: &PathBuf) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn read(chain: &PathBuf, key: &PathBuf) -> anyhow::Result<Arc<ServerConfig>> {
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| anyhow::anyhow!("cannot read the certificate in {}: {error}", chain.display()))?;
    anyhow::ensure!(!certificates.is_empty(), "there is no certificate in {} (turn.tls_cert)", chain.display());
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| anyhow::anyhow!("cannot read the key in {}: {error}", key.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, secret)
        .with_context(|| format!("the key in {} is not that of the certificate in {}", key.display(), chain.display()))?;
    Ok(Arc::new(config))
}
