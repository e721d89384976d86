//! Arbitrary streams of VP8, VP9, H264 and AV1.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzzing::readers::stream(data));
