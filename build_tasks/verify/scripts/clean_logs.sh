#!/usr/bin/env bash
# Write logs whose names say how old they are in minutes, run the log groomer once, and list what it leaves.
set -e
cd logs
for minutes in 10 90 5760 14400 28800; do
    mkdir --parents "dag/${minutes}"
    head --bytes 1000 /dev/zero > "dag/${minutes}/1.log"
    touch --date "${minutes} minutes ago" "dag/${minutes}/1.log" "dag/${minutes}"
done
touch --date '99 days ago' kept.txt
# Where it would wait for the next round, it ends: no number of seconds is enough on every machine.
sleep() { kill $$; }
export -f sleep
timeout 300 /clean-logs >&2 || true
find . -type f -printf '%P\n'
find dag -type d -empty -printf 'empty: %P\n'
