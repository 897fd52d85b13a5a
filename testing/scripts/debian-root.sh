#!/bin/bash
# Makes a small Debian root file system in the cache, once, and prints its directory.
set -euo pipefail

LAYOUT=1 # part of the cache key: raise it when this script changes what it leaves behind

say() { printf 'debian-root: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ -n "$suite" ] || die "cannot tell the suite of this machine from /etc/os-release"
arch=$(dpkg --print-architecture)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/proxmox-lxcri/roots
final=$cache/$suite-$arch-minbase-$LAYOUT

if [ -d "$final" ]; then
    echo "$final"
    exit 0
fi

command -v mmdebstrap >/dev/null || die "mmdebstrap is missing: apt-get install mmdebstrap"
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    grep -E '/debian/?$' | head -n 1 || true)
[ -n "$mirror" ] || die "no Debian mirror in apt's configuration"

mkdir -p "$cache"
work=$(mktemp -d "$cache/.half-built.XXXXXX")
trap 'rm -rf "$work"' EXIT
say "making a Debian $suite root file system (once)"
if ! mmdebstrap --mode=root --variant=minbase --quiet \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$suite" "$work/root" "$mirror" >"$work/log" 2>&1; then
    tail -n 5 "$work/log" >&2
    die "mmdebstrap failed: is there a network?"
fi
chmod 755 "$work" "$work/root"
# Another run may have been faster; its result is as good as ours.
mv -T "$work/root" "$final" 2>/dev/null || [ -d "$final" ] || die "cannot put $final in place"
echo "$final"
