//! The connection of a bot to the server, in any of the dialects for mesh calls.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::words::{self, MeshDialect, Say, Told};
use crate::error::BotError;
use crate::socket::{Pushed, Socket};

/// The longest that connecting may take.
const PATIENCE: Duration = Duration::from_secs(12);

/// A connection over which a participant of a mesh call talks with the server.
#[derive(Debug)]
pub struct MeshLine {
    dialect: MeshDialect,
    channel: String,
    carrier: Carrier,
    /// What was told and not taken yet: an answer can tell of several people.
    told: VecDeque<Told>,
    /// The user, as the token says: with `/ws` clients compare it with those of others.
    user: String,
}

#[derive(Debug)]
enum Carrier {
    SocketIo { socket: Socket, events: mpsc::Receiver<Pushed> },
    Plain(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
}

impl MeshLine {
    /// Connects, and does not join yet.
    pub async fn connect(dialect: MeshDialect, server: &str, channel: &str, token: &str) -> Result<Self, BotError> {
        let carrier = match dialect.path(channel) {
            None => {
                let (socket, events) = Socket::connect(server, token).await?;
                Carrier::SocketIo { socket, events }
            }
            Some(path) => {
                let url = format!("{}{path}", server.replacen("http", "ws", 1));
                let failed = |reason: String| BotError::Connect { url: url.clone(), reason };
                let connecting = timeout(PATIENCE, connect_async(format!("{url}?token={token}"))).await;
                let (stream, _) = connecting.map_err(|_| failed("no answer".into()))?.map_err(|e| failed(e.to_string()))?;
                Carrier::Plain(Box::new(stream))
            }
        };
        let user = words::user_of(token).unwrap_or_default();
        Ok(Self { dialect, channel: channel.to_owned(), carrier, told: VecDeque::new(), user })
    }

    /// Says something. A request of socket.io that is refused is an error here; the other dialects tell so later.
    pub async fn say(&mut self, say: &Say) -> Result<(), BotError> {
        match &mut self.carrier {
            Carrier::SocketIo { socket, .. } => {
                let (event, payload) = match say {
                    Say::Join => ("voice:join", json!({ "channelId": self.channel })),
                    Say::Leave => ("voice:leave", json!({})),
                    Say::Offer { to, sdp } => ("voice:mesh:offer", json!({ "userId": to, "sdp": sdp })),
                    Say::Answer { to, sdp } => ("voice:mesh:answer", json!({ "userId": to, "sdp": sdp })),
                    Say::Candidate { to, candidate } => {
                        ("voice:mesh:ice", json!({ "userId": to, "candidate": { "candidate": candidate, "sdpMLineIndex": 0 } }))
                    }
                };
                match socket.request(event, payload).await {
                    Ok(answer) => self.told.extend(met(&answer)),
                    // Whoever it was for has left meanwhile.
                    Err(BotError::Refused { code, .. }) if code == "NOT_FOUND" => {}
                    Err(error) => return Err(error),
                }
                Ok(())
            }
            Carrier::Plain(stream) => {
                let message = words::write(self.dialect, &self.channel, say);
                stream.send(message).await.map_err(|_| BotError::Closed)
            }
        }
    }

    /// What the server tells next. May be dropped while it waits.
    pub async fn next(&mut self) -> Result<Told, BotError> {
        loop {
            if let Some(told) = self.told.pop_front() {
                return Ok(told);
            }
            match &mut self.carrier {
                Carrier::SocketIo { events, .. } => {
                    let Pushed { name, payload } = events.recv().await.ok_or(BotError::Closed)?;
                    self.told.push_back(words::read_event(&name, &payload));
                }
                Carrier::Plain(stream) => match stream.next().await {
                    Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                        self.told.extend(words::read(self.dialect, &message, &self.user)?);
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(BotError::Closed),
                    Some(Ok(_)) => {}
                },
            }
        }
    }

    /// Says goodbye and closes the connection.
    pub async fn close(self) {
        match self.carrier {
            Carrier::SocketIo { socket, .. } => socket.close().await,
            Carrier::Plain(mut stream) => drop(timeout(Duration::from_secs(1), stream.as_mut().close(None)).await),
        }
    }
}

/// Those whom the answer to a join of socket.io names.
fn met(answer: &Value) -> Vec<Told> {
    let others = answer.get("participants").and_then(Value::as_array);
    others.into_iter().flatten().filter_map(words::read_participant).collect()
}
