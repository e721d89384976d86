//! A socket.io client that can also misbehave: it sends any text, and sees every packet.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use parlor::Server;
use parlor_testkit::wait::PATIENCE;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async};

/// One connection.
pub struct Client {
    stream: WebSocketStream<TcpStream>,
    events: VecDeque<(String, Value)>,
    acks: Vec<(u64, Value)>,
    next_ack: u64,
}

impl Client {
    /// Opens the engine.io connection and no more.
    pub async fn open(server: &Server) -> Self {
        Self::open_on(TcpSocket::new_v4().expect("socket"), server).await
    }

    /// Opens the engine.io connection on a socket with settings of its own.
    pub async fn open_on(socket: TcpSocket, server: &Server) -> Self {
        Self::try_open(socket, server.http_addresses()[0]).await.expect("connects")
    }

    async fn try_open(socket: TcpSocket, address: SocketAddr) -> Option<Self> {
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let stream = socket.connect(address).await.ok()?;
        let (stream, _) = client_async(url, stream).await.ok()?;
        let mut client = Self { stream, events: VecDeque::new(), acks: Vec::new(), next_ack: 0 };
        client.text().await?.starts_with('0').then_some(client)
    }

    /// Connects a guest of a channel on a server in another process, by a token of its development mode.
    pub async fn guest(address: &str, user: &str, channel: &str) -> Self {
        Self::try_guest(address, user, channel).await.expect("joins")
    }

    /// Connects a guest of a channel; `None` if the server ended before the guest was in.
    pub async fn try_guest(address: &str, user: &str, channel: &str) -> Option<Self> {
        Self::enter(address, &dev_token(address, user).await?, channel).await
    }

    /// Connects the bearer of a token to a channel of a server in another process; `None` if the server ended before.
    pub async fn enter(address: &str, token: &str, channel: &str) -> Option<Self> {
        let address = address.parse().expect("an address");
        let mut client = Self::try_open(TcpSocket::new_v4().expect("socket"), address).await?;
        let connect = format!("40{}", json!({ "token": token }));
        let number = client.take_number();
        let join = format!("42{number}[\"voice:join\",{}]", json!({ "channelId": channel }));
        if !client.try_send(&connect).await || !client.try_send(&join).await {
            return None;
        }
        let joined = client.try_acknowledged(number).await?;
        assert_eq!(joined["channelId"], channel, "{joined}");
        Some(client)
    }

    /// A connected session of this user.
    pub async fn connect(server: &Server, user: &str, pro: bool) -> Self {
        let token = server.issue_token(user, None, pro).expect("token");
        let mut client = Self::open(server).await;
        let answer = client.authenticate(&token).await;
        assert!(answer.starts_with("40{\"sid\""), "{answer}");
        client
    }

    /// A session that has joined a channel, and the answer to its join.
    pub async fn joined(server: &Server, user: &str, channel: &str) -> (Self, Value) {
        let mut client = Self::connect(server, user, true).await;
        let joined = client.request("voice:join", json!({ "channelId": channel })).await;
        assert_eq!(joined["channelId"], channel, "{joined}");
        (client, joined)
    }

    /// Shows a token; returns the raw packet of the answer.
    pub async fn authenticate(&mut self, token: &str) -> String {
        self.send(&format!("40{}", json!({ "token": token }))).await;
        self.text().await.expect("an answer")
    }

    /// Sends any text.
    pub async fn send(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.expect("sends");
    }

    /// Sends any text. Returns false if the connection is over.
    pub async fn try_send(&mut self, text: &str) -> bool {
        self.stream.send(Message::text(text)).await.is_ok()
    }

    /// The next packet as it comes.
    pub async fn packet(&mut self) -> Option<String> {
        self.text().await
    }

    /// Sends any bytes.
    pub async fn send_binary(&mut self, bytes: &[u8]) {
        self.stream.send(Message::binary(bytes.to_vec())).await.expect("sends");
    }

    /// Sends a request with any payload, and waits for its acknowledgement.
    pub async fn request(&mut self, event: &str, payload: Value) -> Value {
        self.request_raw(event, &payload.to_string()).await
    }

    /// Sends a request with its payload (or payloads) as written, and waits for its acknowledgement.
    pub async fn request_raw(&mut self, event: &str, payload: &str) -> Value {
        let ack = self.begin(event, payload).await;
        self.acknowledged(ack).await
    }

    /// Sends a request and does not wait for its acknowledgement.
    pub async fn begin(&mut self, event: &str, payload: &str) -> u64 {
        let ack = self.take_number();
        let comma = if payload.is_empty() { "" } else { "," };
        self.send(&format!("42{ack}[{}{comma}{payload}]", json!(event))).await;
        ack
    }

    fn take_number(&mut self) -> u64 {
        self.next_ack += 1;
        self.next_ack - 1
    }

    /// The acknowledgement of a request.
    pub async fn acknowledged(&mut self, ack: u64) -> Value {
        self.try_acknowledged(ack).await.expect("the connection lives")
    }

    async fn try_acknowledged(&mut self, ack: u64) -> Option<Value> {
        loop {
            if let Some(n) = self.acks.iter().position(|(number, _)| *number == ack) {
                return Some(self.acks.remove(n).1);
            }
            self.step().await?;
        }
    }

    /// The next event of this name; others before it are dropped.
    pub async fn event(&mut self, name: &str) -> Value {
        loop {
            while let Some((event, payload)) = self.events.pop_front() {
                if event == name {
                    return payload;
                }
            }
            self.step().await.expect("the connection lives");
        }
    }

    /// Events that came so far.
    pub fn events_so_far(&mut self) -> Vec<(String, Value)> {
        self.events.drain(..).collect()
    }

    /// Waits until the server closes the connection.
    pub async fn closed(&mut self) {
        while self.text().await.is_some() {}
    }

    /// Says goodbye and closes the connection, as socket.io-client does when it is told to, and waits until it is.
    pub async fn cut(mut self) {
        self.try_send("41").await;
        self.close(None).await;
    }

    /// Closes the connection with this code, or none, and no other word, and waits until it is closed.
    pub async fn close(mut self, code: Option<u16>) {
        let frame = code.map(|code| CloseFrame { code: code.into(), reason: Utf8Bytes::default() });
        let _ = self.stream.close(frame).await;
        self.closed().await;
    }

    /// Breaks the connection as a lost network or a killed process does: no close frame, no word at all.
    pub fn sever(self) {
        let stream = self.stream.into_inner();
        // Without lingering, dropping the stream resets the connection.
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("set");
    }

    /// Says goodbye in socket.io.
    pub async fn leave_namespace(&mut self) {
        self.send("41").await;
    }

    async fn step(&mut self) -> Option<()> {
        let text = self.text().await?;
        if let Some(rest) = text.strip_prefix("42") {
            let (name, payload): (String, Value) = serde_json::from_str(rest).expect("an event");
            self.events.push_back((name, payload));
        } else if let Some(rest) = text.strip_prefix("43") {
            let digits = rest.find('[').expect("an array");
            let [payload]: [Value; 1] = serde_json::from_str(&rest[digits..]).expect("one argument");
            self.acks.push((rest[..digits].parse().expect("a number"), payload));
        }
        Some(())
    }

    /// The next engine.io packet, pings answered; `None` when the connection is over.
    async fn text(&mut self) -> Option<String> {
        loop {
            match tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("something happens in time") {
                Some(Ok(Message::Text(text))) if text.as_str() == "2" => {
                    self.try_send("3").await;
                }
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }
}

/// A token of a server in development mode.
pub async fn dev_token(address: &str, user: &str) -> Option<String> {
    let wish = reqwest::Client::new().post(format!("http://{address}/api/dev/token")).json(&json!({"user": user, "pro": true}));
    let issued: Value = wish.send().await.ok()?.json().await.ok()?;
    issued["token"].as_str().map(str::to_owned)
}

/// Asserts that an answer is a refusal with this code and all it must have.
#[track_caller]
pub fn assert_refused(answer: &Value, code: &str) {
    assert_eq!(answer["code"], code, "{answer}");
    assert!(answer["error"].is_string() && answer["details"].is_object(), "{answer}");
}
