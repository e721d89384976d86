#!/usr/bin/env bash
# Builds the release server and the bots, and attacks the server beside a call. Arguments go to `parlor-bots attack`.
. "$(dirname "$0")/lib.sh"

need_rust
need_packages cc:build-essential
web_build
cargo build --workspace --bins --release --locked
PARLOR_BIN="$TARGET_DIR/release/parlor" exec "$TARGET_DIR/release/parlor-bots" attack "$@"
