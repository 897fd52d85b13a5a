#!/bin/bash
# Builds the programs that proxmox-lxcri starts, into dist/libexec:
#
#   lxcri-init     static, as everything is here
#   lxcri-liblxc   dynamic: it loads liblxc at run time, which a static program cannot do
#
# One cargo call builds for one target with one set of flags, so the dynamic program has a call and a
# target directory of its own. RUSTFLAGS takes the place of all flags in .cargo/config.toml, which is
# what turns crt-static off.
#
# `libexec.sh test` runs the tests that need a loaded liblxc.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=$(rustc -vV | sed -n 's/^host: //p')
built=${CARGO_TARGET_DIR:-target}
# PID 1 is there once for every container: small is what counts. It stays position-independent, with
# its relocations packed; functions of the same code are kept once; and who aborts needs no tables to
# unwind by.
small() {
    RUSTFLAGS="-C target-feature=+crt-static -L native=/usr/lib/${target%%-*}-linux-gnu \
        -C link-arg=-Wl,-z,pack-relative-relocs -C link-arg=-Wl,--icf=all \
        -C link-arg=-Wl,--no-eh-frame-hdr -C force-unwind-tables=no" \
        CARGO_PROFILE_RELEASE_OPT_LEVEL=z CARGO_TARGET_DIR=$built/small \
        cargo "$@" --locked -p lxcri-init
}
dynamic() {
    RUSTFLAGS="-C target-feature=-crt-static -L native=/usr/lib/${target%%-*}-linux-gnu" \
        CARGO_TARGET_DIR=$built/dynamic cargo "$@" --locked -p lxcri-liblxc
}

if [ "${1:-}" = test ]; then
    dynamic test --bin lxcri-liblxc
    exit
fi
small build --release
dynamic build --release
mkdir -p dist/libexec
install -m 755 "$built/small/$target/release/lxcri-init" dist/libexec/lxcri-init
install -m 755 "$built/dynamic/$target/release/lxcri-liblxc" dist/libexec/lxcri-liblxc
for program in lxcri-init lxcri-liblxc; do
    echo "built dist/libexec/$program ($(stat -c %s dist/libexec/$program) bytes)"
done
