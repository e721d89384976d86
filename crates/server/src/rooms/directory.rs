//! Where people are, and where they were.

pub mod history;
pub mod presence;
