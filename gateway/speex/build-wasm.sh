#!/bin/sh
# Makes speex.wasm, the codec for browsers: no imports, the same bytes from the same sources.
#
#     apt-get install rustc libstd-rust-dev-wasm32 lld binaryen        # Debian 12: Rust 1.63, wasm-opt 108
#     ./build-wasm.sh [speex.wasm]
#
# rustup's compiler would do as well (WASM_RUSTC=rustc), but each version makes bytes of its own: the committed file
# is Debian's.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "${1:-speex.wasm}")
rustc=${WASM_RUSTC:-/usr/bin/rustc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Paths would end up in the file: build from the crate's folder, and name it nowhere.
cd "$here"
# The feature variable-rate stays off: a constant rate only, for 4 kB less.
flags="--edition 2021 --target wasm32-unknown-unknown -C opt-level=s -C target-feature=+simd128,+nontrapping-fptoint,+bulk-memory -C codegen-units=1 -C panic=abort
       --remap-path-prefix $here=. --remap-path-prefix $work=."
# shellcheck disable=SC2086 # one word each
{
    "$rustc" $flags --crate-type rlib --crate-name speex_codec src/lib.rs -o "$work/libspeex_codec.rlib"
    "$rustc" $flags --crate-type cdylib --crate-name speex wasm/speex.rs --extern speex_codec="$work/libspeex_codec.rlib" \
        -C lto=fat -C linker=wasm-ld -C link-arg=--stack-first -C link-arg=-zstack-size=131072 -C link-arg=--strip-all \
        -o "$work/linked.wasm"
}
wasm-opt -Oz --enable-simd --enable-nontrapping-float-to-int --enable-bulk-memory --strip-debug --strip-producers \
    "$work/linked.wasm" -o "$work/speex.wasm"
mv "$work/speex.wasm" "$out"
