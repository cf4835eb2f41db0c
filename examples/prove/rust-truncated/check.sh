#!/bin/sh
# The state is whole, or there is none yet.
[ ! -e data/state.json ] || grep -q '}$' data/state.json && exit 0
echo "the state has $(wc -c <data/state.json) bytes"
exit 1
