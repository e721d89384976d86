//! A participant of a mesh call, in any of its dialects: a connection to each other participant, and sound over it.

mod line;
mod words;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use str0m::RtcConfig;
use str0m::net::Protocol;
use tokio::net::lookup_host;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::engine::{Agreed, Engine, Offered, Peer, PeerId, PeerState, StreamStats};
use crate::error::BotError;
use crate::options::AudioOptions;
use crate::ortc::SentStream;
use crate::sending;
use crate::token::TokenSource;
pub use line::MeshLine;
pub use words::{MeshDialect, Say, Told};

/// Others of whom a bot remembers something: more than a mesh call can have.
const MAX_LINKS: usize = 256;
/// What a bot may have to say that is not sent yet.
const QUEUE: usize = 16;

/// Who joins, where, and how they talk.
#[derive(Clone, Debug)]
pub struct MeshOptions {
    /// The address of the server, as `http://host:port`.
    pub server: String,
    /// The channel to join.
    pub channel: String,
    /// The user to be.
    pub user: String,
    /// The source of the token.
    pub token: TokenSource,
    /// The dialect to speak.
    pub dialect: MeshDialect,
    /// The sound to send to each other participant; `None`: be silent.
    pub audio: Option<AudioOptions>,
}

/// The connection to another participant.
struct Link {
    peer: PeerId,
    state: watch::Receiver<PeerState>,
    offered: Option<Offered>,
}

/// A participant. Dropping it cuts every connection without a word.
pub struct MeshBot {
    shared: Arc<Shared>,
    says: mpsc::Sender<Say>,
    task: JoinHandle<Result<(), BotError>>,
}

struct Shared {
    options: MeshOptions,
    engine: Engine,
    /// An address to which the way is the one to the others.
    towards: SocketAddr,
    links: Mutex<HashMap<String, Link>>,
    changed: watch::Sender<u64>,
}

/// What a bot has of one other participant.
#[derive(Clone, Debug)]
pub struct LinkStats {
    /// How the dialect names the participant.
    pub other: String,
    /// Whether the connection works.
    pub connected: bool,
    /// How many packets were sent.
    pub sent: u64,
    /// What arrived, one for each stream.
    pub received: Vec<StreamStats>,
}

impl MeshBot {
    /// Connects and joins. Connections to the others are made from then on.
    pub async fn join(engine: &Engine, options: MeshOptions) -> Result<Self, BotError> {
        let towards = towards(&options.server).await?;
        let token = options.token.token(&options.server, &options.user, &options.user, true).await?;
        let mut line = MeshLine::connect(options.dialect, &options.server, &options.channel, &token).await?;
        line.say(&Say::Join).await?;
        let shared = Arc::new(Shared { options, engine: engine.clone(), towards, links: Mutex::default(), changed: watch::Sender::new(0) });
        let (says, words) = mpsc::channel(QUEUE);
        let task = tokio::spawn(Arc::clone(&shared).follow(line, words));
        Ok(Self { shared, says, task })
    }

    /// The user the bot is.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.shared.options.user
    }

    /// Waits until the connections to exactly this many others work.
    pub async fn connected_to(&self, others: usize, within: Duration) -> Result<(), BotError> {
        let mut changed = self.shared.changed.subscribe();
        let counted = async {
            loop {
                changed.borrow_and_update();
                if self.shared.links().values().filter(|link| link.state.borrow().connected).count() == others {
                    return Ok(());
                }
                if self.task.is_finished() {
                    return Err(BotError::Closed);
                }
                changed.changed().await.map_err(|_| BotError::Closed)?;
            }
        };
        timeout(within, counted).await.map_err(|_| BotError::Timeout(format!("connections to {others} others")))?
    }

    /// What was sent and received so far, for each other participant.
    pub async fn stats(&self) -> Result<Vec<LinkStats>, BotError> {
        let links: Vec<_> = self.shared.links().iter().map(|(other, link)| (other.clone(), link.peer, *link.state.borrow())).collect();
        let mut all = Vec::new();
        for (other, peer, state) in links {
            let counts = |peer: &mut Peer| (peer.sent_counts().0, peer.session().receivers().map(crate::engine::Receiver::stats).collect());
            let (sent, received) = self.shared.engine.with(peer, move |peer, _, _| counts(peer)).await?;
            all.push(LinkStats { other, connected: state.connected, sent, received });
        }
        Ok(all)
    }

    /// Leaves the call, and closes every connection. An error says why the bot was not in it any more.
    pub async fn leave(mut self) -> Result<(), BotError> {
        let _ = self.says.send(Say::Leave).await;
        let left = timeout(Duration::from_secs(2), &mut self.task).await;
        left.map_or(Ok(()), |ended| ended.unwrap_or(Err(BotError::Closed)))
    }
}

impl Drop for MeshBot {
    fn drop(&mut self) {
        self.task.abort();
        for (_, link) in self.shared.links().drain() {
            self.shared.engine.remove(link.peer);
        }
    }
}

impl Shared {
    fn links(&self) -> MutexGuard<'_, HashMap<String, Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what the server tells until the bot leaves or is put out.
    async fn follow(self: Arc<Self>, mut line: MeshLine, mut words: mpsc::Receiver<Say>) -> Result<(), BotError> {
        loop {
            let told = tokio::select! {
                said = words.recv() => match said {
                    Some(say) => {
                        line.say(&say).await?;
                        line.close().await;
                        return Ok(());
                    }
                    None => return Ok(()),
                },
                told = line.next() => told,
            };
            let done = match told {
                Ok(told) => self.take(&mut line, told).await,
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                tracing::warn!(user = self.options.user, %error, "a bot is out of a mesh call");
                self.changed.send_modify(|n| *n += 1);
                return Err(error);
            }
        }
    }

    async fn take(self: &Arc<Self>, line: &mut MeshLine, told: Told) -> Result<(), BotError> {
        match told {
            Told::Met { other, make_offer: true } => {
                let mut peer = self.peer()?;
                let (sdp, offered) = peer.offer()?;
                self.add(&other, peer, Some(offered));
                line.say(&Say::Offer { to: other, sdp }).await
            }
            Told::Met { make_offer: false, .. } => Ok(()),
            Told::Offer { from, sdp } => {
                let mut peer = self.peer()?;
                let (answer, agreed) = peer.answer(&sdp)?;
                self.talk(&mut peer, agreed);
                self.add(&from, peer, None);
                line.say(&Say::Answer { to: from, sdp: answer }).await
            }
            Told::Answer { from, sdp } => self.answered(&from, sdp).await,
            Told::Candidate { from, candidate } => {
                let peer = self.links().get(&from).map(|link| link.peer);
                match peer {
                    Some(peer) => self.engine.with(peer, move |peer, _, _| peer.candidate(&candidate)).await,
                    None => Ok(()),
                }
            }
            Told::Left { other } => {
                if let Some(link) = self.links().remove(&other) {
                    self.engine.remove(link.peer);
                }
                self.changed.send_modify(|n| *n += 1);
                Ok(())
            }
            Told::Refused(error) => Err(error),
            Told::Out { reason } => Err(BotError::Refused {
                event: "the call".to_owned(),
                code: reason,
                message: "put out".to_owned(),
                details: serde_json::Map::new(),
            }),
            Told::Other => Ok(()),
        }
    }

    async fn answered(&self, from: &str, sdp: String) -> Result<(), BotError> {
        let Some((peer, offered)) = self.links().get_mut(from).and_then(|link| Some((link.peer, link.offered.take()?))) else {
            return Ok(());
        };
        let audio = self.options.audio;
        let took = move |peer: &mut Peer| {
            let agreed = peer.answered(offered, &sdp)?;
            speak(peer, agreed, audio);
            Ok(())
        };
        self.engine.with(peer, move |peer, _, _| took(peer)).await?
    }

    fn peer(&self) -> Result<Peer, BotError> {
        let mut peer = Peer::prepare(RtcConfig::new(), Protocol::Udp, self.towards)?;
        peer.session().expect_described();
        peer.begin();
        Ok(peer)
    }

    fn talk(&self, peer: &mut Peer, agreed: Agreed) {
        speak(peer, agreed, self.options.audio);
    }

    /// Hands a peer to the engine. A connection that there was to the same participant is closed.
    fn add(self: &Arc<Self>, other: &str, mut peer: Peer, offered: Option<Offered>) {
        let state = peer.session().watch_state();
        let mut links = self.links();
        if links.len() >= MAX_LINKS {
            return;
        }
        let link = Link { peer: self.engine.add(peer), state: state.clone(), offered };
        if let Some(before) = links.insert(other.to_owned(), link) {
            self.engine.remove(before.peer);
        }
        drop(links);
        tokio::spawn(Arc::clone(self).watch(state));
    }

    /// Tells those who wait for connections of every change of this one.
    async fn watch(self: Arc<Self>, mut state: watch::Receiver<PeerState>) {
        while state.changed().await.is_ok() {
            self.changed.send_modify(|n| *n += 1);
        }
        self.changed.send_modify(|n| *n += 1);
    }
}

/// Sends the sound, if there is any to send.
fn speak(peer: &mut Peer, agreed: Agreed, audio: Option<AudioOptions>) {
    let Some(options) = audio else { return };
    let stream = SentStream { ssrc: agreed.ssrc, ..sending::audio_stream(&options) };
    peer.adopt_track(sending::audio_track(agreed.mid, &options, stream).under(agreed.payload_type));
}

/// An address to which the way is the one to the others: outwards, for bots that are to meet browsers, which do not use the
/// loopback; and the server itself, where there is no such way.
async fn towards(server: &str) -> Result<SocketAddr, BotError> {
    let unfit = |reason: String| BotError::Connect { url: server.to_owned(), reason };
    let host = server.strip_prefix("http://").ok_or_else(|| unfit("give an address that begins with http://".to_owned()))?;
    let mut found = lookup_host(host.trim_end_matches('/')).await.map_err(|e| unfit(e.to_string()))?;
    let address = found.next().ok_or_else(|| unfit("the name has no address".to_owned()))?;
    // An address for documentation (RFC 5737): nothing is sent there, only the way is looked up.
    let outwards = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9));
    let reached = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| socket.connect(outwards));
    Ok(if address.ip().is_loopback() && reached.is_ok() { outwards } else { address })
}
