//! Our credentials at a real coturn: accepted over UDP, TCP and TLS, and refused when they are wrong, over, or changed.

use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use parlor::config::{Period, Secret};
use parlor::ice::credential::{Credential, Kind, Marks, Signer};
use parlor_proto::{Timestamp, UserId};
use parlor_testkit::wait::until;
use tokio::time::timeout;

use super::stored::now;

const INSTALL: &str = "These tests need the Debian packages coturn and openssl: scripts/test.sh unit installs them.";
/// How long `turnutils_uclient` may take: over TLS it waits 14 s for packets of its own that were lost, and longer on a busy machine.
const CLIENT_PATIENCE: Duration = Duration::from_secs(100);

/// A coturn on ports of its own. It ends with this value.
struct Coturn {
    child: Child,
    directory: PathBuf,
    port: u16,
    tls_port: u16,
}

impl Coturn {
    /// Starts one that knows these secrets.
    async fn start(secrets: &[&str]) -> Self {
        let directory = std::env::temp_dir().join(format!("parlor-coturn-{:016x}", rand::random::<u64>()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let file = |name: &str| directory.join(name).display().to_string();
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ]);
        openssl.args(["-keyout", &file("key.pem"), "-out", &file("cert.pem")]).stderr(Stdio::null());
        assert!(openssl.status().is_ok_and(|status| status.success()), "openssl makes no certificate. {INSTALL}");
        let (port, tls_port) = (free_port(), free_port());
        let mut command = Command::new("turnserver");
        command.args([
            "-n",
            "--use-auth-secret",
            "--realm=parlor.test",
            "--no-cli",
            "--no-dtls",
            "--fingerprint",
            "--allow-loopback-peers",
        ]);
        command.args(["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--log-file=stdout", "--simple-log"]);
        command.arg(format!("--listening-port={port}")).arg(format!("--tls-listening-port={tls_port}"));
        command.args([format!("--cert={}", file("cert.pem")), format!("--pkey={}", file("key.pem"))]);
        command.args([format!("--userdb={}", file("turndb")), format!("--pidfile={}", file("pid"))]);
        command.args(secrets.iter().map(|secret| format!("--static-auth-secret={secret}")));
        command.current_dir(&directory).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("turnserver cannot be started: {error}. {INSTALL}"));
        let coturn = Self { child, directory, port, tls_port };
        until("coturn listens", async || std::net::TcpStream::connect(("127.0.0.1", tls_port)).is_ok()).await;
        coturn
    }

    /// Whether somebody with this name and password gets a relay and packets through it.
    async fn lets_through(&self, way: Way, Credential { username, password, .. }: &Credential) -> bool {
        let (port, flags): (u16, &[&str]) = match way {
            Way::Udp => (self.port, &[]),
            Way::Tcp => (self.port, &["-t"]),
            Way::Tls => (self.tls_port, &["-t", "-S"]),
        };
        let mut client = tokio::process::Command::new("turnutils_uclient");
        // Two clients that send each other a few packets, each through a relay of its own.
        client.args(["-y", "-c", "-n", "5", "-p", &port.to_string(), "-u", username, "-w", password]).args(flags).arg("127.0.0.1");
        client.stdin(Stdio::null()).kill_on_drop(true);
        let Ok(output) = timeout(CLIENT_PATIENCE, client.output()).await else { return false };
        let output = output.unwrap_or_else(|error| panic!("turnutils_uclient cannot be started: {error}. {INSTALL}"));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        // Over TLS the client loses the first packets by itself: it sends them before its other half listens.
        let received = said.rsplit_once("tot_recv_msgs=").map_or("0", |(_, rest)| rest);
        output.status.success() && !received.starts_with('0')
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Udp,
    Tcp,
    Tls,
}

/// A port that neither UDP nor TCP uses at the moment.
fn free_port() -> u16 {
    loop {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
        let port = socket.local_addr().expect("an address").port();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn issue(secret: &str, user: &str, ttl: Period, now: Timestamp) -> Credential {
    Signer::new(&Secret::new(secret.into()), &[], Marks::None).issue(&UserId::new(user).expect("an id"), Kind::Sfu, ttl, now)
}

#[tokio::test]
async fn coturn_accepts_our_credentials_over_udp_tcp_and_tls() {
    let coturn = Coturn::start(&["north"]).await;
    for (way, user) in [(Way::Udp, "alice"), (Way::Udp, "Zoë 🦀 o'neil \"\\\" 50%"), (Way::Tcp, "urn:user:7"), (Way::Tls, "bob")] {
        let credential = issue("north", user, Period::minutes(1), now());
        assert!(coturn.lets_through(way, &credential).await, "{way:?} {user}");
    }
}

#[tokio::test]
async fn coturn_refuses_what_is_wrong_over_or_changed() {
    let coturn = Coturn::start(&["north"]).await;
    let right = issue("north", "alice", Period::minutes(1), now());
    let later = right.username.replace(|c: char| c.is_ascii_digit(), "9");
    for (what, credential) in [
        ("of another secret", issue("south", "alice", Period::minutes(1), now())),
        ("over", issue("north", "alice", Period::minutes(1), Timestamp(now().0 - 61_000))),
        ("of somebody else", Credential { username: right.username.replace("alice", "mallory"), ..right.clone() }),
        ("with a later end", Credential { username: later, ..right.clone() }),
        ("without a password", Credential { password: String::new(), ..right.clone() }),
    ] {
        assert!(!coturn.lets_through(Way::Udp, &credential).await, "{what}");
    }
    assert!(coturn.lets_through(Way::Udp, &right).await, "and it still works");
}

#[tokio::test]
async fn a_secret_is_changed_without_a_gap_while_coturn_knows_both() {
    let coturn = Coturn::start(&["new-north", "north"]).await;
    for secret in ["north", "new-north"] {
        assert!(coturn.lets_through(Way::Udp, &issue(secret, "alice", Period::minutes(1), now())).await, "{secret}");
    }
}
