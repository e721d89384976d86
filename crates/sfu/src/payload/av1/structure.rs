//! The frame dependency structure of an AV1 stream: what the frames that follow are, in short.

use super::bits::Bits;

/// `frame_dependency_template_id` has six bits.
const MAX_TEMPLATES: usize = 64;
/// AV1 has eight reference buffers, seven of which a frame can use; a list that is longer is not followed.
pub(crate) const MAX_REFERENCES: usize = 8;

/// What is the same for many frames.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Template {
    pub(super) spatial: u8,
    pub(super) temporal: u8,
    pub(super) indications: u64,
    pub(super) references: [u16; MAX_REFERENCES],
    pub(super) reference_count: u8,
    pub(super) refers_further: bool,
}

/// Comes with a key frame, and holds until the next one that brings another.
#[derive(Debug)]
pub(crate) struct Structure {
    offset: u32,
    /// 1 to 32.
    pub(super) targets: u8,
    templates: [Template; MAX_TEMPLATES],
    template_count: usize,
    /// The layers of each decode target: spatial, temporal.
    layers: [(u8, u8); 32],
    /// In which other decode targets all frames of a decode target are, for each.
    within: [u32; 32],
    /// The decode targets the sender sends at present.
    pub(super) active: u32,
}

impl Structure {
    /// Keeps the memory of the one before: a sender may send one with every packet.
    pub(super) fn replace(known: &mut Option<Box<Self>>, new: Self) {
        match known {
            Some(old) => **old = new,
            None => *known = Some(Box::new(new)),
        }
    }

    pub(super) fn template(&self, id: u32) -> Option<&Template> {
        let index = usize::try_from((id + 64).wrapping_sub(self.offset) % 64).ok()?;
        self.templates.get(..self.template_count)?.get(index)
    }

    /// The spatial and the temporal layer of a decode target.
    pub(crate) fn layers(&self, target: u8) -> (u8, u8) {
        self.layers.get(usize::from(target)).copied().unwrap_or_default()
    }

    /// The best decode target that is sent, up to some layers: the spatial layer counts more. The least there is,
    /// if even that is above them.
    pub(crate) fn best(&self, spatial: u8, temporal: u8, active: u32) -> u8 {
        let sent = (0..self.targets).filter(|target| active >> target & 1 == 1);
        let fits = |target: &u8| {
            let (s, t) = self.layers(*target);
            s <= spatial && t <= temporal
        };
        let best = sent.clone().filter(fits).max_by_key(|target| self.layers(*target));
        best.or_else(|| sent.min_by_key(|target| self.layers(*target))).unwrap_or(0)
    }

    /// Whether all frames of a decode target are also in another.
    pub(crate) fn is_within(&self, target: u8, other: u8) -> bool {
        self.within.get(usize::from(target)).is_some_and(|within| within.checked_shr(other.into()).unwrap_or(0) & 1 == 1)
    }

    /// `template_dependency_structure()`
    pub(super) fn read(bits: &mut Bits<'_>) -> Option<Self> {
        let offset = bits.take(6)?;
        let targets = u8::try_from(bits.take(5)? + 1).ok()?;
        let mut this = Self {
            offset,
            targets,
            templates: [Template::default(); MAX_TEMPLATES],
            template_count: 0,
            layers: [(0, 0); 32],
            within: [0; 32],
            active: u32::MAX >> (32 - u32::from(targets)),
        };
        let spatial_layers = this.read_template_layers(bits)?;
        this.each_template(|template| {
            template.indications = bits.indications(targets)?;
            Some(())
        })?;
        this.each_template(|template| read_references(bits, template))?;
        this.skip_chains(bits)?;
        this.find_layers();
        if bits.flag()? {
            for _ in 0..spatial_layers {
                bits.take(32)?;
            }
        }
        Some(this)
    }

    fn each_template(&mut self, mut read: impl FnMut(&mut Template) -> Option<()>) -> Option<()> {
        self.templates.get_mut(..self.template_count)?.iter_mut().try_for_each(&mut read)
    }

    /// `template_layers()`; the number of spatial layers.
    fn read_template_layers(&mut self, bits: &mut Bits<'_>) -> Option<u8> {
        let (mut spatial, mut temporal) = (0_u8, 0_u8);
        loop {
            let slot = self.templates.get_mut(self.template_count)?;
            (slot.spatial, slot.temporal) = (spatial, temporal);
            self.template_count += 1;
            match bits.take(2)? {
                0 => {}
                1 => temporal += 1,
                2 => (spatial, temporal) = (spatial + 1, 0),
                _ => return Some(spatial + 1),
            }
        }
    }

    /// `template_chains()`: whether something needed was lost is the receiver's to find out.
    fn skip_chains(&self, bits: &mut Bits<'_>) -> Option<()> {
        let targets = u32::from(self.targets);
        let chains = bits.below(targets + 1)?;
        if chains == 0 {
            return Some(());
        }
        for _ in 0..targets {
            bits.below(chains)?;
        }
        for _ in 0..self.template_count {
            for _ in 0..chains {
                bits.take(4)?;
            }
        }
        Some(())
    }

    /// `decode_target_layers()`, and which decode target is part of which.
    fn find_layers(&mut self) {
        let templates = self.templates.get(..self.template_count).unwrap_or_default();
        let targets = usize::from(self.targets);
        for (target, (layers, within)) in self.layers.iter_mut().zip(&mut self.within).take(targets).enumerate() {
            *within = u32::MAX;
            for template in templates.iter().filter(|template| template.indications >> (2 * target) & 3 != 0) {
                layers.0 = layers.0.max(template.spatial);
                layers.1 = layers.1.max(template.temporal);
                *within &= present(template.indications);
            }
        }
    }
}

/// The decode targets of which some indication is there: of every two bits one.
fn present(indications: u64) -> u32 {
    (0..32).fold(0, |all, target| if indications >> (2 * target) & 3 == 0 { all } else { all | 1 << target })
}

/// `template_fdiffs()` of one template.
fn read_references(bits: &mut Bits<'_>, template: &mut Template) -> Option<()> {
    while bits.flag()? {
        let difference = u16::try_from(bits.take(4)? + 1).ok()?;
        match template.references.get_mut(usize::from(template.reference_count)) {
            Some(slot) => {
                *slot = difference;
                template.reference_count += 1;
            }
            None => template.refers_further = true,
        }
    }
    Some(())
}
