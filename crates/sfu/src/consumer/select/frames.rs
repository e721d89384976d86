//! Which of the last AV1 frames were sent, by their numbers.

/// A reference further back than this is taken for one that was not sent: sixteen bits of differences are written
/// only by senders that keep a frame for minutes.
const REMEMBERED: u16 = 256;
const WORDS: usize = REMEMBERED as usize / 64;

#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The decode target that is sent.
    pub(super) decode_target: u8,
    /// Another spatial layer is wanted, and only a key frame leads there.
    pub(super) stuck: bool,
    newest: Option<u16>,
    known: [u64; WORDS],
    sent: [u64; WORDS],
}

impl Frames {
    /// Nothing from before is referred to.
    pub(super) fn clear(&mut self) {
        *self = Self { decode_target: self.decode_target, ..Self::default() };
    }

    /// Whether it comes after all that are known.
    pub(super) fn is_newer(&self, number: u16) -> bool {
        self.newest.is_none_or(|newest| (1..0x8000).contains(&number.wrapping_sub(newest)))
    }

    /// Whether a frame was sent, if that was decided.
    pub(super) fn get(&self, number: u16) -> Option<bool> {
        if self.newest?.wrapping_sub(number) >= REMEMBERED {
            return None;
        }
        let (word, bit) = place(number);
        (self.known.get(word)? & bit != 0).then(|| self.sent.get(word).is_some_and(|word| word & bit != 0))
    }

    pub(super) fn set(&mut self, number: u16, sent: bool) {
        if self.is_newer(number) {
            self.advance(number);
        } else if self.newest.is_some_and(|newest| newest.wrapping_sub(number) >= REMEMBERED) {
            return;
        }
        let (word, bit) = place(number);
        if let (Some(known), Some(was)) = (self.known.get_mut(word), self.sent.get_mut(word)) {
            *known |= bit;
            *was = if sent { *was | bit } else { *was & !bit };
        }
    }

    fn advance(&mut self, number: u16) {
        let steps = self.newest.map_or(REMEMBERED, |newest| number.wrapping_sub(newest));
        if steps >= REMEMBERED {
            self.known = [0; WORDS];
        } else {
            for back in 0..steps {
                let (word, bit) = place(number.wrapping_sub(back));
                if let Some(word) = self.known.get_mut(word) {
                    *word &= !bit;
                }
            }
        }
        self.newest = Some(number);
    }
}

const fn place(number: u16) -> (usize, u64) {
    let number = number % REMEMBERED;
    (number as usize / 64, 1 << (number % 64))
}
