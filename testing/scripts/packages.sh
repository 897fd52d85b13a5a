#!/bin/bash
# Checks that the Debian packages for a purpose (build, test) are there and, as root on a machine
# with apt, installs what is missing.
set -euo pipefail

case "${1:-}" in
build) wanted=(gcc libc6-dev pkg-config libseccomp-dev) ;;
# crun, the newest runc and Docker are not among them: peers.sh and docker.sh fetch those without
# installing anything. apache2-utils has htpasswd(1), which makes the accounts of registries.
test) wanted=(acl apache2-utils attr btrfs-progs busybox-static conmon containerd docker-registry
    e2fsprogs golang-github-containers-common libcap2-bin lxc mmdebstrap openssl patchelf podman
    python3-minimal runc skopeo strace uidmap umoci util-linux xfsprogs zstd) ;;
*) echo "usage: packages.sh build|test" >&2; exit 2 ;;
esac

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

if ! command -v dpkg-query >/dev/null; then
    echo "packages: this is not Debian; needed are the equivalents of: ${wanted[*]}" >&2
    exit 0
fi

missing=()
for package in "${wanted[@]}"; do
    # Other packages provide the same: pkgconf for pkg-config, for instance.
    if ! installed "$package"; then
        case "$package" in
        pkg-config) command -v pkg-config >/dev/null || missing+=("$package") ;;
        gcc) command -v gcc >/dev/null || missing+=("$package") ;;
        # Later releases of Debian call it containers-common.
        golang-github-containers-common)
            [ -e /usr/share/containers/seccomp.json ] || missing+=("$package") ;;
        *) missing+=("$package") ;;
        esac
    fi
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "packages: missing: ${missing[*]}" >&2
    echo "hint: apt-get install ${missing[*]}" >&2
    exit 1
fi
echo "packages: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() { apt-get install -y -q --no-install-recommends "${missing[@]}" >"$log" 2>&1; }
# The package lists of a fresh machine may be old or absent.
if ! install && ! { apt-get update -q >"$log" 2>&1 && install; }; then
    tail -n 15 "$log" >&2
    echo "packages: could not install ${missing[*]}" >&2
    exit 1
fi
