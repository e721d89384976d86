//! The binary as an operator sees it: help, configuration, the one line at the start, and the end by a signal.

use std::process::Output;

use nix::sys::signal::Signal;
use parlor_testkit::wait::seen;
use serde_json::{Value, json};

use super::client::{Client, dev_token};
use super::process::{Process, parlor, serve};

fn run(arguments: &[&str], env: &[(&str, &str)]) -> (Output, String, String) {
    let output = parlor(arguments).envs(env.iter().copied()).output().expect("runs");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output, out, err)
}

#[test]
fn help_teaches() {
    let (output, out, _) = run(&["--help"], &[]);
    assert!(output.status.success() && out.contains("parlor serve --dev") && out.contains("PARLOR_MEDIA__PORT"), "{out}");
    let (output, out, _) = run(&["serve", "--help"], &[]);
    assert!(output.status.success() && out.contains("firewall") && out.contains("UDP and TCP 7401"), "{out}");
    assert!(!out.contains("crash"), "what only tests need is not shown");
}

#[test]
fn config_prints_what_is_in_effect_without_secrets() {
    let env = [("PARLOR_AUTH__SECRET", "do-not-show-me-0123456789-0123456789"), ("PARLOR_MEDIA__PORT", "9000")];
    let (output, out, _) = run(&["config", "--media-port", "9100"], &env);
    assert!(output.status.success());
    assert!(out.contains("port = 9100") && out.contains("secret = \"********\"") && !out.contains("do-not-show-me"), "{out}");
}

#[test]
fn what_is_wrong_is_said_and_the_exit_code_is_not_zero() {
    for (arguments, env, said) in [
        (vec!["serve"], vec![], "openssl rand -hex 32"),
        (vec!["serve", "--dev"], vec![("PARLOR_HTTP__LISEN", "x")], "Did you mean \"PARLOR_HTTP__LISTEN\"?"),
        (vec!["config", "--config", "missing.toml"], vec![], "missing.toml"),
        (vec!["serve", "--http-listen", "localhost:7400"], vec![], "must be an IP address and a port, as 127.0.0.1:7400"),
        (vec!["serve", "--dev-crash-route"], vec![], "--dev"),
    ] {
        let (output, _, err) = run(&arguments, &env);
        assert!(!output.status.success() && err.contains(said), "{arguments:?}: {err}");
    }
}

#[tokio::test]
async fn development_mode_in_reach_of_others_is_warned_of() {
    for (listen, warned) in [("127.0.0.1:0", false), ("0.0.0.0:0", true)] {
        let log = Process::start(serve(&["--dev", "--http-listen", listen])).stop().await;
        assert_eq!(log.contains("any name and the pro tier"), warned, "{listen}: {log}");
    }
}

#[tokio::test]
async fn it_says_one_line_when_it_is_ready_and_ends_with_zero_on_sigterm() {
    let mut server = Process::begin(&mut serve(&["--dev"]));
    let line = server.line();
    assert!(line.starts_with("Parlor is ready: http://localhost:"), "{line}");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.line(), "", "one line, no more");
    let (status, _) = server.ended().await;
    assert!(status.success());
}

/// A running server at some level of the log, and a transport on it.
struct Logged {
    server: Process,
    token: String,
    transport: Value,
}

impl Logged {
    async fn start(level: &str) -> Self {
        let server = Process::start(serve(&["--dev", "--log-level", level]));
        let token = dev_token(&server.address, "alice").await.expect("a token");
        let mut alice = Client::enter(&server.address, &token, "lobby").await.expect("joins");
        let transport = alice.request("voice:rtc:createTransport", json!({"direction": "send"})).await;
        Self { server, token, transport }
    }
}

#[tokio::test]
async fn no_level_of_the_log_shows_a_token_or_a_password() {
    let server = Logged::start("trace").await;
    let token = server.token.clone();
    let password = server.transport["iceParameters"]["password"].as_str().expect("a password").to_owned();
    let log = server.server.stop().await;
    assert!(log.contains("a session begins"), "{log}");
    let shown: Vec<&str> = log.lines().filter(|line| line.contains(&token) || line.contains(&password)).collect();
    assert!(shown.is_empty(), "{shown:#?}");
}

#[tokio::test]
async fn what_strangers_send_to_the_media_port_does_not_fill_the_log() {
    const DATAGRAMS: u64 = 20;
    let server = Logged::start("info").await;
    let port = server.transport["iceCandidates"][0]["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
    // A binding request full of attributes that have no place in one: MAPPED-ADDRESS, UNKNOWN-ATTRIBUTES, ALTERNATE-SERVER.
    let attributes = [[0, 1, 0, 0], [0, 10, 0, 0], [0x80, 0x23, 0, 0]].concat().repeat(100);
    let begin = [0, 1, 0x04, 0xb0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("binds");
    for _ in 0..DATAGRAMS {
        socket.send_to(&[begin.as_slice(), &attributes].concat(), ("127.0.0.1", port)).expect("sent");
    }
    let url = format!("http://{}/api/dev/stats", server.server.address);
    let stats = async || reqwest::get(&url).await.expect("answers").json::<Value>().await.expect("json");
    seen("they arrive", stats, |stats| stats["workers"][0]["sfu"]["drops"]["malformed"] == DATAGRAMS).await;
    let log = server.server.stop().await;
    assert!(log.lines().count() < 20, "{} lines: {}", log.lines().count(), log.chars().take(1_000).collect::<String>());
}
