//! Lengths of time as people write them: `30s`, `10m`, `12h`, `7d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The units, the longest first, with their seconds.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
/// The longest period, a hundred years: a longer one means "never", and sums of it must still fit everywhere.
const MAX_SECONDS: u64 = 36_525 * 86_400;

/// A length of time in whole seconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Period(u64);

impl Period {
    /// A period of so many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// A period of so many minutes.
    #[must_use]
    pub const fn minutes(minutes: u64) -> Self {
        Self(minutes * 60)
    }

    /// A period of so many hours.
    #[must_use]
    pub const fn hours(hours: u64) -> Self {
        Self(hours * 3_600)
    }

    /// The period in seconds.
    #[must_use]
    pub const fn as_seconds(self) -> u64 {
        self.0
    }

    /// The period in milliseconds.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        i64::try_from(self.0.saturating_mul(1000)).unwrap_or(i64::MAX)
    }

    /// The period as a `Duration`, for timers.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }

    /// Whether the period is zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl FromStr for Period {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "must be a whole number with a unit, as 30s, 10m, 12h or 7d";
        let unit = UNITS.iter().find(|(letter, _)| text.ends_with(*letter));
        let (number, seconds) = match unit {
            Some((_, seconds)) => (text.get(..text.len() - 1).unwrap_or_default(), *seconds),
            None => (text, 1),
        };
        // `parse` alone would also take a sign.
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(WRONG);
        }
        let total = number.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds));
        total.filter(|total| *total <= MAX_SECONDS).map(Self).ok_or("must not be over 100 years")
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS.iter().find(|(_, seconds)| self.0 > 0 && self.0.is_multiple_of(*seconds));
        let (unit, seconds) = exact.copied().unwrap_or(('s', 1));
        write!(f, "{}{unit}", self.0 / seconds)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a time such as \"30s\", \"10m\", \"12h\" or \"7d\"")]
        enum Either {
            Text(String),
            Seconds(u64),
        }
        let text = match Either::deserialize(deserializer)? {
            Either::Text(text) => text,
            Either::Seconds(seconds) => seconds.to_string(),
        };
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_read_and_written_with_its_unit() {
        for (text, seconds, written) in [
            ("30s", 30, "30s"),
            ("90", 90, "90s"),
            ("10m", 600, "10m"),
            ("600s", 600, "10m"),
            ("12h", 43_200, "12h"),
            ("24h", 86_400, "1d"),
            ("0", 0, "0s"),
        ] {
            let period: Period = text.parse().expect("valid");
            assert_eq!((period.as_seconds(), period.to_string().as_str()), (seconds, written), "{text}");
        }
        for text in ["", "s", "-1s", "+1s", "1.5h", "1w", "h1", "１s", "1 h", "36526d", "18446744073709551615d", "99999999999999999999s"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }
}
