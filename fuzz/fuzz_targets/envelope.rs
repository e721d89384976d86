//! Arbitrary messages of the protobuf dialect.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzzing::envelope::run(data));
