//! Why a file of SQLite cannot be used: what SQLite itself tells is that it could not open or write it.

use std::path::Path;

use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, access};

/// Less than this is no room: SQLite makes three files, the one it shares between processes with 32 KiB at once.
const LEAST_BYTES: u64 = 64 * 1024;

/// What is wrong with the place of a file, if anything is.
pub fn trouble(file: &Path) -> Option<&'static str> {
    let directory = file.parent().unwrap_or(file);
    if !directory.is_dir() {
        return Some("the directory of its file does not exist");
    }
    let place = statvfs(directory).ok()?;
    if place.flags().contains(FsFlags::ST_RDONLY) {
        return Some("its file is on a file system that is mounted read-only");
    }
    let room = place.blocks_available().saturating_mul(place.fragment_size());
    // Some file systems do not count files: they say that there are none at all.
    if room < LEAST_BYTES || (place.files() > 0 && place.files_available() == 0) {
        return Some("the disk is full");
    }
    if access(directory, AccessFlags::W_OK).is_err() {
        return Some("the user of this process may not write in the directory of its file");
    }
    if file.exists() && access(file, AccessFlags::W_OK | AccessFlags::R_OK).is_err() {
        return Some("the user of this process may not write its file");
    }
    None
}
