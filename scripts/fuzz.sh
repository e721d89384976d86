#!/usr/bin/env bash
# Fuzzes each target (or those named as arguments) for FUZZ_SECONDS with libFuzzer. Findings stay in fuzz/artifacts.
. "$(dirname "$0")/lib.sh"

need_rust
need_packages c++:build-essential
rustup toolchain list 2>/dev/null | grep -q '^nightly' || fail "fuzzing needs a nightly toolchain. Run: rustup toolchain install nightly"
cargo fuzz --version >/dev/null 2>&1 || fail "cargo-fuzz is missing. Run: cargo install cargo-fuzz --locked"
unset CARGO_TARGET_DIR
[ $# -gt 0 ] || mapfile -t targets < <(cargo +nightly fuzz list)
for target in "${@:-${targets[@]}}"; do
    say "fuzzing $target for ${FUZZ_SECONDS:-3600} s"
    # New inputs go into the first folder; the seeds are only read.
    mkdir -p "fuzz/corpus/$target"
    cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="${FUZZ_SECONDS:-3600}" -max_len=8192 -timeout=30 -print_final_stats=1 ||
        fail "$target found something: see above and fuzz/artifacts/$target"
done
