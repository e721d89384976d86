//! Reading of payloads, so that an error names the field to blame.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Error;

/// Reads a payload; an error names the field by its path.
pub(super) fn read<T: DeserializeOwned>(payload: &Value) -> Result<T, Error> {
    if !payload.is_object() {
        return Err(Error::invalid("", "the payload must be one JSON object"));
    }
    serde_path_to_error::deserialize(payload).map_err(|e| {
        let path = e.path().to_string();
        let path = if path == "." { "" } else { &path };
        let reason = e.inner().to_string();
        match reason.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
            Some(field) if path.is_empty() => Error::invalid(field, "is missing"),
            Some(field) => Error::invalid(&format!("{path}.{field}"), "is missing"),
            None => Error::invalid(path, truncated(reason)),
        }
    })
}

/// A reason goes back to the client: a value quoted in it must not make it long.
fn truncated(mut reason: String) -> String {
    const MAX: usize = 200;
    if let Some((end, _)) = reason.char_indices().nth(MAX) {
        reason.truncate(end);
        reason.push('…');
    }
    reason
}
