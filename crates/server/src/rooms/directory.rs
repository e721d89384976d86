//! Where people are and where they were: connections, rooms, the history of calls, and who watches it.

pub mod history;
pub mod presence;
pub mod watched;
