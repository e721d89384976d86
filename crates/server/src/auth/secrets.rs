//! Checks whether secrets of the configuration can be guessed, and makes one for the development mode.

use crate::config::{self, NamedSecret};

/// The least length of a secret: a key of HMAC-SHA256 should have the length of its hash (RFC 7518, 3.2).
pub const MIN_SECRET_BYTES: usize = 32;
/// The fewest different bytes of a secret: `openssl rand -hex 32` has 16 digits to choose from and shows nearly all of
/// them; a repeated character or two is a forgotten placeholder.
const MIN_DIFFERENT_BYTES: usize = 8;

/// The configured secrets, the one that signs first; the error says what is wrong with one of them.
pub fn checked(config: &config::Auth) -> Result<Vec<NamedSecret>, String> {
    let name = |index: usize| match (config.secret.reveal().is_empty(), index) {
        (false, 0) => "auth.secret".to_owned(),
        (false, index) => format!("auth.secrets[{}]", index - 1),
        (true, index) => format!("auth.secrets[{index}]"),
    };
    let secrets: Vec<_> = config.all_secrets().collect();
    for (index, secret) in secrets.iter().enumerate() {
        check(secret.secret.reveal(), &name(index))?;
        if secret.kid.chars().nth(crate::auth::keys::MAX_KID_CHARS).is_some() {
            return Err(format!("the kid of {} is too long.", name(index)));
        }
    }
    Ok(secrets)
}

fn check(secret: &str, name: &str) -> Result<(), String> {
    let mut bytes = secret.as_bytes().to_vec();
    if bytes.len() < MIN_SECRET_BYTES {
        return Err(format!("{name} has {} bytes; it must have at least {MIN_SECRET_BYTES}.", bytes.len()));
    }
    bytes.sort_unstable();
    bytes.dedup();
    if bytes.len() < MIN_DIFFERENT_BYTES {
        return Err(format!("{name} repeats the same few characters: anybody could guess it."));
    }
    Ok(())
}

/// A random secret that nobody knows.
pub fn random() -> NamedSecret {
    use std::fmt::Write;
    let text = rand::random::<[u8; MIN_SECRET_BYTES]>().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    NamedSecret::unnamed(&text)
}
