#!/usr/bin/env bash
# Tests the REST API of a real server against its own OpenAPI document, with schemathesis: a minute or so.
# Arguments go to schemathesis: scripts/rest.sh --include-path /api/keys. PARLOR_BIN names another server.
. "$(dirname "$0")/lib.sh"

need_node
need_packages python3:python3 curl:curl
# Its module for virtual environments is a package of its own, which no command tells.
python3 -c 'import ensurepip, venv' 2>/dev/null || need_packages no-venv:python3-venv

requirements=scripts/rest-requirements.txt
venv="$TARGET_DIR/rest-python"
stamp="$venv/.parlor-stamp"
if ! up_to_date "$stamp" "$(fingerprint "$requirements")"; then
    say "installing schemathesis"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -r "$requirements" ||
        fail "schemathesis could not be installed: is this machine online? It needs Python 3.10 or newer."
    fingerprint "$requirements" >"$stamp"
fi

if [ -z "${PARLOR_BIN:-}" ]; then
    need_rust
    web_build
    cargo build --bin parlor --locked
    PARLOR_BIN="$TARGET_DIR/debug/parlor"
fi
# The environment is stronger than the configuration below: nothing of it may lead to somebody's real store.
parlor="$PARLOR_BIN"
unset "${!PARLOR_@}"

directory="$(mktemp -d)"
server=
finish() {
    [ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null || true
    rm -rf "$directory"
}
trap finish EXIT

port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
export PARLOR_CONFIG="$directory/parlor.toml"
cat >"$PARLOR_CONFIG" <<CONFIG
[http]
listen = "127.0.0.1:$port"
[media]
port = 0
workers = 1
listen_ip = "127.0.0.1"
[auth]
secret = "$(head -c 32 /dev/urandom | sha256sum | cut -d ' ' -f 1)"
[log]
level = "warn"
# A test asks faster, and more often wrongly, than anybody should.
[api]
requests_per_second_key = 100000
requests_per_second_address = 100000
failed_keys_per_minute = 100000
CONFIG

key="$("$parlor" key create schemathesis --scope '*')"
"$parlor" serve >"$directory/log" 2>&1 &
server=$!
url="http://127.0.0.1:$port"
curl --silent --fail --retry 50 --retry-delay 1 --retry-connrefused --output /dev/null "$url/readyz" ||
    { cat "$directory/log" >&2; fail "the server does not start"; }
# Something to be found: most ids that are made up are of nothing.
for made in channels/den channels/den/members/alice channels/den/seats/left users/alice/entitlement; do
    body='{}'
    [ "$made" != users/alice/entitlement ] || body='{"pro": true}'
    curl --silent --fail --output /dev/null --request PUT --header "Authorization: Bearer $key" --json "$body" "$url/api/$made"
done

say "reading the patterns as JavaScript does"
node scripts/rest-patterns.mjs "$url/api/openapi.json" || fail "a pattern of the document cannot be read: see above"

export PYTHONPATH=scripts SCHEMATHESIS_HOOKS=rest_hooks
if ! "$venv/bin/schemathesis" --config-file scripts/rest.toml run "$url/api/openapi.json" \
    --header "Authorization:Bearer $key" --max-examples 40 "$@"; then
    tail -n 50 "$directory/log" >&2
    fail "the REST API does not do as its document says: see above"
fi
