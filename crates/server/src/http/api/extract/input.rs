//! Reads bodies and the parts of paths so that an error names the part to blame.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use parlor_proto::{ChannelId, ErrorCode, UserId};
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::http::api::extract::seat::Seat;
use crate::http::api::problem::Problem;

/// A request body in JSON.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::invalid("Content-Type", "must be application/json").with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| unreadable(&rejection))?;
        read_json(&bytes).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn unreadable(rejection: &BytesRejection) -> Problem {
    let problem = Problem::invalid("", "the body could not be read");
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return problem.say("The body is too large: 16 KiB is the most.").with_status(StatusCode::PAYLOAD_TOO_LARGE);
    }
    problem
}

fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // serde also reads the fields of a struct from a list, in their order.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Problem::invalid("", "the body must be a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        if error.is_data() {
            return wrong_data(&path, &error.to_string());
        }
        // serde reports a number that is too large for any type as bad syntax, although the JSON is well formed.
        let well_formed = serde_json::from_slice::<IgnoredAny>(bytes).is_ok();
        if well_formed { wrong_data(&path, "is of the wrong type") } else { not_json(&error) }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::invalid("", &format!("the body is not JSON (line {}, column {})", error.line(), error.column()))
}

/// Makes the refusal of a body whose fields are wrong. serde names a missing or unknown field only in its sentence
/// `said`; `path` ends at the object around it.
fn wrong_data(path: &str, said: &str) -> Problem {
    let said = said.rsplit_once(" at line ").map_or(said, |(said, _)| said);
    let named = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|begin| said.strip_prefix(begin).and_then(|rest| rest.split_once('`')))
        .map(|(name, _)| name);
    let field = match (path, named) {
        (path, None) if path == "." || path == "?" => String::new(),
        (path, None) => path.to_owned(),
        (path, Some(name)) if path == "." || path == "?" || path == name => name.to_owned(),
        (path, Some(name)) => match path.rsplit_once('.') {
            Some((parent, last)) if last == name || last == "?" => format!("{parent}.{name}"),
            _ => format!("{path}.{name}"),
        },
    };
    let reason = match said.split_once(" `") {
        Some(("missing field", _)) => "is missing",
        Some(("unknown field", _)) => "is not known here",
        Some(("duplicate field", _)) => "is there twice",
        _ => said,
    };
    Problem::invalid(field, reason)
}

/// The ids of a path: one, or two.
#[derive(Debug)]
pub struct At<T>(pub T);

/// A part of a path that is read into a type of its own.
pub trait PathPart: Sized {
    /// The name of this part in the paths of routes.
    const NAME: &'static str;

    /// Reads the part, or says in a few words what is wrong with it.
    fn read(text: &str) -> Result<Self, &'static str>;
}

impl PathPart for ChannelId {
    const NAME: &'static str = "id";

    fn read(text: &str) -> Result<Self, &'static str> {
        Self::new(text)
    }
}

impl PathPart for UserId {
    const NAME: &'static str = "user";

    fn read(text: &str) -> Result<Self, &'static str> {
        Self::new(text)
    }
}

impl PathPart for Seat {
    const NAME: &'static str = "seat";

    fn read(text: &str) -> Result<Self, &'static str> {
        Self::new(text)
    }
}

impl<A: PathPart, S: Send + Sync> FromRequestParts<S> for At<A> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = path_params(parts, state).await?;
        Ok(Self(part(&params)?))
    }
}

impl<A: PathPart, B: PathPart, S: Send + Sync> FromRequestParts<S> for At<(A, B)> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = path_params(parts, state).await?;
        Ok(Self((part(&params)?, part(&params)?)))
    }
}

async fn path_params<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<RawPathParams, Problem> {
    RawPathParams::from_request_parts(parts, state).await.map_err(|_| Problem::invalid("path", "is not UTF-8"))
}

fn part<A: PathPart>(params: &RawPathParams) -> Result<A, Problem> {
    let text = params.iter().find(|(name, _)| *name == A::NAME).map(|(_, text)| text);
    // A route without the parameter its handler asks for is a mistake of this server; tests call every route.
    let text = text.ok_or_else(|| Problem::new(ErrorCode::ServerError))?;
    A::read(text).map_err(|reason| Problem::invalid(A::NAME, reason))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only whether it can be read is asked")]
    struct Outer {
        name: String,
        #[serde(default)]
        inner: Vec<Inner>,
    }

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only whether it can be read is asked")]
    struct Inner {
        count: u8,
    }

    fn field(body: &str) -> String {
        let problem = read_json::<Outer>(body.as_bytes()).expect_err("refused");
        let said = serde_json::to_value(problem.refusal()).expect("serializes");
        assert_eq!((&said["status"], &said["code"]), (&Value::from(400), &Value::from("INVALID_REQUEST")));
        said["field"].as_str().unwrap_or_default().to_owned()
    }

    #[test]
    fn an_error_names_the_field() {
        assert_eq!(field(r"{}"), "name");
        assert_eq!(field(r#"{"name":1}"#), "name");
        assert_eq!(field(r#"{"name":null}"#), "name");
        assert_eq!(field(r#"{"name":"a","name":"b"}"#), "name");
        assert_eq!(field(r#"{"name":"a","nmae":"b"}"#), "nmae");
        assert_eq!(field(r#"{"name":"a","inner":{}}"#), "inner");
        assert_eq!(field(r#"{"name":"a","inner":[{}]}"#), "inner[0].count");
        assert_eq!(field(r#"{"name":"a","inner":[{"count":1},{"count":256}]}"#), "inner[1].count");
        assert_eq!(field(r#"{"name":"a","inner":[{"count":1,"x":2}]}"#), "inner[0].x");
        for not_json in ["", "{", "[]", "[\"a\"]", "null", "{\"name\":\"a\"} {}", "{'name':1}", "\u{feff}{}"] {
            assert_eq!(field(not_json), "", "{not_json}");
        }
    }

    #[test]
    fn what_the_client_sent_is_repeated_in_part_only() {
        let problem = read_json::<Outer>(format!(r#"{{"name":"a","{}":1}}"#, "x".repeat(10_000)).as_bytes()).expect_err("refused");
        assert!(serde_json::to_string(problem.refusal()).expect("serializes").len() < 1000);
    }
}
