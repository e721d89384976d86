//! The media threads, and the places that rooms have on them.

mod net;
mod placement;
mod pool;
mod told;
mod worker;

pub use net::addresses;
pub use placement::Placement;
pub use pool::Pool;
pub use told::{LOOK_UP_EVERY, Told};
pub use worker::handle::WorkerHandle;
pub use worker::pace::Pace;
