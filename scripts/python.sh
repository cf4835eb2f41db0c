#!/usr/bin/env bash
# Installs what the tests compare with from Python's registry into target/python, once. Takes no arguments, runs from anywhere.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=(
    # A second implementation of PMTiles, in pure Python without dependencies of its own.
    pmtiles==3.8.1
    # The client whose unclosed session `softstop prove` has to find (examples/prove), and what it needs.
    aiohttp==3.14.5 aiohappyeyeballs==2.7.1 aiosignal==1.4.0 attrs==26.1.0 frozenlist==1.8.0 idna==3.20
    multidict==7.2.1 propcache==0.5.4 typing_extensions==4.16.0 yarl==1.25.1
)
# Packages with compiled parts are for one version of Python.
wanted="$(python3 --version) ${packages[*]}"
if [[ $(cat target/python/installed 2>/dev/null) != "$wanted" ]]; then
    rm -rf target/python
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --target target/python "${packages[@]}"
    echo "$wanted" >target/python/installed
fi
# An ordinary user reads them too.
chmod -R a+rX target/python
