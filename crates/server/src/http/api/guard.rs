//! Guards of the REST API: who may ask, how often, and with which parameters.

pub mod caller;
pub mod key;
pub mod limit;
pub mod parameters;
pub mod scope;
