#!/usr/bin/env bash
# Formats every source file in place.
. "$(dirname "$0")/lib.sh"

need_rust
web_packages
cargo fmt --all
npm --prefix web run --silent format
