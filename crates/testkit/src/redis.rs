//! A Redis server of a test's own: started by it, killed, stopped and started again by it, and gone with it.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a real process takes real time")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::wait::until_blocking;

const HINT: &str = "these tests need Redis: install Debian's package `redis-server` (make test does), or put `redis-server` and \
                    `redis-cli` into PATH";

/// Starts the server, and ends it by its id when the test's process has ended, however it did.
const REAPER: &str = r#"test="$1"; directory="$2"; shift 2
"$@" </dev/null >/dev/null 2>&1 & server=$!
trap 'kill -CONT $server; kill -KILL $server; exit' TERM
while kill -0 "$test" && kill -0 $server; do sleep 0.2; done
kill -0 "$test" && exit
kill -CONT $server; kill -KILL $server; rm -rf "$directory""#;

/// How a server is to be reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// By a Unix socket.
    Socket,
    /// By TCP, with this password.
    Password(&'static str),
    /// By TCP with TLS only; the certificate is for `localhost`.
    Tls,
}

/// A Redis server. Its data are in memory, and gone when it is killed.
#[derive(Debug)]
pub struct RedisServer {
    directory: PathBuf,
    reach: Reach,
    port: u16,
    running: Option<Child>,
}

impl RedisServer {
    /// Starts a server.
    #[must_use]
    pub fn start(reach: Reach) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("parlor-redis-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir(&directory).expect("a directory for Redis");
        let port = match reach {
            Reach::Socket => 0,
            Reach::Password(_) | Reach::Tls => free_port(),
        };
        if reach == Reach::Tls {
            make_certificate(&directory);
        }
        let mut server = Self { directory, reach, port, running: None };
        server.start_again();
        server
    }

    /// Starts the server at the address it had, after it was killed. It is empty.
    pub fn start_again(&mut self) {
        let file = |name: &str| self.directory.join(name).display().to_string();
        let mut command = Command::new("sh");
        command.args(["-c", REAPER, "sh"]).arg(std::process::id().to_string()).arg(&self.directory);
        command.args(["redis-server", "--save", "", "--appendonly", "no", "--pidfile"]).arg(file("pid"));
        command.arg("--logfile").arg(file("log")).arg("--dir").arg(&self.directory).arg("--unixsocket").arg(file("socket"));
        match self.reach {
            Reach::Socket => command.args(["--port", "0"]),
            Reach::Password(password) => {
                command.args(["--bind", "127.0.0.1", "--requirepass", password]).args(["--port", &self.port.to_string()])
            }
            Reach::Tls => {
                command.args(["--bind", "127.0.0.1", "--port", "0", "--tls-auth-clients", "no"]);
                command.args([
                    "--tls-port",
                    &self.port.to_string(),
                    "--tls-cert-file",
                    &file("cert.pem"),
                    "--tls-key-file",
                    &file("key.pem"),
                ])
            }
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.running = Some(command.spawn().expect("a shell"));
        until_blocking(HINT, || self.cli(&["PING"]).trim() == "PONG");
    }

    /// The address of the server, as the configuration takes it.
    #[must_use]
    pub fn url(&self) -> String {
        match self.reach {
            Reach::Socket => format!("unix://{}", self.directory.join("socket").display()),
            Reach::Password(password) => format!("redis://:{password}@127.0.0.1:{}", self.port),
            Reach::Tls => format!("rediss://localhost:{}", self.port),
        }
    }

    /// The certificate of a server with TLS, which is its own authority.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.directory.join("cert.pem")
    }

    /// Runs a command in database 0, and returns what is answered, a line for each item.
    #[must_use]
    pub fn cli(&self, command: &[&str]) -> String {
        self.cli_in(0, command)
    }

    /// Runs a command in a database.
    #[must_use]
    pub fn cli_in(&self, database: u32, command: &[&str]) -> String {
        let mut cli = Command::new("redis-cli");
        cli.arg("-s").arg(self.directory.join("socket")).args(["-n", &database.to_string()]);
        if let Reach::Password(password) = self.reach {
            cli.env("REDISCLI_AUTH", password);
        }
        let output = cli.args(command).output().expect(HINT);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The fields of a hash with their values, sorted.
    #[must_use]
    pub fn hash(&self, key: &str) -> Vec<(String, String)> {
        let answer = self.cli(&["HGETALL", key]);
        let mut lines = answer.lines().filter(|line| !line.is_empty()).map(str::to_owned);
        let mut fields = Vec::new();
        while let (Some(field), Some(value)) = (lines.next(), lines.next()) {
            fields.push((field, value));
        }
        fields.sort();
        fields
    }

    /// Kills the server, and waits until it has ended.
    pub fn kill(&mut self) {
        self.signal("KILL");
        if let Some(mut running) = self.running.take() {
            let _ = running.wait();
        }
    }

    /// Stops the server: it accepts connections, as the kernel does that, and never answers.
    pub fn hang(&self) {
        self.signal("STOP");
    }

    /// Lets a stopped server go on.
    pub fn go_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(self.directory.join("pid")).expect("a server that runs");
        let done = Command::new("kill").args([&format!("-{signal}"), pid.trim()]).status().expect("kill");
        assert!(done.success(), "Redis takes the signal");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = Command::new("kill").arg(running.id().to_string()).status();
            let _ = running.wait();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A port that nobody had a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

fn make_certificate(directory: &Path) {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    command.args([
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
    ]);
    let made = command.current_dir(directory).output().expect("openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
