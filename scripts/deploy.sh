#!/usr/bin/env bash
# Checks what is in deploy/: the playbook and the container files are well-formed, and a coturn with that configuration relays to
# the internet, and to nothing else. Ten seconds, once all is installed.
. "$(dirname "$0")/lib.sh"

need_coturn
need_packages python3:python3 openssl:openssl
python3 -c 'import ensurepip, venv' 2>/dev/null || need_packages no-venv:python3-venv

requirements=scripts/deploy/requirements.txt
venv="$TARGET_DIR/deploy-python"
stamp="$venv/.parlor-stamp"
if ! up_to_date "$stamp" "$(fingerprint "$requirements")"; then
    say "installing ansible-core, ansible-lint and hadolint"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" ||
        fail "ansible-lint could not be installed: is this machine online? It needs Python 3.11 or newer."
    fingerprint "$requirements" >"$stamp"
fi
PATH="$venv/bin:$PATH"
# Nothing of whoever runs this may decide how it ends.
unset "${!ANSIBLE_@}" "${!TURN_@}"

directory="$(mktemp -d)"
coturn=
finish() {
    [ -z "$coturn" ] || { kill "$coturn" && wait "$coturn"; } 2>/dev/null || true
    rm -rf "$directory"
}
trap finish EXIT
export ANSIBLE_HOME="$directory/ansible" ANSIBLE_LOCAL_TEMP="$directory/ansible"

say "reading the playbook and the container files"
(
    cd deploy/coturn
    ansible-playbook --syntax-check -i inventory.example.ini playbook.yml >/dev/null
    ansible-lint --offline --strict -q playbook.yml
)
hadolint deploy/Dockerfile deploy/coturn/Dockerfile.coturn
# Where Docker is not, its file is at least well-formed.
yamllint --strict -d '{extends: relaxed, rules: {line-length: disable}}' deploy/docker-compose.yml
if docker compose version >/dev/null 2>&1; then
    docker compose -f deploy/docker-compose.yml config --quiet
fi

# Both ways to render the configuration must come to the same. The port of TLS is another one here, because 443 may be taken.
secret=0123456789abcdef0123456789abcdef
old_secret=fedcba9876543210fedcba9876543210
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -keyout "$directory/key.pem" -out "$directory/cert.pem" 2>/dev/null
printf 'static-auth-secret=%s\nallowed-peer-ip=10.0.0.5' "$old_secret" >"$directory/more"
cat >"$directory/vars.json" <<VARS
{"turn_realm": "turn.example.com", "turn_secret": "$secret", "turn_external_ip": "198.51.100.7", "turn_cert": "$directory/cert.pem",
 "turn_key": "$directory/key.pem", "turn_old_secrets": ["$old_secret"], "turn_allowed_peers": ["10.0.0.5"]}
VARS
ansible-playbook -i localhost, -c local -e "@$directory/vars.json" -e "out=$directory/ansible.conf" \
    -e "ansible_python_interpreter=$venv/bin/python" scripts/deploy/render.yml >"$directory/log" 2>&1 ||
    { cat "$directory/log" >&2; fail "the template cannot be rendered by Ansible: see above"; }
mkdir "$directory/bin"
printf '#!/bin/sh\n' >"$directory/bin/turnserver"
chmod +x "$directory/bin/turnserver"
env "PATH=$directory/bin:$PATH" TURN_TEMPLATE=deploy/coturn/roles/turn/templates/turnserver.conf.j2 "TURN_CONFIG=$directory/container.conf" TURN_REALM=turn.example.com \
    TURN_SECRET=$secret TURN_EXTERNAL_IP=198.51.100.7 "TURN_CERT=$directory/cert.pem" "TURN_KEY=$directory/key.pem" \
    "TURN_MORE=$(cat "$directory/more")" deploy/coturn/entrypoint.sh
diff "$directory/ansible.conf" "$directory/container.conf" || fail "Ansible and the container render another configuration: see above"

say "asking a coturn with this configuration"
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
udp="$(port)"
tls="$(port)"
https="$(port)"
sed "s/:443\$/:$https/" "$directory/container.conf" >"$directory/turnserver.conf"
(cd "$directory" && exec turnserver -c turnserver.conf --listening-ip 127.0.0.1 --relay-ip 127.0.0.1 --relay-ip ::1 --listening-port "$udp" \
    --tls-listening-port "$tls" --userdb "$directory/turndb" --pidfile "$directory/pid") >"$directory/coturn.log" 2>&1 &
coturn=$!
for _ in $(seq 100); do
    if openssl s_client -connect "127.0.0.1:$tls" </dev/null >/dev/null 2>&1; then break; fi
    kill -0 "$coturn" 2>/dev/null || break
    sleep 0.1
done
if ! python3 scripts/deploy/probe.py 127.0.0.1 "$udp" --secret $secret --secret $old_secret --external-ip 198.51.100.7 --allowed 10.0.0.5; then
    tail -n 50 "$directory/coturn.log" >&2
    fail "coturn does not do what its configuration is for: see above"
fi
for port in "$tls" "$https"; do
    openssl s_client -connect "127.0.0.1:$port" </dev/null 2>/dev/null | grep -q 'BEGIN CERTIFICATE' || fail "coturn has no TLS on one of its ports"
    ! openssl s_client -connect "127.0.0.1:$port" -tls1_1 </dev/null 2>/dev/null | grep -q 'BEGIN CERTIFICATE' || fail "coturn speaks TLS 1.1"
done
# These two were let in. Of who is not, coturn names the user.
! grep 'probe[46]' "$directory/coturn.log" >&2 || fail "the log of coturn has names of users: see above"
