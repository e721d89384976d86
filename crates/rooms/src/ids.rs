//! Where the ids of a room come from: random bits, so that nobody can guess one.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The id generator of one room, on the ChaCha stream cipher: ids seen tell nothing about ids to come.
pub(crate) struct Ids(StdRng);

impl Ids {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(StdRng::from_seed(seed))
    }

    /// The bits of one id.
    pub(crate) fn bits(&mut self) -> u128 {
        (u128::from(self.0.next_u64()) << 64) | u128::from(self.0.next_u64())
    }
}

/// The state of the generator would give away every id to come.
impl std::fmt::Debug for Ids {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ids(…)")
    }
}
