//! The versions of the schema, and how a database is brought to the newest.

use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, Connection as _, Executor as _, SqlSafeStr as _};
use tokio::time::Instant;

use crate::StoreError;
use crate::dialect::Dialect;

/// Version, what it does, SQLite's text, PostgreSQL's text. Texts that have been published never change.
const MIGRATIONS: [(i64, &str, &str, &str); 3] = [
    (1, "first", include_str!("../migrations/sqlite/0001_first.sql"), include_str!("../migrations/postgres/0001_first.sql")),
    (2, "epochs", include_str!("../migrations/sqlite/0002_epochs.sql"), include_str!("../migrations/postgres/0002_epochs.sql")),
    (3, "spectators", include_str!("../migrations/sqlite/0003_spectators.sql"), include_str!("../migrations/postgres/0003_spectators.sql")),
];

/// How long a process waits for others that open the same file.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// The time between two attempts to get hold of the file.
const RETRY: Duration = Duration::from_millis(20);

/// Brings the schema to the newest version, one process at a time.
pub(crate) async fn run(connection: &mut AnyConnection, dialect: Dialect) -> Result<(), StoreError> {
    match dialect {
        Dialect::Sqlite => {
            write_ahead(connection).await?;
            // The driver has no lock for SQLite: a transaction around everything is one.
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            apply(&mut transaction, dialect).await?;
            transaction.commit().await?;
        }
        // The driver takes an advisory lock. Whoever waits for it, and a change of a large table, may take long; the
        // connection is closed after this.
        Dialect::Postgres => {
            for unlimited in ["SET statement_timeout = 0", "SET lock_timeout = 0"] {
                connection.execute(unlimited).await?;
            }
            apply(connection, dialect).await?;
        }
    }
    Ok(())
}

async fn apply(connection: &mut AnyConnection, dialect: Dialect) -> Result<(), StoreError> {
    let migrations = MIGRATIONS.map(|(version, name, sqlite, postgres)| {
        let text = if dialect == Dialect::Sqlite { sqlite } else { postgres };
        Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    });
    let newest = MIGRATIONS.iter().map(|m| m.0).max().unwrap_or_default();
    let migrator = Migrator::with_migrations(migrations.into());
    migrator.run_direct(None, connection, false).await.map_err(|error| StoreError::of_migration(error, newest))
}

/// Turns the write-ahead log on: readers and the writer do not wait for each other. The file remembers it.
///
/// SQLite does not wait its busy time here when another process does the same at this moment, so we try again.
async fn write_ahead(connection: &mut AnyConnection) -> Result<(), StoreError> {
    let give_up = Instant::now() + OPEN_TIMEOUT;
    loop {
        match connection.execute("PRAGMA journal_mode = WAL").await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() >= give_up || !is_busy(&error) => return Err(error.into()),
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code()).and_then(|code| code.parse::<i64>().ok());
    matches!(code.map(|code| code & 0xff), Some(5 | 6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_databases_have_the_same_tables() {
        for (version, _, sqlite, postgres) in MIGRATIONS {
            let as_postgres = sqlite.replace(" INTEGER", " BIGINT").replace(" BLOB", " BYTEA").replace(") STRICT;", ");");
            let without_order = postgres.replace(" COLLATE \"C\"", "");
            let lines = |text: &str| -> Vec<String> { text.lines().filter(|l| !l.starts_with("--")).map(str::to_owned).collect() };
            assert_eq!(lines(&as_postgres), lines(&without_order), "version {version}");
            let unsorted = postgres.lines().find(|line| line.contains(" TEXT") && !line.contains("COLLATE \"C\""));
            assert_eq!(unsorted, None, "every text sorts by its bytes, as it does in SQLite");
        }
    }
}
