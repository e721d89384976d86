//! A participant: joins a channel by the main dialect, sends, receives, and remembers what happened.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use parlor_proto::media::Source;
use parlor_proto::transport::{Direction, DtlsParameters};
use serde_json::{Value, json};
use str0m::RtcConfig;
use str0m::media::Mid;
use str0m::net::Protocol;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::clock;
use crate::dialect::{self, Consumed, IceRestarted, Joined, Produced, ProducerInfo, TransportCreated};
use crate::engine::{Delays, Engine, Peer, PeerId, PeerState, StreamStats, Track};
use crate::error::BotError;
use crate::options::{AudioOptions, BotOptions, VideoOptions};
use crate::ortc::{self, SentStream};
use crate::sending;
use crate::socket::{Pushed, Socket};
use crate::source::VideoCodec;

/// Pushed events remembered; the oldest are forgotten beyond that.
const MAX_REMEMBERED: usize = 10_000;
/// Between two looks at something that is waited for.
pub(crate) const LOOK: Duration = Duration::from_millis(10);

/// A track the bot sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Producer {
    /// The server's id of it.
    pub id: String,
    mid: Mid,
}

/// A track the bot receives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Consumer {
    /// The server's id of it.
    pub id: String,
    /// The producer that it receives.
    pub producer: String,
    /// The user whose producer that is.
    pub user: String,
    /// Whether it is picture.
    pub video: bool,
}

/// What a bot has sent and received.
#[derive(Clone, Debug)]
pub struct BotStats {
    /// When it asked to join, by [`clock::now_ns`].
    pub requested_ns: u64,
    /// How many packets were sent.
    pub sent: u64,
    /// Key frames the server asked for.
    pub key_frames_asked: u64,
    /// Frames not sent because the media thread was late.
    pub skipped: u64,
    /// What each consumer received.
    pub streams: Vec<(Consumer, StreamStats)>,
}

/// A joined participant. Dropping it cuts every connection without a word.
pub struct Bot {
    inner: Arc<Inner>,
}

struct Transport {
    id: String,
    peer: PeerId,
    state: watch::Receiver<PeerState>,
}

struct Inner {
    options: BotOptions,
    socket: Socket,
    engine: Engine,
    joined: Joined,
    capabilities: Value,
    send: Transport,
    recv: Transport,
    received_from: TransportCreated,
    requested_ns: u64,
    opened: AtomicUsize,
    next_mid: AtomicUsize,
    consumers: Mutex<HashMap<String, Consumer>>,
    remembered: Mutex<VecDeque<Pushed>>,
    news: watch::Sender<u64>,
}

impl Bot {
    /// Connects, joins, and opens both transports. Join and both `createTransport` go out at once.
    pub async fn join(engine: &Engine, options: BotOptions) -> Result<Self, BotError> {
        let token = options.token.token(&options.server, &options.user, &options.user, options.pro).await?;
        let (socket, events) = Socket::connect(&options.server, &token).await?;
        Self::join_on(engine, options, socket, events).await
    }

    /// Joins on a socket that is connected already.
    pub async fn join_on(engine: &Engine, options: BotOptions, socket: Socket, events: mpsc::Receiver<Pushed>) -> Result<Self, BotError> {
        let requested_ns = clock::now_ns();
        let create = |direction: Direction| socket.request("voice:rtc:createTransport", json!({ "direction": direction }));
        let (joined, send, recv) = tokio::join!(
            socket.request("voice:join", json!({ "channelId": options.channel })),
            create(Direction::Send),
            create(Direction::Recv),
        );
        let joined: Joined = dialect::read("voice:join", joined?)?;
        let send: TransportCreated = dialect::read("voice:rtc:createTransport", send?)?;
        let recv: TransportCreated = dialect::read("voice:rtc:createTransport", recv?)?;
        let audio_feedback = options.open_streams == usize::MAX;
        let capabilities = ortc::receive_capabilities(&joined.router_rtp_capabilities, audio_feedback);

        let protocol = if options.tcp { Protocol::Tcp } else { Protocol::Udp };
        let mut config = RtcConfig::new().set_extension_map(ortc::send_extension_map());
        if let Some((forge, _)) = &options.forges {
            config = config.set_crypto_provider(forge.provider());
        }
        *config.codec_config() = ortc::send_codecs();
        let mut send_peer = Peer::new(config, protocol, &send)?;
        let (codecs, extensions) = ortc::receive_config(&joined.router_rtp_capabilities);
        let mut config = RtcConfig::new().set_extension_map(extensions);
        if let Some((_, forge)) = &options.forges {
            config = config.set_crypto_provider(forge.provider());
        }
        *config.codec_config() = codecs;
        let mut recv_peer = Peer::new(config, protocol, &recv)?;

        send_peer.set_loss(options.loss_percent);
        recv_peer.set_loss(options.loss_percent);
        let (send_dtls, recv_dtls) = (send_peer.dtls_parameters(), recv_peer.dtls_parameters());
        let inner = Arc::new(Inner {
            capabilities: serde_json::to_value(&capabilities).unwrap_or_default(),
            send: Transport::add(engine, send.id, send_peer),
            received_from: recv.clone(),
            recv: Transport::add(engine, recv.id, recv_peer),
            options,
            socket,
            engine: engine.clone(),
            joined,
            requested_ns,
            opened: AtomicUsize::new(0),
            next_mid: AtomicUsize::new(0),
            consumers: Mutex::default(),
            remembered: Mutex::default(),
            news: watch::Sender::new(0),
        });
        let bot = Self { inner: Arc::clone(&inner) };
        tokio::spawn(Arc::clone(&inner).follow(events));
        let present = inner.joined.participants.iter().flat_map(|p| p.producers.clone());
        for producer in present.filter(|_| inner.options.consume) {
            tokio::spawn(Arc::clone(&inner).consume_announced(producer));
        }
        let (send, recv) = tokio::join!(inner.connect(&inner.send, send_dtls), inner.connect(&inner.recv, recv_dtls));
        send.and(recv)?;
        Ok(bot)
    }

    /// What the server answered to the join.
    #[must_use]
    pub fn joined(&self) -> &Joined {
        &self.inner.joined
    }

    /// The user the bot is.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.inner.options.user
    }

    /// The socket, to send requests of one's own making.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        &self.inner.socket
    }

    /// The ids of the send and the receive transport.
    #[must_use]
    pub fn transports(&self) -> (&str, &str) {
        (&self.inner.send.id, &self.inner.recv.id)
    }

    /// The states of the send and the receive transport.
    #[must_use]
    pub fn states(&self) -> (PeerState, PeerState) {
        (*self.inner.send.state.borrow(), *self.inner.recv.state.borrow())
    }

    /// What the server said of the receive transport: where it is, and what a valid check has.
    #[must_use]
    pub fn received_from(&self) -> &TransportCreated {
        &self.inner.received_from
    }

    /// Sends datagrams as they are, from the socket of a transport.
    pub async fn send_raw(&self, direction: Direction, datagrams: Vec<Vec<u8>>) -> Result<(), BotError> {
        let transport = match direction {
            Direction::Send => &self.inner.send,
            Direction::Recv => &self.inner.recv,
        };
        self.inner.engine.with(transport.peer, move |peer, _, _| datagrams.iter().for_each(|bytes| peer.send_raw(bytes))).await
    }

    /// Waits until media can flow on both transports.
    pub async fn connected(&self, within: Duration) -> Result<(), BotError> {
        for transport in [&self.inner.send, &self.inner.recv] {
            let mut state = transport.state.clone();
            let waiting = state.wait_for(|state| state.connected);
            timeout(within, waiting).await.map_err(|_| BotError::Timeout("ICE and DTLS".into()))?.map_err(|_| BotError::Closed)?;
        }
        Ok(())
    }

    /// Begins to send sound.
    pub async fn produce_audio(&self, options: AudioOptions) -> Result<Producer, BotError> {
        let stream = sending::audio_stream(&options);
        self.produce(None, Source::Mic, vec![stream.clone()], move |mid| sending::audio_track(mid, &options, stream)).await
    }

    /// Begins to send picture.
    pub async fn produce_video(&self, options: VideoOptions) -> Result<Producer, BotError> {
        let streams = sending::video_streams(&options);
        let (codec, source, sent) = (options.codec, options.source, streams.clone());
        self.produce(Some(codec), source, streams, move |mid| sending::video_track(mid, &options, sent)).await
    }

    async fn produce(
        &self,
        codec: Option<VideoCodec>,
        source: Source,
        streams: Vec<SentStream>,
        track: impl FnOnce(Mid) -> Track + Send + 'static,
    ) -> Result<Producer, BotError> {
        let mid = self.inner.next_mid.fetch_add(1, Ordering::Relaxed).to_string();
        let rtp = ortc::sent_parameters(codec, &mid, &self.inner.options.user, &streams);
        let payload = json!({
            "transportId": self.inner.send.id,
            "kind": if codec.is_some() { "video" } else { "audio" },
            "rtpParameters": rtp,
            "appData": { "source": source },
        });
        let produced: Produced = dialect::read("voice:rtc:produce", self.request("voice:rtc:produce", payload).await?)?;
        let mid = Mid::from(mid.as_str());
        self.inner.engine.with(self.inner.send.peer, move |peer, _, _| peer.add_track(track(mid))).await?;
        Ok(Producer { id: produced.producer_id, mid })
    }

    /// Pauses a track and ceases to send, as browsers do; `resume` is the opposite.
    pub async fn pause_producer(&self, producer: &Producer) -> Result<(), BotError> {
        self.set_sending(producer, false).await?;
        self.request("voice:rtc:pauseProducer", json!({ "producerId": producer.id })).await.map(drop)
    }

    /// Goes on with a track.
    pub async fn resume_producer(&self, producer: &Producer) -> Result<(), BotError> {
        self.request("voice:rtc:resumeProducer", json!({ "producerId": producer.id })).await?;
        self.set_sending(producer, true).await
    }

    /// Sends or keeps silent, without telling the server.
    pub async fn set_sending(&self, producer: &Producer, sending: bool) -> Result<(), BotError> {
        let mid = producer.mid;
        let set = move |peer: &mut Peer| peer.track(mid).map(|track| track.set_sending(sending));
        self.inner.engine.with(self.inner.send.peer, move |peer, _, _| set(peer)).await.map(drop)
    }

    /// Closes a track the bot sends.
    pub async fn close_producer(&self, producer: Producer) -> Result<(), BotError> {
        self.request("voice:rtc:closeProducer", json!({ "producerId": producer.id })).await?;
        self.inner.engine.with(self.inner.send.peer, move |peer, _, _| peer.remove_track(producer.mid)).await
    }

    /// Begins to receive one producer.
    pub async fn consume(&self, producer: &str) -> Result<Consumer, BotError> {
        self.inner.consume(producer).await
    }

    /// What the bot consumes at the moment.
    #[must_use]
    pub fn consumers(&self) -> Vec<Consumer> {
        lock(&self.inner.consumers).values().cloned().collect()
    }

    /// Says which layers are wanted at the most.
    pub async fn prefer_layers(&self, consumer: &str, spatial: u8, temporal: Option<u8>) -> Result<(), BotError> {
        let mut payload = json!({ "consumerId": consumer, "spatialLayer": spatial });
        if let (Some(temporal), Some(object)) = (temporal, payload.as_object_mut()) {
            object.insert("temporalLayer".to_owned(), temporal.into());
        }
        self.request("voice:rtc:setPreferredLayers", payload).await.map(drop)
    }

    /// Gets new credentials for one transport and goes on from a new socket.
    pub async fn restart_ice(&self, direction: Direction) -> Result<(), BotError> {
        let transport = match direction {
            Direction::Send => &self.inner.send,
            Direction::Recv => &self.inner.recv,
        };
        let answer = self.request("voice:rtc:restartIce", json!({ "transportId": transport.id })).await?;
        let restarted: IceRestarted = dialect::read("voice:rtc:restartIce", answer)?;
        self.inner.engine.with(transport.peer, move |peer, registry, _| peer.restart_ice(&restarted.ice_parameters, registry)).await?
    }

    /// Sends a request and waits for its acknowledgement.
    pub async fn request(&self, event: &str, payload: Value) -> Result<Value, BotError> {
        self.inner.socket.request(event, payload).await
    }

    /// Waits for a pushed event, one that came already included, and gives its object.
    pub async fn event(&self, name: &str, within: Duration, fits: impl Fn(&Value) -> bool) -> Result<Value, BotError> {
        let mut news = self.inner.news.subscribe();
        let search = async {
            loop {
                news.borrow_and_update();
                let found = lock(&self.inner.remembered).iter().find(|e| e.name == name && fits(&e.payload)).map(|e| e.payload.clone());
                match found {
                    Some(payload) => return Ok(payload),
                    None => news.changed().await.map_err(|_| BotError::Closed)?,
                }
            }
        };
        timeout(within, search).await.map_err(|_| BotError::Timeout(name.to_owned()))?
    }

    /// Forgets the events that came so far.
    pub fn forget_events(&self) {
        lock(&self.inner.remembered).clear();
    }

    /// Waits until what was received satisfies a condition.
    pub async fn received(&self, within: Duration, what: &str, fits: impl Fn(&BotStats) -> bool) -> Result<BotStats, BotError> {
        let begin = Instant::now();
        loop {
            let stats = self.stats().await?;
            if fits(&stats) {
                return Ok(stats);
            }
            if begin.elapsed() > within {
                return Err(BotError::Timeout(format!("{what} (have {stats:?})")));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What was sent and received so far.
    pub async fn stats(&self) -> Result<BotStats, BotError> {
        let received = |peer: &mut Peer| peer.session().receivers().map(crate::engine::Receiver::stats).collect::<Vec<_>>();
        let streams = self.inner.engine.with(self.inner.recv.peer, move |peer, _, _| received(peer)).await?;
        let counts = self.inner.engine.with(self.inner.send.peer, |peer, _, _| peer.sent_counts()).await?;
        let consumers = lock(&self.inner.consumers);
        let named = streams.into_iter().filter_map(|s| Some((consumers.values().find(|c| c.id == s.consumer)?.clone(), s)));
        Ok(BotStats {
            requested_ns: self.inner.requested_ns,
            sent: counts.0,
            key_frames_asked: counts.1,
            skipped: counts.2,
            streams: named.collect(),
        })
    }

    /// The one-way delays recorded since the last call.
    pub async fn take_delays(&self) -> Result<Delays, BotError> {
        self.inner.engine.with(self.inner.recv.peer, |peer, _, _| std::mem::take(peer.session().delays())).await
    }

    /// Leaves the channel and closes the socket.
    pub async fn leave(self) -> Result<(), BotError> {
        self.request("voice:leave", json!({ "channelId": self.inner.options.channel })).await.map(drop)
    }

    /// Stops everything but keeps the connections open: a machine that froze.
    pub async fn freeze(&self) -> Result<(), BotError> {
        self.inner.socket.freeze();
        self.freeze_media().await
    }

    /// Stops media only, without a word.
    pub async fn freeze_media(&self) -> Result<(), BotError> {
        for transport in [&self.inner.send, &self.inner.recv] {
            self.inner.engine.with(transport.peer, |peer, _, _| peer.freeze()).await?;
        }
        Ok(())
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        self.inner.socket.cut();
        self.inner.engine.remove(self.inner.send.peer);
        self.inner.engine.remove(self.inner.recv.peer);
    }
}

impl Transport {
    fn add(engine: &Engine, id: String, mut peer: Peer) -> Self {
        let state = peer.session().watch_state();
        Self { id, peer: engine.add(peer), state }
    }
}

impl Inner {
    /// Gives the server our fingerprint, and begins when it has it.
    async fn connect(&self, transport: &Transport, dtls: DtlsParameters) -> Result<(), BotError> {
        let payload = json!({ "transportId": transport.id, "dtlsParameters": dtls });
        self.socket.request("voice:rtc:connectTransport", payload).await?;
        self.engine.with(transport.peer, |peer, _, _| peer.begin()).await
    }

    /// Follows what the server pushes, until the connection ends.
    async fn follow(self: Arc<Self>, mut events: mpsc::Receiver<Pushed>) {
        while let Some(pushed) = events.recv().await {
            match pushed.name.as_str() {
                "voice:newProducer" if self.options.consume => {
                    if let Ok(producer) = serde_json::from_value(pushed.payload.clone()) {
                        // On its own: consuming waits for an answer, which comes behind further events.
                        tokio::spawn(Arc::clone(&self).consume_announced(producer));
                    }
                }
                "voice:producerClosed" => {
                    if let Some(producer) = pushed.payload.get("producerId").and_then(Value::as_str) {
                        self.forget_consumer(producer).await;
                    }
                }
                _ => {}
            }
            let mut remembered = lock(&self.remembered);
            if remembered.len() == MAX_REMEMBERED {
                remembered.pop_front();
            }
            remembered.push_back(pushed);
            drop(remembered);
            self.news.send_modify(|count| *count += 1);
        }
    }

    async fn consume_announced(self: Arc<Self>, producer: ProducerInfo) {
        match self.consume(&producer.producer_id).await {
            // It closed before we came to it.
            Ok(_) | Err(BotError::Closed) => {}
            Err(error) if error.code() == Some("NOT_FOUND") => {}
            Err(error) => tracing::warn!(%error, user = %self.options.user, "cannot consume"),
        }
    }

    async fn consume(&self, producer: &str) -> Result<Consumer, BotError> {
        let payload = json!({ "producerId": producer, "transportId": self.recv.id, "rtpCapabilities": self.capabilities });
        let answer = self.socket.request("voice:rtc:consume", payload).await?;
        let consumed: Consumed = dialect::read("voice:rtc:consume", answer)?;
        let consumer = Consumer {
            id: consumed.id.clone(),
            producer: consumed.producer_id.clone(),
            user: consumed.user_id.clone(),
            video: consumed.kind == parlor_proto::media::MediaKind::Video,
        };
        lock(&self.consumers).insert(consumer.producer.clone(), consumer.clone());
        let open =
            consumer.user.starts_with(&self.options.open_users) && self.opened.fetch_add(1, Ordering::Relaxed) < self.options.open_streams;
        self.engine.with(self.recv.peer, move |peer, _, now| peer.add_receiver(&consumed, open, now)).await??;
        Ok(consumer)
    }

    async fn forget_consumer(&self, producer: &str) {
        let consumer = lock(&self.consumers).remove(producer);
        if let Some(consumer) = consumer {
            let forgotten = self.engine.with(self.recv.peer, move |peer, _, _| peer.session().remove_receiver(&consumer.id)).await;
            if let Err(error) = forgotten {
                tracing::debug!(%error, "the bot is gone already");
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds one of these locks can leave its map half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
