//! A participant of a Janus video room, with the same media, sockets and counters as a [`crate::Bot`].
//!
//! For benchmarks: Janus is measured beside Parlor by the same bots. A bot publishes over one connection and
//! receives everybody else over another, as the clients of that plugin do.

mod api;
mod sdp;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parlor_proto::media::MediaKind;
use serde_json::{Value, json};
use str0m::RtcConfig;
use str0m::media::Mid;
use str0m::net::Protocol;
use tokio::time::timeout;

use crate::bot::{BotStats, Consumer, LOOK};
use crate::clock;
use crate::dialect::Consumed;
use crate::engine::{Delays, Engine, Peer, PeerId, Track};
use crate::error::BotError;
use crate::options::{AudioOptions, VideoOptions};
use crate::ortc::{self, SentStream};
use crate::sending;
use crate::source::VideoCodec;

use api::Api;
use sdp::{Description, Local};

/// The name of the one track a bot sends.
const MID: &str = "0";

/// The person who joins, and the room.
#[derive(Clone, Debug)]
pub struct JanusOptions {
    /// The address of the API, as `ws://host:port`.
    pub url: String,
    /// The room; see [`create_room`].
    pub room: u64,
    /// The name that is shown.
    pub name: String,
    /// An address to which the route is the same as to Janus.
    pub towards: SocketAddr,
    /// The number of streams that are decrypted, as in [`crate::BotOptions`].
    pub open_streams: usize,
}

/// A participant. Dropping it cuts every connection without a word.
pub struct JanusBot {
    options: JanusOptions,
    engine: Engine,
    api: Api,
    requested_ns: u64,
    publisher: Option<PeerId>,
    subscriber: Option<PeerId>,
    consumers: HashMap<String, Consumer>,
}

/// Makes a room in which this many may publish, without a cap of the bitrate.
pub async fn create_room(url: &str, room: u64, publishers: usize) -> Result<(), BotError> {
    let mut api = Api::connect(url).await?;
    let handle = api.attach().await?;
    let body = json!({
        "request": "create", "room": room, "publishers": publishers, "bitrate": 0, "fir_freq": 0,
        "audiocodec": "opus", "videocodec": "vp8", "notify_joining": false,
    });
    api.message(handle, body, None).await.map(drop)
}

impl JanusBot {
    /// Connects, and does nothing more yet.
    pub async fn connect(engine: &Engine, options: JanusOptions) -> Result<Self, BotError> {
        let (requested_ns, api) = (clock::now_ns(), Api::connect(&options.url).await?);
        Ok(Self { options, engine: engine.clone(), api, requested_ns, publisher: None, subscriber: None, consumers: HashMap::new() })
    }

    /// Offers sound, to be sent from [`JanusBot::start_sending`] on, and gives the number under which others can subscribe to it.
    pub async fn publish_audio(&mut self, options: AudioOptions) -> Result<u64, BotError> {
        let stream = sending::audio_stream(&options);
        let track = sending::audio_track(Mid::from(MID), &options, stream.clone());
        self.publish(None, vec![stream], track).await
    }

    /// Offers picture to the room.
    pub async fn publish_video(&mut self, options: VideoOptions) -> Result<u64, BotError> {
        let streams = sending::video_streams(&options);
        let track = sending::video_track(Mid::from(MID), &options, streams.clone());
        self.publish(Some(options.codec), streams, track).await
    }

    async fn publish(&mut self, codec: Option<VideoCodec>, streams: Vec<SentStream>, mut track: Track) -> Result<u64, BotError> {
        let mut config = RtcConfig::new().set_extension_map(ortc::send_extension_map());
        *config.codec_config() = ortc::send_codecs();
        let mut peer = Peer::prepare(config, Protocol::Udp, self.options.towards)?;
        let rtp = ortc::sent_parameters(codec, MID, &self.options.name, &streams);
        let kind = if codec.is_some() { MediaKind::Video } else { MediaKind::Audio };
        let offer = json!({ "type": "offer", "sdp": sdp::offer(&rtp, kind, &local(&mut peer)) });
        let handle = self.api.attach().await?;
        let body = json!({ "request": "joinandconfigure", "ptype": "publisher", "room": self.options.room, "display": self.options.name });
        let answer = self.api.message(handle, body, Some(offer)).await?;
        let feed = answer.data.get("id").and_then(Value::as_u64).ok_or_else(|| unfit("no id for the publisher"))?;
        peer.reach(&described(answer.sdp)?.1.transport)?;
        track.set_sending(false);
        peer.add_track(track);
        self.publisher = Some(self.start(peer).await?);
        Ok(feed)
    }

    /// Sends what was offered, if anything was.
    pub async fn start_sending(&self) -> Result<(), BotError> {
        let Some(peer) = self.publisher else { return Ok(()) };
        let start = |peer: &mut Peer| peer.track(Mid::from(MID)).map(|track| track.set_sending(true));
        self.engine.with(peer, move |peer, _, _| start(peer)).await.map(drop)
    }

    /// Receives what these publishers send, all over one connection.
    pub async fn subscribe(&mut self, feeds: &[u64]) -> Result<(), BotError> {
        let handle = self.api.attach().await?;
        let streams: Vec<Value> = feeds.iter().map(|feed| json!({ "feed": feed })).collect();
        let body = json!({ "request": "join", "ptype": "subscriber", "room": self.options.room, "streams": streams });
        let (offer, description) = described(self.api.message(handle, body, None).await?.sdp)?;
        let (codecs, extensions) = ortc::receive_config(&sdp::capabilities(&description.sections));
        let mut config = RtcConfig::new().set_extension_map(extensions);
        *config.codec_config() = codecs;
        let mut peer = Peer::prepare(config, Protocol::Udp, self.options.towards)?;
        peer.reach(&description.transport)?;
        let wanted = description.sections.into_iter().filter(|section| !section.rejected);
        for (number, section) in wanted.enumerate() {
            let id = section.rtp.mid.clone().unwrap_or_default();
            let video = section.kind == MediaKind::Video;
            let consumer = Consumer { id: id.clone(), producer: id.clone(), user: String::new(), video };
            self.consumers.insert(id.clone(), consumer);
            let consumed = Consumed::of_stream(&id, section.kind, section.rtp);
            peer.add_receiver(&consumed, number < self.options.open_streams, Instant::now())?;
        }
        let audio_feedback = self.options.open_streams == usize::MAX;
        let answer = json!({ "type": "answer", "sdp": sdp::answer(&offer, audio_feedback, &local(&mut peer)) });
        self.api.message(handle, json!({ "request": "start" }), Some(answer)).await?;
        self.subscriber = Some(self.start(peer).await?);
        Ok(())
    }

    /// Hands a peer to the engine and waits until media can flow.
    async fn start(&self, mut peer: Peer) -> Result<PeerId, BotError> {
        let mut state = peer.session().watch_state();
        peer.begin();
        let id = self.engine.add(peer);
        let waiting = state.wait_for(|state| state.connected);
        timeout(Duration::from_secs(20), waiting)
            .await
            .map_err(|_| BotError::Timeout("ICE and DTLS".into()))?
            .map_err(|_| BotError::Closed)?;
        Ok(id)
    }

    /// What was sent and received so far.
    pub async fn stats(&self) -> Result<BotStats, BotError> {
        let (mut counts, mut streams) = ((0, 0, 0), Vec::new());
        if let Some(peer) = self.publisher {
            counts = self.engine.with(peer, |peer, _, _| peer.sent_counts()).await?;
        }
        if let Some(peer) = self.subscriber {
            let received = |peer: &mut Peer| peer.session().receivers().map(crate::engine::Receiver::stats).collect::<Vec<_>>();
            streams = self.engine.with(peer, move |peer, _, _| received(peer)).await?;
        }
        let named = streams.into_iter().filter_map(|s| Some((self.consumers.get(&s.consumer)?.clone(), s)));
        let (sent, key_frames_asked, skipped) = counts;
        Ok(BotStats { requested_ns: self.requested_ns, sent, key_frames_asked, skipped, streams: named.collect() })
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
                let (running, all) = (stats.streams.iter().filter(|(_, s)| s.packets > 0).count(), stats.streams.len());
                return Err(BotError::Timeout(format!("{what} ({running} of {all} streams run)")));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The one-way delays recorded since the last call.
    pub async fn take_delays(&self) -> Result<Delays, BotError> {
        match self.subscriber {
            Some(peer) => self.engine.with(peer, |peer, _, _| std::mem::take(peer.session().delays())).await,
            None => Ok(Delays::new()),
        }
    }
}

impl Drop for JanusBot {
    fn drop(&mut self) {
        for peer in [self.publisher, self.subscriber].into_iter().flatten() {
            self.engine.remove(peer);
        }
    }
}

fn local(peer: &mut Peer) -> Local {
    let address = peer.local();
    let (ufrag, password, fingerprint) = peer.credentials();
    Local { ufrag, password, fingerprint, address }
}

fn described(sdp: Option<String>) -> Result<(String, Description), BotError> {
    let sdp = sdp.ok_or_else(|| unfit("no description"))?;
    let description = sdp::read(&sdp).ok_or_else(|| unfit("a description that cannot be read"))?;
    Ok((sdp, description))
}

fn unfit(reason: &str) -> BotError {
    BotError::Protocol { event: "janus".to_owned(), reason: reason.to_owned() }
}
