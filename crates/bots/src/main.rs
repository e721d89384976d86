//! `parlor-bots`: people to fill a room with, and benchmarks.
fn main() {}
