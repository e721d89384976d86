//! Virtual clock, lossy link and fake media plane for the tests of the other crates.
