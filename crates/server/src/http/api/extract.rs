//! What a request brings along: paths, queries, bodies, and what is written in them.

pub mod input;
pub mod page;
pub mod query;
pub mod seat;
pub mod text;
pub mod when;
