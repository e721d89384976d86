#!/usr/bin/env bash
# Fuzzes each target for FUZZ_SECONDS with libFuzzer. Findings stay in fuzz/artifacts.
. "$(dirname "$0")/lib.sh"

need_rust
need_packages c++:build-essential
rustup toolchain list 2>/dev/null | grep -q '^nightly' || fail "fuzzing needs a nightly toolchain. Run: rustup toolchain install nightly"
cargo fuzz --version >/dev/null 2>&1 || fail "cargo-fuzz is missing. Run: cargo install cargo-fuzz"
unset CARGO_TARGET_DIR
for target in $(cargo +nightly fuzz list); do
    say "fuzzing $target for ${FUZZ_SECONDS:-3600} s"
    cargo +nightly fuzz run "$target" -- -max_total_time="${FUZZ_SECONDS:-3600}" || fail "$target found something: see above and fuzz/artifacts/$target"
done
