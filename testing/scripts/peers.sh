#!/bin/bash
# Fetches the newest crun and runc that Debian has (suite sid), with the libraries they need, into
# the cache, without touching the system. Prints the directory; in its bin/ are `crun` and `runc`,
# which start directly (no wrapper), so that they can be measured as we are.
set -euo pipefail

SUITE=sid
LAYOUT=1 # part of the cache key: raise it when this script changes what it leaves behind
WANTED_CRUN=1.28

name=peers
. "$(dirname "$0")/cache.sh"
final=$cache/peers/$SUITE-$(dpkg --print-architecture)-$LAYOUT

report_version() {
    local version
    version=$("$final/bin/crun" --version | sed -n 's/^crun version //p')
    [ "$version" = "$WANTED_CRUN" ] || say "note: crun is $version, not $WANTED_CRUN"
}

if [ -d "$final" ]; then
    report_version
    echo "$final"
    exit 0
fi

for tool in patchelf apt-get dpkg; do
    command -v "$tool" >/dev/null || die "$tool is missing: apt-get install $tool"
done

mirror=$(debian_mirror)
half_built "$final"

mkdir -p "$work"/apt/{lists/partial,archives/partial} "$work"/{root,bin}
: >"$work/apt/status"
echo "deb $mirror $SUITE main" >"$work/apt/sources.list"
# Only the sources are replaced: proxy and trust settings of this machine stay in force.
apt_private() {
    apt-get -q -y \
        -o Dir::State="$work/apt" -o Dir::State::lists="$work/apt/lists" \
        -o Dir::State::status="$work/apt/status" \
        -o Dir::Cache="$work/apt" -o Dir::Cache::archives="$work/apt/archives" \
        -o Dir::Etc::sourcelist="$work/apt/sources.list" -o Dir::Etc::sourceparts=- \
        -o APT::Sandbox::User=root -o APT::Install-Recommends=false \
        -o Acquire::Languages=none -o Acquire::Retries=1 \
        -o Acquire::http::Timeout="$stall" -o Acquire::https::Timeout="$stall" "$@" >"$work/apt/log" 2>&1
}

say "fetching crun and runc of Debian $SUITE (once)"
if ! apt_private update || grep -q '^E:\|^Err' "$work/apt/log"; then
    tail -n 5 "$work/apt/log" >&2
    die "cannot read the package list of Debian $SUITE: is there a network?"
fi
# With an empty status file apt resolves every dependency anew, down to the C library.
if ! apt_private install --download-only crun runc; then
    tail -n 5 "$work/apt/log" >&2
    die "cannot download crun and runc of Debian $SUITE"
fi
for deb in "$work"/apt/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -C "$work/root" -xf - --keep-directory-symlink
done

triplet=$(cd "$work/root/usr/lib" && ls -d -- *-linux-gnu | head -n 1)
loader=$(cd "$work/root" && find usr/lib64 usr/lib -name "ld-linux*.so.*" 2>/dev/null | head -n 1 || true)
[ -n "$loader" ] || die "no dynamic loader among the unpacked packages"
for program in crun runc; do
    found=$(find "$work/root/usr/bin" "$work/root/usr/sbin" -name "$program" -type f 2>/dev/null | head -n 1)
    [ -n "$found" ] || die "$program is not in its package"
    # DT_RPATH, not DT_RUNPATH: it has to hold for the libraries of the libraries, too.
    patchelf --set-interpreter "$final/root/$loader" \
        --force-rpath --set-rpath "$final/root/usr/lib/$triplet" \
        --output "$work/bin/$program" "$found"
done

rm -rf "$work/apt"
complete "$work" "$final"
for program in crun runc; do
    "$final/bin/$program" --version >/dev/null || { rm -rf "$final"; die "$program does not start"; }
done
report_version
echo "$final"
