//! The binary as an operator sees it: help, configuration, the one line at the start, and the end by a signal.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// The binary, in a directory without a `parlor.toml` and with no `PARLOR_` variable of whoever runs the tests.
fn parlor(arguments: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PARLOR_")) {
        command.env_remove(name);
    }
    command.args(arguments).envs(env.iter().copied()).current_dir(env!("CARGO_TARGET_TMPDIR"));
    command
}

fn run(arguments: &[&str], env: &[(&str, &str)]) -> (Output, String, String) {
    let output = parlor(arguments, env).output().expect("runs");
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

#[test]
fn development_mode_in_reach_of_others_is_warned_of() {
    for (listen, warned) in [("127.0.0.1:0", false), ("0.0.0.0:0", true)] {
        let arguments =
            ["serve", "--dev", "--http-listen", listen, "--media-port", "0", "--media-workers", "1", "--listen-ip", "127.0.0.1"];
        let mut child = parlor(&arguments, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("text");
        assert!(line.starts_with("Parlor is ready"), "{line}");
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("ends");
        let output = child.wait_with_output().expect("ends");
        let err = String::from_utf8(output.stderr).expect("text");
        assert_eq!(err.contains("any name and the pro tier"), warned, "{listen}: {err}");
    }
}

#[test]
fn it_says_one_line_when_it_is_ready_and_ends_with_zero_on_sigterm() {
    let arguments = ["serve", "--dev", "--http-listen", "127.0.0.1:0", "--media-port", "0", "--media-workers", "1"];
    let mut child = parlor(&arguments, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let line = lines.next().expect("a line").expect("text");
    assert!(line.starts_with("Parlor is ready: http://localhost:"), "{line}");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("sent");
    assert!(child.wait().expect("ends").success());
    assert!(lines.next().is_none(), "one line, no more");
}

/// A running server at some level of the log, and a transport on it.
struct Logged {
    child: Child,
    log: JoinHandle<String>,
    address: String,
    token: String,
    transport: Value,
}

impl Logged {
    async fn start(level: &str) -> Self {
        let mut arguments = vec!["serve", "--dev", "--http-listen", "127.0.0.1:0", "--media-port", "0", "--media-workers", "1"];
        arguments.extend(["--listen-ip", "127.0.0.1", "--log-level", level]);
        let mut child = parlor(&arguments, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut errors = child.stderr.take().expect("piped");
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).map(|_| text).expect("text")
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("text");
        let address = line.trim().strip_prefix("Parlor is ready: http://").expect("an address").to_owned();
        let wish = reqwest::Client::new().post(format!("http://{address}/api/dev/token")).json(&json!({"user": "alice"}));
        let issued: Value = wish.send().await.expect("answers").json().await.expect("json");
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("connects");
        let join = "420[\"voice:join\",{\"channelId\":\"lobby\"}]".to_owned();
        let create = "421[\"voice:rtc:createTransport\",{\"direction\":\"send\"}]".to_owned();
        for text in [format!("40{issued}"), join, create] {
            socket.send(Message::text(text)).await.expect("sends");
        }
        let created = loop {
            let message = socket.next().await.expect("goes on").expect("a message").into_text().expect("text");
            if let Some(created) = message.strip_prefix("431") {
                break serde_json::from_str::<Value>(created).expect("json");
            }
        };
        let token = issued["token"].as_str().expect("a token").to_owned();
        Self { child, log, address, token, transport: created[0].clone() }
    }

    /// Ends it and gives what it wrote to the log.
    fn end(mut self) -> String {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("sent");
        assert!(self.child.wait().expect("ends").success());
        self.log.join().expect("reads")
    }
}

#[tokio::test]
async fn no_level_of_the_log_shows_a_token_or_a_password() {
    let server = Logged::start("trace").await;
    let token = server.token.clone();
    let password = server.transport["iceParameters"]["password"].as_str().expect("a password").to_owned();
    let log = server.end();
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
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let url = format!("http://{}/api/dev/stats", server.address);
        let stats: Value = reqwest::get(url).await.expect("answers").json().await.expect("json");
        if stats["workers"][0]["sfu"]["drops"]["malformed"] == DATAGRAMS {
            break;
        }
        assert!(Instant::now() < deadline, "they arrive: {stats}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let log = server.end();
    assert!(log.lines().count() < 20, "{} lines: {}", log.lines().count(), log.chars().take(1_000).collect::<String>());
}
