//! The text of an API key: `parlor_<id>_<secret>`.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

/// What every key begins with, so that people and scanners of leaked secrets know it.
const PREFIX: &str = "parlor";
/// Random bytes of the id: enough that no two keys ever have the same one.
const ID_BYTES: usize = 8;
/// Random bytes of the secret: nobody guesses 256 bits, so a plain hash is enough to store.
const SECRET_BYTES: usize = 32;

/// The text of a key, shown to whoever makes it, once, and sent by whoever uses it.
#[derive(Clone)]
pub struct KeyText {
    text: String,
    id: std::ops::Range<usize>,
}

impl KeyText {
    /// Makes a new key; `None` if the system has no random bytes.
    #[must_use]
    pub fn generate() -> Option<Self> {
        let mut random = [0; ID_BYTES + SECRET_BYTES];
        aws_lc_rs::rand::fill(&mut random).ok()?;
        let (id, secret) = random.split_at(ID_BYTES);
        Self::parse(&format!("{PREFIX}_{}_{}", hex(id), hex(secret)))
    }

    /// Reads the form of a key; `None` if it is not one. Whether there is such a key only the store can tell.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.strip_prefix('_')?.split_once('_')?;
        let fine = |part: &str, bytes: usize| part.len() == 2 * bytes && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let start = PREFIX.len() + 1;
        (fine(id, ID_BYTES) && fine(secret, SECRET_BYTES)).then(|| Self { text: text.to_owned(), id: start..start + id.len() })
    }

    /// The part that is no secret.
    #[must_use]
    pub fn id(&self) -> &str {
        self.text.get(self.id.clone()).unwrap_or_default()
    }

    /// SHA-256 of the text: what is stored.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        for (to, from) in hash.iter_mut().zip(digest(&SHA256, self.text.as_bytes()).as_ref()) {
            *to = *from;
        }
        hash
    }

    /// The whole text, for the one it is made for.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }
}

/// A log never shows the secret.
impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyText({}_{}_…)", PREFIX, self.id())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_made() {
        let made = KeyText::generate().expect("random bytes");
        let read = KeyText::parse(made.expose()).expect("is one");
        assert_eq!((read.id(), read.hash()), (made.id(), made.hash()));
        assert_eq!(made.id().len(), 2 * ID_BYTES);
        assert_ne!(KeyText::generate().expect("random bytes").hash(), made.hash());
    }

    #[test]
    fn nothing_else_is_a_key() {
        let id = "0123456789abcdef";
        let secret = "0".repeat(64);
        assert!(KeyText::parse(&format!("parlor_{id}_{secret}")).is_some());
        let wrong = [
            String::new(),
            "parlor__".to_owned(),
            format!("parlor_{id}"),
            format!("parlor_{id}_{secret}0"),
            format!("parlor_{id}_{}", secret.to_uppercase().replace('0', "A")),
            format!("Parlor_{id}_{secret}"),
            format!(" parlor_{id}_{secret}"),
            format!("parlor_{id}é_{secret}"),
        ];
        for text in wrong {
            assert!(KeyText::parse(&text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_log_never_shows_the_secret() {
        let key = KeyText::generate().expect("random bytes");
        let secret = key.expose().rsplit('_').next().expect("has one");
        assert!(!format!("{key:?}").contains(secret));
    }
}
