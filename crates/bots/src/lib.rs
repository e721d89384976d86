//! Real WebRTC clients on str0m that join by the main dialect: integration tests, load and benchmarks.
