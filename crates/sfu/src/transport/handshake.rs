//! DTLS of one client connection: the handshake, the check of the client's certificate, the keys for SRTP.

mod reason;
mod records;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::{constant_time, digest};
use dimpl::{Config, Dtls, DtlsCertificate, KeyingMaterial, Output, ProtocolVersion, SrtpProfile};
use parlor_proto::error::{Error, ErrorCode};
use parlor_proto::transport::{DtlsFingerprint, DtlsParameters, DtlsRole, TransportFailure};

use self::reason::reason_of;
use crate::wire::srtp::Profile;

/// First retransmission. Clients are near or the call is no pleasure; a second, as is usual, would be heard.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// Doubled from [`FIRST_RETRY`] this is half a minute, the time a handshake is given.
const RETRIES: usize = 6;
/// From the first hello on.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long after the handshake a client may still ask for our last flight: as long as its own retries last.
const LINGER: Duration = Duration::from_secs(60);
/// Outputs that wait to be polled. Our longest flight is three datagrams; what is dropped is retransmitted.
const MAX_OUTPUTS: usize = 16;
/// A record's plaintext is at most 16 KiB (RFC 8446 section 5.1); a certificate is a good deal smaller.
const MAX_OUTPUT_BYTES: usize = 1 << 14;
/// Room for a datagram (dimpl's MTU is 1,150) and for a usual certificate.
const OUTPUT_BYTES: usize = 2_048;
/// A timer further away than this is dimpl's way to say that there is none.
const NO_TIMER: Duration = Duration::from_secs(86_400);

/// The certificate all connections of one `Sfu` show. Making one costs a millisecond, so it is made once.
pub(crate) struct Identity {
    certificate: DtlsCertificate,
    config: Arc<Config>,
    pub(crate) fingerprint: DtlsFingerprint,
}

impl Identity {
    pub(crate) fn new() -> Option<Self> {
        let certificate = dimpl::certificate::generate_self_signed_certificate().ok()?;
        // No cookies: only addresses that passed an ICE check get here, so nobody else can be flooded.
        let config = Config::builder()
            .use_server_cookie(false)
            .require_client_certificate(true)
            .flight_start_rto(FIRST_RETRY)
            .flight_retries(RETRIES)
            .handshake_timeout(HANDSHAKE_TIMEOUT);
        let fingerprint = DtlsFingerprint { algorithm: "sha-256".to_owned(), value: certificate.fingerprint_str() };
        Some(Self { certificate, config: Arc::new(config.build().ok()?), fingerprint })
    }
}

/// Keys and salts of both directions.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SrtpKeys {
    pub(crate) profile: Profile,
    pub(crate) local_key: Vec<u8>,
    pub(crate) local_salt: Vec<u8>,
    pub(crate) remote_key: Vec<u8>,
    pub(crate) remote_salt: Vec<u8>,
}

/// What comes out of a handshake.
pub(crate) enum HandshakeOutput {
    /// Nothing more until then, or until bytes arrive.
    Idle(Option<Instant>),
    Transmit(Vec<u8>),
    /// The client is who it announced to be; media can flow.
    Connected(Box<SrtpKeys>),
    /// The handshake ended, or broke for good.
    Closed(End),
}

/// How a handshake ended.
pub(crate) struct End {
    pub(crate) reason: TransportFailure,
    /// What to write into the log of a handshake that failed; given out once. It has names and numbers of ours only.
    pub(crate) why: Option<String>,
}

/// The DTLS side of one client connection.
pub(crate) struct Handshake {
    certificate: DtlsCertificate,
    config: Arc<Config>,
    state: State,
    outputs: VecDeque<HandshakeOutput>,
    timer: Option<Instant>,
}

enum State {
    /// Nothing is known of the client, so nothing from it is read: a hello that comes early is dropped, and
    /// the client sends it again within its first retransmission time. Keeping it would be memory for anybody.
    New,
    Shaking(Box<Shaking>),
    /// The engine stays to answer a repeated last flight and to hear the end; it is gone once it failed.
    Connected {
        dtls: Option<Box<Dtls>>,
        since: Instant,
    },
    Closed(End),
}

struct Shaking {
    dtls: Dtls,
    algorithm: &'static digest::Algorithm,
    fingerprint: Vec<u8>,
    verified: bool,
    finished: bool,
    keys: Option<Box<SrtpKeys>>,
    /// The client's last alert, if it was one that ends the handshake.
    alert: Option<u8>,
}

impl Handshake {
    pub(crate) fn new(identity: &Identity, _now: Instant) -> Self {
        Self {
            certificate: identity.certificate.clone(),
            config: Arc::clone(&identity.config),
            state: State::New,
            outputs: VecDeque::new(),
            timer: None,
        }
    }

    /// Begins with a client that must show the certificate it announced. The strongest fingerprint of the list
    /// decides (RFC 8122 section 5).
    pub(crate) fn start(&mut self, parameters: &DtlsParameters, now: Instant) -> Result<(), Error> {
        let (name, fingerprint) = parameters.strongest_fingerprint()?;
        let algorithm = match name {
            "sha-256" => &digest::SHA256,
            "sha-384" => &digest::SHA384,
            "sha-512" => &digest::SHA512,
            _ => return Err(Error::invalid("dtlsParameters.fingerprints", "has none of sha-256, sha-384, sha-512")),
        };
        if !matches!(self.state, State::New) {
            return Err(Error::new(ErrorCode::TransportFailed));
        }
        let certificate = DtlsCertificate {
            certificate: std::mem::take(&mut self.certificate.certificate),
            private_key: std::mem::take(&mut self.certificate.private_key),
        };
        let mut dtls = Dtls::new_auto(Arc::clone(&self.config), certificate, now);
        // We leave the role open, so a client that leaves it open too begins (RFC 8842, section 5.3).
        dtls.set_active(parameters.role == DtlsRole::Server);
        let shaking = Shaking { dtls, algorithm, fingerprint, verified: false, finished: false, keys: None, alert: None };
        self.state = State::Shaking(Box::new(shaking));
        self.handle_timeout(now);
        if matches!(self.state, State::Closed(_)) { Err(Error::new(ErrorCode::TransportFailed)) } else { Ok(()) }
    }

    /// Gives it a DTLS datagram. False if it was refused.
    pub(crate) fn receive(&mut self, bytes: &[u8], now: Instant) -> bool {
        let result = match &mut self.state {
            State::New | State::Closed(_) => return false,
            State::Shaking(shaking) => {
                shaking.alert = records::plain_alert(bytes).or(shaking.alert);
                shaking.dtls.handle_timeout(now).and_then(|()| shaking.dtls.handle_packet(bytes))
            }
            State::Connected { dtls: Some(dtls), since } => {
                let lingers = now.saturating_duration_since(*since) < LINGER;
                let tls13 = dtls.protocol_version() == Some(ProtocolVersion::DTLS1_3);
                let Some(bytes) = records::after_handshake(bytes, tls13, lingers) else { return false };
                dtls.handle_timeout(now).and_then(|()| dtls.handle_packet(bytes))
            }
            State::Connected { dtls: None, .. } => return false,
        };
        self.settle(result, now)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let result = match &mut self.state {
            State::Shaking(shaking) => shaking.dtls.handle_timeout(now),
            State::Connected { dtls: Some(dtls), .. } => dtls.handle_timeout(now),
            _ => return,
        };
        self.settle(result, now);
    }

    /// Does what is due at `now`. Connections have turns for other reasons many times a second, and dimpl is not asked each time.
    pub(crate) fn handle_due(&mut self, now: Instant) {
        if self.timer.is_some_and(|at| at <= now) {
            self.handle_timeout(now);
        }
    }

    /// Tells the client that it ends.
    pub(crate) fn close(&mut self, now: Instant) {
        if let State::Connected { dtls: Some(dtls), .. } = &mut self.state
            && dtls.close().is_ok()
        {
            self.drain(now);
        }
        self.end(TransportFailure::Closed, None);
    }

    /// The next output. To be called until it is idle or closed after every input.
    pub(crate) fn poll(&mut self) -> HandshakeOutput {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        if let State::Closed(end) = &mut self.state {
            return HandshakeOutput::Closed(End { reason: end.reason, why: end.why.take() });
        }
        // A participant's memory matters more than an allocation in a handshake.
        self.outputs = VecDeque::new();
        HandshakeOutput::Idle(self.timer)
    }

    /// Judges what dimpl said of an input.
    fn settle(&mut self, result: Result<(), dimpl::Error>, now: Instant) -> bool {
        match result {
            Ok(()) => {
                self.drain(now);
                !matches!(self.state, State::Closed(_))
            }
            Err(error) => {
                self.fail(&error);
                false
            }
        }
    }

    fn fail(&mut self, error: &dimpl::Error) {
        // A client's hello in both versions waits for the ServerHello; a later part of the flight that overtook
        // it, or junk, leaves that state untouched.
        let overtaken = dimpl::UnexpectedMessageError::UnrecognizedAutoServerResponse;
        if *error == dimpl::Error::UnexpectedMessage(overtaken) {
            return;
        }
        match &mut self.state {
            // dimpl believes alerts only if they are authentic by then.
            State::Connected { dtls, .. } if !is_alert(error) => {
                *dtls = None;
                self.timer = None;
            }
            State::Connected { .. } => self.end(TransportFailure::Closed, None),
            State::Shaking(shaking) => match (shaking.alert, reason_of(error)) {
                (Some(alert), TransportFailure::HandshakeTimeout) => {
                    self.end(TransportFailure::RefusedByClient, Some(format!("the client sent the alert {alert}")));
                }
                (_, reason) => self.end(reason, Some(error.to_string())),
            },
            State::New | State::Closed(_) => {}
        }
    }

    /// The handshake is over. The first reason stays.
    fn end(&mut self, reason: TransportFailure, why: Option<String>) {
        if !matches!(self.state, State::Closed(_)) {
            self.state = State::Closed(End { reason, why });
        }
        self.timer = None;
    }

    fn end_handshake(&mut self, reason: TransportFailure, why: &str) {
        self.end(reason, Some(why.to_owned()));
    }

    /// Takes everything out of dimpl, as it wants after every input.
    fn drain(&mut self, now: Instant) {
        let mut buffer = vec![0; OUTPUT_BYTES];
        loop {
            let dtls = match &mut self.state {
                State::Shaking(shaking) => &mut shaking.dtls,
                State::Connected { dtls: Some(dtls), .. } => dtls.as_mut(),
                _ => return,
            };
            let mut grow = None;
            let active = dtls.is_active();
            match dtls.poll_output(&mut buffer) {
                Output::Timeout(at) => {
                    self.timer = (at.saturating_duration_since(now) < NO_TIMER).then_some(at);
                    // It is over and there are no keys: the client does not speak SRTP.
                    if matches!(&self.state, State::Shaking(shaking) if shaking.finished) {
                        self.end_handshake(TransportFailure::NothingInCommon, "no SRTP profile in common");
                    }
                    return;
                }
                Output::Packet(bytes) if self.outputs.len() < MAX_OUTPUTS => {
                    self.outputs.push_back(HandshakeOutput::Transmit(bytes.to_vec()));
                }
                Output::BufferTooSmall { needed } => grow = Some(needed),
                Output::PeerCert(certificate) => self.verify(certificate),
                Output::KeyingMaterial(material, profile) => self.take_keys(&material, profile, active),
                Output::Connected => {
                    if let State::Shaking(shaking) = &mut self.state {
                        shaking.finished = true;
                    }
                }
                Output::CloseNotify => self.end(TransportFailure::Closed, None),
                // Nobody speaks over this connection: there are no data channels.
                _ => {}
            }
            match grow {
                Some(needed) if needed > buffer.len() && needed <= MAX_OUTPUT_BYTES => buffer.resize(needed, 0),
                Some(_) => self.end_handshake(TransportFailure::CertificateUnsupported, "the certificate is too large"),
                None => self.finish(now),
            }
        }
    }

    fn verify(&mut self, certificate: &[u8]) {
        let State::Shaking(shaking) = &mut self.state else { return };
        let digest = digest::digest(shaking.algorithm, certificate);
        if constant_time::verify_slices_are_equal(digest.as_ref(), &shaking.fingerprint).is_ok() {
            shaking.verified = true;
        } else {
            self.end_handshake(TransportFailure::CertificateMismatch, "the certificate is not the announced one");
        }
    }

    fn take_keys(&mut self, material: &KeyingMaterial, profile: SrtpProfile, active: bool) {
        let State::Shaking(shaking) = &mut self.state else { return };
        shaking.keys = split(material, profile, active).map(Box::new);
    }

    /// Hands out the keys once all of it is true: the end of the handshake, the right certificate, keys.
    fn finish(&mut self, now: Instant) {
        let State::Shaking(shaking) = &mut self.state else { return };
        if !shaking.finished || shaking.keys.is_none() {
            return;
        }
        // Not to be seen unless what follows fails.
        let unproven = End { reason: TransportFailure::CertificateMismatch, why: Some("no certificate was shown".to_owned()) };
        let State::Shaking(shaking) = std::mem::replace(&mut self.state, State::Closed(unproven)) else { return };
        let Shaking { dtls, verified: true, keys: Some(keys), .. } = *shaking else { return };
        self.state = State::Connected { dtls: Some(Box::new(dtls)), since: now };
        // Not counted: it comes once.
        self.outputs.push_back(HandshakeOutput::Connected(keys));
    }
}

fn is_alert(error: &dimpl::Error) -> bool {
    matches!(error, dimpl::Error::SecurityError(dimpl::SecurityError::FatalAlert { .. }))
}

/// Client key, server key, client salt, server salt (RFC 5764 section 4.2).
fn split(material: &[u8], profile: SrtpProfile, active: bool) -> Option<SrtpKeys> {
    let profile = match profile {
        SrtpProfile::AEAD_AES_128_GCM => Profile::AeadAes128Gcm,
        SrtpProfile::AEAD_AES_256_GCM => Profile::AeadAes256Gcm,
        SrtpProfile::AES128_CM_SHA1_80 => Profile::Aes128CmSha1_80,
        _ => return None,
    };
    let (client_key, rest) = material.split_at_checked(profile.key_len())?;
    let (server_key, rest) = rest.split_at_checked(profile.key_len())?;
    let (client_salt, rest) = rest.split_at_checked(profile.salt_len())?;
    let (server_salt, _) = rest.split_at_checked(profile.salt_len())?;
    let (client, server) = ((client_key.to_vec(), client_salt.to_vec()), (server_key.to_vec(), server_salt.to_vec()));
    let ((local_key, local_salt), (remote_key, remote_salt)) = if active { (client, server) } else { (server, client) };
    Some(SrtpKeys { profile, local_key, local_salt, remote_key, remote_salt })
}
