//! A server in a process of its own, people in it, and a way to PostgreSQL that breaks.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

/// How long a server of these tests keeps its place without being heard of.
pub const LEASE_MS: u64 = 1_000;
/// For what should happen at once, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A server in a process of its own.
pub struct Process {
    pub child: Child,
    pub address: String,
}

impl Process {
    /// Starts it and waits until it is ready.
    pub fn start(url: &str) -> Self {
        let mut process = Self::begin(url, Stdio::piped());
        let mut line = String::new();
        BufReader::new(process.child.stdout.take().expect("piped")).read_line(&mut line).expect("text");
        process.address = line.trim().strip_prefix("Parlor is ready: http://").expect("an address").to_owned();
        process
    }

    /// Starts it.
    pub fn begin(url: &str, log: Stdio) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PARLOR_")) {
            command.env_remove(name);
        }
        command.env("PARLOR_STORE__URL", url).env("PARLOR_STORE__LEASE_MS", LEASE_MS.to_string());
        command.env("PARLOR_FEED__NODE", "here").current_dir(env!("CARGO_TARGET_TMPDIR"));
        command.args(["serve", "--dev", "--http-listen", "127.0.0.1:0", "--media-port", "0", "--media-workers", "1", "--dev-crash-route"]);
        command.args(["--listen-ip", "127.0.0.1"]);
        let child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("starts");
        Self { child, address: String::new() }
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(self.pid(), signal).expect("sent");
    }

    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"))
    }

    /// Waits for its end; tells how it ended, and what it said since.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("asked") {
                break status;
            }
            assert!(Instant::now() < deadline, "it goes on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let mut text = String::new();
        if let Some(mut log) = self.child.stderr.take() {
            log.read_to_string(&mut text).expect("text");
        }
        (status, text)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// Somebody in a channel of that server.
pub async fn guest(process: &Process, name: &str) -> Socket {
    let wish = reqwest::Client::new().post(format!("http://{}/api/dev/token", process.address)).json(&json!({"user": name}));
    let token: Value = wish.send().await.expect("answers").json().await.expect("json");
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", process.address);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("connects");
    socket.send(Message::text(format!("40{token}"))).await.expect("sends");
    socket.send(Message::text("421[\"voice:join\",{\"channelId\":\"den\"}]")).await.expect("sends");
    let answer = until(&mut socket, "431").await;
    assert!(answer.contains("participants"), "{answer}");
    socket
}

/// The next packet that begins so.
pub async fn until(socket: &mut Socket, prefix: &str) -> String {
    let look = async {
        loop {
            let text = socket.next().await.expect("goes on").expect("a message").into_text().expect("text");
            if text.starts_with(prefix) {
                return text.to_string();
            }
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("in time")
}

/// A way to PostgreSQL that can be cut: nothing comes through any more, and nothing says so. Or hung up.
pub struct Line {
    pub address: SocketAddr,
    pub cut: tokio::sync::watch::Sender<bool>,
    carries: CancellationToken,
}

impl Line {
    /// A way to the server of this database.
    pub async fn to(url: String) -> Self {
        let directory = url.split_once("host=").expect("a directory").1.to_owned();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("an address");
        let (cut, is_cut) = tokio::sync::watch::channel(false);
        let over = CancellationToken::new();
        let carries = over.clone();
        tokio::spawn(over.clone().run_until_cancelled_owned(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = tokio::net::UnixStream::connect(format!("{directory}/.s.PGSQL.5432")).await.expect("connects");
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                tokio::spawn(over.clone().run_until_cancelled_owned(copy(near_in, far_out, is_cut.clone())));
                tokio::spawn(over.clone().run_until_cancelled_owned(copy(far_in, near_out, is_cut.clone())));
            }
        }));
        Self { address, cut, carries }
    }

    /// The address of a database by this way.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://parlor@{}/{database}", self.address)
    }

    /// Ends all connections, and takes none any more.
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
