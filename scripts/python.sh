#!/usr/bin/env bash
# Installs what the tests compare with from Python's registry into target/python, once. Takes no arguments, runs from anywhere.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# A second implementation of PMTiles, in pure Python without dependencies of its own.
package=pmtiles==3.8.1
if [[ $(cat target/python/installed 2>/dev/null) != "$package" ]]; then
    rm -rf target/python
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --target target/python "$package"
    echo "$package" >target/python/installed
fi
