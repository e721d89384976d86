//! A range of ports, as `49152-65535`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A range of ports, with its ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The ports.
    #[must_use]
    pub const fn ports(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }
}

impl Default for PortRange {
    /// The ports that nobody has a name for (RFC 6335), as RFC 8656 recommends.
    fn default() -> Self {
        Self { first: 49_152, last: 65_535 }
    }
}

impl FromStr for PortRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (first, last) = text.split_once('-')?;
            Some(Self { first: first.trim().parse().ok()?, last: last.trim().parse().ok()? })
        };
        let range = read().filter(|range| range.first >= 1_024 && range.first <= range.last);
        range.ok_or("must be a range of ports from 1024 on, as \"49152-65535\"")
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl Serialize for PortRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PortRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_reads_as_it_is_written_and_nothing_else_does() {
        for fine in ["49152-65535", "1024-1024"] {
            assert_eq!(fine.parse::<PortRange>().map(|range| range.to_string()).as_deref(), Ok(fine));
        }
        for wrong in ["", "49152", "-", "65535-49152", "1023-2000", "50000-70000", "a-b", "1-2-3"] {
            assert!(wrong.parse::<PortRange>().is_err(), "{wrong}");
        }
    }
}
