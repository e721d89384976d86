//! What can go wrong, in words for the person who asked. SQL, paths and addresses stay in the log.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::migrate::MigrateError;

/// What an error is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// A channel itself.
    Channel,
    /// Somebody's membership of a channel.
    Member,
    /// Somebody's invitation to a channel.
    Invitation,
    /// A seat in a channel.
    Seat,
    /// Somebody's ban from a channel.
    Ban,
    /// Somebody's entitlement.
    Entitlement,
    /// An API key.
    Key,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Channel => "channel",
            Self::Member => "member",
            Self::Invitation => "invitation",
            Self::Seat => "seat",
            Self::Ban => "ban",
            Self::Entitlement => "entitlement",
            Self::Key => "key",
        })
    }
}

/// Why the store did not do as it was asked. Nothing was written then, except where [`StoreError::Unavailable`] says so.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The record is there already, or somebody else has it.
    #[error("this {0} exists already")]
    Exists(What),
    /// The record is not there.
    #[error("there is no such {0}")]
    NotFound(What),
    /// The record was changed since the caller read it.
    #[error("it was changed by somebody else: it is at version {version} now; read it again")]
    Stale {
        /// The version it is at.
        version: i64,
    },
    /// What is there does not allow this.
    #[error("{0}")]
    Conflict(&'static str),
    /// There are as many as whoever asks for one more may make.
    #[error("{0}")]
    TooMany(&'static str),
    /// A value that cannot be stored.
    #[error("{field} {problem}")]
    Invalid {
        /// The field that is wrong.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The database does not answer. A write may or may not have been done if the answer was lost.
    #[error("the database is not available: {0}")]
    Unavailable(&'static str),
    /// Another process has taken the lease that fences this store ([`crate::Store::fenced`]).
    #[error("another Parlor has taken the place of this one in the database")]
    Superseded,
    /// The database was made by a newer Parlor.
    #[error("the database belongs to a newer Parlor (its schema has version {0}, this program knows {1}): start that newer version")]
    Newer(i64, i64),
    /// The address of the database is of no use.
    #[error("{0}")]
    Url(String),
    /// The database did something that nobody thought of; the log says more.
    #[error("the database failed: {0}")]
    Failed(&'static str),
}

/// SQLite's codes, without what SQLite adds in the upper bytes.
const SQLITE_BUSY: i64 = 5;
const SQLITE_LOCKED: i64 = 6;
const SQLITE_READONLY: i64 = 8;
const SQLITE_IOERR: i64 = 10;
const SQLITE_IOERR_SHMSIZE: i64 = SQLITE_IOERR | 19 << 8;
const SQLITE_CORRUPT: i64 = 11;
const SQLITE_FULL: i64 = 13;
const SQLITE_CANTOPEN: i64 = 14;
const SQLITE_NOTADB: i64 = 26;

/// How often one kind of error is written to the log: whoever asks causes another one, and anybody may ask.
const MENTION_EVERY: Duration = Duration::from_secs(10);

/// When it was said last, and how often it happened since.
type Mentioned = Mutex<Option<(Instant, u64)>>;

static FAILED: Mentioned = Mutex::new(None);
static UNAVAILABLE: Mentioned = Mutex::new(None);

/// Says the first at once, and after that one every [`MENTION_EVERY`], with the number of others since.
fn mention(mentioned: &Mentioned, say: impl FnOnce(u64)) {
    let mut last = mentioned.lock().unwrap_or_else(PoisonError::into_inner);
    match last.as_mut().filter(|(at, _)| at.elapsed() < MENTION_EVERY) {
        Some((_, others)) => *others += 1,
        None => {
            let others = last.replace((Instant::now(), 0)).map_or(0, |(_, others)| others);
            drop(last);
            say(others);
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let found = match &error {
            sqlx::Error::Database(database) => database.code().and_then(|code| by_code(&code)),
            sqlx::Error::PoolTimedOut => Some(Self::Unavailable("it took too long")),
            sqlx::Error::PoolClosed => Some(Self::Unavailable("this process is stopping")),
            sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => Some(Self::Unavailable("the connection is lost")),
            sqlx::Error::Tls(_) => Some(Self::Unavailable("the encrypted connection could not be made")),
            _ => None,
        };
        // An error found here may quote values and paths: the log is for the operator, the answer is for anybody.
        let found = found.unwrap_or(Self::Failed("this is a fault in Parlor or in the database, the log says more"));
        match found {
            Self::Failed(_) => mention(&FAILED, |others| tracing::error!(%error, others, "the database failed")),
            _ => mention(&UNAVAILABLE, |others| tracing::warn!(%error, others, "the database is not available")),
        }
        found
    }
}

/// SQLite's codes are numbers, PostgreSQL's are five characters, of which the first two are the class.
fn by_code(code: &str) -> Option<StoreError> {
    if code.len() == 5 {
        return match (code.get(..2)?, code) {
            (_, "57014" | "55P03" | "25P03") => Some(StoreError::Unavailable("it took too long")),
            ("08" | "57", _) => Some(StoreError::Unavailable("the connection is lost")),
            // It recovers, or somebody else uses what is asked for.
            ("55", _) => Some(StoreError::Unavailable("it cannot do that now")),
            ("53", _) => Some(StoreError::Unavailable("it has no room or no connection left")),
            ("28", _) => Some(StoreError::Unavailable("it refuses the user or the password")),
            ("40", _) => Some(StoreError::Unavailable("others kept it busy")),
            (_, "3D000") => Some(StoreError::Unavailable("there is no database of this name on that server")),
            ("42", "42501") | (_, "25006") => Some(StoreError::Unavailable("it does not let this user write")),
            _ => None,
        };
    }
    let code = code.parse::<i64>().ok()?;
    Some(match code & 0xff {
        // The memory that processes share grows in a file, and that only fails where there is no room for it.
        SQLITE_IOERR if code == SQLITE_IOERR_SHMSIZE => StoreError::Unavailable("the disk is full"),
        SQLITE_BUSY | SQLITE_LOCKED => StoreError::Unavailable("another process keeps it busy"),
        SQLITE_READONLY => StoreError::Unavailable("the file cannot be written"),
        SQLITE_IOERR => StoreError::Unavailable("the disk failed"),
        SQLITE_FULL => StoreError::Unavailable("the disk is full"),
        SQLITE_CANTOPEN => StoreError::Unavailable("the file cannot be opened or made; its directory may not exist"),
        SQLITE_CORRUPT | SQLITE_NOTADB => StoreError::Failed("the file is damaged, or no database"),
        _ => return None,
    })
}

impl StoreError {
    /// What went wrong with the schema, whose newest version known here is `known`.
    pub(crate) fn of_migration(error: MigrateError, known: i64) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            MigrateError::VersionMissing(version) if version > known => Self::Newer(version, known),
            error => {
                tracing::error!(%error, "the schema cannot be brought up to date");
                Self::Failed("its schema is not one that Parlor made; the log says more")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_errors_are_one_line_until_the_time_is_up() {
        let (mentioned, mut said) = (Mentioned::default(), Vec::new());
        for _ in 0..1000 {
            mention(&mentioned, |others| said.push(others));
        }
        let (at, _) = mentioned.lock().expect("no panic").take().expect("was said");
        *mentioned.lock().expect("no panic") = at.checked_sub(MENTION_EVERY).map(|at| (at, 999));
        mention(&mentioned, |others| said.push(others));
        assert_eq!(said, [0, 999]);
    }
}
