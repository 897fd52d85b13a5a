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

step 'Making an OCI bundle from busybox'
bundle=$(mktemp -d /tmp/lxcri-quickstart.XXXXXX)
chmod 755 "$bundle"
mkdir -p "$bundle"/rootfs/{bin,dev,etc,proc,sys,tmp,root}
cp /bin/busybox "$bundle/rootfs/bin/busybox"
for applet in sh echo uname hostname id ps cat ls mount; do ln -s busybox "$bundle/rootfs/bin/$applet"; done
echo 'root:x:0:0:root:/root:/bin/sh' >"$bundle/rootfs/etc/passwd"
(cd "$bundle" && "$OLDPWD/dist/proxmox-lxcri" spec)
# The same document as `runc spec` prints, with a command of ours and without the terminal.
sed -i -e 's/"terminal": true/"terminal": false/' \
    -e 's|^\([[:space:]]*\)"sh"$|\1"/bin/sh", "-c", "echo Hello from a container: $(hostname), process $$, user $(id -un); ps"|' \
    "$bundle/config.json"
grep -q 'Hello from' "$bundle/config.json" || fail "the command is not in $bundle/config.json"
echo "$bundle"

step 'Running it with the built-in backend'
echo "dist/proxmox-lxcri --backend native run --bundle $bundle hello"
dist/proxmox-lxcri --backend native run --bundle "$bundle" hello

cat <<END

That was a container: new namespaces, its own root file system, gone without a trace.
Try next:
  dist/proxmox-lxcri run --bundle $bundle hello     # the same again
  dist/proxmox-lxcri backends                       # what can run containers on this machine
  dist/proxmox-lxcri help                           # every command
  make test                                         # every test
END
