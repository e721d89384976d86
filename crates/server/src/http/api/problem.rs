//! How a request is refused: `application/problem+json` (RFC 9457) with a code of the closed list.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use parlor_proto::{Error, ErrorCode};
use parlor_store::{StoreError, What};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::http::api::document::schema::Code;

/// The media type of a refusal.
pub const PROBLEM_JSON: &str = "application/problem+json";
/// The most characters of a client's text that a refusal repeats.
const MAX_ECHO_CHARS: usize = 200;

/// A refusal on its way out. It is boxed, because results carry it everywhere.
#[derive(Clone, Debug)]
pub struct Problem(Box<Refusal>);

/// What a refusal says (RFC 9457); `code` and the fields after it are Parlor's own.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Refusal {
    /// Always `about:blank`: `code` tells problems apart.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status code of the answer.
    #[serde(serialize_with = "number")]
    #[schema(value_type = u16, minimum = 400, maximum = 599)]
    status: StatusCode,
    /// What happened and what can be done, for a person.
    detail: String,
    /// What happened, for a program.
    #[schema(value_type = Code)]
    code: ErrorCode,
    /// Which field, parameter or header is to blame.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    field: Option<String>,
    /// Facts beside the code, such as `retryAfterMs`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object, required = false)]
    details: Map<String, Value>,
}

/// What a handler answers.
pub type Answer<T> = Result<T, Problem>;

impl Problem {
    /// A problem with a code and that code's own sentence.
    pub fn new(code: ErrorCode) -> Self {
        Self::from(Error::new(code))
    }

    /// A field, parameter or header with an invalid value.
    pub fn invalid(field: impl Into<String>, reason: &str) -> Self {
        let field = echo(&field.into());
        let reason = echo(reason);
        let detail = if field.is_empty() { format!("The request is not as it must be: {reason}.") } else { format!("{field}: {reason}.") };
        let problem = Self::new(ErrorCode::InvalidRequest).say(detail);
        if field.is_empty() { problem } else { problem.of_field(field) }
    }

    /// Fields that are valid each for itself, and impossible together.
    pub fn impossible(field: &str, reason: &str) -> Self {
        Self::invalid(field, reason).with_status(StatusCode::UNPROCESSABLE_ENTITY)
    }

    /// Something that does not exist; `what` begins the sentence.
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound).say(format!("{what} does not exist."))
    }

    /// Replaces the sentence.
    pub fn say(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// Replaces the status that follows from the code.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self.0.title = status.canonical_reason().unwrap_or("Refused");
        self
    }

    /// Names the field to blame.
    pub fn of_field(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Adds a fact to the details.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.details.insert(key.to_owned(), value.into());
        self
    }

    /// What the refusal says.
    #[cfg(test)]
    pub const fn refusal(&self) -> &Refusal {
        &self.0
    }

    /// The status it goes out with.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Seconds to wait, rounded up, if waiting helps against the refusal.
    fn retry_after(&self) -> Option<u64> {
        let wait = self.0.details.get("retryAfterMs").and_then(Value::as_u64).map(|ms| ms.div_ceil(1000).max(1));
        wait.or_else(|| (self.0.status == StatusCode::SERVICE_UNAVAILABLE).then_some(1))
    }
}

impl From<parlor_rooms::Refused> for Problem {
    fn from(refused: parlor_rooms::Refused) -> Self {
        Error::from(refused).into()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let Error { message, code, mut details } = error;
        // Signaling carries the field to blame inside `details`; in HTTP it has a place of its own.
        let field = details.remove("field").and_then(|field| field.as_str().map(echo));
        // A failure that is over after some waiting is a failure of the service, not of the request.
        let status = match StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR) {
            StatusCode::INTERNAL_SERVER_ERROR if details.contains_key("retryAfterMs") => StatusCode::SERVICE_UNAVAILABLE,
            status => status,
        };
        let title = status.canonical_reason().unwrap_or("Refused");
        Self(Box::new(Refusal { kind: "about:blank", title, status, detail: message, code, field, details }))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(What::Channel) => Self::new(ErrorCode::ChannelNotFound),
            StoreError::NotFound(what) => Self::new(ErrorCode::NotFound).say(format!("There is no such {what}.")),
            StoreError::Exists(_) => Self::new(ErrorCode::Conflict),
            StoreError::Conflict(why) => Self::new(ErrorCode::Conflict).say(sentence(why)),
            StoreError::Stale { version } => Self::new(ErrorCode::PreconditionFailed).with("version", version),
            StoreError::Invalid { field, problem } => Self::invalid(field, problem),
            StoreError::Unavailable(_) => {
                let sentence = "The store does not answer at the moment. Try again; what was to be changed may have been changed.";
                Self::new(ErrorCode::ServerError).with_status(StatusCode::SERVICE_UNAVAILABLE).say(sentence)
            }
            StoreError::Superseded => Self::new(ErrorCode::ShuttingDown),
            // The store has logged what went wrong; the caller could do nothing with it.
            _ => Self::new(ErrorCode::ServerError),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() {
            tracing::debug!(%status, detail = self.0.detail, "a request to the API failed");
        }
        let wait = self.retry_after();
        let body = serde_json::to_vec(&*self.0).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = wait {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// A text the client chose, cut to what fits into a sentence, without what could confuse a terminal.
fn echo(text: &str) -> String {
    let mut short: String =
        text.chars().take(MAX_ECHO_CHARS).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if text.chars().nth(MAX_ECHO_CHARS).is_some() {
        short.push('…');
    }
    short
}

/// Makes the words of an error a sentence of their own.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).chain(['.']).collect()).unwrap_or_default()
}

fn number<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::refusal;

    #[test]
    fn a_store_that_does_not_answer_is_worth_another_try_whichever_way_it_is_told() {
        let told = || StoreError::Unavailable("it took too long");
        for problem in [Problem::from(told()), Problem::from(refusal(told()))] {
            assert_eq!((problem.status(), problem.retry_after()), (StatusCode::SERVICE_UNAVAILABLE, Some(1)));
            assert_eq!((problem.refusal().code, problem.refusal().title), (ErrorCode::ServerError, "Service Unavailable"));
        }
        let broken = Problem::from(refusal(StoreError::Failed("it has no tables")));
        assert_eq!((broken.status(), broken.retry_after()), (StatusCode::INTERNAL_SERVER_ERROR, None));
    }
}
