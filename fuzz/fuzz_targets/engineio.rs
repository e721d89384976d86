//! Arbitrary payloads of engine.io.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzzing::engineio::run(data));
