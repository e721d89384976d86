//! `[auth]`: the keys and rules by which tokens are verified.

use std::fmt;
use std::path::PathBuf;

use reqwest::Url;
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::{Period, Secret, is_loopback};
use crate::secret::without_query;

/// The largest leeway: clocks that differ by more are wrong, and an expired token counts for every minute of it.
const MAX_LEEWAY: Period = Period::minutes(5);
/// The shortest interval between fetches of a key set: a shorter one is load for nothing, because an unknown key is
/// asked for at once anyway.
const MIN_REFRESH: Period = Period::seconds(1);
/// The most secrets: each is one more hash for each token nobody signed; a rotation needs two.
const MAX_SECRETS: usize = 16;

/// The section `[auth]`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// The key of the tokens (HMAC), at least 32 bytes. If neither it nor `secrets` nor `jwks` is set, the server does
    /// not start, except in development mode, where it makes a new key at every start.
    pub secret: Secret,
    /// More keys of this kind that are accepted as well: the old one while secrets are changed. `parlor token` signs
    /// with `secret`, or with the first of these if `secret` is not set.
    pub secrets: Vec<NamedSecret>,
    /// Public keys (a JSON Web Key Set): an `https://` address, or the path of a file. Not set: none.
    #[serde(serialize_with = "without_query")]
    pub jwks: String,
    /// How often the key set is fetched again. A key it does not have is asked for at once.
    pub jwks_refresh: Period,
    /// How long the keys of the set count while it cannot be fetched.
    pub jwks_keep: Period,
    /// The value that a token's `iss` must have. Not set: any.
    pub issuer: String,
    /// The value that a token's `aud` must be or contain. Not set: any.
    pub audience: String,
    /// How far the clocks of the issuer and this server may differ.
    pub leeway: Period,
    /// The longest time from a token's `iat` to its `exp`. 0: any.
    pub max_lifetime: Period,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            secret: Secret::default(),
            secrets: Vec::new(),
            jwks: String::new(),
            jwks_refresh: Period::minutes(10),
            jwks_keep: Period::hours(24),
            issuer: String::new(),
            audience: String::new(),
            leeway: Period::seconds(30),
            max_lifetime: Period::default(),
        }
    }
}

/// The source of public keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeySource {
    /// The address from which the keys are fetched.
    Url(Url),
    /// The file from which the keys are read.
    File(PathBuf),
}

impl Auth {
    /// All secrets, the one that signs first.
    pub fn all_secrets(&self) -> impl Iterator<Item = NamedSecret> + '_ {
        let first = (!self.secret.reveal().is_empty()).then(|| NamedSecret { kid: String::new(), secret: self.secret.clone() });
        first.into_iter().chain(self.secrets.iter().cloned())
    }

    /// The source that `jwks` names, if it is set; the error says what is wrong with it.
    pub fn key_source(&self) -> Result<Option<KeySource>, &'static str> {
        if self.jwks.is_empty() {
            return Ok(None);
        }
        if !self.jwks.contains("://") {
            return Ok(Some(KeySource::File(PathBuf::from(&self.jwks))));
        }
        let url = Url::parse(&self.jwks).map_err(|_| "is not an address; it must look like https://id.example.com/jwks.json")?;
        // An address with a password in it is refused, because the configuration and the log show the address.
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not contain a user name or a password");
        }
        match url.scheme() {
            "https" => Ok(Some(KeySource::Url(url))),
            "http" if is_loopback(&url) => Ok(Some(KeySource::Url(url))),
            "http" => Err("must be https, except on this machine itself: whoever changes the keys on their way can be anybody"),
            _ => Err("must begin with https://, or be the path of a file"),
        }
    }

    /// Checks what types alone do not: the error names the wrong key, and says why.
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        self.key_source().map_err(|reason| ("auth.jwks", reason))?;
        if self.leeway > MAX_LEEWAY {
            return Err(("auth.leeway", "must not be over 5m"));
        }
        if self.jwks_refresh < MIN_REFRESH {
            return Err(("auth.jwks_refresh", "must be at least 1s"));
        }
        if self.jwks_keep < self.jwks_refresh {
            return Err(("auth.jwks_keep", "must not be shorter than auth.jwks_refresh"));
        }
        if self.secrets.len() > MAX_SECRETS {
            return Err(("auth.secrets", "must not be over 16"));
        }
        Ok(())
    }
}

/// An entry of `secrets`: a text, or `{ kid = "2024", secret = "…" }`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NamedSecret {
    /// The name of the secret in a token's header. Empty: it has no name and is tried for every token.
    pub kid: String,
    /// The secret itself.
    pub secret: Secret,
}

impl NamedSecret {
    /// A secret without a name.
    #[must_use]
    pub fn unnamed(secret: &str) -> Self {
        Self { kid: String::new(), secret: Secret::new(secret.to_owned()) }
    }
}

impl Serialize for NamedSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.kid.is_empty() {
            return self.secret.serialize(serializer);
        }
        let mut named = serializer.serialize_struct("NamedSecret", 2)?;
        named.serialize_field("kid", &self.kid)?;
        named.serialize_field("secret", &self.secret)?;
        named.end()
    }
}

/// Written by hand, because the derived error quotes what it does not understand, and that may be a secret.
impl<'de> Deserialize<'de> for NamedSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = NamedSecret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a secret, or { kid = \"name\", secret = \"…\" }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(NamedSecret::unnamed(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut kid, mut secret) = (String::new(), None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "kid" => kid = map.next_value()?,
                        "secret" => secret = Some(map.next_value()?),
                        _ => return Err(de::Error::unknown_field(&key, &["kid", "secret"])),
                    }
                }
                Ok(NamedSecret { kid, secret: secret.ok_or_else(|| de::Error::missing_field("secret"))? })
            }
        }

        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(jwks: &str) -> Result<Option<KeySource>, &'static str> {
        Auth { jwks: jwks.to_owned(), ..Auth::default() }.key_source()
    }

    #[test]
    fn keys_come_from_a_file_or_over_a_way_nobody_can_change_them_on() {
        for file in ["jwks.json", "/etc/parlor/jwks.json", "../keys.json"] {
            assert_eq!(source(file), Ok(Some(KeySource::File(file.into()))));
        }
        for url in ["https://id.example.com/keys", "http://localhost:1/k", "http://127.0.0.1:80/k", "http://[::1]:80/k"] {
            assert!(matches!(source(url), Ok(Some(KeySource::Url(_)))), "{url}");
        }
        for url in [
            "http://id.example.com/keys",
            "http://localhost.example.com/",
            "http://127.0.0.1.example.com/",
            "http://10.0.0.1/",
            "ftp://localhost/",
            "file:///etc/keys.json",
            "https://",
            "https://user:password@id.example.com/",
            "://",
        ] {
            assert!(source(url).is_err(), "{url}");
        }
        assert_eq!(source(""), Ok(None));
    }

    #[test]
    fn secrets_are_read_as_texts_or_with_a_name_and_never_shown() {
        let text = "secrets = [\"first-secret\", { kid = \"2024\", secret = \"second-secret\" }]\nleeway = \"1m\"\n";
        let auth: Auth = toml::from_str(text).expect("valid");
        let all: Vec<_> = auth.all_secrets().map(|s| (s.kid, s.secret.reveal().to_owned())).collect();
        assert_eq!(all, [(String::new(), "first-secret".to_owned()), ("2024".to_owned(), "second-secret".to_owned())]);
        for shown in [toml::to_string(&auth).expect("prints"), format!("{auth:?}")] {
            assert!(!shown.contains("first-secret") && !shown.contains("second-secret"), "{shown}");
        }
        for wrong in ["secrets = [5]", "secrets = [{ kid = \"a\" }]", "secrets = [{ key = \"hidden\" }]"] {
            let said = toml::from_str::<Auth>(wrong).expect_err("refused").message().to_owned();
            assert!(!said.contains("hidden"), "{said}");
        }
    }

    #[test]
    fn values_that_weaken_the_check_are_refused() {
        let wrong = |change: fn(&mut Auth)| {
            let mut auth = Auth::default();
            change(&mut auth);
            auth.check().map_err(|(key, _)| key)
        };
        assert_eq!(wrong(|_| ()), Ok(()));
        assert_eq!(wrong(|a| a.leeway = Period::minutes(6)), Err("auth.leeway"));
        assert_eq!(wrong(|a| a.jwks_refresh = Period::default()), Err("auth.jwks_refresh"));
        assert_eq!(wrong(|a| a.jwks_keep = Period::seconds(1)), Err("auth.jwks_keep"));
        assert_eq!(wrong(|a| a.jwks = "http://id.example.com".into()), Err("auth.jwks"));
        assert_eq!(wrong(|a| a.secrets = vec![NamedSecret::default(); 17]), Err("auth.secrets"));
    }
}
