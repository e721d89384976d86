#!/usr/bin/env bash
# Builds the release server and the bots, and measures. Arguments go to bench/run.sh.
. "$(dirname "$0")/lib.sh"

need_rust
need_packages cc:build-essential
# Janus is measured beside Parlor. Debian starts it when it is installed; nobody asked for that.
if [[ " $* " != *" --peers none "* && " $* " != *" --peers=none "* ]] && ! command -v janus >/dev/null; then
    need_packages janus:janus
    if [ -d /run/systemd/system ]; then
        as_root systemctl disable --now janus.service || true
    fi
fi
web_build
cargo build --workspace --bins --release --locked
PARLOR_BIN="$TARGET_DIR/release/parlor" exec bench/run.sh "$@"
