//! One end of a transport: str0m on a socket, with the tracks it sends and the streams it receives.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use mio::{Registry, Token};
use parlor_proto::transport::{DtlsFingerprint, DtlsParameters, DtlsRole, IceParameters, Protocol as WireProtocol};
use parlor_udp::Inbox;
use str0m::config::Fingerprint;
use str0m::ice::IceCreds;
use str0m::media::Mid;
use str0m::net::Protocol;
use str0m::{Candidate, RtcConfig};

use super::link::Link;
use super::rtp;
use super::session::{PeerState, Session};
use super::track::Track;
use crate::dialect::TransportCreated;
use crate::error::BotError;

/// A peer, owned by the media thread once it is added to an [`super::Engine`].
pub(crate) struct Peer {
    session: Session,
    link: Link,
    remotes: Vec<SocketAddr>,
    token: Token,
    tracks: Vec<Track>,
    /// Between [`Peer::begin`] and [`Peer::freeze`].
    running: bool,
    loss_percent: u8,
}

impl Peer {
    /// Prepares a peer towards a transport of the server. It is the controlling side and the DTLS client.
    pub(crate) fn new(config: RtcConfig, protocol: Protocol, created: &TransportCreated) -> Result<Self, BotError> {
        let first = remotes(protocol, created).first().copied();
        let first = first.ok_or_else(|| BotError::Media(format!("the server offers no {protocol} candidate")))?;
        let mut peer = Self::prepare(config, protocol, first)?;
        peer.reach(created)?;
        Ok(peer)
    }

    /// Prepares a peer whose server is not known yet, only an address to which the route is the same.
    pub(crate) fn prepare(config: RtcConfig, protocol: Protocol, towards: SocketAddr) -> Result<Self, BotError> {
        let now = Instant::now();
        let link = Link::open(protocol, towards).map_err(media)?;
        let mut rtc = config.set_rtp_mode(true).build(now);
        rtc.add_local_candidate(Candidate::host(link.local(), protocol).map_err(media)?);
        rtc.direct_api().set_ice_controlling(true);
        let session = Session::new(rtc, protocol, now);
        Ok(Self { session, link, remotes: Vec::new(), token: Token(usize::MAX), tracks: Vec::new(), running: false, loss_percent: 0 })
    }

    /// Says where the server is and how it is known.
    pub(crate) fn reach(&mut self, created: &TransportCreated) -> Result<(), BotError> {
        let protocol = self.link.protocol();
        let remotes = remotes(protocol, created);
        let rtc = &mut self.session.rtc;
        for remote in &remotes {
            rtc.add_remote_candidate(Candidate::host(*remote, protocol).map_err(media)?);
        }
        let (hash_func, bytes) = created.dtls_parameters.strongest_fingerprint().map_err(media)?;
        let mut direct = rtc.direct_api();
        direct.set_remote_ice_credentials(credentials(&created.ice_parameters));
        direct.set_remote_fingerprint(Fingerprint { hash_func: hash_func.to_owned(), bytes });
        direct.start_dtls(true).map_err(media)?;
        self.remotes = remotes;
        Ok(())
    }

    /// The address of its socket.
    pub(crate) const fn local(&self) -> SocketAddr {
        self.link.local()
    }

    /// The ufrag and password of its ICE, and the fingerprint of its certificate.
    pub(crate) fn credentials(&mut self) -> (String, String, String) {
        let direct = self.session.rtc.direct_api();
        let ice = direct.local_ice_credentials();
        (ice.ufrag, ice.pass, direct.local_dtls_fingerprint().to_string())
    }

    /// The parameters that `connectTransport` takes.
    pub(crate) fn dtls_parameters(&mut self) -> DtlsParameters {
        let fingerprint = self.session.rtc.direct_api().local_dtls_fingerprint().to_string();
        let (algorithm, value) = fingerprint.split_once(' ').unwrap_or_default();
        let fingerprints = vec![DtlsFingerprint { algorithm: algorithm.to_owned(), value: value.to_owned() }];
        DtlsParameters { role: DtlsRole::Client, fingerprints }
    }

    /// Loses this share of the media packets, both ways.
    pub(crate) const fn set_loss(&mut self, percent: u8) {
        self.loss_percent = percent;
    }

    pub(crate) const fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Expects a consumer's stream; see [`Session::add_receiver`].
    pub(crate) fn add_receiver(&mut self, consumed: &crate::dialect::Consumed, open: bool, now: Instant) -> Result<(), BotError> {
        let local = self.link.local();
        self.session.add_receiver(&consumed.id, consumed.kind, &consumed.rtp_parameters, open, local, now)
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.token = token;
        self.link.register(registry, token)
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) {
        self.link.deregister(registry);
    }

    /// Begins to send a track.
    pub(crate) fn add_track(&mut self, track: Track) {
        track.declare(&mut self.session.rtc);
        self.tracks.push(track);
    }

    /// Begins to send a track of which str0m knows from a description.
    pub(crate) fn adopt_track(&mut self, track: Track) {
        self.tracks.push(track);
    }

    /// Ceases to send a track.
    pub(crate) fn remove_track(&mut self, mid: Mid) {
        self.tracks.retain(|t| t.mid() != mid);
        self.session.rtc.direct_api().remove_media(mid);
    }

    /// A track, by its mid.
    pub(crate) fn track(&mut self, mid: Mid) -> Option<&mut Track> {
        self.tracks.iter_mut().find(|t| t.mid() == mid)
    }

    /// Packets sent, key frames the server asked for, frames skipped, over all tracks.
    pub(crate) fn sent_counts(&self) -> (u64, u64, u64) {
        let add = |a: (u64, u64, u64), b: (u64, u64, u64)| (a.0 + b.0, a.1 + b.1, a.2 + b.2);
        self.tracks.iter().map(Track::counts).fold((0, 0, 0), add)
    }

    /// Goes on with new credentials from a new socket, like a client whose network changed.
    pub(crate) fn restart_ice(&mut self, ice: &IceParameters, registry: &Registry) -> Result<(), BotError> {
        let protocol = self.link.protocol();
        let first = self.remotes.first().copied().ok_or_else(|| BotError::Media("no candidate".into()))?;
        let old = Candidate::host(self.link.local(), protocol).map_err(media)?;
        self.link.deregister(registry);
        self.link = Link::open(protocol, first).map_err(media)?;
        self.link.register(registry, self.token).map_err(media)?;
        let rtc = &mut self.session.rtc;
        let mut direct = rtc.direct_api();
        direct.set_local_ice_credentials(IceCreds::new());
        direct.set_remote_ice_credentials(credentials(ice));
        direct.invalidate_candidate(&old);
        rtc.add_local_candidate(Candidate::host(self.link.local(), protocol).map_err(media)?);
        self.session.set_state(PeerState::default());
        Ok(())
    }

    /// Begins with ICE and DTLS. Not before the server has our fingerprint: it could only throw the first
    /// flight of the handshake away, and that is repeated after a whole second.
    pub(crate) const fn begin(&mut self) {
        self.running = true;
    }

    /// Sends nothing and hears nothing any more, without a word to the server.
    pub(crate) const fn freeze(&mut self) {
        self.running = false;
    }

    /// When [`Peer::handle_timeout`] is to be called next.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let connected = self.session.is_connected();
        let tracks = self.tracks.iter().filter(|_| connected).map(Track::due);
        self.running.then(|| tracks.chain([self.session.wake_at()]).min()).flatten()
    }

    /// Sends what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if !self.running {
            return;
        }
        if self.session.wake_at() <= now {
            self.session.handle_timeout(now);
            self.send();
        }
        if self.session.is_connected() {
            let mut tracks = std::mem::take(&mut self.tracks);
            for track in &mut tracks {
                track.write_due(self, now);
            }
            self.tracks = tracks;
        }
    }

    /// Writes one packet and sends what comes of it.
    pub(crate) fn write(&mut self, ssrc: u32, packet: str0m::rtp::RtpWrite, now: Instant) {
        if let Some(stream) = self.session.rtc.direct_api().stream_tx(&ssrc.into()) {
            stream.write_rtp(packet);
        }
        self.session.drain(0, now);
        self.send();
    }

    /// Sends a datagram as it is.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        if let Some(remote) = self.remotes.first() {
            self.link.send(*remote, bytes);
        }
    }

    /// Takes what has arrived at the socket.
    pub(crate) fn handle_readable(&mut self, inbox: &mut Inbox, now: Instant) {
        if !self.running {
            return;
        }
        self.link.flush();
        let local = self.link.local();
        let session = &mut self.session;
        let loss = self.loss_percent;
        let result = self.link.receive(inbox, |bytes, from, received_ns| {
            if !is_lost(loss, bytes) {
                session.handle_datagram(bytes, from, local, received_ns, now);
            }
        });
        if result.is_err() {
            session.set_state(PeerState { connected: false, lost: true });
        }
        for request in self.session.take_key_frames_wanted() {
            if let Some(track) = self.track(request.mid) {
                track.ask_for_key_frame(request.rid);
            }
        }
        self.send();
    }

    /// Lets str0m do what a change made from outside calls for.
    pub(crate) fn settle(&mut self, now: Instant) {
        if self.running {
            self.session.drain(0, now);
            self.send();
        }
    }

    fn send(&mut self) {
        for transmit in self.session.take_outbox() {
            if !is_lost(self.loss_percent, &transmit.contents) {
                self.link.send(transmit.destination, &transmit.contents);
            }
        }
    }
}

fn is_lost(percent: u8, datagram: &[u8]) -> bool {
    percent > 0 && rtp::ssrc(datagram).is_some() && rand::random_range(0..100) < percent
}

fn media(error: impl std::fmt::Display) -> BotError {
    BotError::Media(error.to_string())
}

fn credentials(ice: &IceParameters) -> IceCreds {
    IceCreds { ufrag: ice.username_fragment.clone(), pass: ice.password.clone() }
}

/// The server's addresses that one socket of ours can reach: loopback ones if there are any, as both are then on one
/// machine; else all of the first one's family.
fn remotes(protocol: Protocol, created: &TransportCreated) -> Vec<SocketAddr> {
    let wanted = if protocol == Protocol::Tcp { WireProtocol::Tcp } else { WireProtocol::Udp };
    let offered = created.ice_candidates.iter().filter(|c| c.protocol == wanted).map(|c| SocketAddr::new(c.ip, c.port));
    let mut remotes: Vec<SocketAddr> = offered.collect();
    if remotes.iter().any(|r| r.ip().is_loopback()) {
        remotes.retain(|r| r.ip().is_loopback());
    }
    let ipv4 = remotes.first().is_some_and(SocketAddr::is_ipv4);
    remotes.retain(|r| r.is_ipv4() == ipv4);
    if protocol == Protocol::Tcp {
        // One connection reaches one address.
        remotes.truncate(1);
    }
    remotes
}
