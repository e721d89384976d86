//! TLS: a certificate that browsers take, for the name, and not about to end.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, Error};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::STEP;
use super::finding::{Fault, Finding, Step};
use crate::cryptography;

/// How long before its end a certificate is warned of: those that renew by themselves are replaced a month before.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The roots that are trusted, and how TLS is spoken.
#[derive(Clone, Debug)]
pub struct Trust {
    /// For connections of others.
    pub config: ClientConfig,
    verifier: Arc<Verifier>,
}

/// Why there is no TLS connection.
#[derive(Clone, PartialEq, Debug)]
pub enum Problem {
    /// The certificate is refused.
    Certificate(CertificateError),
    /// The other side does not speak TLS, or none that is spoken here.
    Failed(String),
}

impl Trust {
    /// Trusts the roots of this system, and these.
    pub fn new(more: Vec<CertificateDer<'static>>) -> Result<Self, Error> {
        cryptography::choose();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = Arc::new(Verifier::new_with_extra_roots(more, Arc::clone(&provider))?);
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<_>)
            .with_no_client_auth();
        Ok(Self { config, verifier })
    }

    /// Speaks TLS on a stream with whoever says to be this host.
    pub async fn shake<S: AsyncRead + AsyncWrite + Unpin>(&self, host: &str, stream: S) -> Result<TlsStream<S>, Problem> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Problem::Failed(format!("{host} is no name for TLS")))?;
        let connector = TlsConnector::from(Arc::new(self.config.clone()));
        match timeout(STEP, connector.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
                Some(Error::InvalidCertificate(why)) => Problem::Certificate(why.clone()),
                Some(why) => Problem::Failed(why.to_string()),
                None => Problem::Failed(error.to_string()),
            }),
            Err(_) => Err(Problem::Failed("no answer".to_owned())),
        }
    }

    /// Whether the certificate of a connection will have ended soon.
    pub fn ends_soon<S>(&self, host: &str, stream: &TlsStream<S>) -> bool {
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let (Some((first, rest)), Ok(name)) = (chain.split_first(), ServerName::try_from(host)) else { return false };
        let then = UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs()) + SOON);
        let verified = self.verifier.verify_server_cert(first, rest, &name, &[], then);
        matches!(verified, Err(Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })))
    }
}

impl Problem {
    /// What is wrong, what was seen, and what mends it.
    pub fn explain(&self, host: &str) -> (Fault, String, String) {
        let (fault, seen, fix) = match self {
            Self::Certificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
                (Fault::TlsExpired, "the certificate has expired".to_owned(), "renew the certificate and have it loaded again")
            }
            Self::Certificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => (
                Fault::TlsOtherName,
                format!("the certificate is not for {host}"),
                "use a certificate for this name, or the name of the certificate",
            ),
            Self::Certificate(CertificateError::UnknownIssuer) => (
                Fault::TlsUntrusted,
                "the certificate is signed by nobody that is trusted here".to_owned(),
                "use a certificate of a public authority, send the intermediate ones along (fullchain.pem), or name your own authority with --ca",
            ),
            Self::Certificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => (
                Fault::TlsFailed,
                "the certificate is not valid yet".to_owned(),
                "set the clock of this machine right, or wait until the certificate begins",
            ),
            Self::Certificate(why) => (Fault::TlsFailed, format!("the certificate is refused: {why}"), "use another certificate"),
            Self::Failed(why) => (Fault::TlsFailed, format!("there is no TLS: {why}"), "have it speak TLS 1.2 or 1.3 on this port"),
        };
        (fault, seen, fix.to_owned())
    }
}

/// What the handshake says; with success, whether the certificate ends soon.
pub fn judge(host: &str, shaken: &Result<bool, Problem>) -> Finding {
    match shaken {
        Ok(false) => Finding::ok(Step::Tls, format!("a trusted certificate for {host}")),
        Ok(true) => {
            let fix = "Proxy: renew the certificate, and see why it did not renew by itself.";
            Finding::warning(Step::Tls, Fault::TlsExpiresSoon, "the certificate ends within 14 days", fix)
        }
        Err(problem) => {
            let (fault, seen, fix) = problem.explain(host);
            Finding::broken(Step::Tls, fault, seen, format!("Proxy: {fix}."))
        }
    }
}
