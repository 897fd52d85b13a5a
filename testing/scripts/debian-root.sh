#!/bin/bash
# Makes a small Debian root file system in the cache, once, and prints its directory.
set -euo pipefail

LAYOUT=1 # part of the cache key: raise it when this script changes what it leaves behind
name=debian-root
. "$(dirname "$0")/cache.sh"

suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ -n "$suite" ] || die "cannot tell the suite of this machine from /etc/os-release"
final=$cache/roots/$suite-$(dpkg --print-architecture)-minbase-$LAYOUT

if [ ! -d "$final" ]; then
    half_built "$final"
    say "making a Debian $suite root file system (once)"
    debian_tree "$suite" "$work/root" "$work/log"
    chmod 755 "$work/root"
    complete "$work/root" "$final"
fi
echo "$final"
