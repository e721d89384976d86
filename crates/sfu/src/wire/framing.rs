//! The framing of media over TCP (RFC 4571): every packet behind its length.

/// A frame, in bytes: media, STUN and DTLS keep below the MTU of a UDP path. Longer means not WebRTC.
pub const MAX_FRAME: usize = 2048;

/// Takes whole frames off the front of a buffer; false if one is longer than any frame may be. Empty ones are skipped.
#[must_use]
pub fn split(buffer: &mut Vec<u8>, mut take: impl FnMut(&[u8])) -> bool {
    let mut rest = buffer.as_slice();
    while let Some((head, tail)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*head));
        if length > MAX_FRAME {
            return false;
        }
        let Some((frame, after)) = tail.split_at_checked(length) else { break };
        if !frame.is_empty() {
            take(frame);
        }
        rest = after;
    }
    let done = buffer.len() - rest.len();
    buffer.drain(..done);
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frames_survive_any_fragmentation(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..8), cut in 1usize..50) {
            let stream: Vec<u8> = frames.iter().flat_map(|f| u16::try_from(f.len()).expect("short").to_be_bytes().into_iter().chain(f.iter().copied())).collect();
            let (mut buffer, mut read) = (Vec::new(), Vec::new());
            for piece in stream.chunks(cut) {
                buffer.extend_from_slice(piece);
                prop_assert!(split(&mut buffer, |frame| read.push(frame.to_vec())));
            }
            prop_assert_eq!(read, frames);
            prop_assert!(buffer.is_empty());
        }
    }

    #[test]
    fn a_frame_longer_than_any_ends_the_connection() {
        assert!(!split(&mut vec![0xff, 0xff, 0], |_| ()));
    }
}
