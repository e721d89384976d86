//! Arbitrary sequences of what can happen to rooms: the interpreter of the property tests, fed by the fuzzer.

use parlor_testkit::room_ops;

/// Runs the sequence that `data` spells.
pub fn run(data: &[u8]) {
    room_ops::run(data);
    room_ops::run_mesh(data);
}
