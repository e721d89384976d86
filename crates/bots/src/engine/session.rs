//! str0m and what arrives through it: streams of consumers, their order, their timing, their key frames.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parlor_proto::media::MediaKind;
use parlor_proto::rtp::RtpParameters;
use str0m::media::{KeyframeRequest, KeyframeRequestKind, Mid};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::rtp::RtpPacket;
use str0m::{Event, IceConnectionState, Input, Output, Rtc};
use tokio::sync::watch;

use super::receiver::{Delays, Receiver};
use super::rtp;
use crate::error::BotError;
use crate::ortc;

/// Packets kept that arrive before their consumer is known: the answer to `consume` races with the media.
const MAX_EARLY: usize = 256;
/// The time for which a picture may stand still before the receiver asks for a key frame, and that between two requests.
const KEY_FRAME_PATIENCE: Duration = Duration::from_millis(500);

/// The state of ICE and DTLS of a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PeerState {
    /// DTLS is done, and ICE has a way at the moment.
    pub connected: bool,
    /// ICE had a way and lost it, or the server closed the connection.
    pub lost: bool,
}

/// A datagram kept for later.
struct Early {
    bytes: Vec<u8>,
    from: SocketAddr,
    received_ns: u64,
}

/// The inside of a peer, without its socket.
pub(crate) struct Session {
    pub(crate) rtc: Rtc,
    protocol: Protocol,
    receivers: HashMap<u32, Receiver>,
    /// Repair stream to the stream it repairs.
    repairs: HashMap<u32, u32>,
    early: VecDeque<Early>,
    key_frame_asked: HashMap<u32, Instant>,
    delays: Delays,
    state: watch::Sender<PeerState>,
    wake_at: Instant,
    outbox: Vec<Transmit>,
    key_frames_wanted: Vec<KeyframeRequest>,
    dtls_done: bool,
    /// Whether streams are received that nobody announced but a description: str0m knows them by that.
    described: bool,
}

impl Session {
    pub(crate) fn new(rtc: Rtc, protocol: Protocol, now: Instant) -> Self {
        Self {
            rtc,
            protocol,
            receivers: HashMap::new(),
            repairs: HashMap::new(),
            early: VecDeque::new(),
            key_frame_asked: HashMap::new(),
            delays: Delays::new(),
            state: watch::Sender::new(PeerState::default()),
            wake_at: now,
            outbox: Vec::new(),
            key_frames_wanted: Vec::new(),
            dtls_done: false,
            described: false,
        }
    }

    pub(crate) fn watch_state(&self) -> watch::Receiver<PeerState> {
        self.state.subscribe()
    }

    pub(crate) fn set_state(&self, state: PeerState) {
        self.state.send_replace(state);
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.state.borrow().connected
    }

    pub(crate) const fn wake_at(&self) -> Instant {
        self.wake_at
    }

    pub(crate) fn receivers(&self) -> impl Iterator<Item = &Receiver> {
        self.receivers.values()
    }

    pub(crate) const fn delays(&mut self) -> &mut Delays {
        &mut self.delays
    }

    /// What is to be sent now.
    pub(crate) fn take_outbox(&mut self) -> Vec<Transmit> {
        std::mem::take(&mut self.outbox)
    }

    /// Key frames the server asked for.
    pub(crate) fn take_key_frames_wanted(&mut self) -> Vec<KeyframeRequest> {
        std::mem::take(&mut self.key_frames_wanted)
    }

    /// Receives every stream of which str0m knows from a description, as sound.
    pub(crate) const fn expect_described(&mut self) {
        self.described = true;
    }

    /// Expects a consumer's stream. If it is not `open`, its packets are counted by their clear headers only.
    pub(crate) fn add_receiver(
        &mut self,
        consumer: &str,
        kind: MediaKind,
        parameters: &RtpParameters,
        open: bool,
        local: SocketAddr,
        now: Instant,
    ) -> Result<(), BotError> {
        let encoding = parameters.encodings.first().ok_or_else(|| BotError::Media("a consumer without encodings".into()))?;
        let ssrc = encoding.ssrc.ok_or_else(|| BotError::Media("a consumer without ssrc".into()))?;
        let repair = encoding.rtx.map(|rtx| rtx.ssrc);
        self.receivers.insert(ssrc, Receiver::new(consumer, kind, parameters, open));
        if open {
            self.expect(ssrc, repair, kind, parameters);
        }
        let (known, unknown): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.early).into_iter().partition(|e| rtp::ssrc(&e.bytes).is_some_and(|s| s == ssrc || Some(s) == repair));
        self.early = unknown;
        for packet in known {
            self.handle_datagram(&packet.bytes, packet.from, local, packet.received_ns, now);
        }
        Ok(())
    }

    fn expect(&mut self, ssrc: u32, repair: Option<u32>, kind: MediaKind, parameters: &RtpParameters) {
        // A mid of ours if the server gave none: streams are known by their SSRC, the mid is only a name.
        let mid = parameters.mid.as_deref().map_or_else(|| Mid::from(format!("c{ssrc:x}").as_str()), Mid::from);
        if let Some(repair) = repair {
            self.repairs.insert(repair, ssrc);
        }
        let kind = match kind {
            MediaKind::Audio => str0m::media::MediaKind::Audio,
            MediaKind::Video => str0m::media::MediaKind::Video,
        };
        let known = self.rtc.media(mid).is_some();
        let mut direct = self.rtc.direct_api();
        if !known {
            direct.declare_media(mid, kind);
        }
        direct.expect_stream_rx(ssrc.into(), repair.map(Into::into), mid, None).suppress_nack(repair.is_none());
        if ortc::uses_transport_cc(parameters) {
            direct.enable_twcc_feedback();
        }
    }

    /// Forgets the stream of a consumer.
    pub(crate) fn remove_receiver(&mut self, consumer: &str) {
        let rtc = &mut self.rtc;
        self.receivers.retain(|ssrc, receiver| {
            let stays = receiver.consumer() != consumer;
            if !stays && receiver.is_open() {
                rtc.direct_api().remove_stream_rx((*ssrc).into());
            }
            stays
        });
        let receivers = &self.receivers;
        self.repairs.retain(|_, repaired| receivers.contains_key(repaired));
    }

    /// Takes a datagram that arrived.
    pub(crate) fn handle_datagram(&mut self, bytes: &[u8], from: SocketAddr, local: SocketAddr, received_ns: u64, now: Instant) {
        if let Some(ssrc) = rtp::ssrc(bytes) {
            match self.receivers.get_mut(&ssrc) {
                // What is only counted never touches str0m: that is what keeps big rooms cheap.
                Some(receiver) if !receiver.is_open() => return receiver.count(bytes, received_ns),
                Some(_) => {}
                None if self.described || self.repairs.contains_key(&ssrc) => {}
                None => {
                    if self.early.len() == MAX_EARLY {
                        self.early.pop_front();
                    }
                    return self.early.push_back(Early { bytes: bytes.to_vec(), from, received_ns });
                }
            }
        }
        // What cannot be parsed is not from our server.
        if let Ok(received) = Receive::new(self.protocol, from, local, bytes) {
            let _ = self.rtc.handle_input(Input::Receive(now, received));
            self.drain(received_ns, now);
        }
    }

    /// Lets str0m do what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.ask_for_key_frames(now);
        // A dead instance says so in `drain`.
        let _ = self.rtc.handle_input(Input::Timeout(now));
        self.drain(0, now);
    }

    /// Takes everything out of str0m. `received_ns` is when the packet arrived that caused it.
    pub(crate) fn drain(&mut self, received_ns: u64, now: Instant) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.wake_at = at.max(now);
                    return;
                }
                Ok(Output::Transmit(transmit)) => self.outbox.push(transmit),
                Ok(Output::Event(event)) => self.handle_event(event, received_ns, now),
                Err(error) => {
                    tracing::debug!(%error, "the peer is dead");
                    self.set_state(PeerState { connected: false, lost: true });
                    self.wake_at = now + Duration::from_secs(3600);
                    return;
                }
            }
        }
    }

    fn handle_event(&mut self, event: Event, received_ns: u64, now: Instant) {
        match event {
            Event::Connected => {
                self.dtls_done = true;
                self.set_state(PeerState { connected: true, lost: false });
            }
            Event::IceConnectionStateChange(state) => match state {
                IceConnectionState::Connected | IceConnectionState::Completed if self.dtls_done => {
                    self.set_state(PeerState { connected: true, lost: false });
                }
                IceConnectionState::Disconnected => self.set_state(PeerState { connected: false, lost: true }),
                _ => {}
            },
            Event::Closed => self.set_state(PeerState { connected: false, lost: true }),
            Event::KeyframeRequest(request) => self.key_frames_wanted.push(request),
            Event::RtpPacket(packet) => self.handle_packet(&packet, received_ns, now),
            _ => {}
        }
    }

    fn handle_packet(&mut self, packet: &RtpPacket, received_ns: u64, now: Instant) {
        let ssrc = *packet.header.ssrc;
        if self.described {
            let sound = || Receiver::new(&ssrc.to_string(), MediaKind::Audio, &ortc::sent_parameters(None, "", "", &[]), true);
            self.receivers.entry(ssrc).or_insert_with(sound);
        }
        let Some(receiver) = self.receivers.get_mut(&ssrc) else { return };
        if let Some(delay) = receiver.take(packet, received_ns, now) {
            self.delays.record(delay);
        }
    }

    /// What a decoder does that has packets but no picture.
    fn ask_for_key_frames(&mut self, now: Instant) {
        for (ssrc, receiver) in &self.receivers {
            let asked = self.key_frame_asked.get(ssrc).copied();
            let patient = asked.is_some_and(|at| now.saturating_duration_since(at) < KEY_FRAME_PATIENCE);
            if receiver.is_open() && receiver.is_stuck(now, KEY_FRAME_PATIENCE) && !patient {
                self.key_frame_asked.insert(*ssrc, now);
                if let Some(stream) = self.rtc.direct_api().stream_rx(&(*ssrc).into()) {
                    stream.request_keyframe(KeyframeRequestKind::Pli);
                }
            }
        }
    }
}
