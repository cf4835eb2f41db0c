#!/usr/bin/env bash
# Builds the Python wheel of `softstop` into target/wheels and prints its path. Takes no arguments, runs from anywhere.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The version that pyproject.toml names, in an environment of its own.
project=crates/softstop-cli
maturin=$(sed -n 's/^requires = \["\(maturin==[0-9.]*\)"\]$/\1/p' $project/pyproject.toml)
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tools=$target/$maturin
if [[ ! -e $tools/installed ]]; then
    python3 -m venv --clear "$tools"
    "$tools/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: "$maturin"
    touch "$tools/installed"
fi

# What is static needs no C library of the machine, neither an old one nor another one; maturin says the latter of musl only.
tags=(manylinux2014)
[[ $(scripts/static.sh printenv CARGO_BUILD_TARGET 2>/dev/null) != *-musl ]] || tags+=(musllinux_1_1)
rm -rf "$target/wheels"
scripts/static.sh "$tools/bin/maturin" build --quiet --manifest-path $project/Cargo.toml --out "$target/wheels" \
    --compatibility "${tags[@]}" >&2
echo "$target"/wheels/softstop-*.whl
