//! Any sequence of operations keeps every invariant (the list is in `parlor_testkit::room_ops`).

use parlor_testkit::room_ops;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_operations_breaks_an_invariant(data in prop::collection::vec(any::<u8>(), 0..2_000)) {
        room_ops::run(&data);
    }

    #[test]
    fn no_sequence_of_operations_breaks_an_invariant_of_a_mesh(data in prop::collection::vec(any::<u8>(), 0..2_000)) {
        room_ops::run_mesh(&data);
    }
}

/// Sequences of the second test.
const RUNS: u64 = 50;

/// A generator that only ever asked for what is refused would prove little.
#[test]
fn the_sequences_reach_deep() {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    let (mut all, mut mesh) = (room_ops::Summary::default(), room_ops::Summary::default());
    for seed in 0..RUNS {
        let mut data = vec![0; 2_000];
        StdRng::seed_from_u64(seed).fill_bytes(&mut data);
        all += room_ops::run(&data);
        mesh += room_ops::run_mesh(&data);
    }
    let each = |count: usize, least: usize| count > least * usize::try_from(RUNS).expect("small");
    assert!(each(all.granted, 30) && each(all.refused, 30) && each(all.produced, 5) && each(all.consumed, 3), "{all:?}");
    assert!(each(mesh.granted, 30) && each(mesh.relayed, 10) && each(mesh.refused, 30) && each(mesh.resumed, 1), "{mesh:?}");
    assert!(each(all.promoted, 1) && each(all.resumed, 1) && each(all.moderated, 1), "{all:?}");
}
