//! What a producer may send, and how often that may be passed on: the last resort against a sender that does not listen.
//!
//! The sender is told its bitrate when it joins, by REMB, and by what is reported lost. What is held against the limit is
//! all that its packets are on the wire, because that is what each of its receivers is sent.

use std::time::Instant;

use parlor_proto::media::MediaKind;

use crate::budget::Budget;

/// IPv4 and UDP; IPv6 has 20 bytes more.
pub(crate) const CARRIER: usize = 20 + 8;
/// What a packet has beside its payload: the fixed header (12), extensions as browsers send them (up to 24), the longest
/// tag (16), UDP and IP.
const OVERHEAD: u64 = 80;

/// Encoders miss their target by some tens of percent for seconds; only what is clearly beyond is dropped.
const SOUND_TOLERANCE_PERCENT: u64 = 150;
/// What encoders of pictures may exceed their target by, with a tenth for the headers of packets of usual size and for repairs.
const PICTURE_TOLERANCE_PERCENT: u64 = 160;
/// Redundancy (RFC 2198) as browsers send it has everything twice.
const REDUNDANT_TIMES: u64 = 2;
/// Opus in the shortest packets a browser makes, of 10 ms.
const SOUND_PACKETS: u64 = 100;
/// Packets of sound that pass: half as many more, as bytes have a tolerance.
const SOUND_PACKETS_TOLERATED: u64 = 150;
/// Sixty frames a second in three layers have 180 packets, however small they are.
const FRAMES: u64 = 200;
/// The packets of large frames are of 1,000 bytes and more; whose are a little more than half of that on average still loses none.
const PICTURE_PACKET: u64 = 600;
const USUAL_PACKET: u64 = 1_000;
/// What is not limited where it is measured (a mirror's was, on another thread) is taken to be a camera of 8 Mbit/s.
const MIRRORED_PACKETS: u64 = 1_200;
/// Packets to receivers a second: at about 2.5 µs each a seventh of a core for one producer. A camera of 2.5 Mbit/s is about 300 a second for
/// each receiver.
const SENDINGS: u64 = 60_000;
/// Key frames of all layers at once, a ramp-up, or what a network held back for so long.
const BURST_SECONDS: u64 = 2;
/// What is sent at once keeps others waiting: half a second's worth.
const SENDINGS_BURST_DIVISOR: u64 = 2;
/// Whatever the limit is, a few full packets must pass.
const MIN_BURST_BYTES: u64 = 16 * 1_500;
/// Redundancy is the first that goes: below this share of what can be saved up, it is not passed on.
const SPARE_DIVISOR: u64 = 4;
/// The packet after one that was dropped passes on credit, up to this share. Opus repairs one lost packet out of the next
/// (in-band FEC), and conceals it otherwise; of two in a row it can repair one.
const CREDIT_DIVISOR: u64 = 4;

/// What a packet costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// What the packet takes on the wire.
    pub(crate) bytes: usize,
    /// How many receivers the packet goes to.
    pub(crate) receivers: usize,
}

/// What may be used beyond what was saved up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Credit {
    None,
    /// A frame passes whole or not at all, and how large it is shows at its end only: what it goes on with may be owed, as
    /// much as may be saved up.
    Frame,
    /// Losses of sound are to be spread.
    AfterLoss,
}

/// The limit of one producer.
#[derive(Debug)]
pub(crate) struct Limit {
    kind: MediaKind,
    redundant: bool,
    bytes: Budget,
    packets: Budget,
    sendings: Budget,
    /// Packets a second of an honest sender: as many each receiver may be sent, however many there are.
    usual: u64,
}

impl Limit {
    /// `None` if it was held to its limit elsewhere.
    pub(crate) fn new(kind: MediaKind, redundant: bool, max_bitrate: Option<u32>, now: Instant) -> Self {
        let rates = Rates::of(kind, redundant, max_bitrate);
        let sendings = SENDINGS / SENDINGS_BURST_DIVISOR;
        Self {
            kind,
            redundant,
            bytes: Budget::new(rates.bytes, rates.bytes_at_once(), now),
            packets: Budget::new(rates.packets, rates.packets.saturating_mul(BURST_SECONDS), now),
            sendings: Budget::new(SENDINGS, sendings, now),
            usual: rates.usual,
        }
    }

    /// Another bitrate from now on.
    pub(crate) fn change(&mut self, max_bitrate: u32, now: Instant) {
        let rates = Rates::of(self.kind, self.redundant, Some(max_bitrate));
        self.bytes.change(rates.bytes, rates.bytes_at_once(), now);
        self.packets.change(rates.packets, rates.packets.saturating_mul(BURST_SECONDS), now);
        self.usual = rates.usual;
    }

    /// Packets a second that pass, at the most.
    pub(crate) const fn packets(&self) -> u64 {
        self.packets.per_second()
    }

    /// Whether a packet passes.
    pub(crate) fn admit(&mut self, cost: Cost, credit: Credit, now: Instant) -> bool {
        let (bytes, receivers) = (cost.bytes as u64, cost.receivers as u64);
        let sendings = SENDINGS.max(self.usual.saturating_mul(receivers));
        if sendings != self.sendings.per_second() {
            self.sendings.change(sendings, sendings / SENDINGS_BURST_DIVISOR, now);
        }
        let owed = |budget: &Budget| match credit {
            Credit::None => 0,
            Credit::Frame => budget.at_once(),
            Credit::AfterLoss => budget.at_once() / CREDIT_DIVISOR,
        };
        let fits = self.bytes.fits(bytes, owed(&self.bytes), now)
            && self.packets.fits(1, owed(&self.packets), now)
            && self.sendings.fits(receivers, owed(&self.sendings), now);
        if fits {
            self.bytes.spend(bytes);
            self.packets.spend(1);
            self.sendings.spend(receivers);
        }
        fits
    }

    /// Whether there is so much to spare that redundancy may be passed on as well.
    pub(crate) fn has_spare(&mut self, bytes: usize, now: Instant) -> bool {
        self.bytes.left(now) >= (bytes as u64).saturating_add(self.bytes.at_once() / SPARE_DIVISOR)
    }
}

/// What a producer may send a second.
struct Rates {
    bytes: u64,
    packets: u64,
    usual: u64,
}

impl Rates {
    fn of(kind: MediaKind, redundant: bool, max_bitrate: Option<u32>) -> Self {
        let payload = |tolerance: u64| max_bitrate.map(|bits| u64::from(bits) * tolerance / 100 / 8);
        let unlimited = u64::from(u32::MAX);
        match kind {
            MediaKind::Audio => {
                let times = if redundant { REDUNDANT_TIMES } else { 1 };
                let bytes = payload(SOUND_TOLERANCE_PERCENT).map(|payload| payload * times + SOUND_PACKETS * OVERHEAD);
                let packets = if bytes.is_some() { SOUND_PACKETS_TOLERATED } else { unlimited };
                Self { bytes: bytes.unwrap_or(unlimited), packets, usual: SOUND_PACKETS_TOLERATED }
            }
            MediaKind::Video => match payload(PICTURE_TOLERANCE_PERCENT) {
                Some(bytes) => Self { bytes, packets: bytes / PICTURE_PACKET + FRAMES, usual: bytes / USUAL_PACKET + FRAMES },
                None => Self { bytes: unlimited, packets: unlimited, usual: MIRRORED_PACKETS },
            },
        }
    }

    fn bytes_at_once(&self) -> u64 {
        self.bytes.saturating_mul(BURST_SECONDS).max(MIN_BURST_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FREE: u32 = 32_000;
    const CAMERA: u32 = 2_500_000;

    fn start() -> Instant {
        parlor_testkit::clock::Clock::new().now()
    }

    fn limit(kind: MediaKind, max_bitrate: u32) -> Limit {
        Limit::new(kind, false, Some(max_bitrate), start())
    }

    /// Which packets of so many pass, sent so many milliseconds apart.
    fn passed(limit: &mut Limit, packets: u64, every_ms: u64, bytes: usize, receivers: usize) -> Vec<bool> {
        let now = start();
        let mut lost = false;
        let mut admit = |number: u64| {
            let credit = if lost { Credit::AfterLoss } else { Credit::None };
            let passes = limit.admit(Cost { bytes, receivers }, credit, now + Duration::from_millis(number * every_ms));
            lost = !passes;
            passes
        };
        (0..packets).map(&mut admit).collect()
    }

    fn lost(passed: &[bool]) -> usize {
        passed.iter().filter(|passed| !**passed).count()
    }

    fn longest_hole(passed: &[bool]) -> usize {
        passed.split(|passed| *passed).map(<[bool]>::len).max().unwrap_or(0)
    }

    #[test]
    fn an_honest_sender_of_sound_loses_nothing() {
        for (max_bitrate, every_ms) in [(32_000, 10), (32_000, 20), (64_000, 10), (64_000, 20), (64_000, 60)] {
            // Half as much more than it should, with all that browsers put around it.
            let payload = usize::try_from(u64::from(max_bitrate) * every_ms * 3 / 2 / 8_000).expect("small");
            let passed = passed(&mut limit(MediaKind::Audio, max_bitrate), 10_000, every_ms, payload + 80, 24);
            assert_eq!(lost(&passed), 0, "{max_bitrate} at {every_ms} ms");
        }
    }

    #[test]
    fn losses_of_sound_are_spread() {
        // 96 and 128 kbit/s at the limit of 32: 20 ms each, and 78 bytes around them.
        for (payload, most_percent) in [(240, 13), (320, 30)] {
            let passed = passed(&mut limit(MediaKind::Audio, FREE), 3_000, 20, payload + 78, 7);
            let percent = lost(&passed) * 100 / passed.len();
            assert!(percent <= most_percent, "{percent} % of {payload} bytes");
            assert_eq!(longest_hole(&passed), 1, "of {payload} bytes");
        }
    }

    #[test]
    fn losses_of_sound_are_spread_also_when_packets_differ() {
        let now = start();
        let mut limit = limit(MediaKind::Audio, FREE);
        let (mut hole, mut longest, mut lost) = (0_usize, 0, 0);
        for number in 0..10_000_u64 {
            // Words of a second of large packets, and pauses of half a second of small ones: 128 kbit/s on average.
            let payload = if number % 75 < 50 { 450 } else { 60 };
            let credit = if hole > 0 { Credit::AfterLoss } else { Credit::None };
            match limit.admit(Cost { bytes: payload + 78, receivers: 7 }, credit, now + Duration::from_millis(20 * number)) {
                true => hole = 0,
                false => (hole, lost) = (hole + 1, lost + 1),
            }
            longest = longest.max(hole);
        }
        assert!((1_500..5_000).contains(&lost), "{lost}");
        assert_eq!(longest, 1);
    }

    #[test]
    fn however_small_packets_are_no_more_than_so_many_pass() {
        for (kind, max_bitrate, most) in [(MediaKind::Audio, FREE, 150), (MediaKind::Video, CAMERA, 1_034)] {
            let mut limit = limit(kind, max_bitrate);
            let seconds = 10;
            let passed = passed(&mut limit, seconds * 1_000, 1, 1 + 12 + 16 + 28, 1);
            let admitted = passed.len() - lost(&passed);
            let most = usize::try_from(most * (seconds + BURST_SECONDS)).expect("small") + 100;
            assert!(admitted <= most, "{admitted} of {most}");
        }
    }

    #[test]
    fn however_many_receivers_there_are_one_producer_is_passed_on_so_often_and_no_more() {
        let mut limit = limit(MediaKind::Video, CAMERA);
        let passed = passed(&mut limit, 10_000, 1, 300, 100);
        let sendings = (passed.len() - lost(&passed)) * 100;
        assert!(sendings <= 10 * 70_000 + 35_000 + 2_500, "{sendings}");
        // An honest camera is passed on whole, to 500 as well.
        let mut limit = self::limit(MediaKind::Video, CAMERA);
        assert_eq!(lost(&self::passed(&mut limit, 4_000, 3, 1_000, 500)), 0);
    }

    #[test]
    fn a_mirror_has_a_bound_of_its_own_whatever_crosses() {
        let now = start();
        let at = |packet: u64| now + Duration::from_micros(100 * packet);
        // Ten thousand packets a second for ten: to few receivers as often as elsewhere, to many 1,200 packets to each.
        for (receivers, a_second) in [(1, 10_000), (30, SENDINGS), (100, 100 * MIRRORED_PACKETS)] {
            let mut mirror = Limit::new(MediaKind::Video, false, None, now);
            let cost = Cost { bytes: 0, receivers };
            let passed = (0..100_000).filter(|packet| mirror.admit(cost, Credit::None, at(*packet))).count() as u64;
            let (sendings, saved_up) = (passed * receivers as u64, a_second / SENDINGS_BURST_DIVISOR);
            assert!(sendings <= 10 * a_second + saved_up + receivers as u64, "{sendings} to {receivers}");
            assert!(sendings >= 10 * a_second - receivers as u64, "{sendings} to {receivers}");
        }
    }

    #[test]
    fn a_sender_far_over_its_limit_is_held_near_it() {
        let mut limit = limit(MediaKind::Video, 1_000_000);
        let seconds = 20;
        let passed = passed(&mut limit, seconds * 1_000, 1, 1_250, 1);
        let bytes = (passed.len() - lost(&passed)) as u64 * 1_250;
        let allowed = 1_000_000 / 8 * PICTURE_TOLERANCE_PERCENT / 100 * (seconds + BURST_SECONDS);
        let credit = 1_000_000 / 8 * PICTURE_TOLERANCE_PERCENT / 100;
        assert!(bytes <= allowed + credit && bytes > allowed / 2, "{bytes} of {allowed}");
    }

    #[test]
    fn a_lower_limit_holds_at_once_and_gives_no_new_burst() {
        let now = start();
        let mut limit = limit(MediaKind::Video, 1_000_000);
        let cost = Cost { bytes: 1_250, receivers: 1 };
        while limit.admit(cost, Credit::None, now) {}
        limit.change(100_000, now);
        assert!(!limit.admit(cost, Credit::None, now));
        let admitted = (0..10_000).filter(|ms| limit.admit(cost, Credit::None, now + Duration::from_millis(*ms))).count() as u64;
        let allowed = 100_000 / 8 * PICTURE_TOLERANCE_PERCENT / 100 * 10;
        assert!(admitted * 1_250 <= allowed + 1_250, "{admitted} of {allowed} bytes");
    }

    #[test]
    fn what_goes_on_may_owe_no_more_than_a_burst() {
        let now = start();
        let mut limit = limit(MediaKind::Video, 1_000_000);
        let burst = 1_000_000 / 8 * PICTURE_TOLERANCE_PERCENT / 100 * BURST_SECONDS;
        let cost = Cost { bytes: 1_250, receivers: 1 };
        let passed = (0..10_000).filter(|_| limit.admit(cost, Credit::Frame, now)).count() as u64 * 1_250;
        assert_eq!(passed, 2 * burst, "what was saved up, and as much again");
        let paid = now + Duration::from_secs(BURST_SECONDS);
        assert!(!limit.admit(Cost { bytes: 1, receivers: 1 }, Credit::None, paid), "what is owed is paid before something begins");
        assert!(limit.admit(cost, Credit::None, paid + Duration::from_millis(10)));
    }
}
