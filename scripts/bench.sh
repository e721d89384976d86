#!/usr/bin/env bash
# Builds the release server and the bots, and measures media and signaling. Arguments go to bench/run.sh: with
# `signal` as the first one only signaling is measured, with any other only media.
. "$(dirname "$0")/lib.sh"

need_rust
need_packages cc:build-essential
# Janus is measured beside Parlor. Debian starts it when it is installed; nobody asked for that.
if [ "${1:-}" != signal ] && [[ " $* " != *" --peers none "* && " $* " != *" --peers=none "* ]] && ! command -v janus >/dev/null; then
    need_packages janus:janus
    if [ -d /run/systemd/system ]; then
        as_root systemctl disable --now janus.service || true
    fi
fi
web_build
cargo build --workspace --bins --release --locked
export PARLOR_BIN="$TARGET_DIR/release/parlor"
bench/run.sh "$@"
[ $# -gt 0 ] || bench/run.sh signal
