#!/usr/bin/env bash
# Proves that our own programs stop well: the library's examples, `market collect` and `tiles get`, with `softstop prove`.
#   scripts/prove.sh [--trials N] [--budget SECONDS] [NAME…]      N trials (60) of each, or of those named, in so much time (90)
# PROVE_BIN names a folder with programs that are built already, of the examples in its folder `examples`; else they are built (release).
# A page and the JSON for each lie in target/prove. Exit status 0 if all pass.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

trials=60 budget=90 names=()
while (($#)); do
    case $1 in
        --trials) trials=$2; shift 2 ;;
        --budget) budget=$2; shift 2 ;;
        -*) echo "unknown: $1; see the head of this file" >&2; exit 2 ;;
        *) names+=("$1"); shift ;;
    esac
done
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
if [[ -z ${PROVE_BIN:-} ]]; then
    PROVE_BIN=$target/release
    cargo build --release --locked -p softstop-cli -p market -p tiles -p sims
    cargo build --release --locked -p softstop --all-features --examples
fi
PROVE_BIN=$(realpath "$PROVE_BIN")
export PROVE_BIN
scenarios=$PWD/apps
examples=$PWD/crates/softstop/examples/prove.yaml
pages=$target/prove
mkdir -p "$pages"
folder=$(mktemp -d)
sims=()
finish() {
    ((${#sims[@]})) && kill "${sims[@]}" 2>/dev/null && wait "${sims[@]}" 2>/dev/null
    rm -rf "$folder"
}
trap finish EXIT

# simulate NAME PATTERN COMMAND…: starts a simulator and puts what it says of PATTERN into `address`.
simulate() {
    local name=$1 pattern=$2
    shift 2
    "$@" >"$folder/$name" 2>"$folder/$name.log" &
    sims+=($!)
    for _ in $(seq 100); do
        address=$(grep -om1 "$pattern" "$folder/$name" 2>/dev/null || true)
        [[ -n $address ]] && return
        sleep 0.1
    done
    cat "$folder/$name.log" >&2
    echo "$name did not start within 10 s" >&2
    exit 1
}

failed=()
# prove NAME ARGUMENTS…: the text of the verdict is shown where it is no plain pass.
prove() {
    local name=$1 status=0
    shift
    if ((${#names[@]})) && [[ " ${names[*]} " != *" $name "* ]]; then return; fi
    mkdir "$folder/at-$name"
    (cd "$folder/at-$name" && "$PROVE_BIN/softstop" prove --trials "$trials" --budget "$budget" \
        --html "$pages/$name.html" --json "$pages/$name.json" "$@") >"$folder/$name.txt" 2>"$folder/$name.err" || status=$?
    printf '%-18s %s\n' "$name" "$(head -n 1 "$folder/$name.txt")"
    if ((status)); then
        failed+=("$name")
        tail -n +2 "$folder/$name.txt"
        cat "$folder/$name.err"
    fi
}

for example in "$PROVE_BIN"/examples/0[0-9]_*; do
    name=${example##*/}
    [[ $name != *[.-]* && -x $example ]] && prove "$name" --scenario "$examples" -- "$example"
done
simulate exchange 'http://[^ ]*' "$PROVE_BIN/exchange-sim" --generate 7 --symbol BTCUSDT --symbol ETHUSDT --rate 10 --speed 60 \
    --fault 'socket * of @aggTrade every 200 skip 9; socket * every 3000 drop'
EXCHANGE=$address
MARKET_CHECK=$scenarios/market/check.py
export EXCHANGE MARKET_CHECK
prove market --scenario "$scenarios/market/prove.yaml" -- \
    "$PROVE_BIN/market" collect --ws "$(head -n 1 "$folder/exchange")" --rest "$address" --db '{data}/market.db' \
    --symbol BTCUSDT --symbol ETHUSDT
simulate tiles 'http://[^ ]*' "$PROVE_BIN/tile-sim" --listen 127.0.0.1:0
prove tiles --scenario "$scenarios/tiles/prove.yaml" -- \
    "$PROVE_BIN/tiles" get '{data}/map.mbtiles' --url "$address/{z}/{x}/{y}.png" --bbox 106.6,-6.4,107.0,-6.0 --zoom 0-14 --rate 400
echo "pages: $pages"
if ((${#failed[@]})); then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
