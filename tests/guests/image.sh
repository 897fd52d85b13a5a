#!/bin/bash
# The guests' disk and what boots it: see build.sh.
#
#   guest.img   ext4, for both tiers
#   vmlinux     the kernel of the virtual machine, unpacked: an emulated processor needs seconds to
#               unpack it at every boot
#   initrd      finds the disk: Debian's kernel has its drivers as modules
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../testing/scripts/cache.sh"
work=$1
files=$here/files
tree=$work/tree

kernel=$(cd "$tools/lib/modules" && ls -d -- *-amd64 | head -n 1)
uml=$(cd "$tools/usr/lib/uml/modules" && ls | head -n 1)

cp -a "$root" "$tree"
mkdir -p "$work/result" "$tree/usr/local/libexec" "$tree/usr/lib/modules"
units=$tree/etc/systemd/system

install -m 755 "$files/agent" "$tree/usr/local/libexec/agent"
install -m 644 "$files"/lxcri-* "$units/"
ln -sf lxcri-guest.target "$units/default.target"
# One generator is kept, for systemd.mask= in the kernel's command line.
mkdir -p "$tree/etc/systemd/system-generators"
for generator in "$tree"/usr/lib/systemd/system-generators/*; do
    [ "${generator##*/}" = systemd-debug-generator ] ||
        ln -sf /dev/null "$tree/etc/systemd/system-generators/${generator##*/}"
done
# Loading Debian's hundred profiles takes half a minute in emulation; containers use LXC's.
find "$tree/etc/apparmor.d" -mindepth 1 -maxdepth 1 ! -name abstractions ! -name tunables \
    ! -name abi ! -name local ! -name 'lxc*' -exec rm -rf {} +
: >"$tree/etc/fstab"
echo guest >"$tree/etc/hostname"
printf '127.0.0.1 localhost guest\n' >"$tree/etc/hosts"
printf 'root:100000:65536\n' | tee "$tree/etc/subuid" >"$tree/etc/subgid"
printf '%s\n' 9p 9pnet_virtio overlay loop fuse veth bridge bfq zfs >"$tree/etc/modules-load.d/guest.conf"

# Drivers for hardware that no guest has are most of the modules.
for modules in "$tools/lib/modules/$kernel" "$tools/usr/lib/uml/modules/$uml"; do
    cp -a "$modules" "$tree/usr/lib/modules/"
    copied=$tree/usr/lib/modules/${modules##*/}
    rm -rf "$copied"/{build,source} "$copied"/kernel/sound
    find "$copied/kernel/drivers" -mindepth 1 -maxdepth 1 ! -name block ! -name net ! -name md \
        ! -name virtio ! -name char -exec rm -rf {} +
    rm -rf "$copied"/kernel/drivers/net/{ethernet,wireless,usb,can,wwan,phy,dsa,fddi,hippi,arcnet}
done
install -m 644 -D -t "$tree/usr/lib/modules/$kernel/updates" "$zfs"/*.ko
# A compressed module costs an emulated processor a second.
find "$tree/usr/lib/modules/$kernel" -name '*.ko.xz' -exec xz -d {} +
depmod_of() { chroot "$tools" depmod -b /mnt/tree "$1"; }
mount --bind "$work" "$tools/mnt"
depmod_of "$kernel"
depmod_of "$uml"

# The initial file system: busybox and the modules for the disk, in the order of their loading.
initial=$work/initial
mkdir -p "$initial"/{bin,dev,proc,new}
cp "$tools/bin/busybox" "$initial/bin/busybox"
for module in virtio_blk ext4; do
    chroot "$tools" modprobe -d /mnt/tree -S "$kernel" --show-depends "$module"
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' |
    while read -r path; do
        cp "$work/${path#/mnt/}" "$initial/"
        echo "insmod /${path##*/}"
    done >"$initial/modules"
cat >"$initial/init" <<'END'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
. /modules
until [ -b /dev/vda ]; do sleep 0.1; done
mount -t ext4 /dev/vda /new
umount /proc
mount --move /dev /new/dev
exec switch_root /new /sbin/init
END
chmod 755 "$initial/init"
(cd "$initial" && find . | chroot "$tools" sh -c 'cd /mnt/initial && cpio -o -H newc --quiet') \
    >"$work/result/initrd"

# vmlinuz is a loader with the kernel behind it, compressed by zstd: found by its magic number.
vmlinuz=$tools/boot/vmlinuz-$kernel
offset=$(LC_ALL=C grep -abo -m 1 -P '\x28\xb5\x2f\xfd' "$vmlinuz" | head -n 1 | cut -d: -f1)
[ -n "$offset" ] || die "$vmlinuz is not compressed by zstd"
# zstd complains of what follows the kernel, after it has written all of it.
tail -c +"$((offset + 1))" "$vmlinuz" | chroot "$tools" zstd -dcq >"$work/result/vmlinux" 2>/dev/null || true
# Its section headers are the last thing in it.
chroot "$tools" readelf -SW /mnt/result/vmlinux >"$work/sections" 2>&1 &&
    ! grep -qi 'error\|warning' "$work/sections" || die "cannot unpack $vmlinuz"

truncate -s 4G "$work/result/guest.img"
chroot "$tools" mkfs.ext4 -q -F -O ^has_journal -d /mnt/tree /mnt/result/guest.img
umount "$tools/mnt"

"$here/boot.sh" uml "$work/result" then=off >"$work/console" 2>&1 </dev/null &
guest=$!
for _ in $(seq 120); do
    kill -0 "$guest" 2>/dev/null || break
    sleep 1
done
if kill "$guest" 2>/dev/null || ! grep -q 'Power down' "$work/console"; then
    tail -n 15 "$work/console" >&2
    die "the new image does not boot in user-mode-linux"
fi
