#!/usr/bin/env bash
# Every test, from the quickest to the slowest; stops at the first part that fails.
# With arguments, only the parts named: scripts/test.sh lint unit
. "$(dirname "$0")/lib.sh"

PARTS=(licences release format web lint unit doc deploy rest clients bench e2e)

part_setup() {
    need_rust
    need_node
    need_packages cc:build-essential git:git
    web_packages
}

part_licences() { node --test --test-reporter=spec scripts/licences.test.mjs; }

part_release() { node --test --test-reporter=spec scripts/release.test.mjs; }

part_format() {
    cargo fmt --all --check
    npm --prefix web run --silent format:check
}

part_web() {
    web_build
    npm --prefix web run --silent check
    npm --prefix web run --silent test
    npm --prefix web run --silent doc
    examples_packages
    npm --prefix web run --silent lint
    npm --prefix examples run --silent check
    npm --prefix examples run --silent build
}

part_lint() {
    web_build
    cargo clippy --workspace --all-targets --locked -- -D warnings
}

# The short fuzz runs are among these: crates/fuzzing. `make fuzz` goes on from there.
part_unit() {
    # The store is tested on a PostgreSQL that the tests start themselves.
    need_packages setpriv:util-linux python3:python3 openssl:openssl ip:iproute2 nft:nftables
    need_postgresql
    need_coturn
    need_redis
    web_build
    if cargo nextest --version >/dev/null 2>&1; then
        # Half of the time of the tests is waiting: for a timer, a process, a database.
        cargo nextest run --workspace --locked --no-fail-fast --test-threads "$((2 * $(nproc)))"
    else
        cargo test --workspace --all-targets --locked --no-fail-fast
    fi
}

part_doc() {
    cargo test --workspace --doc --locked
    # Broken links in comments are errors; those to private items work, as these documents are for ourselves. `vendor` has its
    # authors' comments.
    RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --exclude dimpl --no-deps --document-private-items --locked
}

part_deploy() { scripts/deploy.sh; }

part_rest() {
    build_server
    PARLOR_BIN="$TARGET_DIR/debug/parlor" scripts/rest.sh
}

part_clients() {
    build_server
    PARLOR_BIN="$TARGET_DIR/debug/parlor" scripts/clients.sh
}

part_bench() {
    build_server
    PARLOR_BIN="$TARGET_DIR/debug/parlor" bench/run.sh --short
    PARLOR_BIN="$TARGET_DIR/debug/parlor" bench/run.sh signal --short
    PARLOR_BIN="$TARGET_DIR/debug/parlor" bench/run.sh turn --short
    PARLOR_BIN="$TARGET_DIR/debug/parlor" "$TARGET_DIR/debug/parlor-bots" soak --seconds 20
    PARLOR_BIN="$TARGET_DIR/debug/parlor" "$TARGET_DIR/debug/parlor-bots" attack --short
}

part_e2e() {
    need_packages chromium:chromium firefox-esr:firefox-esr espeak-ng:espeak-ng sox:sox \
        ip:iproute2 nft:nftables pulseaudio:pulseaudio python3:python3 sysctl:procps
    need_coturn
    build_server
    examples_packages
    npm --prefix web run --silent test -w @parlor/e2e
}

build_server() {
    web_build
    cargo build --workspace --bins --locked
}

known() { local part; for part in "${PARTS[@]}"; do [ "$part" = "$1" ] && return; done; return 1; }

[ $# -gt 0 ] || set -- "${PARTS[@]}"
for part in "$@"; do
    known "$part" || fail "there is no part '$part'; the parts are: ${PARTS[*]}"
done

started=$SECONDS
for part in setup "$@"; do
    say "$part ($(minutes $((SECONDS - started))) so far)"
    # A subshell, and not `||`: bash would ignore `set -e` inside a function called there.
    set +e
    (set -e; "part_$part")
    status=$?
    set -e
    if [ $status -ne 0 ]; then
        printf '\n' >&2
        fail "the part '$part' failed (see above), after $(minutes $((SECONDS - started))). Alone: scripts/test.sh $part"
    fi
done
