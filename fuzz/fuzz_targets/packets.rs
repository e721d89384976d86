//! Arbitrary packets of socket.io.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzzing::packets::run(data));
