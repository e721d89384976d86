//! Arbitrary frames of media over TCP.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzzing::readers::framing(data));
