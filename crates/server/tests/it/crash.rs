//! A process that is killed: what it acknowledged is there, and what it owed is told after the next start.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use futures_util::{SinkExt, StreamExt};
use parlor_proto::{Actor, Restrictions};
use parlor_store::{Page, Store};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::stored::{channel, fresh_file, user};

/// A process of the real binary with its store in a file.
struct Process {
    child: Child,
    address: String,
}

impl Process {
    fn start(store: &Path) -> Self {
        let arguments = ["serve", "--dev", "--http-listen", "127.0.0.1:0", "--media-port", "0", "--media-workers", "1"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PARLOR_")) {
            command.env_remove(name);
        }
        command.env("PARLOR_STORE__URL", format!("sqlite:{}", store.display()));
        command.env("PARLOR_CHANNELS", "[{id = \"den\", tier = \"pro\", owner = \"alice\"}]");
        command.args(arguments).args(["--listen-ip", "127.0.0.1"]).current_dir(env!("CARGO_TARGET_TMPDIR"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("text");
        let address = line.trim().strip_prefix("Parlor is ready: http://").expect("an address").to_owned();
        Self { child, address }
    }

    /// No signal handler runs, nothing is flushed.
    fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("dead");
    }
}

/// Somebody in the channel, by the plainest means.
struct Guest(tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>, u64);

impl Guest {
    async fn join(process: &Process, name: &str) -> Self {
        let wish = reqwest::Client::new().post(format!("http://{}/api/dev/token", process.address));
        let issued: Value = wish.json(&json!({"user": name, "pro": true})).send().await.expect("answers").json().await.expect("json");
        let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", process.address);
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("connects");
        let token = json!({"token": issued["token"]});
        socket.send(Message::text(format!("40{token}"))).await.expect("sends");
        let mut guest = Self(socket, 0);
        assert_eq!(guest.request("voice:join", json!({"channelId": "den"})).await["channelId"], "den");
        guest
    }

    async fn request(&mut self, event: &str, payload: Value) -> Value {
        self.1 += 1;
        self.0.send(Message::text(format!("42{}[\"{event}\",{payload}]", self.1))).await.expect("sends");
        let prefix = format!("43{}[", self.1);
        loop {
            let text = self.0.next().await.expect("goes on").expect("a message").into_text().expect("text");
            if text == "2" {
                self.0.send(Message::text("3")).await.expect("sends");
            }
            if let Some(answer) = text.strip_prefix(&prefix) {
                return serde_json::from_str(answer.strip_suffix(']').expect("an array")).expect("json");
            }
        }
    }
}

#[tokio::test]
async fn a_killed_process_loses_no_acknowledged_write() {
    let file = fresh_file("killed");
    for round in 0..3 {
        let process = Process::start(&file);
        let (mut alice, _bob) = (Guest::join(&process, "alice").await, Guest::join(&process, "bob").await);
        let audio = round % 2 == 0;
        let answer = alice.request("voice:moderate", json!({"action": "mute", "userId": "bob", "audio": audio})).await;
        assert_eq!(answer, json!({"action": "mute", "userId": "bob"}));
        process.kill();
        let store = Store::open(&format!("sqlite:{}", file.display())).await.expect("opens");
        let kept = store.restrictions(&channel("den"), &user("bob")).await.expect("is read");
        assert_eq!(kept, Restrictions { audio, ..Restrictions::default() }, "round {round}");
        let audit = store.audit(Some(&channel("den")), &Page::first(1)).await.expect("is read");
        assert_eq!(audit[0].by, Actor::Session(user("alice")), "round {round}: {audit:?}");
        store.close().await;
    }
}
