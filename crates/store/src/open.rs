//! Opening a database: its address, its connections, and how each of them is set up.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers};
use sqlx::{AnyConnection, AnyPool, ConnectOptions as _, Connection as _, Executor as _};
use tokio::sync::Mutex;

use crate::dialect::Dialect;
use crate::rows::ANSWER_TIMEOUT;
use crate::{StoreError, disk, migrate};

/// Connections of one process. More would wait for each other: writes follow one another in both databases.
const CONNECTIONS: u32 = 8;
/// How long a caller waits for a connection before the database counts as unavailable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// What would mean something else in an address than it does in a path.
const NOT_OF_A_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'_').remove(b'-');
/// The address of a database that is gone with its process.
const IN_MEMORY: &str = "sqlite::memory:";

/// A lease that this process has taken: see [`Store::lease`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    pub(crate) name: Arc<str>,
    pub(crate) epoch: i64,
}

/// A database of Parlor. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) pool: AnyPool,
    pub(crate) dialect: Dialect,
    /// SQLite has one writer: those of this process queue here, in order, instead of polling the file's lock.
    pub(crate) gate: Option<Arc<Mutex<()>>>,
    /// Marks the changes this store wrote.
    pub(crate) origin: Arc<str>,
    /// Without this lease nothing is written.
    pub(crate) fence: Option<Lease>,
}

impl Store {
    /// Opens a database, and makes or updates its tables.
    ///
    /// `sqlite:PATH` is a file, made if it is not there; `sqlite::memory:` is gone with the last clone;
    /// `postgres://USER:PASSWORD@HOST/DATABASE` is a PostgreSQL server, whose database must exist. Several processes
    /// may open the same database at once.
    ///
    /// # Errors
    /// [`StoreError::Url`], [`StoreError::Unavailable`], or [`StoreError::Newer`] if a newer Parlor made the tables.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_at(url).await.map_err(|error| match error {
            StoreError::Unavailable(why) => StoreError::Unavailable(path(url).and_then(|file| disk::trouble(&file)).unwrap_or(why)),
            error => error,
        })
    }

    async fn open_at(url: &str) -> Result<Self, StoreError> {
        install_default_drivers();
        let (dialect, address, connections) = address(url)?;
        let options: AnyConnectOptions = address.parse().map_err(|_| bad_url())?;
        let options = options.disable_statement_logging();
        if connections > 1 {
            // Not from the pool, which tries again and again and then only knows that it took too long.
            if let Some(path) = path(url) {
                make_ours(&path);
            }
            let mut first = connect(&options).await?;
            set_up(dialect, &mut first).await?;
            migrate::run(&mut first, dialect).await?;
            let _ = first.close().await;
        }
        let pool = AnyPoolOptions::new()
            .max_connections(connections)
            .min_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // A database in memory is gone with its only connection, which therefore must not be given up.
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(dialect == Dialect::Postgres)
            .after_connect(move |connection, _| Box::pin(set_up(dialect, connection)))
            // A full disk, a failing one and a lack of memory make SQLite roll back by itself. The driver's own ROLLBACK
            // then fails, and it counts the connection as one in a transaction for ever: no other could begin on it.
            .before_acquire(move |connection, _| Box::pin(async move { Ok(connections == 1 || !connection.is_in_transaction()) }))
            .connect_with(options)
            .await?;
        if connections == 1 {
            migrate::run(&mut *pool.acquire().await?, dialect).await?;
        }
        let gate = (dialect == Dialect::Sqlite).then(Arc::default);
        Ok(Self { pool, dialect, gate, origin: uuid::Uuid::new_v4().simple().to_string().into(), fence: None })
    }

    /// Whether the address is a file that is not there, which opening would make.
    #[must_use]
    pub fn is_missing(url: &str) -> bool {
        url != IN_MEMORY && path(url).is_some_and(|path| !path.exists())
    }

    /// Closes the connections, once those in use have been given back. Nothing is lost without it.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Asks the database whether it would take a write. One that only answers questions keeps nobody's promise.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; [`StoreError::Superseded`] if this store is fenced by a lease that is lost.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let _turn = self.turn().await?;
        let mut transaction = self.begin().await?;
        if self.dialect == Dialect::Postgres {
            // The row every administrative write begins with.
            let first = sqlx::query("SELECT value FROM counters WHERE name = 'log' FOR UPDATE");
            crate::rows::answer(first.fetch_one(&mut *transaction)).await?;
        }
        crate::rows::answer(transaction.rollback()).await
    }
}

/// Tells what the address means: the database, its address as the driver reads it, and how many connections to make.
fn address(url: &str) -> Result<(Dialect, String, u32), StoreError> {
    if url == IN_MEMORY {
        return Ok((Dialect::Sqlite, url.to_owned(), 1));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok((Dialect::Postgres, url.to_owned(), CONNECTIONS));
    }
    let path = path(url).ok_or_else(bad_url)?;
    let path = path.to_str().ok_or_else(bad_url)?;
    Ok((Dialect::Sqlite, format!("sqlite://{}?mode=rwc", utf8_percent_encode(path, NOT_OF_A_PATH)), CONNECTIONS))
}

/// The file of an address of SQLite.
fn path(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:"))?;
    if path.is_empty() || path.contains('\0') { None } else { std::path::absolute(path).ok() }
}

/// Makes the file of a new database, for nobody else to read from its first moment on: hashes of keys are in it, and who
/// was banned and why. The files SQLite makes beside it get its rights. An operator may give them to others again.
fn make_ours(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt as _;
    // One that is there stays as it is. Where none can be made, SQLite says why when it tries.
    let _ = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
}

fn bad_url() -> StoreError {
    // Not quoted: there may be a password in it.
    StoreError::Url("the address of the store must be sqlite:FILE or postgres://USER:PASSWORD@HOST/DATABASE".to_owned())
}

/// Connects. What is wrong with the address is told, as far as it shows no password.
async fn connect(options: &AnyConnectOptions) -> Result<AnyConnection, StoreError> {
    match tokio::time::timeout(ANSWER_TIMEOUT, AnyConnection::connect_with(options)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(sqlx::Error::Configuration(problem))) => Err(StoreError::Url(format!("the address of the store is of no use: {problem}"))),
        Ok(Err(sqlx::Error::Io(_))) | Err(_) => Err(StoreError::Unavailable("nobody answers at its address")),
        Ok(Err(error)) => Err(error.into()),
    }
}

async fn set_up(dialect: Dialect, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let statements: &[&'static str] = match dialect {
        // FULL: an acknowledged write is on the disk. A writer waits for another process as long as a caller would.
        Dialect::Sqlite => &["PRAGMA busy_timeout = 10000", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON"],
        // A process that hangs in the middle of a write must not keep the others from writing.
        Dialect::Postgres => &[
            "SET lock_timeout = '10s'",
            "SET statement_timeout = '15s'",
            "SET idle_in_transaction_session_timeout = '15s'",
            "SET default_transaction_isolation = 'read committed'",
        ],
    };
    for &statement in statements {
        connection.execute(statement).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use parlor_proto::{Actor, Timestamp};
    use sqlx::Row as _;

    use super::*;

    #[tokio::test]
    async fn sqlite_writes_ahead_and_waits_for_the_disk() {
        let directory = std::env::temp_dir().join(format!("parlor-store-open-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let store = Store::open(&format!("sqlite:{}/parlor.db", directory.display())).await.expect("opens");
        // Several at once, so that every connection of the pool is seen.
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS {
            held.push(store.pool.acquire().await.expect("a connection"));
        }
        for connection in &mut held {
            let mode = sqlx::query("PRAGMA journal_mode").fetch_one(&mut **connection).await.expect("a row");
            assert_eq!(mode.get::<String, _>(0), "wal");
            for (pragma, expected) in [("PRAGMA synchronous", 2_i64), ("PRAGMA foreign_keys", 1), ("PRAGMA busy_timeout", 10_000)] {
                let row = sqlx::query(pragma).fetch_one(&mut **connection).await.expect("a row");
                assert_eq!(row.get::<i64, _>(0), expected, "{pragma}");
            }
        }
        drop(held);
        store.close().await;
        std::fs::remove_dir_all(&directory).expect("removed");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_new_file_is_never_anybody_elses_to_read() {
        use std::os::unix::fs::PermissionsExt as _;
        use std::sync::atomic::{AtomicBool, Ordering};
        let directory = std::env::temp_dir().join(format!("parlor-store-mode-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let (done, watched) = (Arc::new(AtomicBool::new(false)), directory.clone());
        let stop = Arc::clone(&done);
        let watch = std::thread::spawn(move || {
            let mut modes = std::collections::BTreeSet::new();
            while !stop.load(Ordering::Relaxed) {
                let entries = std::fs::read_dir(&watched).expect("reads").flatten();
                modes.extend(entries.filter_map(|entry| Some(entry.metadata().ok()?.permissions().mode() & 0o777)));
            }
            modes
        });
        for n in 0..10 {
            let store = Store::open(&format!("sqlite:{}/{n}.db", directory.display())).await.expect("opens");
            store.ping().await.expect("answers");
            store.close().await;
        }
        done.store(true, Ordering::Relaxed);
        assert_eq!(watch.join().expect("watches").into_iter().collect::<Vec<_>>(), [0o600], "with what SQLite makes beside it");
        std::fs::remove_dir_all(&directory).expect("removed");
    }

    #[tokio::test]
    async fn a_store_whose_disk_was_full_takes_writes_again() {
        let directory = std::env::temp_dir().join(format!("parlor-store-full-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let store = Store::open(&format!("sqlite:{}/parlor.db", directory.display())).await.expect("opens");
        let write = async |text: &str| store.record(&Actor::Server, "test", None, None, text.into(), Timestamp(1)).await;
        write("before").await.expect("there is room");

        every_connection(&store, "PRAGMA max_page_count = 1").await;
        let refused = write(&"x".repeat(100_000)).await;
        assert!(matches!(refused, Err(StoreError::Unavailable("the disk is full"))), "{refused:?}");
        every_connection(&store, "PRAGMA max_page_count = 4294967294").await;
        for _ in 0..2 * CONNECTIONS {
            write("after").await.expect("there is room again");
        }
        store.close().await;
        std::fs::remove_dir_all(&directory).expect("removed");
    }

    /// Executes a statement on each connection the pool may have.
    async fn every_connection(store: &Store, statement: &'static str) {
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut connection = store.pool.acquire().await.expect("a connection");
            connection.execute(statement).await.expect("executes");
            held.push(connection);
        }
    }

    #[test]
    fn a_path_means_what_it_says() {
        let (dialect, address, _) = address("sqlite:/var/lib/a b?mode=ro%41#x.db").expect("a path");
        assert_eq!((dialect, address.as_str()), (Dialect::Sqlite, "sqlite:///var/lib/a%20b%3Fmode%3Dro%2541%23x.db?mode=rwc"));
    }
}
