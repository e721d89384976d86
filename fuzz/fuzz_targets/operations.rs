//! Arbitrary sequences of operations on the media plane of two threads.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzzing::operations::run(data));
