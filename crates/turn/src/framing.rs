//! Where a message ends on a stream (RFC 8656, section 3.1 and 12.5): a STUN message says how long it is, and so does
//! ChannelData, which is padded to a multiple of four bytes.

use crate::limits::MAX_MESSAGE;
use crate::wire::{CHANNEL_HEADER, CHANNELS, COOKIE, STUN_HEADER};

/// Takes whole messages off the front of a buffer; false if what is there cannot be one, or is longer than any may be. Then the
/// place of the next message is not known either, and the connection is of no use any more.
#[must_use]
pub fn split(buffer: &mut Vec<u8>, mut take: impl FnMut(&[u8])) -> bool {
    let mut rest = buffer.as_slice();
    let in_order = loop {
        let (len, padded) = match length(rest) {
            Length::Known { len, padded } => (len, padded),
            Length::Unknown => break true,
            Length::Wrong => break false,
        };
        let Some((message, after)) = rest.split_at_checked(padded) else { break true };
        take(message.get(..len).unwrap_or_default());
        rest = after;
    };
    let done = buffer.len() - rest.len();
    buffer.drain(..done);
    in_order
}

enum Length {
    Known {
        len: usize,
        padded: usize,
    },
    /// Too little has come to tell.
    Unknown,
    Wrong,
}

fn length(bytes: &[u8]) -> Length {
    // Each byte is looked at as soon as it is there: what is no message is not waited for.
    let Some(first) = bytes.first() else { return Length::Unknown };
    let is_stun = *first < 4;
    if !is_stun && !(CHANNELS.start().to_be_bytes()[0]..=CHANNELS.end().to_be_bytes()[0]).contains(first) {
        return Length::Wrong;
    }
    let cookie = bytes.get(4..).unwrap_or_default();
    if is_stun && cookie.iter().zip(COOKIE).any(|(byte, expected)| *byte != expected) {
        return Length::Wrong;
    }
    let Some([_, _, high, low]) = bytes.first_chunk() else { return Length::Unknown };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let len = length + if is_stun { STUN_HEADER } else { CHANNEL_HEADER };
    match len {
        _ if is_stun && !length.is_multiple_of(4) => Length::Wrong,
        ..=MAX_MESSAGE => Length::Known { len, padded: len.next_multiple_of(4) },
        _ => Length::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message() -> impl Strategy<Value = Vec<u8>> {
        let stun = prop::collection::vec(any::<u8>(), 0..80).prop_map(|body| {
            let len = u16::try_from(body.len() * 4).expect("short");
            let mut message = vec![0, 1];
            message.extend(len.to_be_bytes());
            message.extend(COOKIE);
            message.extend([9; 12]);
            message.extend(body.iter().flat_map(|byte| [*byte; 4]));
            message
        });
        let channel = (0x4000u16..0x8000, prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(number, data)| {
            let len = u16::try_from(data.len()).expect("short");
            [&number.to_be_bytes(), &len.to_be_bytes(), &data[..]].concat()
        });
        prop_oneof![stun, channel]
    }

    proptest! {
        #[test]
        fn messages_survive_any_fragmentation_and_padding_is_no_part_of_them(
            messages in prop::collection::vec(message(), 0..8), cut in 1usize..60
        ) {
            let mut stream = Vec::new();
            for message in &messages {
                stream.extend(message);
                stream.resize(stream.len().next_multiple_of(4), 0xee);
            }
            let (mut buffer, mut read) = (Vec::new(), Vec::new());
            for piece in stream.chunks(cut) {
                buffer.extend_from_slice(piece);
                prop_assert!(split(&mut buffer, |message| read.push(message.to_vec())));
            }
            prop_assert_eq!(read, messages);
            prop_assert!(buffer.is_empty());
        }
    }

    #[test]
    fn what_is_no_message_ends_the_connection_at_once() {
        for wrong in [
            &b"GET / HTTP/1.1\r\n"[..],
            &[0x16, 0x03, 0x01],                   // a TLS hello on a plain port
            &[0x20, 0, 0, 0],                      // neither
            &[0x80, 0, 0, 0],                      // RTP
            &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x43], // another cookie
            &[0, 1, 0, 0, 0x22],                   // the first byte of another cookie
            &[0, 1, 0, 3],                         // no multiple of four
            &[0, 1, 0x08, 0x00],                   // longer than any message may be
            &[0x40, 0, 0x07, 0xfd],                // the same of a channel
        ] {
            assert!(!split(&mut wrong.to_vec(), |_| panic!("nothing is whole")), "{wrong:x?}");
        }
    }

    #[test]
    fn a_message_that_was_cut_off_is_waited_for() {
        for (begun, len) in [(&[][..], 0), (&[0, 1], 2), (&[0x40, 0, 0x07, 0xfc, 1, 2], 6), (&[0x40, 0, 0, 1, 9, 0, 0], 7)] {
            let mut buffer = begun.to_vec();
            assert!(split(&mut buffer, |_| panic!("it is not whole")));
            assert_eq!(buffer.len(), len);
        }
    }
}
