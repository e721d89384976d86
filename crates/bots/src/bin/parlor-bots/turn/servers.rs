//! The TURN servers that are measured: ours, and Debian's coturn with nothing that it could do without.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::bail;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parlor_bots::turn::TurnClient;

use crate::bench::process::Process;
use crate::bench::server::{BenchServer, Started};

/// The secret of the servers measured here, which nobody else can reach.
const SECRET: &str = "a-server-for-one-measurement-0123456789";
/// How long credentials are good for: longer than a measurement.
const LIFETIME: u64 = 3_600;

/// A server to measure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Server {
    /// Ours, by its binary.
    Parlor(PathBuf),
    /// Debian's package.
    Coturn,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parlor(_) => "Parlor",
            Self::Coturn => "coturn",
        })
    }
}

/// A running server; it is stopped when dropped.
pub struct Measured {
    /// Its process.
    pub process: Process,
    address: SocketAddr,
}

/// The version of coturn, if it is installed.
pub fn coturn_version() -> Option<String> {
    let output = Command::new("turnserver").arg("--version").output().ok()?;
    String::from_utf8_lossy(&output.stdout).lines().next_back().map(str::to_owned)
}

impl Measured {
    /// Starts a server that relays to this peer, and waits until it answers.
    pub async fn start(server: &Server, cores: &[usize], peer: SocketAddr) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut process = match server {
            Server::Parlor(binary) => parlor(binary, cores, address, peer).await?,
            Server::Coturn => coturn(cores, port)?,
        };
        let (username, password) = credential("probe");
        let is_up = async || {
            let from = SocketAddr::from(([127, 0, 0, 1], 0));
            TurnClient::udp(from, address, &username, &password)
                .is_ok_and(|mut client| client.allocate().is_ok() && client.refresh(0).is_ok())
        };
        process.wait_until_up(is_up).await?;
        Ok(Self { process, address })
    }

    /// A client from an address of this machine, with an allocation.
    pub fn client(&self, number: usize, ip: [u8; 4]) -> anyhow::Result<(TurnClient, SocketAddr)> {
        let (username, password) = credential(&format!("user-{number}"));
        let mut client = TurnClient::udp(SocketAddr::from((ip, 0)), self.address, &username, &password)?;
        let relayed = client.allocate()?;
        Ok((client, relayed))
    }
}

async fn parlor(binary: &std::path::Path, cores: &[usize], address: SocketAddr, peer: SocketAddr) -> anyhow::Result<Process> {
    let settings = [
        ("turn.provider", "embedded".to_owned()),
        ("turn.secret", SECRET.to_owned()),
        ("turn.listen", address.to_string()),
        ("turn.relay_ip", address.ip().to_string()),
        ("turn.allowed_peers", peer.to_string()),
        ("turn.urls", format!("turn:{address}")),
        // A limit of what is relayed for one client, which coturn has none of by default; a few clients reach it here.
        ("turn.max_bitrate_kbps", "0".to_owned()),
    ];
    match BenchServer::start(binary, cores, &settings).await? {
        Started::Up(server) => Ok(server.process),
        Started::Unknown(setting) => bail!("the server does not know {setting}"),
    }
}

/// One relay thread, as it has one core; no TLS, no command line, no log, no database.
fn coturn(cores: &[usize], port: u16) -> anyhow::Result<Process> {
    let unique = rand::random::<u64>();
    let scratch = |name: &str| std::env::temp_dir().join(format!("coturn-bench-{unique:016x}.{name}"));
    let mut command = Command::new("turnserver");
    command
        .args([
            "-n",
            "--no-cli",
            "--no-tls",
            "--no-dtls",
            "--allow-loopback-peers",
            "--use-auth-secret",
            "--no-stdout-log",
            "--relay-threads",
            "1",
        ])
        .args(["--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1", "--realm", "bench"])
        .args(["--listening-port", &port.to_string(), "--static-auth-secret", SECRET])
        .arg(format!("--pidfile={}", scratch("pid").display()))
        .arg(format!("--db={}", scratch("db").display()))
        .args(["--log-file", "/dev/null"]);
    Process::start(command, "coturn", cores)
}

fn credential(user: &str) -> (String, String) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let username = format!("{}:{user}", now + LIFETIME);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET.as_bytes());
    let password = BASE64_STANDARD.encode(hmac::sign(&key, username.as_bytes()));
    (username, password)
}
