#!/bin/bash
# ZFS's kernel modules: see build.sh. The kernel is the one whose headers the tools tree has.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../testing/scripts/cache.sh"
work=$1

kernel=$(cd "$tools/lib/modules" && ls -d -- *-amd64 | head -n 1)
source=$(cd "$tools/usr/src" && ls -d -- zfs-* | head -n 1)
mkdir "$work/build" "$work/result"
mount -t proc proc "$tools/proc"
mount --bind "$work/build" "$tools/mnt"
cp -r "$tools/usr/src/$source/." "$work/build/"

chroot "$tools" bash -euc '
    cd /mnt
    headers=/usr/src/linux-headers-$1
    ./configure -q --with-config=kernel --with-linux="${headers%-amd64}-common" \
        --with-linux-obj="$headers"
    make -s -j"$(nproc)" -C module
' - "$kernel" >"$work/log" 2>&1 || {
    tail -n 15 "$work/log" >&2
    die "cannot build $source for $kernel"
}
cp "$work/build/module/zfs.ko" "$work/build/module/spl.ko" "$work/result/"
