#!/usr/bin/env bash
# The main job, offline: a simulated exchange now and then leaves trades out, `market collect` fills minutes and fetches what is missing.
# Press Ctrl+C: the collector stops in order, its timeline and what it saved are shown. Takes no arguments, runs from anywhere.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# DEMO_BIN names a folder with programs that are built already.
bin=${DEMO_BIN:-${CARGO_TARGET_DIR:-target}/release}
[[ -n ${DEMO_BIN:-} ]] || cargo build --release --locked -p sims -p market
folder=$(mktemp -d)
symbols=(BTCUSDT ETHUSDT)

# In the background SIGINT is ignored: Ctrl+C reaches the collector alone, and the exchange ends after it.
# Now and then it leaves trades out, as a stream does that was cut for a moment.
$bin/exchange-sim --generate 7 "${symbols[@]/#/--symbol=}" --rate 10 --speed 60 \
    --fault 'socket * of @aggTrade after 900 every 4000 skip 25' >"$folder/exchange" 2>"$folder/exchange.log" &
exchange=$!
finish() {
    kill "$exchange" 2>/dev/null || true
    wait "$exchange" 2>/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT
trap 'true' INT TERM

for _ in $(seq 100); do
    address=$(grep -om1 'ws://[^ ]*' "$folder/exchange" || true)
    rest=$(grep -om1 'http://[^ ]*' "$folder/exchange" || true)
    [[ -n $address && -n $rest ]] && break
    kill -0 "$exchange" 2>/dev/null || { cat "$folder/exchange.log" >&2; exit 1; }
    sleep 0.1
done
[[ -n $address && -n $rest ]] || { echo "the exchange did not start within 10 s" >&2; exit 1; }

saved_minutes() { "$bin/market" minutes --db "$folder/market.db" --last 20 2>/dev/null; }

echo "demo: a minute takes a second here; now and then trades do not come, and are fetched. Press Ctrl+C to stop."

announce() {
    for _ in $(seq 300); do
        kill -0 "$exchange" 2>/dev/null || return
        if saved_minutes | grep -q backfilled; then
            echo "demo: ready; a minute had a gap, which is filled"
            return
        fi
        sleep 0.2
    done
}
# On a terminal the collector says it itself, and its last line is its own.
[[ -t 1 ]] || announce &
announcing=$!

status=0
SOFTSTOP_REPORT=- "$bin/market" collect --ws "$address" --rest "$rest" --db "$folder/market.db" \
    "${symbols[@]/#/--symbol=}" || status=$?
kill "$announcing" 2>/dev/null || true
wait "$announcing" 2>/dev/null || true

echo
echo "saved:"
saved_minutes
exit "$status"
