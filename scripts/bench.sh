#!/usr/bin/env bash
# Builds the release server and the bots, and measures. Arguments go to bench/run.sh.
. "$(dirname "$0")/lib.sh"

need_rust
need_packages cc:build-essential
web_build
cargo build --workspace --bins --release --locked
PARLOR_BIN="$TARGET_DIR/release/parlor" exec bench/run.sh "$@"
