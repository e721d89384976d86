//! Raises the limit of open files for this process.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the number of files this process may have open to what the system allows it. Every connection is one, and
/// the usual limit of 1,024 is a leftover of programs that could not count further.
pub fn raise_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| match soft < hard {
        true => setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map(|()| hard),
        false => Ok(hard),
    });
    match raised {
        Ok(files) => tracing::debug!(files, "open files at the most"),
        Err(error) => tracing::warn!(%error, "the number of open files could not be raised"),
    }
}
