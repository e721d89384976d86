//! Makes the ids of a room's objects: random, so that nobody can guess one.

use parlor_proto::{ConsumerId, ProducerId, ResumeToken, TransportId};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The id generator of one room, on the ChaCha stream cipher: ids seen tell nothing about ids to come.
pub(crate) struct Ids(StdRng);

impl Ids {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(StdRng::from_seed(seed))
    }

    pub(crate) fn transport(&mut self) -> TransportId {
        TransportId::from_random(self.bits())
    }

    pub(crate) fn producer(&mut self) -> ProducerId {
        ProducerId::from_random(self.bits())
    }

    pub(crate) fn consumer(&mut self) -> ConsumerId {
        ConsumerId::from_random(self.bits())
    }

    pub(crate) fn resume_token(&mut self) -> ResumeToken {
        ResumeToken::from_random(self.bits())
    }

    fn bits(&mut self) -> u128 {
        (u128::from(self.0.next_u64()) << 64) | u128::from(self.0.next_u64())
    }
}

/// The state of the generator would give away every id to come.
impl std::fmt::Debug for Ids {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ids(…)")
    }
}
