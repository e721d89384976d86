//! Which incoming SSRC is which layer of which producer, on one transport.
//!
//! An SSRC that was not signaled is found by mid and rid in the header. Nobody has authenticated these yet, so
//! finding changes nothing; a stream is adopted when a packet of it could be opened.

use std::collections::VecDeque;

use parlor_proto::rtp::RtpParameters;

use super::ssrc::SsrcMap;
use crate::producer::receive_stream::ReceiveStream;
use crate::table::{ProducerIndex, StreamIndex, Table};
use crate::wire::extension::Values;
use crate::wire::srtp::Replay;

/// A layer of a producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LayerOf {
    pub(crate) producer: ProducerIndex,
    pub(crate) layer: u8,
}

/// Ended streams whose numbers are remembered. A client that begins a stream of each layer anew at every moment
/// would reach it in minutes; the oldest is forgotten then.
const MAX_ENDED: usize = 64;

/// First sent, or repeated (RFC 4588).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Media,
    Repair,
}

/// A stream that arrives.
pub(crate) struct Stream {
    pub(crate) of: LayerOf,
    pub(crate) ssrc: u32,
    rtx: Option<u32>,
    pub(crate) received: ReceiveStream,
    replay: Replay,
    repair_replay: Option<Box<Replay>>,
}

impl Stream {
    fn new(of: LayerOf, ssrc: u32, rtx: Option<u32>, format: Format) -> Self {
        let received = ReceiveStream::new(format.clock_rate, format.repairs);
        Self { of, ssrc, rtx, received, replay: Replay::default(), repair_replay: None }
    }

    pub(crate) fn replay(&mut self, part: Part) -> &mut Replay {
        match part {
            Part::Media => &mut self.replay,
            Part::Repair => self.repair_replay.get_or_insert_default(),
        }
    }
}

/// What the streams of a producer have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    pub(crate) clock_rate: u32,
    /// Lost packets are asked for again.
    pub(crate) repairs: bool,
}

struct Announced {
    producer: ProducerIndex,
    mid: Option<String>,
    rids: Vec<String>,
    format: Format,
}

/// Which stream a packet belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// A known stream.
    Known(StreamIndex, Part),
    /// A stream that was announced by name; to be adopted once a packet of it could be opened.
    New(LayerOf, Part),
    /// No stream of this transport.
    Nothing,
}

/// A stream that ended. Its numbers are remembered as long as the keys: else its packets could be played again, and it
/// could not go on (RFC 3711, section 3.3.2).
struct Ended {
    ssrc: u32,
    replay: Replay,
    /// Another has its place: it is not to come back.
    replaced: bool,
}

/// The incoming streams of one transport.
#[derive(Default)]
pub(crate) struct ReceiveTable {
    /// Streams that ended, the oldest first.
    ended: VecDeque<Ended>,
    announced: Vec<Announced>,
    streams: Table<StreamIndex, Stream>,
    by_ssrc: SsrcMap<(StreamIndex, Part)>,
}

impl ReceiveTable {
    /// Whether another producer of the transport has the mid or one of the SSRCs.
    pub(crate) fn conflict(&self, rtp: &RtpParameters) -> Option<&'static str> {
        if rtp.mid.is_some() && self.announced.iter().any(|other| other.mid == rtp.mid) {
            return Some("rtpParameters.mid");
        }
        let taken = |ssrc: u32| self.by_ssrc.get(ssrc).is_some();
        let clash = rtp.encodings.iter().any(|e| e.ssrc.is_some_and(taken) || e.rtx.is_some_and(|rtx| taken(rtx.ssrc)));
        clash.then_some("rtpParameters.encodings")
    }

    /// Adds a producer, and the streams whose SSRC it signaled.
    pub(crate) fn add(&mut self, producer: ProducerIndex, rtp: &RtpParameters, format: Format) {
        let rids = rtp.encodings.iter().filter_map(|encoding| encoding.rid.clone()).collect();
        self.announced.push(Announced { producer, mid: rtp.mid.clone(), rids, format });
        for (layer, encoding) in (0_u8..).zip(&rtp.encodings) {
            if let Some(ssrc) = encoding.ssrc {
                let rtx = encoding.rtx.map(|rtx| rtx.ssrc);
                self.insert(Stream::new(LayerOf { producer, layer }, ssrc, rtx, format));
            }
        }
    }

    /// Forgets a producer and its streams.
    pub(crate) fn remove(&mut self, producer: ProducerIndex) {
        self.announced.retain(|announced| announced.producer != producer);
        let gone: Vec<StreamIndex> = self.streams.iter().filter(|(_, s)| s.of.producer == producer).map(|(slot, _)| slot).collect();
        gone.into_iter().for_each(|slot| self.drop_stream(slot, false));
    }

    /// Finds the stream of a packet that is not opened yet.
    pub(crate) fn find<'a>(&self, ssrc: u32, names: impl FnOnce() -> Values<'a>) -> Found {
        if let Some((slot, part)) = self.by_ssrc.get(ssrc) {
            return Found::Known(slot, part);
        }
        if self.ended.iter().any(|ended| ended.ssrc == ssrc && ended.replaced) {
            return Found::Nothing;
        }
        let names = names();
        let Some(announced) = names.mid.and_then(|mid| self.announced.iter().find(|a| a.mid.as_deref() == Some(mid))) else {
            return Found::Nothing;
        };
        let producer = announced.producer;
        let layer = |rid: &str| (0_u8..).zip(&announced.rids).find(|(_, known)| *known == rid).map(|(layer, _)| layer);
        match (names.repaired_rid.and_then(layer), names.rid.and_then(layer)) {
            // Repairs of a layer of which nothing arrived yet have nothing to be tied to.
            (Some(layer), _) if self.slot(LayerOf { producer, layer }).is_some() => Found::New(LayerOf { producer, layer }, Part::Repair),
            (None, Some(layer)) => Found::New(LayerOf { producer, layer }, Part::Media),
            _ => Found::Nothing,
        }
    }

    /// The numbers of a stream found by name, if there was one of its SSRC before.
    pub(crate) fn replay_of(&self, ssrc: u32) -> Option<&Replay> {
        self.ended.iter().find(|ended| ended.ssrc == ssrc).map(|ended| &ended.replay)
    }

    /// Takes over a stream found by name. Returns its number, and whether it replaces another of the layer.
    pub(crate) fn adopt(&mut self, of: LayerOf, part: Part, ssrc: u32) -> Option<(StreamIndex, bool)> {
        let old = self.slot(of);
        if part == Part::Repair {
            let replay = self.resume(ssrc);
            let stream = self.streams.get_mut(old?)?;
            let before = stream.rtx.replace(ssrc).zip(stream.repair_replay.replace(Box::new(replay)));
            if let Some((before, replay)) = before {
                self.by_ssrc.remove(before);
                self.end(before, *replay, true);
            }
            self.by_ssrc.insert(ssrc, (old?, Part::Repair));
            return Some((old?, false));
        }
        let format = self.announced.iter().find(|announced| announced.producer == of.producer)?.format;
        if let Some(old) = old {
            self.drop_stream(old, true);
        }
        Some((self.insert(Stream::new(of, ssrc, None, format)), old.is_some()))
    }

    pub(crate) fn stream(&mut self, slot: StreamIndex) -> Option<&mut Stream> {
        self.streams.get_mut(slot)
    }

    /// The stream with this SSRC of its own, not that of its repairs.
    pub(crate) fn by_ssrc(&mut self, ssrc: u32) -> Option<&mut Stream> {
        let (slot, part) = self.by_ssrc.get(ssrc)?;
        self.streams.get_mut(slot).filter(|_| part == Part::Media)
    }

    pub(crate) fn streams(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.streams.values_mut()
    }

    /// The SSRC of a layer, once known.
    pub(crate) fn ssrc(&self, of: LayerOf) -> Option<u32> {
        self.slot(of).and_then(|slot| self.streams.get(slot)).map(|stream| stream.ssrc)
    }

    /// Any stream that is known.
    pub(crate) fn any_ssrc(&self) -> Option<u32> {
        self.streams.values().next().map(|stream| stream.ssrc)
    }

    fn slot(&self, of: LayerOf) -> Option<StreamIndex> {
        self.streams.iter().find(|(_, stream)| stream.of == of).map(|(slot, _)| slot)
    }

    fn insert(&mut self, mut stream: Stream) -> StreamIndex {
        let (ssrc, rtx) = (stream.ssrc, stream.rtx);
        stream.replay = self.resume(ssrc);
        stream.repair_replay = rtx.map(|rtx| Box::new(self.resume(rtx)));
        let slot = self.streams.insert(stream);
        self.by_ssrc.insert(ssrc, (slot, Part::Media));
        if let Some(rtx) = rtx {
            self.by_ssrc.insert(rtx, (slot, Part::Repair));
        }
        slot
    }

    fn drop_stream(&mut self, slot: StreamIndex, replaced: bool) {
        if let Some(stream) = self.streams.remove(slot) {
            self.by_ssrc.remove(stream.ssrc);
            self.end(stream.ssrc, stream.replay, replaced);
            if let Some((rtx, replay)) = stream.rtx.zip(stream.repair_replay) {
                self.by_ssrc.remove(rtx);
                self.end(rtx, *replay, replaced);
            }
        }
    }

    fn end(&mut self, ssrc: u32, replay: Replay, replaced: bool) {
        // One of which nothing came has no numbers.
        if replay != Replay::default() {
            if self.ended.len() >= MAX_ENDED {
                self.ended.pop_front();
            }
            self.ended.push_back(Ended { ssrc, replay, replaced });
        }
    }

    /// The numbers of a stream that begins: those it had before, if it did.
    fn resume(&mut self, ssrc: u32) -> Replay {
        let at = self.ended.iter().position(|ended| ended.ssrc == ssrc);
        at.and_then(|at| self.ended.remove(at)).map(|ended| ended.replay).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use parlor_proto::rtp::{RtcpParameters, RtpEncoding};

    use super::*;
    use crate::table::Index;

    const FORMAT: Format = Format { clock_rate: 90_000, repairs: true };
    fn producer() -> ProducerIndex {
        ProducerIndex::at(0)
    }

    fn layer() -> LayerOf {
        LayerOf { producer: producer(), layer: 0 }
    }

    /// Of one producer with one layer, known by its name.
    fn table() -> ReceiveTable {
        let mut table = ReceiveTable::default();
        table.add(producer(), &named(None), FORMAT);
        table
    }

    fn named(ssrc: Option<u32>) -> RtpParameters {
        let encoding = RtpEncoding { rid: Some("r0".to_owned()), ssrc, ..RtpEncoding::default() };
        RtpParameters {
            mid: Some("1".to_owned()),
            codecs: Vec::new(),
            header_extensions: Vec::new(),
            encodings: vec![encoding],
            rtcp: RtcpParameters::default(),
        }
    }

    fn find(table: &ReceiveTable, ssrc: u32) -> Found {
        table.find(ssrc, || Values { mid: Some("1"), rid: Some("r0"), ..Values::default() })
    }

    fn find_repair(table: &ReceiveTable, ssrc: u32) -> Found {
        table.find(ssrc, || Values { mid: Some("1"), repaired_rid: Some("r0"), ..Values::default() })
    }

    /// A stream of which a packet arrived.
    fn adopt(table: &mut ReceiveTable, part: Part, ssrc: u32, number: u64) {
        let (slot, _) = table.adopt(layer(), part, ssrc).expect("adopted");
        table.stream(slot).expect("there").replay(part).accept(number);
    }

    #[test]
    fn a_stream_that_was_replaced_is_not_found_again_by_its_name() {
        let mut table = table();
        adopt(&mut table, Part::Media, 7, 100);
        adopt(&mut table, Part::Media, 8, 100);
        assert_eq!(find(&table, 7), Found::Nothing);
        assert_eq!(find(&table, 9), Found::New(layer(), Part::Media), "another one is");
    }

    #[test]
    fn a_repair_stream_that_was_replaced_is_not_found_again_by_its_name() {
        let mut table = table();
        adopt(&mut table, Part::Media, 7, 100);
        adopt(&mut table, Part::Repair, 17, 100);
        adopt(&mut table, Part::Repair, 18, 100);
        assert_eq!(find_repair(&table, 17), Found::Nothing);
        assert_eq!(find_repair(&table, 19), Found::New(layer(), Part::Repair));
        // With its stream goes the last one, too.
        adopt(&mut table, Part::Media, 8, 100);
        assert_eq!(find_repair(&table, 18), Found::Nothing);
    }

    #[test]
    fn numbers_of_a_stream_go_on_when_its_producer_is_there_again() {
        let (round, mut table) = (3_u64 << 16, table());
        adopt(&mut table, Part::Media, 7, round + 5);
        adopt(&mut table, Part::Repair, 17, round + 6);
        table.remove(producer());
        // By its name, and by a signaled SSRC.
        table.add(producer(), &named(None), FORMAT);
        assert_eq!(find(&table, 7), Found::New(layer(), Part::Media), "its end was not that of another's beginning");
        let replay = table.replay_of(7).expect("remembered");
        assert_eq!((replay.guess(6), replay.is_new(round + 5)), (round + 6, false));
        table.adopt(layer(), Part::Media, 7).expect("adopted");
        table.adopt(layer(), Part::Repair, 17).expect("adopted");
        let Found::Known(slot, _) = find(&table, 7) else { panic!("not there") };
        let stream = table.stream(slot).expect("there");
        assert!(!stream.replay(Part::Media).is_new(round + 5) && !stream.replay(Part::Repair).is_new(round + 6));
        table.remove(producer());
        table.add(producer(), &named(Some(7)), FORMAT);
        let Found::Known(slot, _) = find(&table, 7) else { panic!("not there") };
        assert_eq!(table.stream(slot).expect("there").replay(Part::Media).guess(6), round + 6);
    }

    #[test]
    fn the_oldest_of_too_many_ended_streams_is_forgotten() {
        let (last, mut table) = (2 * MAX_ENDED as u32, table());
        (1..=last).for_each(|ssrc| adopt(&mut table, Part::Media, ssrc, 100));
        assert_eq!(table.ended.len(), MAX_ENDED);
        assert!(table.replay_of(last - 1).is_some() && table.replay_of(last - MAX_ENDED as u32).is_some());
        assert!(table.replay_of(last - MAX_ENDED as u32 - 1).is_none());
    }

    #[test]
    fn streams_of_which_nothing_came_drive_out_no_others() {
        let mut table = table();
        adopt(&mut table, Part::Media, 7, 100);
        table.remove(producer());
        for ssrc in 1_000..1_200 {
            table.add(producer(), &named(Some(ssrc)), FORMAT);
            table.remove(producer());
        }
        assert!(table.replay_of(7).is_some());
    }
}
