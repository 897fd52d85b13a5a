#!/bin/bash
# Builds what the guest tiers boot and prints the directory that holds it. Every part is kept in the
# user's cache under a key of what it is made of, so that a change rebuilds only what depends on it.
#
#   tools   a Debian tree with QEMU, user-mode-linux, a compiler and the kernel with its headers:
#           nothing of it is installed on the machine
#   root    the guests' own Debian tree: systemd, LXC, crun, CRIU, AppArmor, ZFS's commands
#   zfs     ZFS's kernel modules, for the kernel of `tools`
#   image   the guests' disk, and what boots it in a virtual machine
#   ready   a virtual machine that has booted, as a file to go on from
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
name=guests
. "$here/../../testing/scripts/cache.sh"

SUITE=trixie
NEEDED_DISK=6 # GiB free where the cache is
NEEDED_MEMORY=3 # GiB available: a guest's and the compiler's

guests=$cache/guests
key() { cat "$@" | sha256sum | cut -c1-16; }

tools=$guests/tools-$(key "$here"/{tools.sh,tools.packages,files/xstate.c} <(echo "$SUITE"))
root=$guests/root-$(key "$here"/{root.sh,root.packages} <(echo "$SUITE"))
zfs=$guests/zfs-$(key "$here/zfs.sh" <(echo "$tools"))
image=$guests/image-$(key "$here"/{image.sh,boot.sh} "$here"/files/* <(echo "$root $zfs"))
ready=$guests/ready-$(key "$here/ready.sh" <(echo "$image"))

# What was used lately stays; the rest of earlier versions goes after a week.
touch_used() { touch -c "$tools" "$root" "$zfs" "$image" "$ready"; }
prune() {
    find "$guests" -mindepth 1 -maxdepth 1 -name '*-*' -mtime +7 -exec rm -rf {} + 2>/dev/null || true
}

if [ -e "$ready" ] && [ -e "$tools" ]; then
    touch_used
    echo "$ready"
    exit 0
fi

[ "$(id -u)" = 0 ] || die "the guests are built as root: Debian trees hold files of many owners"
[ "$(dpkg --print-architecture)" = amd64 ] || die "the guests exist for amd64 only"

mkdir -p "$guests"
exec 9>"$guests/.lock"
if ! flock -n 9; then
    say "another build is running; waiting for it"
    flock 9
fi

# Whoever was killed while building left this behind; the lock says that nobody is at it any more.
rm -rf "$guests"/.half-built.*

enough() {
    local free memory
    free=$(df --output=avail -B 1M "$guests" | tail -n 1)
    [ "$free" -ge $((NEEDED_DISK * 1024)) ] ||
        die "$guests has $free MiB free, the guests need $((NEEDED_DISK * 1024)) MiB"
    memory=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB$/\1/p' /proc/meminfo)
    [ "$memory" -ge $((NEEDED_MEMORY * 1024 * 1024)) ] ||
        die "$((memory / 1024)) MiB of memory are available, the guests need $((NEEDED_MEMORY * 1024)) MiB"
}

# Starts STEP.sh WORK, with the results of the steps before in the environment, unless its result $2
# is there already.
export tools root zfs image SUITE name
declare -A works=() running=()
begin() {
    local what=$1 result=$2
    [ ! -e "$result" ] || return 0
    say "making $what (once)"
    works[$what]=$(mktemp -d "$guests/.half-built.XXXXXX")
    chmod 755 "${works[$what]}"
    # Namespaces of its own: what a step had mounted and started goes when this script is killed.
    setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child \
        --mount-proc bash "$here/$what.sh" "${works[$what]}" </dev/null >&2 9>&- &
    running[$what]=$!
}

# Waits for a step; what it left in WORK/result becomes its result.
finish() {
    local what=$1 result=$2 work=${works[$1]:-}
    [ -n "$work" ] || return 0
    if ! wait "${running[$what]}"; then
        rm -rf "$work"
        die "$what was not made"
    fi
    complete "$work/result" "$result"
    rm -rf "$work"
    say "$what is made, $SECONDS s since the start"
}

step() { begin "$1" "$2"; finish "$1" "$2"; }

if [ ! -e "$ready" ] || [ ! -e "$tools" ]; then
    enough
    # The two trees come from the network and the package manager: side by side they take less.
    begin tools "$tools"
    begin root "$root"
    # unshare(1) takes SIGKILL alone, and takes its whole namespace with it.
    trap 'kill -KILL "${running[@]}" 2>/dev/null || true; wait; rm -rf "$guests"/.half-built.*' EXIT
    finish tools "$tools"
    finish root "$root"
    step zfs "$zfs"
    step image "$image"
    step ready "$ready"
fi
touch_used
prune
echo "$ready"
