//! The output of commands: tables and sentences for people, JSON for scripts, and exit codes.

use std::fmt;

use anstream::{AutoStream, ColorChoice};
use parlor_store::{StoreError, What};
use serde_json::Value;

use crate::config::ConfigError;

/// The notes shown below the options of every command that works on the store.
pub const NOTES: &str = "\
The store is the one of the configuration: store.url of parlor.toml or PARLOR_STORE__URL, otherwise the file parlor.db \
beside parlor.toml. A running server notices a change within a second. One in development mode keeps its records in \
memory, out of reach from here, unless store.url is set.

Exit codes: 0 done; 1 it failed; 2 the command line is wrong; 3 there is no such thing; 4 it exists already, or does \
not allow this.";

/// The exit code of a failure without a code of its own.
pub const FAILED: u8 = 1;
/// The exit code when the command line is wrong; clap uses the same.
const USAGE: u8 = 2;
/// The exit code when something does not exist.
const NOT_FOUND: u8 = 3;
/// The exit code when the present state does not allow the command.
const CONFLICT: u8 = 4;

/// A command that was refused, with an exit code for scripts.
#[derive(Debug)]
pub struct Refused {
    code: u8,
    sentence: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Refused {}

/// The exit code of an error.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<ConfigError>().is_some_and(ConfigError::is_of_command_line) {
        return USAGE;
    }
    error.downcast_ref::<Refused>().map_or(FAILED, |refused| refused.code)
}

/// Whether standard error may have colours: it is a terminal, and the user wants them (`NO_COLOR`).
#[must_use]
pub fn colours() -> bool {
    AutoStream::choice(&std::io::stderr()) != ColorChoice::Never
}

/// The error of an impossible value at the command line; `sentence` says what it must be.
pub fn usage(sentence: impl Into<String>) -> anyhow::Error {
    Refused { code: USAGE, sentence: sentence.into() }.into()
}

/// The error of something that does not exist; `sentence` says what to do about it.
pub fn missing(sentence: impl Into<String>) -> anyhow::Error {
    Refused { code: NOT_FOUND, sentence: sentence.into() }.into()
}

/// The error of a state that does not allow the command; `sentence` says what to do about it.
pub fn conflict(sentence: impl Into<String>) -> anyhow::Error {
    Refused { code: CONFLICT, sentence: sentence.into() }.into()
}

/// An error of the store about a channel (or, without one, about something else) in words for a person.
pub fn explain(error: StoreError, channel: &str) -> anyhow::Error {
    match error {
        StoreError::NotFound(What::Channel) => missing(format!(
            "there is no channel \"{channel}\". See what there is: parlor channel list. Or make it: parlor channel create {}",
            quoted(channel)
        )),
        StoreError::Conflict(why) => conflict(why),
        StoreError::NotFound(_) => missing(error.to_string()),
        StoreError::Exists(_) | StoreError::Stale { .. } => conflict(error.to_string()),
        StoreError::Invalid { field, problem } => usage(format!("--{} {problem}", option(field))),
        StoreError::Unavailable(_) | StoreError::Url(_) => anyhow::anyhow!("{error}. Check store.url (PARLOR_STORE__URL)."),
        error => anyhow::anyhow!("{error}"),
    }
}

/// The name of the option for a field: `closesAt` is `closes-at`.
fn option(field: &str) -> String {
    field.chars().flat_map(|c| c.is_uppercase().then_some('-').into_iter().chain(c.to_lowercase())).collect()
}

/// Quotes a text as one word of a shell.
#[must_use]
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_.:/@+,".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The form in which a command's result is printed.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Whether standard output gets one JSON value, and nothing else.
    pub json: bool,
}

impl Output {
    /// Prints a list: a table of these fields, or an array.
    pub fn list(self, rows: Vec<Value>, fields: &[&str], none: &str) {
        if self.json {
            print(&Value::Array(rows).to_string());
        } else if rows.is_empty() {
            eprintln!("{none}");
        } else {
            print(&table(&rows, fields));
        }
    }

    /// Prints one thing: a line for each field, or a JSON object.
    pub fn one(self, value: &Value) {
        if self.json {
            return print(&value.to_string());
        }
        let fields: Vec<(&String, String)> = value.as_object().into_iter().flatten().map(|(name, value)| (name, plain(value))).collect();
        let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in fields {
            print(&format!("{name:width$}  {value}"));
        }
    }

    /// Prints that something was done, or in JSON the thing as it is now.
    pub fn done(self, sentence: &str, value: &Value) {
        if self.json { print(&value.to_string()) } else { print(sentence) }
    }
}

/// Prints a line to standard output. A reader that has seen enough (`| head`) is no failure.
fn print(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A value without the marks of JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(","),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        value => value.to_string(),
    }
}

fn table(rows: &[Value], fields: &[&str]) -> String {
    let head = fields.iter().map(|field| option(field).replace('-', " ").to_uppercase()).collect();
    let body = rows.iter().map(|row| fields.iter().map(|field| plain(row.get(field).unwrap_or(&Value::Null))).collect());
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(body).collect();
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..fields.len()).map(width).collect();
    let text = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(text).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_columns_as_wide_as_what_is_in_them() {
        let rows = [
            json!({ "id": "den", "maxParticipants": null, "open": true }),
            json!({ "id": "Стол №5", "maxParticipants": 12, "open": false }),
        ];
        let expected = "ID       MAX PARTICIPANTS  OPEN\nden      -                 yes\nСтол №5  12                no";
        assert_eq!(table(&rows, &["id", "maxParticipants", "open"]), expected);
    }

    #[test]
    fn a_command_in_a_hint_can_be_copied_to_a_shell() {
        assert_eq!(quoted("den-1"), "den-1");
        assert_eq!(quoted("it's; rm -rf /"), r"'it'\''s; rm -rf /'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("-x"), "'-x'");
    }
}
