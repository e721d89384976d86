//! Arbitrary datagrams and streams for the TURN server.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzzing::turn::bytes(data));
