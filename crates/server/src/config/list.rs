//! Lists that may be written as a single value.

use serde::{Deserialize, Deserializer};

/// Reads `["a", "b"]`, `"a"`, or `""` for none.
pub fn one_or_many<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a text or a list of texts")]
    enum Either {
        One(String),
        Many(Vec<String>),
    }
    let texts = match Either::deserialize(deserializer)? {
        Either::One(text) if text.is_empty() => Vec::new(),
        Either::One(text) => vec![text],
        Either::Many(texts) => texts,
    };
    let parse = |text: String| text.parse().map_err(|e| serde::de::Error::custom(format!("\"{text}\": {e}")));
    texts.into_iter().map(parse).collect()
}
