//! Waiting for a condition with a deadline: no test sleeps for luck.

#![allow(clippy::disallowed_methods, reason = "a real server takes real time")]

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// The longest a test waits for what usually takes milliseconds: the machine may be busy. Only a test that fails waits so long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Waits until a condition holds; a test in which it does not says what was waited for.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    seen(what, async || condition().await, |holds| *holds).await;
}

/// Looks until what is seen is as expected, and gives it; a test in which it never is says what was seen last.
pub async fn seen<T: Debug>(what: &str, mut look: impl AsyncFnMut() -> T, expected: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let saw = look().await;
        if expected(&saw) {
            return saw;
        }
        assert!(Instant::now() < deadline, "{what}; last seen: {saw:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until a condition holds, in a test without a runtime.
pub fn until_blocking(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(LOOK_EVERY);
    }
}
