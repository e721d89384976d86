//! Content codings: the compressed forms in which a file may be sent (RFC 9110, 8.4.1 and 12.5.3).

use axum::http::{HeaderMap, header};

/// A coding in which the build of the web app leaves files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coding {
    /// Brotli (RFC 7932).
    Brotli,
    /// Gzip (RFC 1952).
    Gzip,
}

impl Coding {
    /// All codings, the smallest result first.
    pub const ALL: [Self; 2] = [Self::Brotli, Self::Gzip];

    /// The name of the coding in headers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The extension of a file in this coding.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gz",
        }
    }

    /// The coding of a file with this name.
    pub fn of_file(path: &str) -> Option<Self> {
        let (_, extension) = path.rsplit_once('.')?;
        Self::ALL.into_iter().find(|coding| coding.extension() == extension)
    }
}

/// The best of the available codings that the client can read; `None` if that is the plain form.
pub fn preferred(headers: &HeaderMap, made: impl Iterator<Item = Coding>) -> Option<Coding> {
    let weighed = made.map(|coding| (coding, weight(headers, coding.name())));
    // Of equally wanted codings the first is taken.
    let best = weighed.reduce(|best, other| if other.1 > best.1 { other } else { best });
    best.filter(|(_, weight)| *weight > 0).map(|(coding, _)| coding)
}

/// How much the client wants a coding, in thousandths; 0 if the client does not understand it.
fn weight(headers: &HeaderMap, name: &str) -> u32 {
    let lists = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|list| list.to_str().ok());
    let mut any = 0;
    for item in lists.flat_map(|list| list.split(',')) {
        let mut parts = item.split(';').map(str::trim);
        let coding = parts.next().unwrap_or_default();
        let q = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let weight = q.map_or(1000, thousandths);
        if coding.eq_ignore_ascii_case(name) {
            return weight;
        }
        if coding == "*" {
            any = weight;
        }
    }
    any
}

/// Reads a weight: `0.25` is 250; a text that is no such number counts as unwanted.
fn thousandths(q: &str) -> u32 {
    let number = q.parse::<f32>().ok().filter(|number| (0.0..=1.0).contains(number)).unwrap_or(0.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
    let whole = (number * 1000.0) as u32;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_that_is_accepted_is_taken() {
        let take = |accepted: &str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, accepted.parse().expect("a value"))]);
            preferred(&headers, Coding::ALL.into_iter())
        };
        for (accepted, expected) in [
            ("br", Some(Coding::Brotli)),
            ("gzip, BR", Some(Coding::Brotli)),
            ("gzip;q=1.0, br;q=0.2", Some(Coding::Gzip)),
            ("*", Some(Coding::Brotli)),
            ("br;q=0, *", Some(Coding::Gzip)),
            ("identity", None),
            ("br;q=0", None),
            ("br;q=nonsense", None),
            ("gzip;q=-1, br;q=7", None),
            (",;,=;q", None),
        ] {
            assert_eq!(take(accepted), expected, "{accepted}");
        }
        assert_eq!(preferred(&HeaderMap::new(), Coding::ALL.into_iter()), None);
    }
}
