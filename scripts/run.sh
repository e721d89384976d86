#!/usr/bin/env bash
# Builds what changed and starts a development server. Arguments go to `parlor serve --dev`.
. "$(dirname "$0")/lib.sh"

need_rust
need_packages cc:build-essential
web_build
cargo build --workspace --bin parlor
exec "$TARGET_DIR/debug/parlor" serve --dev "$@"
