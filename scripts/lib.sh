# Shared by the scripts here: messages, timing, and setting up what a fresh machine lacks.
# Sourced, never run. Every script that sources it stands in the root of the repository afterwards.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Debian keeps `ip` and `nft` where only root looks, and the programs of PostgreSQL in a directory for each version.
PATH="$PATH:/usr/sbin:/sbin"
for directory in /usr/lib/postgresql/*/bin; do PATH="$PATH:$directory"; done
export DEBIAN_FRONTEND=noninteractive
TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
export CARGO_TARGET_DIR="$TARGET_DIR"

say() { printf '==> %s\n' "$*"; }

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

minutes() { printf '%d:%02d min' $(($1 / 60)) $(($1 % 60)); }

# at_least HAVE WANT: compares dotted version numbers.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

need_rust() {
    command -v cargo >/dev/null || fail "Rust is missing. Install Rust 1.95 or newer from https://rustup.rs, then run this again."
    local have
    have="$(rustc --version | cut -d ' ' -f 2)"
    at_least "${have%%-*}" 1.95.0 || fail "Rust $have is too old: 1.95 or newer is needed. Run: rustup update stable"
}

need_node() {
    command -v npm >/dev/null || fail "Node.js is missing. Install Node 20.19 or newer from https://nodejs.org, then run this again."
    local have
    have="$(node --version)"
    at_least "${have#v}" 20.19.0 || fail "Node $have is too old: 20.19 or newer is needed."
}

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

# need_packages COMMAND:PACKAGE...: installs the Debian packages whose command is not there.
need_packages() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
    [ ${#missing[@]} -eq 0 ] && return
    command -v apt-get >/dev/null || fail "these programs are missing, and this is not a Debian system: ${missing[*]}. Install them, then run this again."
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
        fail "these Debian packages are missing: ${missing[*]}. Install them as root, then run this again."
    say "installing Debian packages: ${missing[*]}"
    as_root apt-get update -q || fail "apt-get update failed: is this machine online?"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}" ||
        fail "apt-get could not install: ${missing[*]}"
}

# PostgreSQL's programs, without the server that Debian would start on its usual port.
need_postgresql() {
    command -v initdb >/dev/null && return
    need_packages pg_lsclusters:postgresql-common
    as_root mkdir -p /etc/postgresql-common/createcluster.d
    echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.d/parlor.conf >/dev/null
    need_packages initdb:postgresql
}

# coturn and its client, without the service that Debian would start on the usual port.
need_coturn() {
    command -v turnserver >/dev/null && return
    need_packages turnserver:coturn
    if [ -d /run/systemd/system ]; then as_root systemctl disable --quiet --now coturn; fi
}

# Redis and its client, without the service that Debian would start on the usual port.
need_redis() {
    command -v redis-server >/dev/null && return
    need_packages redis-server:redis-server
    if [ -d /run/systemd/system ]; then as_root systemctl disable --quiet --now redis-server; fi
}

# fingerprint FILE...: one hash over names and contents. Times are no use: git sets them at random.
fingerprint() { sha256sum "$@" | sha256sum | cut -d ' ' -f 1; }

# up_to_date STAMP HASH: whether the stamp was left by the same inputs.
up_to_date() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

# npm packages exactly as locked; nothing is done while the lock file stays the same.
web_packages() {
    need_node
    local stamp=web/node_modules/.parlor-stamp hash
    hash="$(fingerprint web/package-lock.json web/package.json web/*/package.json)"
    up_to_date "$stamp" "$hash" && return
    say "installing npm packages"
    npm --prefix web ci --no-audit --no-fund --loglevel=error || fail "npm ci failed: is this machine online?"
    echo "$hash" >"$stamp"
}

# The examples' packages as locked, and the SDK as it was built last: it is packed into them.
examples_packages() {
    web_build
    local stamp=examples/node_modules/.parlor-stamp hash inputs
    mapfile -d '' inputs < <(find web/sdk/dist -type f -print0 | sort -z)
    hash="$(fingerprint examples/package-lock.json examples/package.json examples/*/package.json web/sdk/package.json "${inputs[@]}")"
    up_to_date "$stamp" "$hash" && return
    say "installing the examples' npm packages"
    npm --prefix examples ci --no-audit --no-fund --loglevel=error || fail "npm ci failed in examples: is this machine online?"
    echo "$hash" >"$stamp"
}

# The SDK and the web app, which the server carries in its binary.
web_build() {
    web_packages
    local stamp=web/app/dist/.parlor-stamp hash inputs
    mapfile -d '' inputs < <(find web/sdk web/app \( -name node_modules -o -name dist \) -prune -o -type f -print0 | sort -z)
    hash="$(fingerprint web/package-lock.json web/tsconfig.base.json "${inputs[@]}")"
    up_to_date "$stamp" "$hash" && return
    say "building the web app"
    npm --prefix web run --silent build || fail "the web app does not build: see above"
    echo "$hash" >"$stamp"
}
