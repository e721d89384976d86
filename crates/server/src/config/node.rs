//! `[node]`: what this server is among others.

use serde::{Deserialize, Serialize};

/// The region of a server that has no name for it.
const DEFAULT_REGION: &str = "default";
/// The longest `node.region`, in characters: it stands in every row of the counters.
const MAX_REGION: usize = 32;

/// The section `[node]`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// The region the server is in, as the counters of connections name it: `eu-west`. Up to 32 lower-case letters, digits and
    /// hyphens. Not set: `default`.
    pub region: String,
}

impl Node {
    /// The region, or the name of none.
    #[must_use]
    pub fn region(&self) -> &str {
        if self.region.is_empty() { DEFAULT_REGION } else { &self.region }
    }

    /// Checks what types alone do not: returns the key, and what is wrong with it.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.region.len() > MAX_REGION || !self.region.chars().all(fits) {
            return Err(("node.region", "must be up to 32 lower-case letters, digits and hyphens"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_a_short_word() {
        let check = |region: &str| Node { region: region.to_owned() }.check().map_err(|(key, _)| key);
        for region in ["", "eu-west", "eu2", &"x".repeat(MAX_REGION)] {
            assert_eq!(check(region), Ok(()), "{region:?}");
        }
        for region in ["EU", "eu west", "eu_west", "ü", &"x".repeat(MAX_REGION + 1)] {
            assert_eq!(check(region), Err("node.region"), "{region:?}");
        }
        assert_eq!(Node::default().region(), "default");
    }
}
