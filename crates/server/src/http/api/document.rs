//! The OpenAPI document: its schemas, its examples, and what completes it.

pub mod examples;
pub mod openapi;
pub mod schema;
