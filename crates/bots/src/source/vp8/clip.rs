//! A picture that moves, in VP8 frames a decoder shows (RFC 6386): coloured stripes that swing from side to side.
//!
//! The key frame draws the stripes. Every other frame shows them shifted, by one motion vector for all of it, and refers to the
//! golden frame, which is the last key frame: each can be decoded whichever of the others have been dropped or lost.

#![allow(clippy::indexing_slicing, reason = "tables of fixed sizes, indexed by what is drawn here")]

use std::sync::OnceLock;

use super::coder::Coder;
use super::tables::{CHROMA_FIRST, CHROMA_NEXT, LUMA_NOTHING, Tree, UPDATE, Y2_FIRST, Y2_NEXT};

/// Variants of the colours, so that bots can be told apart.
const VARIANTS: usize = 8;
/// Columns of macroblocks in a stripe.
const STRIPE: u16 = 5;
/// Brightness, blue and red of the stripes, in steps of the coarsest quantizer from grey: about 5 and 16 levels each.
const COLOURS: [(i32, i32, i32); VARIANTS] =
    [(18, 0, 0), (6, -5, 3), (0, 4, -4), (-6, -3, -4), (-12, 5, 3), (2, -2, 6), (-16, 6, 0), (12, 2, -5)];
/// How far the picture is shifted, in pixels: not further than a macroblock, beyond which vectors at the edges are cut.
const SWING: [i32; 24] = [0, 2, 4, 6, 8, 10, 12, 10, 8, 6, 4, 2, 0, -2, -4, -6, -8, -10, -12, -10, -8, -6, -4, -2];
/// The coarsest quantizer, so that few bits make strong colours.
const QUANTIZER: u32 = 127;
/// That a macroblock has coefficients: few have.
const HAS_COEFFICIENTS: u8 = 5;

/// The frames of one size and colour.
#[derive(Debug)]
pub(super) struct Clip {
    key: Vec<u8>,
    deltas: Vec<Vec<u8>>,
}

impl Clip {
    /// The clip for a bitrate, whose key frame fits into a packet; `variant` picks its colours.
    pub(super) fn of(bitrate: u32, variant: usize) -> &'static Self {
        static CLIPS: [[OnceLock<Clip>; VARIANTS]; 3] = [const { [const { OnceLock::new() }; VARIANTS] }; 3];
        let (row, width, height) = match bitrate {
            0..250_000 => (&CLIPS[0], 160, 90),
            250_000..900_000 => (&CLIPS[1], 320, 180),
            _ => (&CLIPS[2], 640, 360),
        };
        let variant = variant % VARIANTS;
        row[variant].get_or_init(|| Self::draw(width, height, variant))
    }

    fn draw(width: u16, height: u16, variant: usize) -> Self {
        let (columns, rows) = (width.div_ceil(16), height.div_ceil(16));
        let deltas = SWING.iter().map(|shift| delta_frame(columns, rows, *shift)).collect();
        Self { key: key_frame(width, height, variant), deltas }
    }

    /// The frame to send so many frames after the key frame.
    pub(super) fn frame(&self, key: bool, number: u32) -> &[u8] {
        let place = number as usize % SWING.len();
        if key { &self.key } else { self.deltas.get(place).map_or(&[], Vec::as_slice) }
    }
}

/// The tag of section 9.1, of a frame that is shown.
fn tag(key: bool, first_partition: usize) -> [u8; 3] {
    let size = u32::try_from(first_partition).unwrap_or(0);
    let [low, middle, high, _] = (size << 5 | 0x10 | u32::from(!key)).to_le_bytes();
    [low, middle, high]
}

/// Segments, loop filter, partitions and quantizers: none, none, one, and one for all.
fn begin(coder: &mut Coder) {
    coder.number(0, 1);
    coder.number(0, 1 + 6 + 3);
    coder.number(0, 1);
    coder.number(0, 2);
    coder.number(QUANTIZER, 7);
    coder.number(0, 5);
}

/// The usual probabilities of tokens, and that macroblocks say whether they have any.
fn usual_tokens(coder: &mut Coder) {
    UPDATE.iter().for_each(|probability| coder.bit(*probability, false));
    coder.number(1, 1);
    coder.number(u32::from(HAS_COEFFICIENTS), 8);
}

fn key_frame(width: u16, height: u16, variant: usize) -> Vec<u8> {
    let (mut modes, mut tokens) = (Coder::new(), Coder::new());
    // The colour space, and that values are to be clamped.
    modes.number(0, 2);
    begin(&mut modes);
    // Probabilities that are sent hold on; none are.
    modes.number(1, 1);
    usual_tokens(&mut modes);
    for row in 0..height.div_ceil(16) {
        for column in 0..width.div_ceil(16) {
            let begins_stripe = row == 0 && column % STRIPE == 0;
            // Skipped or not; the probability is that of 0, which means coefficients.
            modes.bit(HAS_COEFFICIENTS, !begins_stripe);
            // A stripe begins from the even grey above the picture; what is right of it copies from the left, and all below from above.
            intra_modes(&mut modes, begins_stripe || row > 0);
            if begins_stripe {
                let (y, u, v) = COLOURS[(usize::from(column / STRIPE) + variant) % VARIANTS];
                coefficients(&mut tokens, y, [u, v]);
            }
        }
    }
    let modes = modes.finish();
    let mut frame = tag(true, modes.len()).to_vec();
    frame.extend([0x9d, 0x01, 0x2a]);
    frame.extend([width, height].into_iter().flat_map(u16::to_le_bytes));
    frame.extend(modes);
    frame.extend(tokens.finish());
    frame
}

/// Prediction from above (`V_PRED`) or from the left (`H_PRED`), of luma and chroma, by the trees of section 11.2.
fn intra_modes(coder: &mut Coder, from_above: bool) {
    coder.bit(145, true);
    if from_above {
        coder.bit(156, false);
        coder.bit(163, true);
    } else {
        coder.bit(156, true);
        coder.bit(128, false);
    }
    coder.bit(142, true);
    coder.bit(114, !from_above);
    if !from_above {
        coder.bit(183, false);
    }
}

/// One even difference for each of the planes. Whatever is above and to the left of a stripe's beginning has no coefficients, except
/// that within the macroblock chroma blocks are each other's neighbours.
fn coefficients(coder: &mut Coder, y: i32, chroma: [i32; 2]) {
    one(coder, y, &Y2_FIRST[0], &Y2_NEXT);
    (0..16).for_each(|_| coder.bit(LUMA_NOTHING[0], false));
    for value in chroma {
        for (above, left) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let context = if value == 0 { 0 } else { above + left };
            one(coder, value, &CHROMA_FIRST[context], &CHROMA_NEXT);
        }
    }
}

/// A block that has its first coefficient and no other (section 13.2).
fn one(coder: &mut Coder, value: i32, first: &Tree, next: &[Tree; 3]) {
    if value == 0 {
        return coder.bit(first[0], false);
    }
    coder.bit(first[0], true);
    coder.bit(first[1], true);
    let size = value.unsigned_abs();
    coder.bit(first[2], size > 1);
    if size > 1 {
        large(coder, size, first);
    }
    coder.bit(128, value < 0);
    coder.bit(next[if size > 1 { 2 } else { 1 }][0], false);
}

/// Sizes from 2 to 34: those of the colours.
fn large(coder: &mut Coder, size: u32, tree: &Tree) {
    coder.bit(tree[3], size > 4);
    if size <= 4 {
        coder.bit(tree[4], size > 2);
        if size > 2 {
            coder.bit(tree[5], size > 3);
        }
        return;
    }
    coder.bit(tree[6], size > 10);
    let (least, extra): (u32, &[u8]) = match size {
        5..=6 => (5, &[159]),
        7..=10 => (7, &[165, 145]),
        11..=18 => (11, &[173, 148, 140]),
        _ => (19, &[176, 155, 140, 135]),
    };
    if size <= 10 {
        coder.bit(tree[7], size > 6);
    } else {
        coder.bit(tree[8], false);
        coder.bit(tree[9], size > 18);
    }
    for (place, probability) in extra.iter().rev().enumerate().rev() {
        coder.bit(*probability, (size - least) >> place & 1 == 1);
    }
}

/// A frame that shows the last key frame shifted, and that nothing refers to.
fn delta_frame(columns: u16, rows: u16, shift: i32) -> Vec<u8> {
    let mut modes = Coder::new();
    begin(&mut modes);
    // Neither golden nor alternative frame is replaced or copied, and no sign of a vector turned.
    modes.number(0, 2 + 2 + 2 + 2);
    // Probabilities are for this frame only, and it is no reference.
    modes.number(0, 2);
    usual_tokens(&mut modes);
    // Hardly anything is predicted within the frame or from the last one, all from the golden one.
    [INTER, GOLDEN, GOLDEN_ITSELF].into_iter().for_each(|probability| modes.number(u32::from(probability), 8));
    modes.number(0, 2);
    UPDATE_VECTORS.iter().for_each(|probability| modes.bit(*probability, false));
    for row in 0..rows {
        for column in 0..columns {
            modes.bit(HAS_COEFFICIENTS, true);
            modes.bit(INTER, true);
            modes.bit(GOLDEN, true);
            modes.bit(GOLDEN_ITSELF, false);
            vector(&mut modes, shift, row > 0, column > 0);
        }
    }
    let modes = modes.finish();
    let mut frame = tag(false, modes.len()).to_vec();
    frame.extend(modes);
    // The partition of tokens, which has none.
    frame.push(0);
    frame
}

const INTER: u8 = 1;
const GOLDEN: u8 = 1;
const GOLDEN_ITSELF: u8 = 255;
/// That a probability of vectors is sent anew (section 17.2): of both components.
const UPDATE_VECTORS: [u8; 38] = [
    237, 246, 253, 253, 254, 254, 254, 254, 254, 254, 254, 254, 254, 254, 250, 250, 252, 254, 254, 231, 243, 245, 253, 254, 254, 254, 254,
    254, 254, 254, 254, 254, 254, 251, 251, 254, 254, 254,
];
/// How likely the modes of vectors are, by what the neighbours have (section 16.3).
const MODES: [[u8; 4]; 6] =
    [[7, 1, 1, 143], [14, 18, 14, 107], [135, 64, 57, 68], [60, 56, 128, 65], [159, 134, 128, 34], [234, 188, 128, 28]];

/// The vector of a macroblock whose neighbours have the same: none, theirs, or for the first one a new one.
fn vector(coder: &mut Coder, shift: i32, above: bool, left: bool) {
    let neighbours = 2 * usize::from(above) + 2 * usize::from(left) + usize::from(above && left);
    let (still, moving) = if shift == 0 { (neighbours, 0) } else { (0, neighbours) };
    coder.bit(MODES[still][0], shift != 0);
    if shift == 0 {
        return;
    }
    coder.bit(MODES[moving][1], neighbours == 0);
    if neighbours == 0 {
        coder.bit(MODES[0][2], true);
        coder.bit(MODES[0][3], false);
        // Down: nothing.
        [162, 225, 146, 172].into_iter().for_each(|probability| coder.bit(probability, false));
        across(coder, shift);
    }
}

/// The component to the right, in quarters of a pixel, 8 or more of them (section 17.2).
fn across(coder: &mut Coder, shift: i32) {
    const LONG: [u8; 10] = [128, 130, 130, 74, 148, 180, 203, 236, 254, 254];
    let size = shift.unsigned_abs() * 4;
    coder.bit(164, true);
    for bit in (0..3).chain((4..10).rev()) {
        coder.bit(LONG[bit], size >> bit & 1 == 1);
    }
    if size > 15 {
        coder.bit(LONG[3], size >> 3 & 1 == 1);
    }
    coder.bit(128, shift < 0);
}
