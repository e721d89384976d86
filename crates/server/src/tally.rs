//! Counters of events that strangers can cause as often as they like: the log mentions the count every 10 seconds, not each event.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often the log mentions one kind of event at the most.
pub const MENTION_EVERY: Duration = Duration::from_secs(10);

/// Counts one kind of event over the whole process.
#[derive(Debug)]
pub struct Tally {
    what: &'static str,
    count: AtomicU64,
}

impl Tally {
    /// A tally with nothing counted; `what` is a sentence in the plural, such as "connections were refused".
    pub const fn new(what: &'static str) -> Self {
        Self { what, count: AtomicU64::new(0) }
    }

    /// Counts one event. Must be called on the runtime, which mentions the count when the time is up.
    pub fn add(&'static self) {
        if self.count.fetch_add(1, Ordering::Relaxed) == 0 {
            tokio::spawn(async {
                tokio::time::sleep(MENTION_EVERY).await;
                tracing::warn!(count = self.count.swap(0, Ordering::Relaxed), "{}", self.what);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Log {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_a_thousand_times_is_one_line() {
        static REFUSED: Tally = Tally::new("connections were refused");
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let lines = || String::from_utf8(log.0.lock().expect("no panic").clone()).expect("text");
        for _ in 0..1000 {
            REFUSED.add();
        }
        tokio::time::sleep(MENTION_EVERY * 3).await;
        assert_eq!(lines().lines().count(), 1, "{}", lines());
        assert!(lines().contains("connections were refused") && lines().contains("count=1000"), "{}", lines());
        REFUSED.add();
        tokio::time::sleep(MENTION_EVERY * 2).await;
        assert_eq!(lines().lines().count(), 2, "{}", lines());
    }
}
