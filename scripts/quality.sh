#!/usr/bin/env bash
# Measures the quality of calls in real browsers over bad links, and prints tables and verdicts.
# Arguments name single parts: scripts/quality.sh speech. PARLOR_BIN names another server; see docs/quality.md.
. "$(dirname "$0")/lib.sh"

need_rust
need_node
need_packages cc:build-essential chromium:chromium espeak-ng:espeak-ng sox:sox ip:iproute2 nft:nftables sysctl:procps python3:python3
# Its module for virtual environments is a package of its own, which no command tells.
python3 -c 'import ensurepip, venv' 2>/dev/null || need_packages no-venv:python3-venv
web_packages

# PESQ, the judge of speech: compiled when it is installed, into a place of its own.
PESQ_PACKAGES=(numpy==2.4.6 pesq==0.0.4)
venv="$TARGET_DIR/quality-python"
stamp="$venv/.parlor-stamp"
if ! up_to_date "$stamp" "${PESQ_PACKAGES[*]}"; then
    say "installing PESQ"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "${PESQ_PACKAGES[@]}" ||
        fail "PESQ could not be installed: is this machine online? It needs Python 3.11 or newer with its headers (python3-dev)."
    echo "${PESQ_PACKAGES[*]}" >"$stamp"
fi

if [ -z "${PARLOR_BIN:-}" ]; then
    web_build
    cargo build --bin parlor --release --locked
    export PARLOR_BIN="$TARGET_DIR/release/parlor"
fi
export QUALITY_PYTHON="$venv/bin/python"
npm --prefix web run --silent build -w @parlor/e2e
exec node web/e2e/dist/quality/main.js "$@"
