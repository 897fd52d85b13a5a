#!/bin/bash
# Fetches the Docker engine and its client of this machine's Debian into the cache and prints the
# directory; in its bin/ are `dockerd` and `docker`. Not installed: Debian would start the engine with
# every boot, and it changes the firewall when it starts.
set -euo pipefail

LAYOUT=1 # part of the cache key: raise it when this script changes what it leaves behind
name=docker
. "$(dirname "$0")/cache.sh"

suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ -n "$suite" ] || die "cannot tell the suite of this machine from /etc/os-release"
final=$cache/docker/$suite-$(dpkg --print-architecture)-$LAYOUT
if [ -d "$final" ]; then
    echo "$final"
    exit 0
fi
for tool in gcc patchelf apt-get dpkg; do
    command -v "$tool" >/dev/null || die "$tool is missing: apt-get install $tool"
done

half_built "$final"
mkdir -p "$work"/{root,bin,archives/partial}
wanted() {
    echo docker.io
    # Since Debian 13 the client has a package of its own.
    ! apt-cache show docker-cli >/dev/null 2>&1 || echo docker-cli
}
# What else they need and this machine has not got (libraries, mostly) comes with them.
fetch() {
    # shellcheck disable=SC2046
    apt-get -q -y -o Dir::Cache::archives="$work/archives" -o APT::Sandbox::User=root \
        -o APT::Install-Recommends=false -o Acquire::Retries=1 \
        -o Acquire::http::Timeout="$stall" -o Acquire::https::Timeout="$stall" \
        install --reinstall --download-only $(wanted) >"$work/log" 2>&1
}
say "fetching the Docker engine of Debian $suite (once)"
if ! fetch && ! { apt-get update -q >"$work/log" 2>&1 && fetch; }; then
    tail -n 5 "$work/log" >&2
    die "cannot download docker.io of Debian $suite: is there a network?"
fi
for deb in "$work"/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -C "$work/root" -xf - --keep-directory-symlink
done
triplet=$(gcc -print-multiarch)
for program in dockerd docker; do
    found=$(find "$work/root/usr/bin" "$work/root/usr/sbin" -name "$program" -type f 2>/dev/null | head -n 1)
    [ -n "$found" ] || die "$program is not in its package"
    # The machine's own libraries, and those that it lacks. DT_RPATH: see peers.sh.
    patchelf --force-rpath --set-rpath "$final/root/usr/lib/$triplet:$final/root/lib/$triplet" \
        --output "$work/bin/$program" "$found"
done
rm -rf "$work/archives" "$work/log" "$work"/root/etc "$work"/root/usr/{bin,sbin,share}
complete "$work" "$final"
for program in dockerd docker; do
    "$final/bin/$program" --version >/dev/null || { rm -rf "$final"; die "$program does not start"; }
done
echo "$final"
