//! What can go wrong for a bot.

use serde_json::{Map, Value};

/// The reason why something a bot tried did not work.
#[derive(Debug, thiserror::Error)]
pub enum BotError {
    /// The server could not be reached or did not speak socket.io.
    #[error("cannot connect to {url}: {reason}")]
    Connect {
        /// The address that was connected to.
        url: String,
        /// The words of the error.
        reason: String,
    },
    /// The server said no.
    #[error("{event} was refused: {code}: {message}")]
    Refused {
        /// The request that failed; `connect` for the socket itself.
        event: String,
        /// The code of the closed list.
        code: String,
        /// The sentence for people.
        message: String,
        /// The facts beside the code.
        details: Map<String, Value>,
    },
    /// No answer, or an awaited event did not come.
    #[error("{0} was not answered in time")]
    Timeout(String),
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
    /// The server's answer does not fit the dialect.
    #[error("the answer to {event} does not fit the dialect: {reason}")]
    Protocol {
        /// The answer to what.
        event: String,
        /// What is wrong with it.
        reason: String,
    },
    /// ICE, DTLS or a socket failed on our side.
    #[error("media: {0}")]
    Media(String),
}

impl BotError {
    /// The refusal's code, if it is a refusal.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Reads `{error, code, details}`.
    pub(crate) fn refusal(event: &str, answer: &Value) -> Option<Self> {
        let code = answer.get("code")?.as_str()?.to_owned();
        let message = answer.get("error")?.as_str()?.to_owned();
        let details = answer.get("details").and_then(Value::as_object).cloned().unwrap_or_default();
        Some(Self::Refused { event: event.to_owned(), code, message, details })
    }
}
