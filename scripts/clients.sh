#!/usr/bin/env bash
# Calls between clients that are no browsers and not ours: GStreamer's webrtcbin, with its RSA certificate, and aiortc under
# pymediasoup, both as published. Each sends a note and a picture; each must hear the other's note and decode its picture. They
# meet again in privacy mode, at the embedded TURN server, with the TURN clients of libnice and aioice.
# Two clients of the protobuf dialect, of aiortc and what protoc writes from its schema, have a mesh call.
# The bot of examples/python-bot is there too, and says who came and left. Ten seconds, once all is installed. PARLOR_BIN
# names another server.
. "$(dirname "$0")/lib.sh"

# GStreamer's bindings are for Debian's own Python, whatever other one comes first in the path.
python=/usr/bin/python3
need_packages python3:python3 curl:curl ss:iproute2
"$python" -c 'import ensurepip, venv' 2>/dev/null || need_packages no-venv:python3-venv
# Elements and bindings are no commands.
bindings='import gi; gi.require_version("GstWebRTC", "1.0"); gi.require_version("GstSdp", "1.0"); from gi.repository import Gst; Gst.init(None)
elements = ["webrtcbin", "dtlsdec", "srtpdec", "nicesrc", "opusenc", "rtpopuspay", "vp8enc", "rtpvp8pay", "audiotestsrc"]
raise SystemExit(any(Gst.ElementFactory.find(name) is None for name in elements))'
"$python" -c "$bindings" 2>/dev/null || need_packages no-gi:python3-gst-1.0 no-gir:gir1.2-gst-plugins-bad-1.0 no-nice:gstreamer1.0-nice \
    no-base:gstreamer1.0-plugins-base no-good:gstreamer1.0-plugins-good no-bad:gstreamer1.0-plugins-bad

requirements=scripts/clients/requirements.txt
venv="$TARGET_DIR/clients-python"
stamp="$venv/.parlor-stamp"
if ! up_to_date "$stamp" "$(fingerprint "$requirements")"; then
    say "installing aiortc and pymediasoup"
    rm -rf "$venv"
    "$python" -m venv --system-site-packages "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --ignore-installed -r "$requirements" ||
        fail "aiortc could not be installed: is this machine online? It needs Python 3.10 or newer."
    fingerprint "$requirements" >"$stamp"
fi

# The example's packages are among these, in the same versions.
grep -qvxFf "$requirements" examples/python-bot/requirements.txt &&
    fail "examples/python-bot/requirements.txt has versions that $requirements does not have"

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
server= gstreamer= aiortc= bot=
finish() {
    for process in $gstreamer $aiortc $bot $server; do { kill "$process" && wait "$process"; } 2>/dev/null || true; done
    rm -rf "$directory"
}
trap finish EXIT

# aiortc does not use 127.0.0.1: all talk over an address of this machine that is none of the loopback's.
address="$("$python" -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(("192.0.2.1", 9)); print(s.getsockname()[0])')"
port="$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
export PARLOR_CONFIG="$directory/parlor.toml"
cat >"$PARLOR_CONFIG" <<CONFIG
[http]
listen = "127.0.0.1:$port"
[media]
port = 0
workers = 1
listen_ip = "$address"
[log]
level = "info"
[turn]
relay_ports = "61000-65535"
[[channels]]
id = "quiet"
tier = "pro"
privacy = "relay"
CONFIG

"$parlor" serve --dev >"$directory/log" 2>&1 &
server=$!
url="http://127.0.0.1:$port"
curl --silent --fail --retry 50 --retry-delay 1 --retry-connrefused --output /dev/null "$url/readyz" ||
    { cat "$directory/log" >&2; fail "the server does not start"; }

said() { # said TEXT: waits until the bot has said it
    for _ in $(seq 120); do grep -qxF "$1" "$directory/bot.log" && return; sleep 0.25; done
    cat "$directory/bot.log" "$directory/log" >&2
    fail "the bot of examples/python-bot did not say: $1"
}
"$venv/bin/python" examples/python-bot/bot.py "$url" clients >"$directory/bot.log" 2>&1 &
bot=$!
said "in clients with nobody"

both_heard() { grep -q '^gstreamer: heard' "$directory/gstreamer.log" && grep -q '^aiortc: heard' "$directory/aiortc.log"; }
call() { # call CHANNEL [COMMAND…]: both clients are there until each has heard and seen the other; then the command is run
    local channel="$1" status=0
    shift
    # A client ends when its input does: not before both have heard.
    rm -f "$directory"/*.in
    mkfifo "$directory/gstreamer.in" "$directory/aiortc.in"
    for client in gstreamer aiortc; do
        "$venv/bin/python" "scripts/clients/${client}_client.py" "$url" "$channel" <"$directory/$client.in" >"$directory/$client.log" 2>&1 &
        printf -v "$client" %s "$!"
    done
    exec 3>"$directory/gstreamer.in" 4>"$directory/aiortc.in"
    for _ in $(seq 120); do
        if both_heard || ! kill -0 "$gstreamer" "$aiortc" 2>/dev/null; then break; fi
        sleep 0.5
    done
    "$@" || status=$?
    exec 3>&- 4>&-
    both_heard || { tail -n 40 "$directory"/*.log "$directory/log" >&2; fail "a client did not hear or see the other in $channel: see above"; }
    wait "$gstreamer" "$aiortc" || true
    cat "$directory/gstreamer.log" "$directory/aiortc.log"
    return "$status"
}
call clients
# GStreamer's packets do not say how loud they are.
for happening in "gstreamer came" "aiortc came" "aiortc speaks" "gstreamer left" "aiortc left"; do said "$happening"; done
relays() { # four connections, each with a relayed address
    [ "$(ss -Huanp | grep "pid=$server," | grep -cE ':6[1-5][0-9]{3} ')" -ge 4 ] || fail "the clients do not relay: $(ss -Huanp | grep "pid=$server,")"
}
call quiet relays
"$venv/bin/python" -m grpc_tools.protoc -I docs/protocol --python_out="$directory" docs/protocol/parlor/voice/v1/voice.proto
PYTHONPATH="$directory" "$venv/bin/python" scripts/clients/mesh_client.py "$url" python-mesh ||
    { cat "$directory/log" >&2; fail "the clients of the protobuf dialect did not hear each other: see above"; }
kill -INT "$bot" && wait "$bot" || fail "the bot of examples/python-bot does not end in order when it is asked to"
bot=
grep -q Traceback "$directory/bot.log" && { cat "$directory/bot.log" >&2; fail "the bot of examples/python-bot ends with a traceback"; }
refused="$(BOT_TOKEN=nonsense "$venv/bin/python" examples/python-bot/bot.py "$url" clients 2>&1)" &&
    fail "the bot of examples/python-bot goes on with a token that is none"
[[ "$refused" == "cannot connect to $url: You are not signed in"* && "$refused" != *Traceback* ]] ||
    fail "the bot of examples/python-bot does not say why the server refuses its token: $refused"
cat "$directory/bot.log"
