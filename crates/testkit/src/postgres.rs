//! A PostgreSQL server of our own for a run of tests: made when the first test asks for it, gone when the run ends.
//!
//! `cargo nextest` has a process for each test: they share one server, because making one takes longer than most tests do.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a real process takes real time")]
#![allow(clippy::zombie_processes, reason = "the reaper outlives this process")]

use std::fs::File;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};
use tokio::sync::OnceCell;

const HINT: &str = "the tests of the store need PostgreSQL: install Debian's package `postgresql` (make test does), \
                    or put `initdb` and `postgres` into PATH";
/// The longest a start takes on a machine that compiles at the same time.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Starts the server, and stops it by its id and removes the directory when the run is over: when the process with the second
/// argument as its id has ended, however it did.
const REAPER: &str = r#"directory="$1"; run="$2"; shift 2
"$@" </dev/null >"$directory/log" 2>&1 & server=$!
while kill -0 "$run" && kill -0 $server; do sleep 1; done
kill -INT $server; wait $server
rm -rf "$directory" "$directory.lock""#;

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// An empty database for one test.
#[derive(Clone, Debug)]
pub struct Database {
    /// The name of the database on the server.
    pub name: String,
    /// The address of the database, as the store takes it.
    pub url: String,
    /// The Unix socket at which the server listens.
    pub socket: PathBuf,
}

struct Cluster {
    directory: PathBuf,
}

/// Makes an empty database. Its name begins with the given one, and is no other's.
pub async fn create_database(name: &str) -> Database {
    let cluster = CLUSTER.get_or_init(Cluster::running).await;
    let mut connection = cluster.connect().await;
    drop_what_is_over(&mut connection).await;
    let name = format!("{name}_of_{}", std::process::id());
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.expect("a database");
    let _ = connection.close().await;
    Database { url: cluster.url(&name), name, socket: cluster.directory.join(".s.PGSQL.5432") }
}

/// A database of a process that has ended takes 7 MB, and a run makes a hundred of them.
async fn drop_what_is_over(connection: &mut AnyConnection) {
    let all = "SELECT CAST(datname AS TEXT) FROM pg_database WHERE datname LIKE '%\\_of\\_%'";
    let names: Vec<String> = sqlx::query_scalar(all).fetch_all(&mut *connection).await.expect("is listed");
    for name in names {
        let process = name.rsplit_once("_of_").map_or("", |(_, process)| process);
        if !Path::new("/proc").join(process).exists() {
            // Another test may be doing the same.
            let _ = sqlx::query(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))).execute(&mut *connection).await;
        }
    }
}

impl Cluster {
    /// The server of this run; whoever comes first starts it, and the others wait.
    async fn running() -> Self {
        sqlx::any::install_default_drivers();
        // All tests of one run of nextest have its process as their parent; without nextest they are in this process.
        let (id, run) = match std::env::var("NEXTEST_RUN_ID") {
            Ok(id) => (id, std::os::unix::process::parent_id()),
            Err(_) => (std::process::id().to_string(), std::process::id()),
        };
        let cluster = Self { directory: std::env::temp_dir().join(format!("parlor-postgres-{id}")) };
        if run == std::process::id() {
            // Of a process that had the same number and was killed together with the one that cleans up.
            let _ = std::fs::remove_dir_all(&cluster.directory);
        }
        let lock = cluster.directory.with_extension("lock");
        let locked = tokio::task::spawn_blocking(move || {
            let file = File::create(lock).expect("a file to lock");
            file.lock().map(|()| file).expect("locked")
        });
        let _locked = locked.await.expect("locked");
        if !cluster.directory.exists() {
            let directory = cluster.directory.clone();
            tokio::task::spawn_blocking(move || start(&directory, run)).await.expect("started");
        }
        let _ = cluster.connect().await.close().await;
        cluster
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://parlor@localhost/{database}?host={}", self.directory.display())
    }

    async fn connect(&self) -> AnyConnection {
        let give_up = Instant::now() + START_TIMEOUT;
        loop {
            match AnyConnection::connect(&self.url("postgres")).await {
                Ok(connection) => return connection,
                Err(error) if Instant::now() > give_up => {
                    let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                    panic!("PostgreSQL does not start: {error}\n{log}");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

fn start(directory: &Path, run: u32) {
    let account = account();
    let mut initdb = run_as(&account, "initdb");
    std::fs::create_dir(directory).expect("a directory for PostgreSQL");
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700)).expect("permissions");
    if let Some((_, user, group)) = account {
        chown(directory, Some(user), Some(group)).expect("the directory is given to PostgreSQL's account");
    }
    let data = directory.join("data");
    initdb.args(["--no-sync", "--auth=trust", "--username=parlor", "--encoding=UTF8", "--locale=C", "-D"]).arg(&data);
    let made = initdb.output().expect(HINT);
    if !made.status.success() {
        let _ = std::fs::remove_dir_all(directory);
        panic!("initdb failed: {}", String::from_utf8_lossy(&made.stderr));
    }
    let server = run_as(&account, "postgres");
    let mut reaper = Command::new("sh");
    reaper.args(["-c", REAPER, "sh"]).arg(directory).arg(run.to_string()).arg(server.get_program()).args(server.get_args());
    reaper.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=400", "-c", "shared_buffers=32MB", "-k"]);
    reaper.arg(directory).arg("-D").arg(&data).current_dir("/").env_remove("PGDATA").env("LC_ALL", "C");
    // Whoever ends the test that came first, with all of its group, does not end the server of the others.
    reaper.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    reaper.spawn().expect("a shell");
}

/// PostgreSQL refuses to run as root: the account to run it as then, with its numbers.
fn account() -> Option<(&'static str, u32, u32)> {
    let number = |flag: &str, name: Option<&str>| -> Option<u32> {
        let output = Command::new("id").arg(flag).args(name).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    if number("-u", None) != Some(0) {
        return None;
    }
    ["postgres", "nobody"].into_iter().find_map(|name| Some((name, number("-u", Some(name))?, number("-g", Some(name))?)))
}

fn run_as(account: &Option<(&str, u32, u32)>, program: &str) -> Command {
    let program = find(program).expect(HINT);
    let mut command = match account {
        None => Command::new(program),
        Some((_, user, group)) => {
            let mut command = Command::new("setpriv");
            command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).arg("--clear-groups").arg(program);
            command
        }
    };
    command.current_dir("/").env_remove("PGDATA").env("LC_ALL", "C");
    command
}

/// Debian keeps the programs of each version in a directory of its own, outside of PATH. The newest wins.
fn find(program: &str) -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|v| v.path()).collect();
    versions.sort_by_key(|path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = versions.into_iter().rev().map(|version| version.join("bin")).chain(std::env::split_paths(&path));
    directories.map(|directory| directory.join(program)).find(|file: &PathBuf| Path::is_file(file))
}
