//! Extractors: what handlers read from a request's path, query and body.

pub mod input;
pub mod page;
pub mod query;
pub mod seat;
pub mod text;
pub mod when;
