#!/usr/bin/env bash
# Counts the instructions that the media plane takes for packets, with fixed series of them in virtual time: unlike times, two counts
# can be compared whatever else the machine does. With arguments, only the workloads named.
. "$(dirname "$0")/lib.sh"

need_rust
need_packages cc:build-essential valgrind:valgrind
replay="$(cargo bench -p parlor-sfu --bench replay --no-run --locked --message-format=json |
    sed -n 's/.*"name":"replay".*"executable":"\([^"]*\)".*/\1/p')"
[ $# -gt 0 ] || set -- audio-25 audio-2 audio-2-red audio-40-not-heard video-20

counts="$(mktemp)"
trap 'rm -f "$counts"' EXIT
printf '%-20s %10s %10s %14s %14s %14s\n' workload packets forwarded instructions 'per packet' 'per forwarded'
for workload in "$@"; do
    said="$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='*through_the_sfu*' \
        "$replay" "$workload" 2>"$counts")" || { cat "$counts" >&2; fail "the replay of $workload failed"; }
    # shellcheck disable=SC2046,SC2086 # Two words and one.
    printf '%s %s %s\n' "$workload" "$said" "$(sed -n 's/.*Collected : *//p' "$counts")" |
        awk '{ printf "%-20s %10d %10d %14d %14.0f %14.0f\n", $1, $2, $3, $4, $4 / $2, $4 / ($3 ? $3 : 1) }'
done
