#!/bin/bash
# Boots a guest: `boot.sh uml|vm DIRECTORY [then=off] [save=FILE] [ro:PATH|rw:PATH …]`.
#
# DIRECTORY holds guest.img, vmlinux and initrd, and for a virtual machine to go on from vm.qcow2 and
# vm.state. Standard input is the agent's line (files/agent). Each PATH is shown to the guest, see
# testing/testkit. What the guest writes to its disk is gone with it. The console is standard output.
# The guest ends when this process is killed.
set -euo pipefail
tier=$1 dir=$(realpath "$2")
tools=${tools:-$dir/tools}
[ -d "$tools" ] || { echo "boot: no tools tree at $tools" >&2; exit 1; }
shift 2

# Namespaces of its own: no mount and no process of a guest outlives it.
if [ "${LXCRI_BOOT_INSIDE:-}" != 1 ]; then
    # A guest whose state is saved has QEMU's monitor there instead.
    case " $* " in *" save="*) ;; *) exec 3<&0 </dev/null ;; esac
    export LXCRI_BOOT_INSIDE=1
    exec setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child \
        "$0" "$tier" "$dir" "$@"
fi

tools=$(realpath "$tools")
mount -t proc proc "$tools/proc"
mount --bind /dev "$tools/dev"
mount -t tmpfs -o size=4g,mode=1777,exec memory "$tools/dev/shm"
mount -t tmpfs -o size=4g,mode=1777,exec scratch "$tools/tmp"
mount -t tmpfs -o size=1m,mode=755 mnt "$tools/mnt"
mkdir "$tools/mnt/guest" "$tools/mnt/share"
mount --bind "$dir" "$tools/mnt/guest"

words='' save='' number=0
for word in "$@"; do
    case $word in
    then=*) words+=" lxcri.$word" ;;
    save=*) save=1 ;;
    ro:* | rw:*)
        mkdir "$tools/mnt/share/$number"
        # Not recursive: what is mounted below would stay writable.
        mount --bind "${word#*:}" "$tools/mnt/share/$number"
        [ "${word%%:*}" = rw ] || mount -o remount,bind,ro "$tools/mnt/share/$number"
        number=$((number + 1))
        ;;
    *) echo "boot: what is $word?" >&2; exit 2 ;;
    esac
done

boot_uml() {
    local disk=/tmp/written,/mnt/guest/guest.img unit
    case $words in *then=off*) disk=/mnt/guest/guest.img ;; esac
    # What is of no use where every device is known and tests wait for the boot.
    for unit in systemd-{udev-trigger,udevd,udev-load-credentials,modules-load,random-seed,binfmt}.service \
        systemd-{pstore,journal-flush,hibernate-clear,machine-id-commit,firstboot,boot-random-seed}.service \
        systemd-udevd-{control,kernel}.socket systemd-tmpfiles-setup-dev{,-early}.service \
        kmod-static-nodes.service modprobe@{fuse,configfs,efi_pstore}.service dev-hugepages.mount \
        dev-mqueue.mount proc-sys-fs-binfmt_misc.automount run-lock.mount \
        sys-{fs-fuse-connections,kernel-config,kernel-debug,kernel-tracing}.mount; do
        words+=" systemd.mask=$unit"
    done
    exec chroot "$tools" env LD_PRELOAD=/usr/lib/xstate.so TMPDIR=/dev/shm linux.uml \
        mem=1200M ubd0=$disk root=/dev/ubda rw rootfstype=ext4 \
        con=null con0=null,fd:1 con1=null ssl=null ssl0=fd:3,fd:3 quiet apparmor=1 \
        security=apparmor cgroup_no_v1=all systemd.show_status=0 random.trust_cpu=on \
        lxcri.agent=ttyS0 $words
}

boot_vm() {
    local disk=/tmp/disk.qcow2 agent=socket,id=agent,fd=3 more=()
    if [ -n "$save" ]; then
        disk=/mnt/guest/vm.qcow2 agent=null,id=agent
        chroot "$tools" qemu-img create -q -f qcow2 -b guest.img -F raw "$disk"
        more=(-monitor stdio -serial file:/mnt/guest/console)
    else
        chroot "$tools" qemu-img create -q -f qcow2 -b /mnt/guest/vm.qcow2 -F qcow2 "$disk"
        more=(-serial stdio -monitor none -incoming file:/mnt/guest/vm.state)
    fi
    # To go on from the saved state takes the same devices, the same memory and the same QEMU.
    exec chroot "$tools" qemu-system-x86_64 -M q35 -accel tcg,thread=multi,tb-size=512 -cpu max \
        -smp 1 -m 1536 -nodefaults -display none -no-reboot "${more[@]}" \
        -chardev $agent -serial chardev:agent \
        -drive file=$disk,format=qcow2,if=none,id=disk,cache=unsafe \
        -device virtio-blk-pci,drive=disk -device virtio-rng-pci \
        -fsdev local,id=share,path=/mnt/share,security_model=passthrough,multidevs=remap \
        -device virtio-9p-pci,fsdev=share,mount_tag=share \
        -kernel /mnt/guest/vmlinux -initrd /mnt/guest/initrd \
        -append "console=ttyS0 root=/dev/vda rw quiet panic=-1 mitigations=off tsc=reliable \
            apparmor=1 security=apparmor systemd.show_status=0 random.trust_cpu=on \
            lxcri.agent=ttyS1 $words"
}

"boot_$tier"
