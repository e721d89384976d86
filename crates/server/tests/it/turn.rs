//! The embedded TURN server from outside: with coturn's client over UDP, TCP and TLS, and with one of our own for what must be
//! refused.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parlor::config::{Provider, Secret};
use parlor::{Options, Server};
use parlor_bots::turn::{TurnClient, TurnError, channel_data, indication, read_indication};
use parlor_proto::MemberRole;
use parlor_testkit::wait::until_blocking;
use serde_json::json;
use tokio::process::Command;

use super::client::Client;
use super::stored::{ADMIN, Shared, now, user};
use super::support::test_config;

const SECRET: &str = "the-secret-of-the-turn-server-in-tests";
const CHANNEL: u16 = 0x4001;

/// A server with TURN on loopback, and a peer that may be relayed to.
struct World {
    server: Server,
    peer: UdpSocket,
}

impl World {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut parlor::config::Turn)) -> Self {
        let peer = UdpSocket::bind("127.0.0.1:0").expect("binds");
        peer.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
        let mut config = test_config();
        configure(&mut config.turn);
        config.turn.allowed_peers = vec![peer.local_addr().expect("bound")];
        change(&mut config.turn);
        let server = Server::start(&config, Options { dev: true, ..Options::default() }).await.expect("starts");
        Self { server, peer }
    }

    fn address(&self, protocol: &str) -> SocketAddr {
        let found = self.server.turn_addresses().into_iter().find(|(of, _)| *of == protocol);
        found.expect("listens").1
    }

    fn client(&self, username: &str, password: &str) -> TurnClient {
        let from = "127.0.0.1:0".parse().expect("an address");
        TurnClient::udp(from, self.address("udp"), username, password).expect("a socket")
    }

    /// A client with an allocation.
    async fn allocated(&self, user: &str) -> (TurnClient, SocketAddr) {
        let (username, password) = credential(user, 3_600);
        let mut client = self.client(&username, &password);
        blocking(move || {
            let relayed = client.allocate().expect("allocates");
            (client, relayed)
        })
        .await
    }

    /// coturn's client: two of it, that talk to each other through the server.
    async fn uclient(&self, protocol: &str, arguments: &[&str], username: &str, password: &str) -> Output {
        let address = self.address(protocol);
        Command::new("turnutils_uclient")
            .args(["-y", "-c", "-n", "20", "-m", "1", "-l", "120", "-u", username, "-w", password, "-p", &address.port().to_string()])
            .args(arguments)
            .arg(address.ip().to_string())
            .kill_on_drop(true)
            .output()
            .await
            .expect("turnutils_uclient is installed (Debian's package coturn)")
    }
}

/// TURN on loopback.
fn configure(turn: &mut parlor::config::Turn) {
    turn.provider = Provider::Embedded;
    turn.secret = Secret::new(SECRET.to_owned());
    turn.listen = vec!["127.0.0.1:0".parse().expect("an address")];
    turn.relay_ip = vec!["127.0.0.1".parse().expect("an address")];
    // Beside the ports that the system hands out: what is among these is a relayed address and no port of ours.
    turn.relay_ports = "61000-65535".parse().expect("ports");
}

/// Runs what blocks beside the server.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

fn credential(user: &str, seconds: i64) -> (String, String) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let username = format!("{}:{user}", now.saturating_add_signed(seconds));
    let password = sign(SECRET, &username);
    (username, password)
}

fn sign(secret: &str, username: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    BASE64_STANDARD.encode(hmac::sign(&key, username.as_bytes()))
}

/// The code of a refusal; 0 for success.
fn refused(result: Result<impl Sized, TurnError>) -> u16 {
    match result {
        Err(TurnError::Refused(code)) => code,
        Err(error) => panic!("{error}"),
        Ok(_) => 0,
    }
}

/// Whether all that was sent came back.
fn all_came(output: &Output) -> bool {
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success() && text.contains("Total lost packets 0 (0.000000%)") && text.contains("tot_recv_msgs=40")
}

/// A certificate for TLS, made by openssl as an operator would.
fn certificate(directory: &Path) -> (PathBuf, PathBuf) {
    let (chain, key) = (directory.join("cert.pem"), directory.join("key.pem"));
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&chain)
        .output()
        .expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (chain, key)
}

#[tokio::test(flavor = "multi_thread")]
async fn coturns_client_relays_over_udp_tcp_and_tls() {
    let directory = std::env::temp_dir().join(format!("parlor-turn-{:016x}", rand::random::<u64>()));
    std::fs::create_dir_all(&directory).expect("made");
    let (chain, key) = certificate(&directory);
    let world = World::with(|turn| {
        turn.tls_listen = vec!["127.0.0.1:0".parse().expect("an address")];
        (turn.tls_cert, turn.tls_key) = (chain.display().to_string(), key.display().to_string());
    })
    .await;
    let (username, password) = credential("alice", 3_600);
    let ways: [(&str, &[&str]); 6] =
        [("udp", &[]), ("udp", &["-s"]), ("tcp", &["-t"]), ("tcp", &["-t", "-s"]), ("tls", &["-t", "-S"]), ("tls", &["-t", "-S", "-s"])];
    for (protocol, arguments) in ways {
        let output = world.uclient(protocol, arguments, &username, &password).await;
        assert!(all_came(&output), "{protocol} {arguments:?}: {output:?}");
    }
    std::fs::remove_dir_all(&directory).expect("removed");
    world.server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn coturns_client_gets_no_allocation_with_a_wrong_an_expired_or_a_changed_credential() {
    let world = World::start().await;
    let (username, password) = credential("alice", 3_600);
    let (expired, of_expired) = credential("alice", -1);
    let (later, _) = credential("alice", 7_200);
    for (username, password) in [(&username, &sign("another secret", &username)), (&expired, &of_expired), (&later, &password)] {
        let output = world.uclient("udp", &[], username, password).await;
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && text.contains("Cannot complete Allocation"), "{username}: {output:?}");
    }
    world.server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_an_expired_and_a_changed_credential_are_answered_401() {
    let world = World::start().await;
    let (username, password) = credential("alice", 3_600);
    let (expired, of_expired) = credential("alice", 0);
    let (later, _) = credential("alice", 7_200);
    let wrong = (username.clone(), sign("another secret", &username));
    for (username, password) in [wrong, (expired, of_expired), (later, password.clone()), ("alice".to_owned(), password)] {
        let mut client = world.client(&username, &password);
        assert_eq!(blocking(move || refused(client.allocate())).await, 401, "{username}");
    }
    world.server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_secret_is_good_while_it_is_replaced() {
    let old = "the-secret-before-this-one";
    let world = World::with(|turn| turn.old_secrets = vec![Secret::new(old.to_owned())]).await;
    let (username, _) = credential("alice", 3_600);
    let mut client = world.client(&username, &sign(old, &username));
    blocking(move || client.allocate()).await.expect("allocates");
    world.server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_go_both_ways_between_a_client_and_a_peer() {
    let world = World::start().await;
    let (mut client, relayed) = world.allocated("alice").await;
    let peer = world.peer.try_clone().expect("cloned");
    blocking(move || {
        let at = peer.local_addr().expect("bound");
        client.permit(at).expect("permitted");
        client.send(&indication(at, b"up")).expect("sent");
        let mut buffer = [0; 100];
        assert_eq!(peer.recv_from(&mut buffer).expect("arrives"), (2, relayed));
        peer.send_to(b"down", relayed).expect("sent");
        assert_eq!(read_indication(&client.receive().expect("fine").expect("arrives")), Some((at, b"down".to_vec())));
        client.bind(CHANNEL, at).expect("bound");
        client.send(&channel_data(CHANNEL, b"up again")).expect("sent");
        assert_eq!(peer.recv_from(&mut buffer).expect("arrives"), (8, relayed));
        peer.send_to(b"down again", relayed).expect("sent");
        assert_eq!(client.receive().expect("fine").expect("arrives"), channel_data(CHANNEL, b"down again"));
    })
    .await;
    world.server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_denied_range_is_answered_403_and_so_are_our_own_ports() {
    let world = World::start().await;
    let (http, media, turn) = (world.server.http_addresses()[0], world.server.media_addresses()[0], world.address("udp"));
    let (mut client, _) = world.allocated("alice").await;
    blocking(move || {
        let mut codes = |peer: SocketAddr| (refused(client.permit(peer)), refused(client.bind(CHANNEL, peer)));
        for peer in [http, turn, "127.0.0.1:6379".parse().expect("an address"), "127.0.0.1:5432".parse().expect("an address")] {
            assert_eq!(codes(peer), (403, 403), "{peer}");
        }
        for (network, _) in parlor_turn::policy::DENIED_V4 {
            let peer = SocketAddr::new(IpAddr::V4(network), 4_000);
            assert_eq!(codes(peer), (403, 403), "{peer}");
        }
        assert_eq!(codes(media), (0, 0), "the media plane is what it is for");
    })
    .await;
    world.server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_port_gets_nothing_even_beside_a_permission_for_its_address() {
    let world = World::start().await;
    let trap = UdpSocket::bind("127.0.0.1:0").expect("binds");
    trap.set_nonblocking(true).expect("set");
    let (mut client, _) = world.allocated("alice").await;
    let peer = world.peer.try_clone().expect("cloned");
    blocking(move || {
        let at = peer.local_addr().expect("bound");
        client.permit(at).expect("permitted");
        client.send(&indication(trap.local_addr().expect("bound"), b"GET / HTTP/1.1")).expect("sent");
        client.send(&indication(at, b"after it")).expect("sent");
        let mut buffer = [0; 100];
        assert_eq!(peer.recv(&mut buffer).expect("arrives"), 8);
        assert!(trap.recv(&mut buffer).is_err(), "what was sent before is not there");
    })
    .await;
    world.server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_of_an_sfu_call_reaches_the_media_plane_alone() {
    let world = World::start().await;
    let (_other, of_other) = world.allocated("bob").await;
    let (mut client, _) = world.allocated("alice:sfu").await;
    let media = world.server.media_addresses()[0];
    blocking(move || {
        assert_eq!(refused(client.permit(of_other)), 403);
        assert_eq!(refused(client.permit("8.8.8.8:4000".parse().expect("an address"))), 403);
        assert_eq!(refused(client.permit(media)), 0);
    })
    .await;
    let (mut mesh, _) = world.allocated("carol").await;
    blocking(move || assert_eq!(refused(mesh.permit(of_other)), 0)).await;
    world.server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn development_servers_relay_in_privacy_mode_without_being_told_to_and_beside_each_other() {
    let file = "[[channels]]\nid = \"quiet\"\nprivacy = \"relay\"\n";
    let sources = parlor::config::Sources { file: Some(("parlor.toml".into(), file.into())), ..Default::default() };
    let mut config = test_config();
    config.channels = parlor::config::load(&sources).expect("valid").channels;
    let options = Options { dev: true, ..Options::default() };
    let servers = [Server::start(&config, options).await.expect("starts"), Server::start(&config, options).await.expect("starts")];
    for server in servers {
        let (_alice, joined) = Client::joined(&server, "alice", "quiet").await;
        let told = &joined["rtcConfig"]["iceServers"][0];
        let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
        let (username, password) = (text(&told["username"]), text(&told["credential"]));
        for url in told["urls"].as_array().expect("addresses") {
            let (address, transport) = url.as_str().and_then(|url| url.strip_prefix("turn:")?.split_once("?transport=")).expect("TURN");
            let address = address.parse().expect("an address");
            let mut client = match transport {
                "udp" => TurnClient::udp("127.0.0.1:0".parse().expect("an address"), address, &username, &password),
                _ => TurnClient::tcp(address, &username, &password),
            }
            .expect("is there");
            let media = server.media_addresses()[0];
            blocking(move || {
                client.allocate().expect("allocates");
                client.permit(media).expect("reaches the media plane");
            })
            .await;
        }
        let (_bob, joined) = Client::joined(&server, "bob", "any").await;
        assert_eq!(joined["rtcConfig"]["iceServers"], json!([]), "who may connect otherwise does");
        server.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_kicked_loses_their_allocation_and_nobody_else_does() {
    let shared = Shared::start("turn-kick", |config| configure(&mut config.turn)).await;
    let den = shared.channel("den", |_| ()).await;
    shared.member(&den, "mod", MemberRole::Moderator).await;
    let (mut moderator, _) = Client::joined(&shared.server, "mod", "den").await;
    let (_bob, _) = Client::joined(&shared.server, "bob", "den").await;
    let address = shared.server.turn_addresses()[0].1;
    let mut relayed = ["bob", "mod"].map(|user| {
        let (username, password) = credential(user, 3_600);
        TurnClient::udp("127.0.0.1:0".parse().expect("an address"), address, &username, &password).expect("a socket")
    });
    relayed = blocking(move || {
        for client in &mut relayed {
            client.allocate().expect("allocates");
        }
        relayed
    })
    .await;
    let kicked = moderator.request("voice:moderate", json!({"action": "kick", "userId": "bob"})).await;
    assert_eq!(kicked["action"], "kick");
    blocking(move || {
        let [mut of_bob, mut of_moderator] = relayed;
        until_blocking("bob's allocation ends", || refused(of_bob.refresh(600)) == 437);
        assert_eq!(refused(of_moderator.refresh(600)), 0);
    })
    .await;
    shared.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_signed_out_loses_their_allocation_and_their_credential_in_no_call_too() {
    let shared = Shared::start("turn-sign-out", |config| configure(&mut config.turn)).await;
    let address = shared.server.turn_addresses()[0].1;
    let client = move |user: &str, seconds| {
        let (username, password) = credential(user, seconds);
        TurnClient::udp("127.0.0.1:0".parse().expect("an address"), address, &username, &password).expect("a socket")
    };
    let (bob, alice) = blocking(move || {
        let mut relayed = (client("bob:any", 86_400), client("alice", 3_600));
        relayed.0.allocate().expect("allocates");
        relayed.1.allocate().expect("allocates");
        relayed
    })
    .await;
    let signed_out = now().0 + 2_000;
    shared.store.revoke(&user("bob"), parlor_proto::Timestamp(signed_out), &ADMIN, now()).await.expect("written");
    blocking(move || {
        let (mut bob, mut alice) = (bob, alice);
        until_blocking("bob's allocation ends", || refused(bob.refresh(600)) != 0);
        for (name, seconds) in [("bob", 3_600), ("bob:sfu", 3_600), ("bob:any", 86_400)] {
            assert_eq!(refused(client(name, seconds).allocate()), 401, "{name}");
            assert_eq!(refused(client(name, seconds + 3).allocate()), 0, "{name}, issued after the sign-out");
        }
        assert_eq!(refused(alice.refresh(600)), 0);
    })
    .await;
    shared.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_the_allocations_and_not_the_server() {
    let world = World::start().await;
    let (mut client, _) = world.allocated("alice").await;
    world.server.crash_turn();
    blocking(move || {
        // The thread pauses for a moment; the request is repeated until it is answered.
        assert_eq!(refused(client.refresh(600)), 437);
        client.allocate().expect("a new one");
    })
    .await;
    world.server.shut_down().await;
}
