//! A socket.io client over WebSocket: acknowledgements, events as a stream, heartbeats.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::error::BotError;
use crate::packet::{Open, Packet};

/// How long connecting may take, and how long a request waits for its answer: the longest deadline a server
/// keeps (join and connect, 10 s) and a little more.
const PATIENCE: Duration = Duration::from_secs(12);
/// Commands and events in flight. A bot waits for its own answers, so these are never near full.
const QUEUE: usize = 4096;

type WebSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A connected socket. Dropping it cuts the connection without a word, as a killed process would.
#[derive(Debug)]
pub struct Socket {
    commands: mpsc::Sender<Command>,
    silent: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

/// An event the server pushed.
#[derive(Clone, PartialEq, Debug)]
pub struct Pushed {
    /// The name of the event.
    pub name: String,
    /// The object that came with it.
    pub payload: Value,
}

#[derive(Debug)]
enum Command {
    Emit { event: String, payload: Value, answer: Option<oneshot::Sender<Value>> },
    Close,
}

impl Socket {
    /// Connects to `http://host:port` with `{token}` as auth payload. Events arrive at the receiver until the
    /// connection ends.
    pub async fn connect(server: &str, token: &str) -> Result<(Self, mpsc::Receiver<Pushed>), BotError> {
        let url = websocket_url(server)?;
        let failed = |reason: String| BotError::Connect { url: url.clone(), reason };
        let (mut stream, _) =
            timeout(PATIENCE, connect_async(&url)).await.map_err(|_| failed("no answer".into()))?.map_err(|e| failed(e.to_string()))?;
        let open = match next_packet(&mut stream).await? {
            Packet::Open(open) => open,
            other => return Err(failed(format!("began with {other:?}"))),
        };
        send(&mut stream, &Packet::Connect(json!({ "token": token }))).await?;
        loop {
            match next_packet(&mut stream).await? {
                Packet::Connect(_) => break,
                Packet::Ping => send(&mut stream, &Packet::Pong).await?,
                Packet::ConnectError(error) => {
                    let data = error.get("data").unwrap_or(&Value::Null);
                    return Err(BotError::refusal("connect", data).unwrap_or_else(|| failed(error.to_string())));
                }
                other => return Err(failed(format!("answered the connect with {other:?}"))),
            }
        }
        let (commands, inbox) = mpsc::channel(QUEUE);
        let (pushed, events) = mpsc::channel(QUEUE);
        let silent = Arc::new(AtomicBool::new(false));
        let session = Session { stream, inbox, pushed, answers: HashMap::new(), next_ack: 0, silent: Arc::clone(&silent) };
        let task = tokio::spawn(session.run(open));
        Ok((Self { commands, silent, task }, events))
    }

    /// Sends a request and waits for its acknowledgement. A refusal is an error.
    pub async fn request(&self, event: &str, payload: Value) -> Result<Value, BotError> {
        let (sender, answer) = oneshot::channel();
        self.queue(Command::Emit { event: event.to_owned(), payload, answer: Some(sender) }).await?;
        let answer = timeout(PATIENCE, answer).await.map_err(|_| BotError::Timeout(event.to_owned()))?.map_err(|_| BotError::Closed)?;
        match BotError::refusal(event, &answer) {
            Some(refused) => Err(refused),
            None => Ok(answer),
        }
    }

    /// Sends a request without asking for an acknowledgement: the answer comes as an event.
    pub async fn emit(&self, event: &str, payload: Value) -> Result<(), BotError> {
        self.queue(Command::Emit { event: event.to_owned(), payload, answer: None }).await
    }

    /// Says goodbye and waits until the connection is closed.
    pub async fn close(mut self) {
        if self.queue(Command::Close).await.is_ok() {
            // The task ends by itself; if the server never closes its side, dropping cuts the connection.
            let _ = timeout(Duration::from_secs(1), &mut self.task).await;
        }
    }

    /// Ceases to answer heartbeats and to read, but leaves the connection open: a machine that froze.
    pub fn freeze(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }

    /// Cuts the connection without a word, as a killed process would.
    pub fn cut(&self) {
        self.task.abort();
    }

    /// Whether the connection is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.task.is_finished()
    }

    async fn queue(&self, command: Command) -> Result<(), BotError> {
        self.commands.send(command).await.map_err(|_| BotError::Closed)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task that owns the WebSocket.
struct Session {
    stream: WebSocket,
    inbox: mpsc::Receiver<Command>,
    pushed: mpsc::Sender<Pushed>,
    answers: HashMap<u64, oneshot::Sender<Value>>,
    next_ack: u64,
    silent: Arc<AtomicBool>,
}

impl Session {
    async fn run(mut self, open: Open) {
        let patience = Duration::from_millis(open.ping_interval.saturating_add(open.ping_timeout));
        let mut deadline = Instant::now() + patience;
        loop {
            if self.silent.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            tokio::select! {
                command = self.inbox.recv() => match command {
                    Some(Command::Emit { event, payload, answer }) => {
                        if self.emit(event, payload, answer).await.is_err() {
                            break;
                        }
                    }
                    Some(Command::Close) | None => {
                        let _ = send(&mut self.stream, &Packet::Disconnect).await;
                        let _ = self.stream.close(None).await;
                        break;
                    }
                },
                packet = next_packet_within(&mut self.stream, None) => {
                    let Ok(packet) = packet else { break };
                    deadline = Instant::now() + patience;
                    if self.handle(packet).await.is_err() {
                        break;
                    }
                }
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
    }

    async fn emit(&mut self, name: String, payload: Value, answer: Option<oneshot::Sender<Value>>) -> Result<(), BotError> {
        let ack = answer.map(|sender| {
            let id = self.next_ack;
            self.next_ack += 1;
            // A request that timed out leaves its entry behind; nobody waits for it any more.
            self.answers.retain(|_, waiting| !waiting.is_closed());
            self.answers.insert(id, sender);
            id
        });
        send(&mut self.stream, &Packet::Event { name, payload, ack }).await
    }

    async fn handle(&mut self, packet: Packet) -> Result<(), BotError> {
        match packet {
            Packet::Ping if !self.silent.load(Ordering::Relaxed) => send(&mut self.stream, &Packet::Pong).await,
            Packet::Event { name, payload, .. } => self.pushed.send(Pushed { name, payload }).await.map_err(|_| BotError::Closed),
            Packet::Ack { id, payload } => {
                if let Some(answer) = self.answers.remove(&id) {
                    // The one who asked may have given up.
                    let _ = answer.send(payload);
                }
                Ok(())
            }
            Packet::Disconnect | Packet::EngineClose => Err(BotError::Closed),
            _ => Ok(()),
        }
    }
}

fn websocket_url(server: &str) -> Result<String, BotError> {
    let host = server.strip_prefix("http://").ok_or_else(|| BotError::Connect {
        url: server.to_owned(),
        reason: "give an address that begins with http:// (bots do not speak TLS)".to_owned(),
    })?;
    Ok(format!("ws://{}/socket.io/?EIO=4&transport=websocket", host.trim_end_matches('/')))
}

async fn send(stream: &mut WebSocket, packet: &Packet) -> Result<(), BotError> {
    stream.send(Message::text(packet.encode())).await.map_err(|_| BotError::Closed)
}

async fn next_packet(stream: &mut WebSocket) -> Result<Packet, BotError> {
    next_packet_within(stream, Some(PATIENCE)).await
}

async fn next_packet_within(stream: &mut WebSocket, patience: Option<Duration>) -> Result<Packet, BotError> {
    loop {
        let message = match patience {
            Some(limit) => timeout(limit, stream.next()).await.map_err(|_| BotError::Timeout("connect".into()))?,
            None => stream.next().await,
        };
        match message {
            Some(Ok(Message::Text(text))) => {
                return Packet::decode(&text).map_err(|e| BotError::Protocol { event: "socket.io".into(), reason: e.to_string() });
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(BotError::Closed),
            Some(Ok(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_addresses_are_taken() {
        assert_eq!(
            websocket_url("http://localhost:7400/").ok().as_deref(),
            Some("ws://localhost:7400/socket.io/?EIO=4&transport=websocket")
        );
        assert!(websocket_url("https://example.org").is_err());
    }
}
