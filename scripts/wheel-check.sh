#!/usr/bin/env bash
# Builds the wheel and uses it as its user does: installed from the file alone into a fresh environment, in a folder whose name
# has a space. Takes no arguments, runs from anywhere.
set -euo pipefail
wheel=$("$(dirname "${BASH_SOURCE[0]}")/wheel.sh")

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# expect STATUS TEXT COMMAND…: the command ends with this status and says this.
expect() {
    local wanted=$1 text=$2 status=0 said
    shift 2
    said=$("$@" 2>&1 </dev/null) || status=$?
    if [[ $status != "$wanted" || $said != *"$text"* ]]; then
        printf 'status %s, not %s with "%s": %s\n%s\n' "$status" "$wanted" "$text" "$*" "$said" >&2
        exit 1
    fi
}

cat >good.py <<'PYTHON'
import os, signal
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: os._exit(0))
print("ready", flush=True)
while True:
    signal.pause()
PYTHON
sed 's/_exit(0)/_exit(7)/' good.py >bad.py

python3 -m venv "an environment"
bin="$folder/an environment/bin"
"$bin/pip" install --quiet --disable-pip-version-check --no-index "$wheel"

version=$(basename "$wheel" | cut -d- -f2)
expect 0 "softstop $version" "$bin/softstop" --version
expect 0 "softstop $version" "$bin/python" -m softstop --version
# Alone in a file system it finds all it is made of, and says what it needs to start a program.
mkdir alone
cp "$bin/softstop" alone
if unshare -r true 2>/dev/null; then
    expect 0 "softstop $version" unshare -r chroot alone /softstop --version
    expect 2 "/proc and /dev are needed" unshare -r chroot alone /softstop prove -- /softstop
else
    echo "this user may make no namespace: NOT tried alone in a file system"
fi

expect 0 "passed: all" "$bin/softstop" prove --trials 10 -- "$bin/python" good.py
expect 1 "ends with status" "$bin/softstop" prove --trials 10 -- "$bin/python" bad.py
expect 1 "ends with status" "$bin/python" -m softstop prove --trials 4 -- "$bin/python" bad.py
expect 2 "no program" "$bin/softstop" prove
expect 2 "no such program" "$bin/softstop" prove -- "no such program"

# It starts itself again for every trial, and does so still when its file has been removed.
cat >removes.sh <<'SHELL'
rm -rf "an environment"
trap 'exit 0' TERM INT
echo ready
while :; do sleep 0.01; done
SHELL
expect 0 "passed: all" "$bin/softstop" prove --trials 6 -- sh removes.sh
expect 1 "" test -e "an environment"
echo "$(basename "$wheel"): $(($(stat -c %s "$wheel") / 1024)) KiB, installed and used"
