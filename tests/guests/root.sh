#!/bin/bash
# The guests' own tree, as Debian makes it: see build.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../testing/scripts/cache.sh"
work=$1

debian_tree "$SUITE" "$work/result" "$work/log" --components=main,contrib \
    --include="$(paste -sd, "$here/root.packages")"
chmod 755 "$work/result"
