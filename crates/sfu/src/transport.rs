//! One client connection for one direction: its ICE side, its encrypted side, and what it carries.
//!
//! str0m stays inside this module; what crosses its border are packets, bytes and times.

mod extension;
mod header;
mod ice;
mod peer;
mod receive;
mod stun;

use std::time::{Duration, Instant};

use parlor_proto::error::{Error, ErrorCode};
use parlor_proto::ids::TransportId;
use parlor_proto::rtp::{RtpCapabilities, RtpParameters};
use parlor_proto::transport::{Direction, DtlsParameters, TransportState};

pub(crate) use extension::{Meaning, Meanings};
pub(crate) use header::{is_dtls, is_rtp_or_rtcp};
pub(crate) use ice::{Credentials, Ice, Liveness, Path};
pub(crate) use peer::{Estimation, Identity, MediaPacket, Peer, PeerOutput, Section, Write};
use receive::Found;
pub(crate) use receive::{LayerOf, ReceiveTable};
pub(crate) use stun::{Request, is_stun};

use crate::ortc::transport_needs;

/// After layers had to go down, how long until they may go up again: an estimate that just fell often
/// rises too high before it settles.
const HOLD_AFTER_DOWN: Duration = Duration::from_secs(4);

/// Every new wish may start probes; measured bitrates waver by less than this.
const WANT_STEP_PERCENT: u64 = 15;

/// One transport.
pub(crate) struct Transport {
    pub(crate) id: TransportId,
    /// Index of its router.
    pub(crate) router: usize,
    pub(crate) direction: Direction,
    pub(crate) ice: Ice,
    pub(crate) state: TransportState,
    /// Indexes of what it carries.
    pub(crate) producers: Vec<usize>,
    pub(crate) consumers: Vec<usize>,
    pub(crate) receive: ReceiveTable,
    /// Names the streams of this client to their receivers; made here, so that it cannot imitate another's.
    pub(crate) cname: String,
    /// When its entry among the timers is due.
    pub(crate) scheduled: Option<Instant>,
    /// It has packets to send that were not drained yet.
    pub(crate) dirty: bool,
    /// What its client has room for, in bit/s.
    pub(crate) estimate: Option<u64>,
    pub(crate) hold_up_until: Option<Instant>,
    pub(crate) limit_sent: Option<Instant>,
    meanings: Meanings,
    peer: Option<Peer>,
    connect_called: bool,
    dtls_connected: bool,
    closed: bool,
    next_mid: u32,
    wanted: u64,
}

impl Transport {
    pub(crate) fn new(id: TransportId, router: usize, direction: Direction) -> Self {
        Self {
            id,
            router,
            direction,
            ice: Ice::new(Credentials::random()),
            state: TransportState::New,
            producers: Vec::new(),
            consumers: Vec::new(),
            receive: ReceiveTable::default(),
            cname: Credentials::random().ufrag,
            scheduled: None,
            dirty: false,
            estimate: None,
            hold_up_until: None,
            limit_sent: None,
            meanings: Meanings::default(),
            peer: None,
            connect_called: false,
            dtls_connected: false,
            closed: false,
            next_mid: 0,
            wanted: 0,
        }
    }

    /// Media can flow. To a client that is gone it must not: its address may be somebody else's by now
    /// (RFC 7675, section 5.1).
    pub(crate) fn is_connected(&self) -> bool {
        self.dtls_connected && self.state != TransportState::Failed
    }

    pub(crate) fn peer(&mut self) -> Option<&mut Peer> {
        self.peer.as_mut()
    }

    /// The encrypted side, made when it is first needed: by then it is known how a receiver estimates.
    pub(crate) fn open(&mut self, identity: &Identity, capabilities: Option<&RtpCapabilities>, now: Instant) -> &mut Peer {
        let (direction, meanings) = (self.direction, &self.meanings);
        self.peer.get_or_insert_with(|| match direction {
            Direction::Send => Peer::receiving(identity, meanings, now),
            Direction::Recv => {
                let transport_cc = capabilities.is_none_or(|capabilities| transport_needs(capabilities).transport_cc);
                let estimation = if transport_cc { Estimation::TransportCc } else { Estimation::Receiver };
                Peer::sending(identity, estimation, now)
            }
        })
    }

    /// Takes the client's DTLS parameters, once.
    pub(crate) fn connect(&mut self, identity: &Identity, dtls: &DtlsParameters, now: Instant) -> Result<(), Error> {
        if self.connect_called {
            return Err(Error::new(ErrorCode::InvalidState).with("reason", "the transport is connected already"));
        }
        self.open(identity, None, now).connect(dtls)?;
        self.connect_called = true;
        Ok(())
    }

    /// Takes over the extension ids a producer uses; they must agree with those of the others.
    pub(crate) fn learn_extensions(&mut self, rtp: &RtpParameters) -> Result<(), Error> {
        let others = !self.producers.is_empty();
        let known = || rtp.header_extensions.iter().filter_map(|e| Meaning::of(&e.uri).map(|meaning| (e.id, meaning)));
        if others && known().any(|(id, meaning)| self.meanings.get(id).is_some_and(|used| used != meaning)) {
            return Err(Error::invalid(
                "rtpParameters.headerExtensions",
                "an id means something else in another producer of the transport",
            ));
        }
        known().for_each(|(id, meaning)| self.meanings.set(id, Some(meaning)));
        Ok(())
    }

    /// Gives it a datagram that is not STUN. What becomes of it shows in the outputs.
    pub(crate) fn receive(&mut self, bytes: &[u8], now: Instant) -> Received {
        let Some(peer) = &mut self.peer else { return Received::Refused };
        if is_rtp_or_rtcp(bytes) && !header::is_rtcp(bytes) {
            let Some(ssrc) = header::ssrc(bytes) else { return Received::Refused };
            // SSRC 0 carries probes of the sender's bandwidth: feedback, and nothing else.
            if ssrc != 0 {
                match self.receive.find(ssrc, || header::stream_names(bytes, &self.meanings)) {
                    Found::Known => {}
                    Found::Learned { stream, dropped } => {
                        dropped.into_iter().for_each(|ssrc| peer.forget_stream(ssrc));
                        peer.expect_stream(stream.section, stream.of.layer, stream.ssrc, stream.rtx, true);
                    }
                    Found::Nothing => return Received::UnknownStream,
                }
            }
        }
        if peer.receive(bytes, now) { Received::Taken } else { Received::Refused }
    }

    pub(crate) fn dtls_connected(&mut self) {
        self.dtls_connected = true;
    }

    pub(crate) fn closed(&mut self) {
        self.closed = true;
    }

    /// Where it stands at `now`.
    pub(crate) fn current_state(&self, now: Instant) -> TransportState {
        if self.closed {
            return TransportState::Failed;
        }
        match self.ice.liveness(now) {
            Liveness::Unknown => TransportState::New,
            Liveness::Gone => TransportState::Failed,
            Liveness::Silent => TransportState::Disconnected,
            Liveness::Alive if self.dtls_connected => TransportState::Connected,
            Liveness::Alive => TransportState::Connecting,
        }
    }

    /// A name for the next media section. Never used twice: a late packet of a closed section finds nothing.
    pub(crate) fn next_mid(&mut self) -> String {
        let mid = self.next_mid.to_string();
        self.next_mid = self.next_mid.wrapping_add(1);
        mid
    }

    /// Tells the estimator what could be sent; only when it changed enough to matter.
    pub(crate) fn want(&mut self, bitrate: u64) {
        let changed = bitrate.abs_diff(self.wanted) * 100 > self.wanted * WANT_STEP_PERCENT;
        if let Some(peer) = self.peer.as_mut().filter(|_| changed && self.direction == Direction::Recv) {
            self.wanted = bitrate;
            peer.want(bitrate);
        }
    }

    pub(crate) fn hold_up(&mut self, now: Instant) {
        self.hold_up_until = Some(now + HOLD_AFTER_DOWN);
    }
}

/// What became of a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Received {
    Taken,
    /// Not for what this transport is doing, or not authentic.
    Refused,
    /// RTP of no producer.
    UnknownStream,
}
