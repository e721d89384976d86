//! Arbitrary payloads of the socket.io dialect.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzzing::socketio::run(data));
