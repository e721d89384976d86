//! Writes dependency descriptors, for tests.

/// One frame dependency template: layers, an indication for each decode target (as in table A.1), differences.
pub(crate) struct Template {
    pub(crate) spatial: u8,
    pub(crate) temporal: u8,
    pub(crate) indications: &'static str,
    pub(crate) references: &'static [u32],
    pub(crate) chains: &'static [u32],
}

const fn template(
    (spatial, temporal): (u8, u8),
    indications: &'static str,
    references: &'static [u32],
    chains: &'static [u32],
) -> Template {
    Template { spatial, temporal, indications, references, chains }
}

/// Section A.10.2.1; decode targets from the best on.
pub(crate) const L1T3: &[Template] = &[
    template((0, 0), "SSS", &[], &[0]),
    template((0, 0), "SSS", &[4], &[4]),
    template((0, 1), "SS-", &[2], &[2]),
    template((0, 2), "D--", &[1], &[1]),
    template((0, 2), "D--", &[1], &[3]),
];
/// Two spatial layers, each predicted from the one below.
pub(crate) const L2T1: &[Template] = &[
    template((0, 0), "SS", &[], &[0, 0]),
    template((0, 0), "RS", &[2], &[2, 1]),
    template((1, 0), "S-", &[1], &[1, 1]),
    template((1, 0), "R-", &[2, 1], &[1, 1]),
];
/// Two spatial layers, predicted from each other in key pictures only.
pub(crate) const L2T1_KEY: &[Template] = &[
    template((0, 0), "SS", &[], &[0, 0]),
    template((0, 0), "-S", &[2], &[2, 1]),
    template((1, 0), "S-", &[1], &[1, 1]),
    template((1, 0), "S-", &[2], &[1, 2]),
];

/// The descriptor of one packet.
#[derive(Clone, Default)]
pub(crate) struct Descriptor {
    pub(crate) begins: bool,
    pub(crate) ends: bool,
    pub(crate) template: u32,
    pub(crate) number: u16,
    pub(crate) structure: Option<&'static [Template]>,
    pub(crate) active: Option<u32>,
    pub(crate) indications: Option<&'static str>,
    pub(crate) references: Option<&'static [u32]>,
    /// What `template_id_offset` the structure has.
    pub(crate) offset: u32,
}

impl Descriptor {
    pub(crate) fn write(&self, targets: u32) -> Vec<u8> {
        let mut bits = Writer::default();
        bits.put(self.begins.into(), 1);
        bits.put(self.ends.into(), 1);
        bits.put((self.template + self.offset) % 64, 6);
        bits.put(self.number.into(), 16);
        if self.structure.is_none() && self.active.is_none() && self.indications.is_none() && self.references.is_none() {
            return bits.bytes();
        }
        for flag in [self.structure.is_some(), self.active.is_some(), self.indications.is_some(), self.references.is_some(), false] {
            bits.put(flag.into(), 1);
        }
        if let Some(templates) = self.structure {
            write_structure(&mut bits, templates, self.offset);
        }
        if let Some(active) = self.active {
            bits.put(active, targets);
        }
        if let Some(indications) = self.indications {
            write_indications(&mut bits, indications);
        }
        if let Some(references) = self.references {
            for difference in references {
                bits.put(3, 2);
                bits.put(difference - 1, 12);
            }
            bits.put(0, 2);
        }
        bits.bytes()
    }
}

fn write_structure(bits: &mut Writer, templates: &[Template], offset: u32) {
    let targets = u32::try_from(templates[0].indications.len()).expect("few");
    let chains = u32::try_from(templates[0].chains.len()).expect("few");
    bits.put(offset, 6);
    bits.put(targets - 1, 5);
    for pair in templates.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        bits.put(if a.spatial != b.spatial { 2 } else { u32::from(b.temporal - a.temporal) }, 2);
    }
    bits.put(3, 2);
    templates.iter().for_each(|template| write_indications(bits, template.indications));
    for template in templates {
        for difference in template.references {
            bits.put(1, 1);
            bits.put(difference - 1, 4);
        }
        bits.put(0, 1);
    }
    bits.put_below(chains, targets + 1);
    for target in 0..targets {
        // One chain for all, or one for each.
        bits.put_below(if chains == 1 { 0 } else { target }, chains);
    }
    templates.iter().flat_map(|template| template.chains).for_each(|chain| bits.put(*chain, 4));
    bits.put(1, 1);
    for _ in 0..=templates.iter().map(|template| template.spatial).max().expect("some") {
        bits.put(639, 16);
        bits.put(359, 16);
    }
}

fn write_indications(bits: &mut Writer, indications: &str) {
    for indication in indications.chars() {
        bits.put(u32::try_from("-DSR".find(indication).expect("one of four")).expect("small"), 2);
    }
}

#[derive(Default)]
struct Writer {
    bits: Vec<bool>,
}

impl Writer {
    fn put(&mut self, value: u32, count: u32) {
        self.bits.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
    }

    /// `write_ns()` of section A.8.2.
    fn put_below(&mut self, value: u32, values: u32) {
        if values == 1 {
            return;
        }
        let width = 32 - values.leading_zeros();
        let short = (1 << width) - values;
        match value < short {
            true => self.put(value, width - 1),
            false => self.put(value + short, width),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.bits.chunks(8).map(|bits| bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit) << (7 - at))).collect()
    }
}
