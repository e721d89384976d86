//! Preconditions of requests (RFC 9110, 13): `If-Match` and `If-None-Match`, with their lists, `*`, and both comparisons.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};

/// One entity tag (RFC 9110, 8.8.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tag {
    /// Whether the tag is written with `W/`: then it stands for something of the same meaning, perhaps not the same bytes.
    pub weak: bool,
    /// The text between the quotes.
    pub opaque: String,
}

/// The tags that a condition is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Tags {
    /// `*`: any tag.
    Any,
    /// The tags of this list.
    These(Vec<Tag>),
    /// A header that cannot be read as a list of tags.
    Unreadable,
}

/// The conditions of a request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Conditions {
    /// The tag of the resource must be one of these.
    pub if_match: Option<Tags>,
    /// The tag of the resource must be none of these.
    pub if_none_match: Option<Tags>,
}

/// The outcome of the conditions of a request that only reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Read {
    /// The conditions hold: the answer is the same as without them.
    Wanted,
    /// The client has the resource already (304).
    NotModified,
    /// The resource is not as the client expects it (412).
    Failed,
}

impl Conditions {
    /// Reads the conditions from headers.
    pub fn of(headers: &HeaderMap) -> Self {
        Self { if_match: tags(headers, header::IF_MATCH), if_none_match: tags(headers, header::IF_NONE_MATCH) }
    }

    /// Judges a GET or HEAD of a resource that exists and has this strong tag (with its quotes), in the order of RFC
    /// 9110, 13.2.2. A condition that cannot be read makes no answer shorter.
    pub fn of_read(&self, etag: &str) -> Read {
        let opaque = etag.trim_matches('"');
        match (&self.if_match, &self.if_none_match) {
            (Some(wanted), _) if !wanted.has(opaque, false) => Read::Failed,
            (_, Some(known)) if known.has(opaque, true) => Read::NotModified,
            _ => Read::Wanted,
        }
    }
}

impl Tags {
    /// Whether the tag is among them: by the strong comparison, or by the weak one, to which `W/` makes no difference.
    fn has(&self, opaque: &str, weakly: bool) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|tag| (weakly || !tag.weak) && tag.opaque == opaque),
            Self::Unreadable => false,
        }
    }

    fn parse(text: &str) -> Self {
        let text = text.trim_matches([' ', '\t']);
        if text == "*" {
            return Self::Any;
        }
        match list(text) {
            Some(tags) if !tags.is_empty() => Self::These(tags),
            _ => Self::Unreadable,
        }
    }
}

/// Reads the tags of a header. A header that comes in several lines is one list (RFC 9110, 5.3).
fn tags(headers: &HeaderMap, name: HeaderName) -> Option<Tags> {
    let mut lines = headers.get_all(name).iter().peekable();
    lines.peek()?;
    let lines: Result<Vec<_>, _> = lines.map(|line| line.to_str()).collect();
    Some(lines.map_or(Tags::Unreadable, |lines| Tags::parse(&lines.join(","))))
}

/// Reads a list of tags. A tag may contain commas, and a list empty places (RFC 9110, 5.6.1).
fn list(mut text: &str) -> Option<Vec<Tag>> {
    let mut tags = Vec::new();
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        if text.is_empty() {
            return Some(tags);
        }
        let (weak, quoted) = text.strip_prefix("W/").map_or((false, text), |rest| (true, rest));
        let (opaque, rest) = quoted.strip_prefix('"')?.split_once('"')?;
        if !opaque.bytes().all(|byte| matches!(byte, 0x21..=0x7e)) {
            return None;
        }
        tags.push(Tag { weak, opaque: opaque.to_owned() });
        text = rest.trim_start_matches([' ', '\t']);
        if !text.is_empty() && !text.starts_with(',') {
            return None;
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Conditions {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(lines: &[(&'static str, &str)]) -> Conditions {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().expect("a value"));
        }
        Conditions::of(&headers)
    }

    fn read(name: &'static str, value: &str) -> Read {
        of(&[(name, value)]).of_read("\"7\"")
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        for known in ["\"7\"", "W/\"7\"", "*", "\"6\", \"7\"", "\"6\",W/\"7\"", " , \"a,b\" ,\"7\" ,", " * "] {
            assert_eq!(read("if-none-match", known), Read::NotModified, "{known}");
        }
        for other in ["\"6\"", "7", "\"7", "W\"7\"", "w/\"7\"", "\"7\" \"7\"", "\"7\", *", "", "\"7 \"", "\"a,\"7\"\""] {
            assert_eq!(read("if-none-match", other), Read::Wanted, "{other}");
        }
        assert_eq!(of(&[("if-none-match", "\"6\""), ("if-none-match", "W/\"7\"")]).of_read("\"7\""), Read::NotModified);
    }

    #[test]
    fn a_condition_that_must_be_met_is_compared_strongly() {
        for fine in ["\"7\"", "*", "\"6\", \"7\"", "W/\"7\", \"7\""] {
            assert_eq!(read("if-match", fine), Read::Wanted, "{fine}");
        }
        for wrong in ["W/\"7\"", "\"6\"", "7", "", "\"6\", W/\"7\"", "nonsense"] {
            assert_eq!(read("if-match", wrong), Read::Failed, "{wrong}");
        }
        assert_eq!(of(&[("if-match", "\"6\""), ("if-none-match", "\"7\"")]).of_read("\"7\""), Read::Failed, "it is looked at first");
        assert_eq!(of(&[("if-match", "\"7\""), ("if-none-match", "\"7\"")]).of_read("\"7\""), Read::NotModified);
    }

    proptest! {
        #[test]
        fn a_list_is_read_as_it_was_written(tags in prop::collection::vec((any::<bool>(), "[!#-~]{0,8}"), 1..6), space in "[ \t]{0,2}") {
            let written = tags.iter().map(|(weak, opaque)| format!("{}\"{opaque}\"", if *weak { "W/" } else { "" }));
            let text = written.collect::<Vec<_>>().join(&format!("{space},{space}"));
            let expected = tags.into_iter().map(|(weak, opaque)| Tag { weak, opaque }).collect();
            prop_assert_eq!(Tags::parse(&text), Tags::These(expected));
        }

        #[test]
        fn whatever_is_sent_is_read(text in any::<String>()) {
            let _ = Tags::parse(&text);
        }
    }
}
