//! The Parlor server as a library, so that its integration tests can start it.
