//! Arbitrary requests of users and packets of peers for the TURN server.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzzing::turn::operations(data));
