#!/bin/bash
# The tools tree: see build.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../testing/scripts/cache.sh"
work=$1

# The source of ZFS's modules is unpacked, not installed: installing would build for minutes, twice
# as long as building the modules alone does.
debian_tree "$SUITE" "$work/result" "$work/log" --components=main,contrib \
    --include="$(paste -sd, "$here/tools.packages")" \
    --customize-hook='cd "$1" && APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get download -q zfs-dkms &&
        dpkg-deb -x zfs-dkms_*.deb . && rm zfs-dkms_*.deb'
chmod 755 "$work/result"

# See files/xstate.c.
cp "$here/files/xstate.c" "$work/result/tmp/"
chroot "$work/result" gcc -O2 -Wall -Werror -shared -fPIC -o /usr/lib/xstate.so /tmp/xstate.c
