//! The cryptography of TLS, which the libraries leave to the program to choose.

use std::sync::Once;

/// Chooses it, once for the process. A choice that was made before stands.
pub fn choose() {
    static CHOSEN: Once = Once::new();
    CHOSEN.call_once(|| drop(rustls::crypto::aws_lc_rs::default_provider().install_default()));
}
