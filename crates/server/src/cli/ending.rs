//! The end of the process, on threads of its own: whatever hangs elsewhere, signals are heard and the process ends.

use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::cli::output::FAILED;
use crate::server::Progress;

/// How long after the order to stop a process that still runs will not end by itself any more: everything in it has
/// deadlines that are over by then.
const LAST_MOMENT: Duration = Duration::from_secs(7);
/// The time to log what hangs. The reader of the log may hang too, and then nobody learns it.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Takes SIGTERM and SIGINT from now on. The first of these signals is passed on with its moment, and from then on the
/// process ends in time. Has to be called before there is another thread: threads made later do not take these signals.
pub fn on_signal(progress: &Progress) -> anyhow::Result<oneshot::Receiver<Instant>> {
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    signals.thread_block()?;
    let (tell, asked) = oneshot::channel();
    let progress = progress.clone();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if let Err(error) = signals.wait() {
            tracing::error!(%error, "signals cannot be waited for");
        }
        let _ = tell.send(Instant::now());
        in_time(&progress)
    })?;
    Ok(asked)
}

/// Makes sure that the process ends in time from now on, as after a signal.
pub fn begin(progress: &Progress) {
    let progress = progress.clone();
    let watch = thread::Builder::new().name("ending".to_owned()).spawn(move || in_time(&progress));
    if let Err(error) = watch {
        tracing::error!(%error, "nothing watches over the end of this process");
    }
}

/// Ends the process if it has not ended by itself.
fn in_time(progress: &Progress) {
    thread::sleep(LAST_MOMENT);
    let what = progress.what();
    let last_words = move || {
        tracing::error!(what, "the server did not end in time: this hung. The process ends now");
        std::process::exit(FAILED.into())
    };
    let _ = thread::Builder::new().name("last-words".to_owned()).spawn(last_words);
    thread::sleep(LAST_WORDS);
    // Nothing in this process can hold up this signal.
    let _ = kill(Pid::this(), Signal::SIGKILL);
}
