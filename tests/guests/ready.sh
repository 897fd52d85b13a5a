#!/bin/bash
# A virtual machine that has booted: see build.sh. vm.qcow2 is its disk by then, vm.state its memory.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../testing/scripts/cache.sh"
work=$1
result=$work/result

mkdir "$result"
ln "$image"/{guest.img,vmlinux,initrd} "$result/"
ln -s "../${tools##*/}" "$result/tools"

coproc guest { exec "$here/boot.sh" vm "$result" save=1 2>"$work/errors"; }
pid=$guest_PID
ask() { echo "$*" >&"${guest[1]}"; }
alive() { kill -0 "$pid" 2>/dev/null; }

# Emulated, systemd is up after about a minute on a quiet machine.
for _ in $(seq 600); do
    alive || break
    ! grep -qs 'agent ready' "$result/console" || break
    sleep 1
done
if ! grep -qs 'agent ready' "$result/console"; then
    tail -n 15 "$result/console" "$work/errors" >&2 || true
    die "the virtual machine did not boot"
fi
# Devices are still being named, and what was read once stays in memory.
sleep 5
ask 'migrate file:/mnt/guest/vm.state'
ask 'info migrate'
ask quit
cat <&"${guest[0]}" >"$work/monitor" || true
wait "$pid" 2>/dev/null || true
if ! grep -q 'Migration status: completed' "$work/monitor"; then
    tail -n 15 "$work/monitor" "$work/errors" >&2
    die "the state of the virtual machine could not be saved"
fi
rm -f "$result/console"
