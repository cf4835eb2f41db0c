#!/usr/bin/env bash
# Builds `softstop` as one static executable for this machine's architecture and prints its path. With arguments, runs these
# instead as the command that builds (scripts/wheel.sh does). Runs from anywhere.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

arch=$(rustc -vV | sed -n 's/^host: \([^-]*\).*/\1/p')
# With musl it starts in a quarter of the time (it starts itself again for every trial), and looks up names without help from files of
# the machine. A named target keeps build scripts and macros out of it, which cannot be static.
export CARGO_BUILD_TARGET=$arch-unknown-linux-musl
# Folders of this machine are in no message of a panic.
flags=("--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=crates" "--remap-path-prefix=$PWD=softstop")
if ! compgen -G "$(rustc --print target-libdir --target "$CARGO_BUILD_TARGET")/libstd-*.rlib" >/dev/null; then
    echo "the target $CARGO_BUILD_TARGET is not installed, so glibc is linked in (rustup target add $CARGO_BUILD_TARGET)" >&2
    export CARGO_BUILD_TARGET=$arch-unknown-linux-gnu
    flags+=("-Ctarget-feature=+crt-static")
fi
# One flag may hold spaces, so they are parted by the character that cargo asks for.
printf -v CARGO_ENCODED_RUSTFLAGS '%s\x1f' "${flags[@]}"
export CARGO_ENCODED_RUSTFLAGS=${CARGO_ENCODED_RUSTFLAGS%$'\x1f'}

if (($#)); then
    exec "$@"
fi
cargo build --profile dist --locked -p softstop-cli
echo "${CARGO_TARGET_DIR:-target}/$CARGO_BUILD_TARGET/dist/softstop"
