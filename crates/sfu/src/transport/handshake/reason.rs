//! Which of the reasons that clients are told an error of the DTLS engine is.

use dimpl::{CryptoError, Error, SecurityError};
use parlor_proto::transport::TransportFailure;

/// Why the handshake failed.
pub(super) fn reason_of(error: &Error) -> TransportFailure {
    match error {
        Error::CryptoError(error) => reason_of_crypto(error),
        // None was shown, or one that cannot be read.
        Error::CertificateError(_) => TransportFailure::CertificateUnsupported,
        Error::SecurityError(error) => reason_of_security(error),
        Error::Timeout(_) => TransportFailure::HandshakeTimeout,
        _ => TransportFailure::ProtocolViolation,
    }
}

fn reason_of_crypto(error: &CryptoError) -> TransportFailure {
    match error {
        CryptoError::SignatureVerificationFailed { .. }
        | CryptoError::RsaSignatureVerificationFailed { .. }
        | CryptoError::InvalidSignatureFormat => TransportFailure::SignatureInvalid,
        CryptoError::UnsupportedSignatureAlgorithm(_)
        | CryptoError::SignatureAlgorithmNotOfferedByClient
        | CryptoError::SignatureAlgorithmMismatch { .. }
        | CryptoError::UnsupportedSignaturePair { .. }
        | CryptoError::UnsupportedSignatureVerification { .. }
        | CryptoError::UnsupportedRsaKeySize
        | CryptoError::UnsupportedPublicKeyAlgorithm
        | CryptoError::UnsupportedEcCurve
        | CryptoError::CertificateParseFailed
        | CryptoError::MissingEcCurveParameter
        | CryptoError::InvalidEcCurveParameter
        | CryptoError::InvalidSubjectPublicKey => TransportFailure::CertificateUnsupported,
        _ => TransportFailure::ProtocolViolation,
    }
}

fn reason_of_security(error: &SecurityError) -> TransportFailure {
    match error {
        SecurityError::FatalAlert { .. } => TransportFailure::RefusedByClient,
        SecurityError::SignatureTooLarge
        | SecurityError::SignatureSchemeNotOffered(_)
        | SecurityError::UnsupportedSignatureScheme(_)
        | SecurityError::SignatureAlgorithmMismatch { .. }
        | SecurityError::SignatureSchemeCertificateCurveMismatch { .. } => TransportFailure::CertificateUnsupported,
        SecurityError::UnsupportedServerVersion(_)
        | SecurityError::UnsupportedClientVersion(_)
        | SecurityError::UnsupportedKeyExchangeAlgorithm
        | SecurityError::ServerSelectedUnknownCipherSuite
        | SecurityError::ServerSelectedIncompatibleCipherSuite(_)
        | SecurityError::ServerSelectedDisallowedCipherSuite(_)
        | SecurityError::ServerSelectedDisallowedDtls13CipherSuite(_)
        | SecurityError::ExtendedMasterSecretNotNegotiated
        | SecurityError::NoMutuallyAcceptableCipherSuite
        | SecurityError::NoCommonCipherSuite
        | SecurityError::NoCommonKeyExchangeGroup => TransportFailure::NothingInCommon,
        _ => TransportFailure::ProtocolViolation,
    }
}
