//! A socket.io session with as little of everything as possible.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, bail};
use futures_util::stream::{self, StreamExt};
use futures_util::{SinkExt, TryStreamExt};
use parlor_bots::TokenSource;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Bytes read at once. The default of 128 KiB would be more memory than the whole server.
const READ_BUFFER: usize = 2048;
/// Sessions from one source address: the kernel has about 28,000 ports for each.
const PER_ADDRESS: usize = 20_000;
/// How many connections are made at the same time when many are needed.
pub const AT_ONCE: usize = 64;

/// The server and channel that sessions go to.
#[derive(Clone)]
pub struct Target {
    address: SocketAddr,
    url: String,
    tokens: TokenSource,
}

impl Target {
    /// The server at `http://IP:PORT`, whose secret this is.
    pub fn new(server: &str, secret: &str) -> anyhow::Result<Self> {
        let host = server.strip_prefix("http://").context("not an address of ours")?;
        let url = format!("ws://{host}/socket.io/?EIO=4&transport=websocket");
        Ok(Self { address: host.parse()?, url, tokens: TokenSource::Secret(secret.to_owned()) })
    }
}

impl Target {
    /// Opens a plain WebSocket with this path, as this user.
    pub async fn plain(&self, path: &str, user: &str, number: usize) -> anyhow::Result<WebSocketStream<TcpStream>> {
        let token = self.tokens.token("", user, user, true).await?;
        self.open(&format!("ws://{}{path}?token={token}", self.address), number).await
    }

    /// Opens a WebSocket, from a source address that has a port left for this number.
    async fn open(&self, url: &str, number: usize) -> anyhow::Result<WebSocketStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        if number >= PER_ADDRESS {
            let last = u8::try_from(number / PER_ADDRESS + 1).context("too many sessions")?;
            socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into())?;
        }
        let stream = socket.connect(self.address).await.context("the server cannot be reached")?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(0);
        Ok(client_async_with_config(url, stream, Some(config)).await?.0)
    }
}

/// An authenticated session of the signaling protocol.
pub struct Line {
    stream: WebSocketStream<TcpStream>,
    next_ack: u64,
}

impl Line {
    /// Connects as a user of its own for each number.
    pub async fn connect(target: &Target, kind: &str, number: usize) -> anyhow::Result<Self> {
        let user = format!("{kind}-{number}");
        let token = target.tokens.token("", &user, &user, true).await?;
        let stream = target.open(&target.url, number).await?;
        let mut line = Self { stream, next_ack: 0 };
        line.expect("0{").await?;
        line.write(format!("40{{\"token\":\"{token}\"}}")).await?;
        line.expect("40{").await?;
        Ok(line)
    }

    /// Sends a request and waits until it is granted.
    pub async fn request(&mut self, event: &str, payload: &str) -> anyhow::Result<()> {
        let answer = format!("43{}[", self.send(event, payload).await?);
        loop {
            let text = self.next().await?;
            if let Some(answer) = text.strip_prefix(&answer) {
                // Refusals begin with their code or sentence; no reply has a field `error`.
                if answer.contains("\"error\":") {
                    bail!("{event} was refused: {answer}");
                }
                return Ok(());
            }
        }
    }

    /// Sends a request; gives the number of its acknowledgement.
    pub async fn send(&mut self, event: &str, payload: &str) -> anyhow::Result<u64> {
        let ack = self.next_ack;
        self.next_ack += 1;
        self.write(format!("42{ack}[\"{event}\",{payload}]")).await?;
        Ok(ack)
    }

    /// The next packet that is no heartbeat; those are answered. May be dropped while it waits.
    pub async fn next(&mut self) -> anyhow::Result<Utf8Bytes> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) if text.as_str() == "2" => self.write("3".to_owned()).await?,
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Close(_))) | None => bail!("the server closed a session"),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error).context("a session broke"),
            }
        }
    }

    /// Says goodbye and closes the connection.
    pub async fn close(mut self) {
        let _ = self.stream.close(None).await;
    }

    async fn expect(&mut self, begin: &str) -> anyhow::Result<()> {
        let text = self.next().await?;
        if !text.starts_with(begin) {
            bail!("the server answers {text}");
        }
        Ok(())
    }

    async fn write(&mut self, text: String) -> anyhow::Result<()> {
        self.stream.send(Message::text(text)).await.context("a session broke")
    }
}

/// Sessions that stay and answer heartbeats. Dropping them cuts their connections.
pub struct Crowd {
    tasks: JoinSet<()>,
    members: Vec<Member>,
}

/// The way to one of them.
pub type Member = mpsc::Sender<Order>;

/// What one of them is to ask for.
pub struct Order {
    event: &'static str,
    payload: String,
    done: oneshot::Sender<anyhow::Result<()>>,
}

impl Crowd {
    /// Connects so many, some at a time. Each answers heartbeats from then on, however long the others take.
    pub async fn connect(target: &Target, kind: &str, count: usize) -> anyhow::Result<Self> {
        let (mut tasks, mut members) = (JoinSet::new(), Vec::new());
        let mut lines = stream::iter(0..count).map(|number| Line::connect(target, kind, number)).buffered(AT_ONCE);
        while let Some(line) = lines.try_next().await? {
            let (member, orders) = mpsc::channel(1);
            tasks.spawn(stay(line, orders));
            members.push(member);
        }
        Ok(Self { tasks, members })
    }

    /// The way to each of them.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// An error if any are lost.
    pub fn check(&mut self) -> anyhow::Result<()> {
        let mut lost = 0;
        while self.tasks.try_join_next().is_some() {
            lost += 1;
        }
        if lost > 0 {
            bail!("the server lost {lost} of the sessions");
        }
        Ok(())
    }
}

/// Lets one of them ask for something, and waits until it is granted.
pub async fn order(member: &Member, event: &'static str, payload: String) -> anyhow::Result<()> {
    let (done, granted) = oneshot::channel();
    member.send(Order { event, payload, done }).await.ok().context("a session is lost")?;
    granted.await.context("a session is lost")?
}

async fn stay(mut line: Line, mut orders: mpsc::Receiver<Order>) {
    loop {
        tokio::select! {
            Some(Order { event, payload, done }) = orders.recv() => drop(done.send(line.request(event, &payload).await)),
            text = line.next() => if text.is_err() { break },
        }
    }
}
