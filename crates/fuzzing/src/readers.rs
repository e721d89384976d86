//! Arbitrary bytes for what reads packets: one target for each format.

use parlor_sfu::{framing, fuzzing};

use crate::bytes::Bytes;
use crate::common::origin;
use crate::stun as checks;

/// RTP headers and their extensions.
pub fn rtp(data: &[u8]) {
    fuzzing::rtp(data);
}

/// RTCP of every kind.
pub fn rtcp(data: &[u8]) {
    fuzzing::rtcp(data);
}

/// A stream, what of it is repeated by its repair stream, and what is asked for.
pub fn rtx(data: &[u8]) {
    fuzzing::rtx(data, origin());
}

/// The dependency descriptors of an AV1 stream.
pub fn descriptor(data: &[u8]) {
    fuzzing::descriptor(data);
}

/// A stream of VP8, VP9, H264 or AV1, described, selected from and numbered anew.
pub fn stream(data: &[u8]) {
    fuzzing::stream(data, origin());
}

/// Sound with redundancy.
pub fn red(data: &[u8]) {
    fuzzing::red(data);
}

/// STUN: the bytes as they are, and a check by somebody without the password that they change.
pub fn stun(data: &[u8]) {
    fuzzing::stun(data);
    let mut bytes = Bytes::new(data);
    let mut message = checks::binding_request("ufrag:client", "another password", [bytes.byte(); 12]);
    while !bytes.is_empty() {
        let (at, value) = (bytes.below(message.len().max(1)), bytes.byte());
        if let Some(byte) = message.get_mut(at) {
            *byte ^= value;
        }
        fuzzing::stun(&message);
    }
}

/// The framing of media over TCP: cut into pieces at will, the same frames come out, and no more is kept than one can have.
pub fn framing(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else { return };
    let (mut whole, mut pieces) = (Vec::new(), Vec::new());
    let in_order = framing::split(&mut stream.to_vec(), |frame| whole.push(frame.to_vec()));
    let mut unread = Vec::new();
    let mut still = true;
    for piece in stream.chunks(usize::from(*cut) + 1) {
        unread.extend_from_slice(piece);
        still = framing::split(&mut unread, |frame| pieces.push(frame.to_vec()));
        if !still {
            break;
        }
        assert!(unread.len() < framing::MAX_FRAME + 2, "a whole frame is kept");
    }
    assert_eq!((still, &pieces), (in_order, &whole), "the cuts change what is read");
    assert!(whole.iter().all(|frame| !frame.is_empty() && frame.len() <= framing::MAX_FRAME));
    let written: usize = whole.iter().map(|frame| frame.len() + 2).sum();
    assert!(written <= stream.len(), "more comes out than went in");
}
