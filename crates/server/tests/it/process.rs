//! The binary, a server in a process of its own, and a way to PostgreSQL that breaks.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use nix::sys::signal::Signal;
use parlor_testkit::postgres::Database;
use parlor_testkit::wait;
use tokio_util::sync::CancellationToken;

/// The binary, in a directory without a `parlor.toml` and with no variable of whoever runs the tests that would configure a server.
pub fn parlor(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PARLOR_") || name.starts_with("TURN_")) {
        command.env_remove(name);
    }
    command.args(arguments).current_dir(env!("CARGO_TARGET_TMPDIR"));
    command
}

/// A server on any free ports of this machine, with one media worker.
pub fn serve(arguments: &[&str]) -> Command {
    let mut command = parlor(&["serve", "--http-listen", "127.0.0.1:0", "--media-port", "0", "--media-workers", "1"]);
    command.args(["--listen-ip", "127.0.0.1"]).args(arguments);
    command
}

/// A server in development mode with this store.
pub fn dev_server(store: &str) -> Command {
    let mut command = serve(&["--dev"]);
    command.env("PARLOR_STORE__URL", store);
    command
}

/// How long a server keeps its place without being heard of, if a test waits for that.
pub const LEASE_MS: u64 = 1_000;

/// A server in development mode with this store, whose successor takes its place soon.
pub fn leasing(store: &str) -> Command {
    let mut command = dev_server(store);
    command.env("PARLOR_STORE__LEASE_MS", LEASE_MS.to_string()).env("PARLOR_FEED__NODE", "here");
    command
}

/// A server in a process of its own. Its log is kept, unless the command redirects it.
pub struct Process {
    pub child: Child,
    /// The address at which the server listens, once it is ready.
    pub address: String,
    out: BufReader<ChildStdout>,
    log: Option<JoinHandle<String>>,
}

impl Process {
    /// Starts the process and waits until the server is ready.
    pub fn start(mut command: Command) -> Self {
        let mut process = Self::begin(command.stderr(Stdio::piped()));
        process.ready();
        process
    }

    /// Starts the process. Its log is kept if it is piped.
    pub fn begin(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let read = |mut errors: std::process::ChildStderr| {
            let mut text = String::new();
            errors.read_to_string(&mut text).map(|_| text).expect("text")
        };
        let log = child.stderr.take().map(|errors| std::thread::spawn(move || read(errors)));
        Self { child, address: String::new(), out, log }
    }

    /// Waits until the server says that it is ready.
    pub fn ready(&mut self) {
        let line = self.line();
        let address = line.trim().strip_prefix("Parlor is ready: http://").unwrap_or_else(|| panic!("it is not ready: {line:?}"));
        self.address = address.replace("localhost:", "127.0.0.1:");
    }

    /// The next line the process prints; empty when it has ended.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("text");
        line
    }

    pub fn port(&self) -> u16 {
        self.address.parse::<SocketAddr>().expect("an address").port()
    }

    pub fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(self.pid(), signal).expect("sent");
    }

    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"))
    }

    /// Kills the process: no signal handler runs, nothing is flushed.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("dead");
    }

    /// Tells the process to stop, and returns its log.
    pub async fn stop(self) -> String {
        self.signal(Signal::SIGTERM);
        let (status, log) = self.ended().await;
        assert!(status.success(), "{status}: {log}");
        log
    }

    /// Waits for the end of the process; returns its exit status and its log.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let status = wait::seen("it ends", async || self.child.try_wait().expect("asked"), Option::is_some).await;
        let log = self.log.take().map(|log| log.join().expect("reads")).unwrap_or_default();
        (status.expect("has ended"), log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection to PostgreSQL that can be cut, so that nothing comes through and nobody is told, or be hung up.
pub struct Line {
    pub address: SocketAddr,
    pub cut: tokio::sync::watch::Sender<bool>,
    carries: CancellationToken,
}

impl Line {
    /// Opens a line to the server of this database.
    pub async fn to(database: &Database) -> Self {
        let socket = database.socket.clone();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("an address");
        let (cut, is_cut) = tokio::sync::watch::channel(false);
        let over = CancellationToken::new();
        let carries = over.clone();
        tokio::spawn(over.clone().run_until_cancelled_owned(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = tokio::net::UnixStream::connect(&socket).await.expect("connects");
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                tokio::spawn(over.clone().run_until_cancelled_owned(copy(near_in, far_out, is_cut.clone())));
                tokio::spawn(over.clone().run_until_cancelled_owned(copy(far_in, near_out, is_cut.clone())));
            }
        }));
        Self { address, cut, carries }
    }

    /// The address of a database through this line.
    pub fn url(&self, database: &Database) -> String {
        format!("postgres://parlor@{}/{}", self.address, database.name)
    }

    /// Ends all connections, and accepts none any more.
    pub fn hang_up(&self) {
        self.carries.cancel();
    }
}

async fn copy(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    mut cut: tokio::sync::watch::Receiver<bool>,
) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if cut.wait_for(|cut| !cut).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
