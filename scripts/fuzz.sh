#!/bin/sh
# Runs every fuzz target (or those named as arguments) for FUZZ_SECONDS each.
set -eu
cd "$(dirname "$0")/../fuzz"

if ! cargo +nightly --version >/dev/null 2>&1; then
  echo "Fuzzing needs a nightly toolchain: rustup toolchain install nightly" >&2
  exit 1
fi
if ! cargo fuzz --version >/dev/null 2>&1; then
  cargo install cargo-fuzz --locked
fi

for target in ${*:-socketio rooms datagrams}; do
  mkdir -p "corpus/$target"
  # New inputs go into the first folder, the seeds are only read.
  cargo +nightly fuzz run "$target" "corpus/$target" "seeds/$target" -- \
    -max_total_time="${FUZZ_SECONDS:-60}" -max_len=8192 -timeout=10 -print_final_stats=1
done
