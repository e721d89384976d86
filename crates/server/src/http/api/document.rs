//! The OpenAPI document.

pub mod examples;
pub mod openapi;
pub mod schema;
