#!/usr/bin/env bash
# Everything a change must pass, from a clean clone and an empty cargo cache. Takes no arguments, runs from anywhere.
# Every step runs even if an earlier one failed; the tests come last, so that the output ends with the test runner's summary.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Nothing is compiled twice here, so incremental files would only cost time and disk.
export CARGO_INCREMENTAL=0
failed=()

heading() { printf '\n== %s  (%s)\n' "$1" "$(date +%T)"; }

# step NAME COMMAND…: runs the command under a heading, says how long it took, remembers a failure.
step() {
    local name=$1 began=$SECONDS verdict=ok
    shift
    heading "$name"
    "$@" || { verdict=FAILED; failed+=("$name"); }
    printf -- '-- %s: %s, %s s\n' "$name" "$verdict" "$((SECONDS - began))"
}

# need COMMAND PACKAGE…: collects the packages of a command that is missing.
packages=()
need() { command -v "$1" >/dev/null || packages+=("${@:2}"); }

install_missing() {
    need cc gcc libc6-dev
    need unshare util-linux
    need ps procps
    need tmux tmux
    need python3 python3 python3-pip
    # Debian keeps what makes an environment apart from Python.
    python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
    need node nodejs
    need redis-server redis-server
    need strace strace
    if ((${#packages[@]})); then
        if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
            echo "please install these packages and run again: ${packages[*]}" >&2
            return 1
        fi
        heading "installing ${packages[*]}"
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${packages[@]}"
    fi
    if ! command -v cargo >/dev/null; then
        echo "please install Rust (https://rustup.rs) and run again; rust-toolchain.toml picks the version" >&2
        return 1
    fi
    if ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
        rustup component add rustfmt clippy
    fi
}

tests() {
    if command -v cargo-nextest >/dev/null; then
        cargo nextest run --locked --workspace --all-features --no-fail-fast
    else
        echo "cargo-nextest is not installed: no time limit per test (cargo install cargo-nextest --locked)"
        cargo test --locked --workspace --all-features --no-fail-fast --lib --bins --tests --examples
    fi
}

# What compiles with all features may not with one of them.
each_feature_alone() {
    for feature in "" serde testing tracing metrics systemd; do
        cargo clippy --locked -p softstop --features "$feature" -- -D warnings || return 1
    done
}

# Interrupts `tiles get`, and the script it replaces where Python has aiohttp, in the middle of a download and counts what is lost. Stops
# and kills `market collect` at random moments, starts it again each time, and compares what it has with the truth of the exchange.
stop_comparison() {
    local bin=${CARGO_TARGET_DIR:-target}/debug
    cargo build --locked --workspace --all-features --bins || return 1
    benches/tiles/run --stop --quick --tiles "$bin/tiles" && benches/market/run --stop --quick --bin "$bin"
}

# `softstop prove` on the examples and the programs, in its short form.
own_programs() {
    cargo build --locked --workspace --all-features --bins --examples || return 1
    PROVE_BIN=${CARGO_TARGET_DIR:-target}/debug scripts/prove.sh --trials 30 --budget 12
}

install_missing
step "packages of Python for the tests" scripts/python.sh
step "format" cargo fmt --all --check
step "clippy" cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
step "each feature alone" each_feature_alone
if command -v cargo-deny >/dev/null; then
    step "licences and bans" cargo deny --all-features --locked check bans licenses sources
else
    heading "licences and bans"
    echo "cargo-deny is not installed: licence and ban checks NOT run (cargo install cargo-deny --locked)"
fi
step "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --all-features
step "models" cargo test --locked --manifest-path crates/softstop/models/Cargo.toml --target-dir target/models
step "documentation tests" cargo test --locked --doc --workspace --all-features --no-fail-fast

step "stop comparison" stop_comparison
step "our own programs proved" own_programs
step "wheel" scripts/wheel-check.sh

heading "tests"
if ((${#failed[@]})); then
    tests || failed+=("tests")
    printf '\nFAILED: %s\n' "$(IFS=,; echo "${failed[*]}")" >&2
    exit 1
fi
tests
