//! A PostgreSQL server of our own for this test process: made when the first test asks for it, gone with the process.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};
use tokio::sync::OnceCell;

const HINT: &str = "the tests of the store need PostgreSQL: install Debian's package `postgresql` (make test does), \
                    or put `initdb` and `postgres` into PATH";
/// Long enough for a machine that compiles at the same time.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Starts the server and waits for the end of its input: that is when this process ends, however it does. Then it stops
/// the server by its id, and removes the directory.
const REAPER: &str = r#"directory="$1"; shift
"$@" </dev/null >"$directory/log" 2>&1 & server=$!
cat >/dev/null
kill -INT $server; wait $server
rm -rf "$directory""#;

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

struct Cluster {
    directory: PathBuf,
    /// What the reaper reads from.
    _alive: ChildStdin,
    _reaper: Child,
}

/// Makes an empty database, and tells its address.
pub async fn create_database(name: &str) -> String {
    let cluster = CLUSTER.get_or_init(async || tokio::task::spawn_blocking(Cluster::start).await.expect("started")).await;
    sqlx::any::install_default_drivers();
    let mut connection = cluster.connect().await;
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.expect("a database");
    cluster.url(name)
}

impl Cluster {
    fn start() -> Self {
        let directory = std::env::temp_dir().join(format!("parlor-postgres-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir(&directory).expect("a directory for PostgreSQL");
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700)).expect("permissions");
        let account = account();
        if let Some((_, user, group)) = account {
            chown(&directory, Some(user), Some(group)).expect("the directory is given to PostgreSQL's account");
        }
        let data = directory.join("data");
        let initdb = run_as(&account, "initdb")
            .args(["--no-sync", "--auth=trust", "--username=parlor", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(&data)
            .output()
            .expect(HINT);
        assert!(initdb.status.success(), "initdb failed: {}", String::from_utf8_lossy(&initdb.stderr));
        let server = run_as(&account, "postgres");
        let mut reaper = Command::new("sh")
            .args(["-c", REAPER, "sh"])
            .arg(&directory)
            .arg(server.get_program())
            .args(server.get_args())
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=400", "-c", "shared_buffers=32MB", "-k"])
            .arg(&directory)
            .arg("-D")
            .arg(&data)
            .current_dir("/")
            .env_remove("PGDATA")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let alive = reaper.stdin.take().expect("piped");
        Self { directory, _alive: alive, _reaper: reaper }
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
