//! The `parlor` binary.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use parlor::cli::{Cli, exit_code};

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("parlor: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}
