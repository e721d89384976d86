//! The two kinds of databases.

/// Which database it is. The SQL is the same for both; how a connection is set up and how a write begins is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}
