//! Arbitrary media of a client with keys.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzzing::media::run(data));
