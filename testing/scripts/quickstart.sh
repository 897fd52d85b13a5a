#!/bin/bash
# From a fresh Debian machine with Rust to a running container.
set -euo pipefail
cd "$(dirname "$0")/../.."

step() { printf '\n==> %s\n' "$*"; }
fail() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail 'run me as root: I install Debian packages and make a container'
[ -x "$(command -v cargo)" ] || fail 'cargo is not on PATH: install Rust first (rustup or a package)'
command -v apt-get >/dev/null || fail 'this is not Debian; `make build` says what is needed'

step 'Building dist/proxmox-lxcri'
make --no-print-directory build

if [ "$(dpkg-query -W -f '${db:Status-Status}' busybox-static 2>/dev/null)" != installed ]; then
    step 'Installing busybox-static'
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends busybox-static >/dev/null ||
        { apt-get update -q >/dev/null &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends busybox-static >/dev/null; }
fi

step 'Making an image from busybox'
# A name in a registry would do as well; this one needs no network.
place=$(mktemp -d /tmp/lxcri-quickstart.XXXXXX)
mkdir -p "$place"/root/{bin,dev,etc,proc,sys,tmp,root}
cp /bin/busybox "$place/root/bin/busybox"
for applet in sh echo uname hostname id ps cat ls mount; do ln -s busybox "$place/root/bin/$applet"; done
echo 'root:x:0:0:root:/root:/bin/sh' >"$place/root/etc/passwd"
tar -C "$place/root" --owner 0 --group 0 -czf "$place/busybox.tar.gz" .
rm -r "$place/root"
dist/proxmox-lxcri image import --name busybox:quickstart "rootfs:$place/busybox.tar.gz"
dist/proxmox-lxcri image list

step 'Running it with the built-in backend'
script='echo "Hello from a container: $(hostname), process $$, user $(id -un)"; ps'
echo "dist/proxmox-lxcri run --rm busybox:quickstart sh -c '$script'"
dist/proxmox-lxcri --backend native run --rm --name hello busybox:quickstart sh -c "$script"
rm -r "$place"

cat <<'END'

That was a container: new namespaces, users of its own, its own root file system, gone without a trace.
Try next:
  dist/proxmox-lxcri run --rm -it busybox:quickstart sh     # look around inside
  dist/proxmox-lxcri run --rm docker.io/library/debian:13 cat /etc/os-release
  dist/proxmox-lxcri backends                               # what can run containers on this machine
  dist/proxmox-lxcri help                                   # every command
  make test                                                 # every test
END
