//! A way for STUN messages, over datagrams or a stream: a request goes out again until its answer comes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use parlor_sfu::framing as media;
use parlor_turn::framing as turn;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::connect::{Outcome, connect};

/// How long an answer is waited for before the request goes out again, and after the last time: a browser sees a way as dead after as
/// many (RFC 8489, section 6.2.1, cut short).
const WAITS: [Duration; 4] = [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1), Duration::from_millis(1_500)];
/// Room for what is read at a time: more than a message may have.
const CHUNK: usize = 4_096;

/// A stream of bytes.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Takes whole messages off what has come; false if it is none.
type Split = fn(&mut Vec<u8>, &mut Vec<Vec<u8>>) -> bool;

/// A way for messages.
pub struct Line {
    kind: Kind,
    unread: Vec<u8>,
    messages: Vec<Vec<u8>>,
}

enum Kind {
    Datagrams(UdpSocket),
    /// Media over TCP: every message behind its length.
    Frames(Box<dyn Stream>),
    /// TURN over TCP or TLS: messages that say how long they are.
    Messages(Box<dyn Stream>),
}

impl Line {
    /// A way over UDP.
    pub async fn udp(to: SocketAddr) -> Result<Self, Outcome> {
        let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let opened = async {
            let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
            socket.connect(to).await?;
            io::Result::Ok(socket)
        };
        opened.await.map(|socket| Self::new(Kind::Datagrams(socket))).map_err(|error| Outcome::of(&error))
    }

    /// A way to a media port over TCP.
    pub async fn frames(to: SocketAddr) -> Result<Self, Outcome> {
        Ok(Self::new(Kind::Frames(Box::new(connect(to).await?))))
    }

    /// A way to a TURN server over a stream.
    pub fn messages(stream: impl Stream + 'static) -> Self {
        Self::new(Kind::Messages(Box::new(stream)))
    }

    const fn new(kind: Kind) -> Self {
        Self { kind, unread: Vec::new(), messages: Vec::new() }
    }

    /// Sends until something comes that is heard as the answer.
    pub async fn exchange<T>(&mut self, bytes: &[u8], mut hear: impl FnMut(&[u8]) -> Option<T>) -> Result<T, Outcome> {
        for (n, wait) in WAITS.into_iter().enumerate() {
            // A stream repeats by itself.
            if n == 0 || matches!(self.kind, Kind::Datagrams(_)) {
                self.send(bytes).await.map_err(|error| Outcome::of(&error))?;
            }
            let until = Instant::now() + wait;
            while let Ok(received) = timeout_at(until, self.receive()).await {
                let message = received.map_err(|error| Outcome::of(&error))?;
                if let Some(answer) = hear(&message) {
                    return Ok(answer);
                }
            }
        }
        Err(Outcome::Silent)
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.kind {
            Kind::Datagrams(socket) => socket.send(bytes).await.map(drop),
            Kind::Frames(stream) => {
                let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
                stream.write_all(&[&length[..], bytes].concat()).await?;
                stream.flush().await
            }
            Kind::Messages(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    async fn receive(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(message) = self.messages.pop() {
                return Ok(message);
            }
            let mut chunk = vec![0; CHUNK];
            let (stream, split): (_, Split) = match &mut self.kind {
                Kind::Datagrams(socket) => {
                    let length = socket.recv(&mut chunk).await?;
                    chunk.truncate(length);
                    return Ok(chunk);
                }
                Kind::Frames(stream) => (stream, |unread, all| media::split(unread, |one| all.push(one.to_vec()))),
                Kind::Messages(stream) => (stream, |unread, all| turn::split(unread, |one| all.push(one.to_vec()))),
            };
            let length = stream.read(&mut chunk).await?;
            self.unread.extend_from_slice(chunk.get(..length).unwrap_or_default());
            if length == 0 || !split(&mut self.unread, &mut self.messages) {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            self.messages.reverse();
        }
    }
}
