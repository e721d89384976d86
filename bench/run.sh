#!/usr/bin/env bash
# Runs the benchmark with the bots that were built beside the server, and passes arguments on. With `signal` as the first
# one it is the signaling that is measured, with `turn` the TURN server, otherwise the media.
# The server is $PARLOR_BIN, or the release build, or with --short the debug build if there is no other.
set -euo pipefail
cd "$(dirname "$0")/.."

target="${CARGO_TARGET_DIR:-target}"
if [ -z "${PARLOR_BIN:-}" ]; then
    PARLOR_BIN="$target/release/parlor"
    if [ ! -x "$PARLOR_BIN" ] && [[ " $* " == *" --short "* ]]; then
        PARLOR_BIN="$target/debug/parlor"
    fi
fi
export PARLOR_BIN
bots="$(dirname "$PARLOR_BIN")/parlor-bots"
if [ ! -x "$PARLOR_BIN" ] || [ ! -x "$bots" ]; then
    echo "bench: there is no server and bots in $(dirname "$PARLOR_BIN"); build them with: cargo build --release --bins" >&2
    exit 1
fi
case "${1:-}" in
    signal | turn | bench) exec "$bots" "$@" ;;
    *) exec "$bots" bench "$@" ;;
esac
