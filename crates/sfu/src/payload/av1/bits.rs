//! Reads single bits, the highest of each byte first (AV1 RTP specification, A.8.2).

/// What is left of some bytes.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// `f(1)`
    pub(super) fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// `f(count)`, of at most 32 bits.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        let mut value: u32 = 0;
        let mut left = count.min(32);
        while left > 0 {
            let byte = u32::from(*self.bytes.get(self.at / 8)?);
            let free = 8 - u32::try_from(self.at % 8).ok()?;
            let now = left.min(free);
            let part = byte >> (free - now) & ((1 << now) - 1);
            // Eight bits at most; 32 in all.
            value = value << now | part;
            self.at += usize::try_from(now).ok()?;
            left -= now;
        }
        Some(value)
    }

    /// `ns(values)`: a number below `values` in as few bits as it needs.
    pub(super) fn below(&mut self, values: u32) -> Option<u32> {
        let width = 32 - values.leading_zeros();
        let short = (1_u32.checked_shl(width)?).checked_sub(values)?;
        let value = self.take(width.checked_sub(1)?)?;
        if value < short {
            return Some(value);
        }
        ((value << 1) + u32::from(self.flag()?)).checked_sub(short)
    }

    /// Two bits for each of at most 32 decode targets.
    pub(super) fn indications(&mut self, targets: u8) -> Option<u64> {
        let mut all = 0;
        for target in 0..targets.min(32) {
            all |= u64::from(self.take(2)?) << (2 * target);
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_across_bytes() {
        let mut bits = Bits::new(&[0b1010_0110, 0b0111_0001]);
        assert_eq!(
            (bits.flag(), bits.take(2), bits.take(7), bits.take(6), bits.flag()),
            (Some(true), Some(1), Some(0b001_1001), Some(0b11_0001), None)
        );
        assert_eq!(Bits::new(&[1, 2, 3, 4]).take(32), Some(0x0102_0304));
        assert_eq!(Bits::new(&[1, 2, 3]).take(32), None);
    }

    #[test]
    fn a_number_below_five_takes_two_bits_or_three() {
        // 0, 1, 2 in two bits; 3 and 4 in three.
        let mut bits = Bits::new(&[0b0001_1011, 0b0111_0000]);
        let read: Vec<_> = (0..5).map(|_| bits.below(5)).collect();
        assert_eq!(read, [Some(0), Some(1), Some(2), Some(3), Some(4)]);
        assert_eq!(Bits::new(&[]).below(1), Some(0), "of one value nothing is written");
    }
}
