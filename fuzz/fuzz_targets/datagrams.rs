//! Arbitrary datagrams for the media plane.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzzing::datagrams::run(data));
