//! The media threads, and the places that rooms have on them.

mod net;
mod placement;
mod pool;
mod worker;

pub use placement::Placement;
pub use pool::Pool;
pub use worker::handle::WorkerHandle;
