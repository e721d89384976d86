//! Arbitrary sequences of what can happen to a room.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzzing::rooms::run(data));
