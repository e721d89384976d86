//! The rules of a room, sans-IO: input and now in, outputs out.
