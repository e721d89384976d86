//! Which incoming SSRC is which layer of which producer, on one transport.
//!
//! An SSRC that was not signaled is learned from mid and rid in the header, which nobody has authenticated
//! yet. So what is learned is only a candidate until a packet of it could be decrypted; candidates are few,
//! and replace nothing.

use parlor_proto::rtp::RtpParameters;

use super::header::StreamNames;
use super::peer::Section;

/// Candidates of one layer. One is right; a forger may add another, which is dropped when the right one is proven.
const MAX_CANDIDATES: usize = 3;

/// A layer of a producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LayerOf {
    pub(crate) producer: usize,
    pub(crate) layer: u8,
}

/// A stream that packets may belong to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    pub(crate) of: LayerOf,
    pub(crate) section: Section,
    pub(crate) ssrc: u32,
    pub(crate) rtx: Option<u32>,
    /// A packet of it was decrypted, or it was signaled.
    proven: bool,
}

/// What a producer announced.
#[derive(Debug)]
struct Announced {
    producer: usize,
    section: Section,
    mid: Option<String>,
    rids: Vec<String>,
}

/// What to do about a packet's SSRC.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    /// It is known.
    Known,
    /// It is a candidate from now on, and so str0m is to be told.
    Learned { stream: Stream, dropped: Option<u32> },
    /// It belongs to nothing.
    Nothing,
}

/// The incoming streams of one transport.
#[derive(Debug, Default)]
pub(crate) struct ReceiveTable {
    announced: Vec<Announced>,
    streams: Vec<Stream>,
}

impl ReceiveTable {
    /// Whether another producer of the transport has the mid or one of the SSRCs.
    pub(crate) fn conflict(&self, rtp: &RtpParameters) -> Option<&'static str> {
        if rtp.mid.is_some() && self.announced.iter().any(|other| other.mid == rtp.mid) {
            return Some("rtpParameters.mid");
        }
        let taken = |ssrc: u32| self.streams.iter().any(|stream| stream.ssrc == ssrc || stream.rtx == Some(ssrc));
        let clash = rtp.encodings.iter().any(|e| e.ssrc.is_some_and(taken) || e.rtx.is_some_and(|rtx| taken(rtx.ssrc)));
        clash.then_some("rtpParameters.encodings")
    }

    /// Adds a producer; the streams whose SSRC it signaled are returned.
    pub(crate) fn add(&mut self, producer: usize, section: Section, rtp: &RtpParameters) -> Vec<Stream> {
        let rids = rtp.encodings.iter().filter_map(|encoding| encoding.rid.clone()).collect();
        self.announced.push(Announced { producer, section, mid: rtp.mid.clone(), rids });
        let signaled: Vec<Stream> = (0_u8..)
            .zip(&rtp.encodings)
            .filter_map(|(layer, encoding)| {
                let (of, rtx) = (LayerOf { producer, layer }, encoding.rtx.map(|rtx| rtx.ssrc));
                encoding.ssrc.map(|ssrc| Stream { of, section, ssrc, rtx, proven: true })
            })
            .collect();
        self.streams.extend(&signaled);
        signaled
    }

    pub(crate) fn remove(&mut self, producer: usize) -> Option<Section> {
        self.streams.retain(|stream| stream.of.producer != producer);
        let at = self.announced.iter().position(|announced| announced.producer == producer)?;
        Some(self.announced.swap_remove(at).section)
    }

    /// Finds the stream of a packet that is not decrypted yet.
    pub(crate) fn find<'a>(&mut self, ssrc: u32, names: impl FnOnce() -> StreamNames<'a>) -> Found {
        if self.streams.iter().any(|stream| stream.ssrc == ssrc || stream.rtx == Some(ssrc)) {
            return Found::Known;
        }
        let names = names();
        let Some(announced) = names.mid.and_then(|mid| self.announced.iter().find(|a| a.mid.as_deref() == Some(mid))) else {
            return Found::Nothing;
        };
        let layer = |rid: &str| (0_u8..).zip(&announced.rids).find(|(_, known)| *known == rid).map(|(layer, _)| layer);
        let (section, producer) = (announced.section, announced.producer);
        match (names.repaired_rid.and_then(layer), names.rid.and_then(layer)) {
            (Some(layer), _) => self.learn_repair(LayerOf { producer, layer }, ssrc),
            (None, Some(layer)) => self.learn_media(LayerOf { producer, layer }, section, ssrc),
            (None, None) => Found::Nothing,
        }
    }

    /// Repairs of a layer whose own SSRC is not proven yet have nothing to be tied to.
    fn learn_repair(&mut self, of: LayerOf, ssrc: u32) -> Found {
        match self.streams.iter_mut().find(|stream| stream.of == of && stream.proven) {
            Some(stream) => {
                stream.rtx = Some(ssrc);
                Found::Learned { stream: *stream, dropped: None }
            }
            None => Found::Nothing,
        }
    }

    fn learn_media(&mut self, of: LayerOf, section: Section, ssrc: u32) -> Found {
        let candidates = self.streams.iter().filter(|stream| stream.of == of && !stream.proven).count();
        let oldest = self.streams.iter().position(|stream| stream.of == of && !stream.proven);
        let dropped = oldest.filter(|_| candidates >= MAX_CANDIDATES).map(|at| self.streams.remove(at).ssrc);
        let stream = Stream { of, section, ssrc, rtx: None, proven: false };
        self.streams.push(stream);
        Found::Learned { stream, dropped }
    }

    /// A packet with this SSRC was decrypted: which layer it is, and which other SSRCs of the layer that ends.
    pub(crate) fn proven(&mut self, ssrc: u32) -> Option<(LayerOf, Vec<u32>)> {
        let stream = self.streams.iter_mut().find(|stream| stream.ssrc == ssrc)?;
        let of = stream.of;
        if stream.proven {
            return Some((of, Vec::new()));
        }
        stream.proven = true;
        let replaced = self.streams.iter().filter(|other| other.of == of && other.ssrc != ssrc).map(|other| other.ssrc).collect();
        self.streams.retain(|other| other.of != of || other.ssrc == ssrc);
        Some((of, replaced))
    }

    /// The SSRC of a layer, once known.
    pub(crate) fn ssrc(&self, of: LayerOf) -> Option<u32> {
        self.streams.iter().find(|stream| stream.of == of && stream.proven).map(|stream| stream.ssrc)
    }

    /// Any stream that is known.
    pub(crate) fn any_ssrc(&self) -> Option<u32> {
        self.streams.iter().find(|stream| stream.proven).map(|stream| stream.ssrc)
    }
}
