//! Any sequence of operations keeps every invariant (the list is in `parlor_testkit::room_ops`).

use parlor_testkit::room_ops;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_operations_breaks_an_invariant(data in prop::collection::vec(any::<u8>(), 0..2_000)) {
        room_ops::run(&data);
    }
}

/// Sequences of the second test.
const RUNS: u64 = 50;

/// A generator that only ever asked for what is refused would prove little.
#[test]
fn the_sequences_reach_deep() {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    let (mut granted, mut refused, mut produced, mut consumed) = (0, 0, 0, 0);
    for seed in 0..RUNS {
        let mut data = vec![0; 2_000];
        StdRng::seed_from_u64(seed).fill_bytes(&mut data);
        let summary = room_ops::run(&data);
        granted += summary.granted;
        refused += summary.refused;
        produced += summary.produced;
        consumed += summary.consumed;
    }
    let reached = format!("{granted} granted, {refused} refused, {produced} produced, {consumed} consumed");
    let each = |count: usize, least: usize| count > least * usize::try_from(RUNS).expect("small");
    assert!(each(granted, 30) && each(refused, 30) && each(produced, 5) && each(consumed, 3), "{reached}");
}
