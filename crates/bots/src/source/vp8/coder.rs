//! The arithmetic coder of VP8 (RFC 6386, section 7).

/// Writes bits, each with the probability that it is 0, in 256ths.
#[derive(Clone, Debug)]
pub(super) struct Coder {
    bytes: Vec<u8>,
    range: u32,
    bottom: u32,
    /// Shifts until the next byte is complete.
    shifts: i32,
}

impl Coder {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), range: 255, bottom: 0, shifts: 24 }
    }

    pub(super) fn bit(&mut self, probability: u8, bit: bool) {
        let split = 1 + (((self.range - 1) * u32::from(probability)) >> 8);
        if bit {
            let (bottom, carried) = self.bottom.overflowing_add(split);
            self.bottom = bottom;
            self.range -= split;
            if carried {
                self.carry();
            }
        } else {
            self.range = split;
        }
        while self.range < 128 {
            self.range <<= 1;
            if self.bottom & 1 << 31 != 0 {
                self.carry();
            }
            self.bottom <<= 1;
            self.shifts -= 1;
            if self.shifts == 0 {
                self.bytes.push((self.bottom >> 24) as u8);
                self.bottom &= (1 << 24) - 1;
                self.shifts = 8;
            }
        }
    }

    /// A number of so many bits, the highest first, each as likely 0 as 1.
    pub(super) fn number(&mut self, value: u32, bits: u32) {
        (0..bits).rev().for_each(|bit| self.bit(128, value >> bit & 1 == 1));
    }

    /// What was written, complete.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.number(0, 32);
        self.bytes
    }

    fn carry(&mut self) {
        for byte in self.bytes.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
    }
}
