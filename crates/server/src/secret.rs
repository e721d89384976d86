//! A secret text that is never shown.

use serde::{Deserialize, Serialize, Serializer};

/// The text shown in place of a secret.
const MASK: &str = "********";

/// Writes an address without its query and fragment, in which keys often stand.
pub fn without_query<S: Serializer>(address: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match address.find(['?', '#']).and_then(|at| address.get(..=at)) {
        Some(shown) => serializer.collect_str(&format_args!("{shown}{MASK}")),
        None => serializer.serialize_str(address),
    }
}

/// A secret from the configuration: printing or serializing it gives asterisks.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    const fn masked(&self) -> &'static str {
        if self.0.is_empty() { "" } else { MASK }
    }
}

impl std::str::FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.masked())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.masked())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Sources, load};

    #[test]
    fn what_is_printed_has_no_key_of_an_address() {
        let file = "[auth]\njwks = \"https://id.example.com/keys?token=hidden\"\n[[webhooks]]\nurl = \"https://app.example.com/hook?key=hidden#hidden\"\n\
             secret = \"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"\n[[webhooks]]\nurl = \"https://b.example/#hidden\"\n\
             secret = \"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"\n\
             old_secrets = \"whsec_b2xkIDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmM=\"\n";
        let config: Config = load(&Sources { file: Some(("x".into(), file.into())), ..Sources::default() }).expect("valid");
        assert_eq!(config.auth.jwks, "https://id.example.com/keys?token=hidden", "it is used as it is");
        let printed = config.to_toml().expect("prints");
        assert!(!printed.contains("hidden") && !printed.contains("whsec_"), "{printed}");
        for shown in
            ["\"https://id.example.com/keys?********\"", "\"https://app.example.com/hook?********\"", "\"https://b.example/#********\""]
        {
            assert!(printed.contains(shown), "{printed}");
        }
    }
}
