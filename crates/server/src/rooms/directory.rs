//! Where people are and where they were: connections, rooms, and the history of calls.

pub mod history;
pub mod presence;
