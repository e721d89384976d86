//! Which incoming SSRC is which layer of which producer, on one transport.
//!
//! An SSRC that was not signaled is found by mid and rid in the header. Nobody has authenticated these yet, so
//! finding changes nothing; a stream is adopted when a packet of it could be opened.

use parlor_proto::rtp::RtpParameters;
use slab::Slab;

use super::ssrc::SsrcMap;
use crate::extension::Values;
use crate::incoming::Incoming;
use crate::srtp::Replay;

/// A layer of a producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LayerOf {
    pub(crate) producer: usize,
    pub(crate) layer: u8,
}

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
    pub(crate) incoming: Incoming,
    replay: Replay,
    repair_replay: Option<Box<Replay>>,
}

impl Stream {
    fn new(of: LayerOf, ssrc: u32, rtx: Option<u32>, format: Format) -> Self {
        Self {
            of,
            ssrc,
            rtx,
            incoming: Incoming::new(format.clock_rate, format.repairs),
            replay: Replay::default(),
            repair_replay: rtx.map(|_| Box::default()),
        }
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
    producer: usize,
    mid: Option<String>,
    rids: Vec<String>,
    format: Format,
}

/// Which stream a packet belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// A known one, by its number in the table.
    Known(usize, Part),
    /// One that was announced by name; to be adopted once a packet of it could be opened.
    New(LayerOf, Part),
    /// None.
    Nothing,
}

/// The incoming streams of one transport.
#[derive(Default)]
pub(crate) struct ReceiveTable {
    announced: Vec<Announced>,
    streams: Slab<Stream>,
    by_ssrc: SsrcMap<(usize, Part)>,
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
    pub(crate) fn add(&mut self, producer: usize, rtp: &RtpParameters, format: Format) {
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
    pub(crate) fn remove(&mut self, producer: usize) {
        self.announced.retain(|announced| announced.producer != producer);
        let gone: Vec<usize> = self.streams.iter().filter(|(_, s)| s.of.producer == producer).map(|(slot, _)| slot).collect();
        gone.into_iter().for_each(|slot| self.drop_stream(slot));
    }

    /// Finds the stream of a packet that is not opened yet.
    pub(crate) fn find<'a>(&self, ssrc: u32, names: impl FnOnce() -> Values<'a>) -> Found {
        if let Some((slot, part)) = self.by_ssrc.get(ssrc) {
            return Found::Known(slot, part);
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

    /// Takes over a stream found by name. Returns its number, and whether it replaces another of the layer.
    pub(crate) fn adopt(&mut self, of: LayerOf, part: Part, ssrc: u32) -> Option<(usize, bool)> {
        let old = self.slot(of);
        if part == Part::Repair {
            let stream = self.streams.get_mut(old?)?;
            if let Some(before) = stream.rtx.replace(ssrc) {
                self.by_ssrc.remove(before);
            }
            stream.repair_replay = Some(Box::default());
            self.by_ssrc.insert(ssrc, (old?, Part::Repair));
            return Some((old?, false));
        }
        let format = self.announced.iter().find(|announced| announced.producer == of.producer)?.format;
        if let Some(old) = old {
            self.drop_stream(old);
        }
        Some((self.insert(Stream::new(of, ssrc, None, format)), old.is_some()))
    }

    pub(crate) fn stream(&mut self, slot: usize) -> Option<&mut Stream> {
        self.streams.get_mut(slot)
    }

    /// The stream with this SSRC of its own, not that of its repairs.
    pub(crate) fn by_ssrc(&mut self, ssrc: u32) -> Option<&mut Stream> {
        let (slot, part) = self.by_ssrc.get(ssrc)?;
        self.streams.get_mut(slot).filter(|_| part == Part::Media)
    }

    pub(crate) fn streams(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.streams.iter_mut().map(|(_, stream)| stream)
    }

    /// The SSRC of a layer, once known.
    pub(crate) fn ssrc(&self, of: LayerOf) -> Option<u32> {
        self.slot(of).and_then(|slot| self.streams.get(slot)).map(|stream| stream.ssrc)
    }

    /// Any stream that is known.
    pub(crate) fn any_ssrc(&self) -> Option<u32> {
        self.streams.iter().next().map(|(_, stream)| stream.ssrc)
    }

    fn slot(&self, of: LayerOf) -> Option<usize> {
        self.streams.iter().find(|(_, stream)| stream.of == of).map(|(slot, _)| slot)
    }

    fn insert(&mut self, stream: Stream) -> usize {
        let (ssrc, rtx) = (stream.ssrc, stream.rtx);
        let slot = self.streams.insert(stream);
        self.by_ssrc.insert(ssrc, (slot, Part::Media));
        if let Some(rtx) = rtx {
            self.by_ssrc.insert(rtx, (slot, Part::Repair));
        }
        slot
    }

    fn drop_stream(&mut self, slot: usize) {
        if let Some(stream) = self.streams.try_remove(slot) {
            self.by_ssrc.remove(stream.ssrc);
            if let Some(rtx) = stream.rtx {
                self.by_ssrc.remove(rtx);
            }
        }
    }
}
