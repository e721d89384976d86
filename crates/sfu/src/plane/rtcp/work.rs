//! What reports make us do, counted in steps: whatever a client sends, and however much of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_proto::ids::{ConsumerId, ProducerId, RouterId, TransportId};
use parlor_proto::media::{MediaCommand, MediaEvent, MediaKind, Origin, Source};
use parlor_proto::rtp::{RtcpParameters, RtpCodecParameters, RtpEncoding, RtpParameters};
use parlor_proto::transport::{Direction, Protocol};

use crate::ortc::router_capabilities;
use crate::plane::Sfu;
use crate::plane::config::{LocalCandidate, SfuConfig};
use crate::plane::stats::{SfuStats, Work};
use crate::table::TransportIndex;
use crate::wire::rtcp::Builder;

/// What is saved up, and what is earned in the second that a flood lasts.
const SECONDS: u64 = 3;
/// A datagram at most.
const MTU: usize = 1_400;

struct Receiver {
    sfu: Sfu,
    index: TransportIndex,
    ssrc: u32,
    now: Instant,
}

impl Receiver {
    /// The receiver of a camera, to which so many packets were sent.
    fn new(sent: usize) -> Self {
        let now = parlor_testkit::clock::Clock::new().now();
        let candidate = LocalCandidate { protocol: Protocol::Udp, address: ([10, 0, 0, 1], 7_401).into() };
        let mut sfu = Sfu::new(SfuConfig::new(vec![candidate]), now).expect("an sfu");
        let (router, producer) = (RouterId::from_random(1), ProducerId::from_random(2));
        let [sends, receives] = [3, 4].map(TransportId::from_random);
        let capabilities = Arc::new(router_capabilities());
        let consumer = ConsumerId::from_random(5);
        let rtp = Arc::new(camera());
        let origin = Origin { transport: sends, kind: MediaKind::Video, rtp: Arc::clone(&rtp), paused: false };
        for command in [
            MediaCommand::CreateRouter,
            MediaCommand::CreateTransport { transport: sends, direction: Direction::Send },
            MediaCommand::CreateTransport { transport: receives, direction: Direction::Recv },
            MediaCommand::Produce {
                transport: sends,
                producer,
                kind: MediaKind::Video,
                source: Source::Camera,
                rtp,
                paused: false,
                max_bitrate: 2_500_000,
            },
            MediaCommand::Consume { transport: receives, consumer, producer, origin, capabilities, paused: false },
        ] {
            sfu.handle_command(router, command, now);
        }
        let consumed = std::iter::from_fn(|| sfu.poll_event()).find_map(|(_, event)| match event {
            MediaEvent::Consumed { rtp, .. } => rtp.encodings.first().and_then(|encoding| encoding.ssrc),
            _ => None,
        });
        let index = sfu.transport_ids[&(router, receives)];
        let mut this = Self { sfu, index, ssrc: consumed.expect("consumed"), now };
        this.send(sent);
        this
    }

    fn send(&mut self, packets: usize) {
        let transport = self.sfu.transports.get_mut(self.index).expect("there");
        let bandwidth = transport.bandwidth.as_mut().expect("estimates");
        (0..packets).for_each(|_| _ = bandwidth.sent(1_000, self.now, None));
    }

    /// Takes so many equal datagrams, over a second.
    fn flood(&mut self, datagrams: u64, datagram: &[u8]) -> SfuStats {
        assert!(datagram.len() <= MTU, "{}", datagram.len());
        for number in 0..datagrams {
            let at = self.now + Duration::from_micros(number * 1_000_000 / datagrams);
            self.sfu.take_reports(self.index, datagram, at);
        }
        self.sfu.stats()
    }
}

fn camera() -> RtpParameters {
    let codec = RtpCodecParameters {
        mime_type: "video/VP8".to_owned(),
        payload_type: 96,
        clock_rate: 90_000,
        channels: None,
        parameters: Default::default(),
        rtcp_feedback: Vec::new(),
    };
    RtpParameters {
        mid: Some("0".to_owned()),
        codecs: vec![codec],
        header_extensions: Vec::new(),
        encodings: vec![RtpEncoding { ssrc: Some(1_111), ..RtpEncoding::default() }],
        rtcp: RtcpParameters::default(),
    }
}

/// Feedback from `base` on of one run of so many lost packets: 24 bytes.
fn lost_run(base: u16, count: u16) -> Vec<u8> {
    let mut bytes = vec![0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2];
    bytes.extend(base.to_be_bytes());
    bytes.extend(count.to_be_bytes());
    bytes.extend([0, 0, 1, 1]);
    bytes.extend((count & 0x1fff).to_be_bytes());
    bytes.extend([0, 0]);
    bytes
}

#[test]
fn a_run_of_packets_that_were_never_sent_is_passed_over_in_one_step() {
    let mut receiver = Receiver::new(0);
    let stats = receiver.flood(15_000, &lost_run(0, 8_191));
    assert_eq!(stats.work.statuses, 0);
    // Of a hundred that were sent only they are looked at, wherever the run begins.
    receiver.send(100);
    receiver.now += Duration::from_secs(60);
    for (base, looked_at) in [(0, 100), (50, 50), (65_000, 100), (100, 0), (60_000, 100)] {
        let before = receiver.sfu.stats().work.statuses;
        let stats = receiver.flood(1, &lost_run(base, 8_191));
        assert_eq!(stats.work.statuses - before, looked_at, "from {base} on");
    }
}

#[test]
fn feedback_makes_us_look_at_ten_thousand_packets_a_second_and_no_more() {
    let mut receiver = Receiver::new(4_096);
    let stats = receiver.flood(15_000, &lost_run(0, 8_191));
    assert!((10_000..=SECONDS * 10_000).contains(&stats.work.statuses), "{:?}", stats.work);
    assert!(stats.drops.over_reports > 10_000, "{:?}", stats.drops);
    // It is for a while, not for ever.
    receiver.now += Duration::from_secs(5);
    let before = stats.work.statuses;
    assert!(receiver.flood(1, &lost_run(0, 4_000)).work.statuses - before >= 4_000);
}

#[test]
fn nacks_make_us_look_for_four_thousand_numbers_a_second_and_no_more() {
    let mut receiver = Receiver::new(100);
    let mut nack = vec![0x81, 205, 0, 0, 0, 0, 0, 1];
    nack.extend(receiver.ssrc.to_be_bytes());
    nack.resize(MTU, 0xff);
    let words = u16::try_from(nack.len() / 4 - 1).expect("short");
    nack[2..4].copy_from_slice(&words.to_be_bytes());
    // Nothing is looked for of who gets no repairs.
    assert!(nack.len() / 4 * 17 > 5_000);
    let Some(consumer) = receiver.sfu.consumers.values_mut().next() else { panic!("consumes") };
    consumer.fixed.rtx = Some(crate::consumer::RtxStream { ssrc: 9, payload_type: 97 });
    let stats = receiver.flood(15_000, &nack);
    assert!((4_000..=SECONDS * 4_000 + 15_000).contains(&stats.work.nacked), "{:?}", stats.work);
    assert!(stats.work.nacked <= SECONDS * 4_000 + stats.drops.over_reports, "one step each tells that it was too much");
}

#[test]
fn report_blocks_and_requests_for_key_frames_are_read_four_thousand_times_a_second_and_no_more() {
    let mut receiver = Receiver::new(100);
    let block = crate::wire::rtcp::ReportBlock { ssrc: receiver.ssrc, fraction_lost: 9, lost: 77, ..Default::default() };
    let mut reports = Vec::new();
    for _ in 0..1 {
        Builder::new(&mut reports, 1).receiver_report(&[block; 31]);
    }
    let mut fir = vec![0x84, 206, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    (0..170_u32).for_each(|_| fir.extend([receiver.ssrc.to_be_bytes(), [1, 0, 0, 0]].concat()));
    let words = u16::try_from(fir.len() / 4 - 1).expect("short");
    fir[2..4].copy_from_slice(&words.to_be_bytes());
    let mut pli = vec![0x81, 206, 0, 2, 0, 0, 0, 1];
    pli.extend(receiver.ssrc.to_be_bytes());
    let plis = pli.repeat(100);
    let remb = {
        let mut remb = Vec::new();
        Builder::new(&mut remb, 1).remb(1_000_000, &[receiver.ssrc]);
        remb.repeat(50)
    };
    let sender_reports = [[0x80, 200, 0, 6].as_slice(), &[7; 24]].concat().repeat(50);
    let byes = [0x81, 203, 0, 1, 0, 0, 0, 7].repeat(150);
    for datagram in [reports, fir, plis, remb, sender_reports, byes] {
        let kind = datagram[1];
        let before = receiver.sfu.stats();
        receiver.now += Duration::from_secs(10);
        let stats = receiver.flood(15_000, &datagram);
        let steps = stats.work.report_items - before.work.report_items;
        let refused = stats.drops.over_reports - before.drops.over_reports;
        assert!(steps <= SECONDS * 4_000 + refused, "{steps} steps of {kind}");
        assert!(steps >= 10_000, "{steps} steps of {kind}");
        assert!(stats.work.statuses == 0 && stats.work.nacked == 0);
    }
}

#[test]
fn what_we_do_not_read_costs_nothing_and_no_more_than_a_thousand_datagrams_a_second_are_opened_up() {
    let mut receiver = Receiver::new(100);
    // Descriptions (202), an application's own (204), extended reports (207) and what does not exist yet.
    for kind in [202, 204, 207, 209] {
        let before = receiver.sfu.stats();
        receiver.now += Duration::from_secs(10);
        let stats = receiver.flood(15_000, &[0x81, kind, 0, 2, 0, 0, 0, 1, 1, 2, 3, 4].repeat(100));
        assert_eq!(stats.work, before.work, "{kind}");
        assert!(15_000 - (stats.drops.over_reports - before.drops.over_reports) <= SECONDS * 1_000, "{kind}");
    }
}

#[test]
fn an_honest_receiver_of_a_large_room_is_never_refused() {
    let mut receiver = Receiver::new(0);
    let block = crate::wire::rtcp::ReportBlock { ssrc: receiver.ssrc, ..Default::default() };
    for tick in 0..600_u64 {
        // 50 Mbit/s, reported on twenty times a second; NACKs for a tenth of it; four reports of 31 blocks.
        receiver.send(250);
        receiver.now += Duration::from_millis(50);
        let base = u16::try_from(250 * tick % 65_536).expect("small");
        let mut reports = Vec::new();
        Builder::new(&mut reports, 1).receiver_report(&[block; 31]);
        Builder::resume(&mut reports, 1).nack(receiver.ssrc, &[base, base.wrapping_add(20), base.wrapping_add(90)]);
        let stats = receiver.flood(1, &lost_run(base, 250));
        assert_eq!(stats.drops.over_reports, 0);
        assert_eq!(receiver.flood(4, &reports).drops.over_reports, 0);
    }
    let Work { statuses, .. } = receiver.sfu.stats().work;
    assert_eq!(statuses, 600 * 250);
}
