#!/bin/sh
# Renders turnserver.conf.j2 from the environment and becomes coturn.
#
# TURN_SECRET       turn.secret of Parlor (needed)
# TURN_EXTERNAL_IP  the public address, or public/private (needed)
# TURN_REALM        the name of the machine
# TURN_CERT, TURN_KEY  certificate and key, mounted into the container; without them there is no TLS
# TURN_MORE         further lines of the configuration, as "allowed-peer-ip=10.0.0.5"
set -eu

: "${TURN_SECRET:?is not set: openssl rand -hex 32, the turn.secret of Parlor}"
: "${TURN_EXTERNAL_IP:?is not set: the public address of this machine}"
template="${TURN_TEMPLATE:-/usr/share/parlor/turnserver.conf.j2}"
rendered="${TURN_CONFIG:-/run/turnserver/turnserver.conf}"

# awk and not sed: a secret may have characters that mean something to sed.
umask 077
TURN_REALM="${TURN_REALM:-parlor}" TURN_CERT="${TURN_CERT:-/etc/coturn/fullchain.pem}" TURN_KEY="${TURN_KEY:-/etc/coturn/privkey.pem}" \
TURN_MORE="${TURN_MORE:-}" TURN_SECRET="$TURN_SECRET" TURN_EXTERNAL_IP="$TURN_EXTERNAL_IP" awk '
    {
        line = ""
        while (match($0, /[{][{] turn_[a-z_]+ [}][}]/)) {
            name = toupper(substr($0, RSTART + 3, RLENGTH - 6))
            line = line substr($0, 1, RSTART - 1) ENVIRON[name]
            $0 = substr($0, RSTART + RLENGTH)
        }
        print line $0
    }' "$template" >"$rendered"

exec turnserver -c "$rendered" "$@"
