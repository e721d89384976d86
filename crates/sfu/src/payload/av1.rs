//! AV1 by its dependency descriptor (AV1 RTP specification, appendix A): which frames a decode target needs.

mod bits;
mod structure;

pub(crate) use structure::{MAX_REFERENCES, Structure};

use super::{Counters, Unit};
use bits::Bits;

/// What one frame is, to every decode target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Frame {
    /// Counts frames in decode order; all packets of a frame have the same.
    pub(crate) number: u16,
    /// Two bits for each decode target, the first in the lowest.
    indications: u64,
    /// How far back the frames are that it refers to.
    references: [u16; MAX_REFERENCES],
    reference_count: u8,
    /// The frame refers to more frames than `references` holds, or further back than can be remembered.
    pub(crate) refers_further: bool,
    /// The decode targets the sender sends.
    pub(crate) active: u32,
}

/// Decode target indications (AV1 RTP payload format, table A.1): what the frame is to a decode target.
const NOT_PRESENT: u64 = 0;
const SWITCH: u64 = 2;

impl Frame {
    fn indication(&self, target: u8) -> u64 {
        self.indications.checked_shr(2 * u32::from(target)).unwrap_or(0) & 3
    }

    /// Whether a decode target has this frame.
    pub(crate) fn is_present(&self, target: u8) -> bool {
        self.indication(target) != NOT_PRESENT
    }

    /// Whether all further frames of a decode target can be decoded by who can decode this one.
    pub(crate) fn is_switch(&self, target: u8) -> bool {
        self.indication(target) == SWITCH
    }

    /// The frames it refers to, as differences to its own number.
    pub(crate) fn references(&self) -> impl Iterator<Item = u16> + '_ {
        self.references.iter().copied().take(usize::from(self.reference_count))
    }
}

/// Describes a packet. Without a descriptor there is only the aggregation header (section 4.4): its N bit begins a sequence.
pub(super) fn describe(payload: &[u8], marker: bool, descriptor: Option<&[u8]>, known: &mut Option<Box<Structure>>) -> Unit {
    let begins_sequence = payload.first().is_some_and(|header| header & 0x88 == 0x08);
    let plain = Unit { begins_key_frame: begins_sequence, begins_frame: begins_sequence, ends_frame: marker, ..Unit::default() };
    descriptor.and_then(|descriptor| read(descriptor, known)).unwrap_or(plain)
}

fn read(descriptor: &[u8], known: &mut Option<Box<Structure>>) -> Option<Unit> {
    let mut bits = Bits::new(descriptor);
    let (begins_frame, ends_frame) = (bits.flag()?, bits.flag()?);
    let template = bits.take(6)?;
    let number = u16::try_from(bits.take(16)?).ok()?;
    let mut unit = Unit { begins_frame, ends_frame, counters: Counters::frame_number(number), ..Unit::default() };
    let (mut custom_indications, mut custom_references) = (false, false);
    // Three bytes are the mandatory fields, and no more.
    if descriptor.len() > 3 {
        let has_structure = bits.flag()?;
        let has_active = bits.flag()?;
        custom_indications = bits.flag()?;
        custom_references = bits.flag()?;
        // Own chains are the last that is written, and nothing here needs them.
        bits.flag()?;
        if has_structure {
            unit.begins_key_frame = begins_frame;
            Structure::replace(known, Structure::read(&mut bits)?);
        }
        if has_active && let Some(structure) = known {
            structure.active = bits.take(structure.targets.into())?;
        }
    }
    // A structure that was lost: all that is known of the frame is its number.
    let Some((structure, template)) = known.as_deref().and_then(|structure| Some((structure, structure.template(template)?))) else {
        return Some(unit);
    };
    let mut frame = Frame {
        number,
        indications: template.indications,
        references: template.references,
        reference_count: template.reference_count,
        refers_further: template.refers_further,
        active: structure.active,
    };
    if custom_indications {
        frame.indications = bits.indications(structure.targets)?;
    }
    if custom_references {
        read_references(&mut bits, &mut frame)?;
    }
    (unit.spatial, unit.temporal) = (template.spatial, template.temporal);
    unit.frame = Some(frame);
    Some(unit)
}

/// `frame_fdiffs()`.
fn read_references(bits: &mut Bits<'_>, frame: &mut Frame) -> Option<()> {
    (frame.reference_count, frame.refers_further) = (0, false);
    loop {
        let size = bits.take(2)?;
        if size == 0 {
            return Some(());
        }
        // At most twelve bits.
        let difference = u16::try_from(bits.take(4 * size)?).ok()?.saturating_add(1);
        match frame.references.get_mut(usize::from(frame.reference_count)) {
            Some(slot) => {
                *slot = difference;
                frame.reference_count += 1;
            }
            None => frame.refers_further = true,
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
