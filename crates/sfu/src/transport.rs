//! One client connection for one direction: its ICE side, its encrypted side, and what it carries.

pub(crate) mod allowance;
pub(crate) mod demux;
mod handshake;
mod ice;
mod receive;
pub(crate) mod send_buffer;
mod ssrc;
pub(crate) mod timers;

use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use parlor_proto::error::{Error, ErrorCode};
use parlor_proto::ids::TransportId;
use parlor_proto::rtp::{RtpCapabilities, RtpParameters};
use parlor_proto::transport::{Direction, DtlsParameters, TransportFailure, TransportState};

pub(crate) use handshake::{Handshake, HandshakeOutput, Identity, SrtpKeys};
pub(crate) use ice::{Check, Credentials, Ice, Liveness, Path};
pub(crate) use receive::{Format, Found, LayerOf, Part, ReceiveTable, Stream};
pub(crate) use ssrc::SsrcMap;

use crate::audio::receiver_loss::ReceiverLoss;
use crate::bandwidth::Bandwidth;
use crate::budget::Budget;
use crate::ortc::transport_needs;
use crate::producer::receive_stream::Recorder;
use crate::producer::sender_clock::SenderClock;
use crate::table::{ConsumerIndex, ProducerIndex, RouterIndex};
use crate::transport::allowance::Allowances;
use crate::transport::send_buffer::Destination;
use crate::wire::extension::{ExtensionKind, ExtensionMap};
use crate::wire::srtp::{Opener, Replay, Sealer};

/// Characters of 5 bits that name a sender.
const CNAME_CHARS: usize = 20;

/// After layers had to go down, how long until they may go up again: an estimate that just fell often
/// rises too high before it settles.
const HOLD_AFTER_DOWN: Duration = Duration::from_secs(4);
/// What a new receiver is assumed to have room for, until its feedback says otherwise: sound, and the smallest
/// layer of a camera or two. Probes find out within a second that there is more; the other way round, a slow link would
/// be flooded for seconds.
const INITIAL_ESTIMATE: u64 = 300_000;
/// Every new wish may start probes; measured bitrates waver by less than this.
const WANT_STEP_PERCENT: u64 = 15;

/// Packets a second of a transport besides what its producers may send: probes of its bandwidth, which are padding.
const OTHER_PACKETS: u64 = 500;
/// What a network held back comes at once.
const PACKETS_BURST_SECONDS: u64 = 2;
/// Names of media sections are numbers for who reads them as such: with `000` that reader would write another name than ours. From here
/// on they have one length, for 900 of them: packets of one length to one receiver leave as one message.
const FIRST_MID: u32 = 100;

/// The keys of an established connection.
pub(crate) struct Secure {
    pub(crate) sealer: Sealer,
    pub(crate) opener: Opener,
}

/// A connection to a client, in one direction of media.
pub(crate) struct Transport {
    pub(crate) id: TransportId,
    /// Index of its router.
    pub(crate) router: RouterIndex,
    pub(crate) direction: Direction,
    pub(crate) ice: Ice,
    pub(crate) state: TransportState,
    /// Indexes of what it carries.
    pub(crate) producers: Vec<ProducerIndex>,
    pub(crate) consumers: Vec<ConsumerIndex>,
    /// The consumers of pictures: in a large room far fewer than all, and the only ones that have layers and key frames.
    pub(crate) pictures: Vec<ConsumerIndex>,
    pub(crate) receive: ReceiveTable,
    /// Which consumer an SSRC of ours is.
    pub(crate) sent: SsrcMap<ConsumerIndex>,
    /// Names the streams of this client to their receivers; made here, so that it cannot imitate another's.
    pub(crate) cname: String,
    /// Our own name in RTCP of a transport on which we send nothing else.
    pub(crate) ssrc: u32,
    /// When its entry among the timers is due.
    pub(crate) scheduled: Option<Instant>,
    pub(crate) secure: Option<Box<Secure>>,
    /// Where to send, kept in step with what ICE selected.
    pub(crate) destination: Option<Destination>,
    pub(crate) extension_map: ExtensionMap,
    /// What arrived, by transport-wide numbers.
    pub(crate) recorder: Recorder,
    /// Counts the reports of that.
    pub(crate) feedback_number: u8,
    /// How the clock of this sender runs against ours.
    pub(crate) clock: SenderClock,
    /// The numbers of bandwidth probes that belong to no stream (SSRC 0).
    pub(crate) probe_replay: Option<Box<Replay>>,
    /// Estimates what the receiver has room for; there once it is sent pictures.
    pub(crate) bandwidth: Option<Box<Bandwidth>>,
    /// How much of its sound the receiver loses.
    pub(crate) loss: ReceiverLoss,
    /// What the receiver itself says it has room for (REMB).
    pub(crate) remb: Option<u64>,
    pub(crate) hold_up_until: Option<Instant>,
    pub(crate) limit_sent: Option<Instant>,
    /// RTP packets that are looked at, once they are authentic.
    pub(crate) packets: Budget,
    /// What it may make us do by reports and checks.
    pub(crate) allowances: Allowances,
    /// Something of it was more than it may send, since its limit was told.
    pub(crate) was_cut: bool,
    pub(crate) next_report: Option<Instant>,
    handshake: Handshake,
    transport_cc: bool,
    connect_called: bool,
    failure: Option<TransportFailure>,
    next_mid: u32,
    last_ssrc: u32,
    wanted: u64,
}

impl Transport {
    pub(crate) fn new(id: TransportId, router: RouterIndex, direction: Direction, identity: &Identity, now: Instant) -> Self {
        Self {
            id,
            router,
            direction,
            ice: Ice::new(Credentials::random()),
            state: TransportState::New,
            producers: Vec::new(),
            consumers: Vec::new(),
            pictures: Vec::new(),
            receive: ReceiveTable::default(),
            sent: SsrcMap::default(),
            cname: cname(id),
            ssrc: rand::random(),
            scheduled: None,
            secure: None,
            destination: None,
            extension_map: ExtensionMap::default(),
            recorder: Recorder::new(),
            feedback_number: 0,
            clock: SenderClock::default(),
            probe_replay: None,
            bandwidth: None,
            loss: ReceiverLoss::default(),
            remb: None,
            hold_up_until: None,
            limit_sent: None,
            packets: Budget::new(OTHER_PACKETS, OTHER_PACKETS * PACKETS_BURST_SECONDS, now),
            allowances: Allowances::new(now),
            was_cut: false,
            next_report: None,
            handshake: Handshake::new(identity, now),
            transport_cc: false,
            connect_called: false,
            failure: None,
            next_mid: FIRST_MID,
            last_ssrc: rand::random(),
            wanted: 0,
        }
    }

    /// Media can flow. To a client that is gone it must not: its address may be somebody else's by now
    /// (RFC 7675, section 5.1).
    pub(crate) fn is_connected(&self) -> bool {
        self.secure.is_some() && self.state != TransportState::Failed
    }

    /// Whether it would wait longer for its next turn than until then.
    pub(crate) fn has_turn_after(&self, at: Instant) -> bool {
        self.scheduled.is_none_or(|scheduled| at < scheduled)
    }

    pub(crate) fn handshake(&mut self) -> &mut Handshake {
        &mut self.handshake
    }

    /// Takes the client's DTLS parameters, once.
    pub(crate) fn connect(&mut self, dtls: &DtlsParameters, now: Instant) -> Result<(), Error> {
        if self.connect_called {
            return Err(Error::new(ErrorCode::InvalidState).with("reason", "the transport is connected already"));
        }
        self.handshake.start(dtls, now)?;
        self.connect_called = true;
        Ok(())
    }

    /// The handshake is done.
    pub(crate) fn secured(&mut self, keys: &SrtpKeys) {
        let sealer = Sealer::new(keys.profile, &keys.local_key, &keys.local_salt);
        let opener = Opener::new(keys.profile, &keys.remote_key, &keys.remote_salt);
        match sealer.zip(opener) {
            Some((sealer, opener)) => self.secure = Some(Box::new(Secure { sealer, opener })),
            None => self.failed(TransportFailure::Server),
        }
    }

    /// The transport failed for good; the first reason stays.
    pub(crate) fn failed(&mut self, reason: TransportFailure) {
        self.failure.get_or_insert(reason);
    }

    /// Why it failed, if it did.
    pub(crate) fn failure(&self) -> Option<TransportFailure> {
        // Nothing else makes it fail.
        (self.state == TransportState::Failed).then(|| self.failure.unwrap_or(TransportFailure::Silent))
    }

    /// Takes over the extension ids a producer uses; they must agree with those of the others.
    pub(crate) fn learn_extensions(&mut self, rtp: &RtpParameters) -> Result<(), Error> {
        let others = !self.producers.is_empty();
        let known = || rtp.header_extensions.iter().filter_map(|e| ExtensionKind::of(&e.uri).map(|meaning| (e.id, meaning)));
        if others && known().any(|(id, meaning)| self.extension_map.get(id).is_some_and(|used| used != meaning)) {
            return Err(Error::invalid(
                "rtpParameters.headerExtensions",
                "an id means something else in another producer of the transport",
            ));
        }
        known().for_each(|(id, meaning)| self.extension_map.set(id, Some(meaning)));
        Ok(())
    }

    /// Notes how the receiver estimates, and begins to estimate if it is to get pictures.
    pub(crate) fn prepare_estimation(&mut self, capabilities: &RtpCapabilities, pictures: bool, now: Instant) {
        if self.consumers.is_empty() {
            self.transport_cc = transport_needs(capabilities).transport_cc;
        }
        if pictures && self.transport_cc && self.bandwidth.is_none() {
            self.bandwidth = Some(Box::new(Bandwidth::new(INITIAL_ESTIMATE, now)));
        }
    }

    /// What its producers may send in all, in packets a second.
    pub(crate) fn allow(&mut self, packets: u64, now: Instant) {
        let all = packets.saturating_add(OTHER_PACKETS);
        self.packets.change(all, all.saturating_mul(PACKETS_BURST_SECONDS), now);
    }

    /// What its client has room for, in bit/s.
    pub(crate) fn estimate(&self) -> u64 {
        self.bandwidth.as_ref().map(|bandwidth| bandwidth.estimate()).or(self.remb).unwrap_or(INITIAL_ESTIMATE)
    }

    /// Follows what ICE selected; `number` tells the new destination from all others.
    pub(crate) fn follow_path(&mut self, number: u32) {
        let path = self.ice.selected();
        if self.destination.map(|destination| destination.path) != path {
            self.destination = path.map(|path| Destination { number, path });
        }
    }

    /// Where it stands at `now`.
    pub(crate) fn current_state(&self, now: Instant) -> TransportState {
        if self.failure.is_some() {
            return TransportState::Failed;
        }
        match self.ice.liveness(now) {
            Liveness::Unknown => TransportState::New,
            Liveness::Gone => TransportState::Failed,
            Liveness::Silent => TransportState::Disconnected,
            Liveness::Alive if self.secure.is_some() => TransportState::Connected,
            Liveness::Alive => TransportState::Connecting,
        }
    }

    /// The SSRC for the next stream to the client. Never used twice, not after its stream ended either: the keys stay, and
    /// numbers begin anew (RFC 7714, section 8.1). Zero is for probes.
    pub(crate) fn next_ssrc(&mut self) -> u32 {
        self.last_ssrc = self.last_ssrc.checked_add(1).unwrap_or(1);
        self.last_ssrc
    }

    /// A name for the next media section. Never used twice: a late packet of a closed section finds nothing.
    pub(crate) fn next_mid(&mut self) -> String {
        let mid = self.next_mid.to_string();
        self.next_mid = self.next_mid.wrapping_add(1);
        mid
    }

    /// Tells the estimator what could be sent; only when it changed enough to matter.
    pub(crate) fn want(&mut self, bitrate: u64, now: Instant) {
        let changed = bitrate.abs_diff(self.wanted) * 100 > self.wanted * WANT_STEP_PERCENT;
        if let Some(bandwidth) = self.bandwidth.as_mut().filter(|_| changed) {
            self.wanted = bitrate;
            bandwidth.want(bitrate, now);
        }
    }

    pub(crate) fn hold_up(&mut self, now: Instant) {
        self.hold_up_until = Some(now + HOLD_AFTER_DOWN);
    }
}

/// What names the sender of a transport to receivers, on every thread that knows the transport's id; it does not tell the
/// id. RFC 7022 asks for 96 bits.
pub(crate) fn cname(transport: TransportId) -> String {
    let hash = digest::digest(&digest::SHA256, transport.to_wire().as_bytes());
    hash.as_ref().iter().take(CNAME_CHARS).map(|byte| ice::letter(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use parlor_testkit::clock::Clock;

    use super::*;
    use crate::table::Index;

    #[test]
    fn names_of_media_sections_can_be_read_as_numbers_and_have_one_length() {
        let identity = Identity::new().expect("a certificate");
        let mut transport = Transport::new(TransportId::from_random(1), RouterIndex::at(0), Direction::Recv, &identity, Clock::new().now());
        let mids: Vec<String> = (0..900).map(|_| transport.next_mid()).collect();
        assert!(mids.iter().all(|mid| mid.len() == 3 && mid.parse::<u32>().expect("a number").to_string() == *mid));
        assert_eq!(mids.iter().collect::<std::collections::HashSet<_>>().len(), 900);
    }

    #[test]
    fn ssrcs_are_counted_past_the_last_one_and_zero_is_left_out() {
        let identity = Identity::new().expect("a certificate");
        let mut transport = Transport::new(TransportId::from_random(1), RouterIndex::at(0), Direction::Recv, &identity, Clock::new().now());
        transport.last_ssrc = u32::MAX - 2;
        let next = [(); 5].map(|()| transport.next_ssrc());
        assert_eq!(next, [u32::MAX - 1, u32::MAX, 1, 2, 3]);
    }
}
