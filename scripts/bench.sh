#!/usr/bin/env bash
# Builds the release server and the bots, and measures media, signaling and TURN. Arguments go to bench/run.sh: with
# `signal` or `turn` as the first one only that is measured, with any other only media.
. "$(dirname "$0")/lib.sh"

need_rust
need_packages cc:build-essential
# Janus is measured beside Parlor. Debian starts it when it is installed; nobody asked for that.
if [ "${1:-}" != signal ] && [ "${1:-}" != turn ] && [[ " $* " != *" --peers none "* && " $* " != *" --peers=none "* ]] && ! command -v janus >/dev/null; then
    need_packages janus:janus
    if [ -d /run/systemd/system ]; then
        as_root systemctl disable --now janus.service || true
    fi
fi
if [ $# -eq 0 ] || [ "$1" = turn ]; then need_coturn; fi
web_build
cargo build --workspace --bins --release --locked
export PARLOR_BIN="$TARGET_DIR/release/parlor"
bench/run.sh "$@"
[ $# -gt 0 ] || bench/run.sh signal
[ $# -gt 0 ] || bench/run.sh turn
