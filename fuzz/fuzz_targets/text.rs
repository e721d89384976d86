//! Arbitrary messages of the dialects of JSON texts.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzzing::text::run(data));
