# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# Real images to try things on, made once from Debian's own packages and kept: for the demo and for the system tests. To be
# sourced, as root:
#
#     . scripts/lib/images.sh
#     images_prepare          # makes what is missing of the three below; tells what it does on stderr
#     $IMAGES/tree            # a Debian root filesystem in a folder (systemd, dbus), 170 MB
#     $IMAGES/metadata.tar $IMAGES/rootfs.tar    # the same as an LXD image
#     $IMAGES/debian.qcow2    # the same as a disk that boots by itself (BIOS, serial console, guest agent, DHCP)
#     images_remove           # takes all of it away
#
# COWHERD_IMAGES says where they are kept (default /var/cache/cowherd-images), COWHERD_MIRROR where packages come from. What
# is there was made whole: each thing is made beside its name and renamed. A lock lets one process at a time make it.

IMAGES=${COWHERD_IMAGES:-/var/cache/cowherd-images}
IMAGES_RECIPE=1 # counted up where what this file makes is no longer what it made before

images_say() {
        echo "images: $*" >&2
}

# Runs a command quietly; its output is shown if it fails.
images_run() {
        if ! "$@" >"$IMAGES/log" 2>&1 </dev/null; then
                images_say "'$1' failed; its output ends:"
                tail -n 15 "$IMAGES/log" >&2
                return 1
        fi
}

images_prepare() {
        mkdir -p "$IMAGES" && chmod 755 "$IMAGES" || return 1
        (
                flock 9 || exit 1
                if [ "$(cat "$IMAGES/recipe" 2>/dev/null)" != "$IMAGES_RECIPE" ]; then
                        images_empty && echo "$IMAGES_RECIPE" >"$IMAGES/recipe" || exit 1
                fi
                rm -rf --one-file-system "$IMAGES"/*.partial
                images_tree && images_lxd && images_disk && rm -f "$IMAGES/log"
        ) 9>"$IMAGES/lock"
}

images_empty() {
        rm -rf --one-file-system "$IMAGES"/tree "$IMAGES"/*.tar "$IMAGES"/*.qcow2 "$IMAGES"/*.partial "$IMAGES/log" "$IMAGES/recipe"
}

images_remove() {
        [ -d "$IMAGES" ] || return 0
        (flock 9 && images_empty) 9>"$IMAGES/lock" && rm -f "$IMAGES/lock" && rmdir "$IMAGES"
}

# The services are those of a plain Debian; busybox brings a DHCP client, for the disk.
images_tree() {
        [ -d "$IMAGES/tree" ] && return 0
        images_say 'making a Debian 12 tree by mmdebstrap (about a minute, once)'
        mkdir "$IMAGES/tree.partial" &&
                images_run mmdebstrap --mode=root --variant=minbase --format=directory \
                        --include=systemd,systemd-sysv,dbus,libpam-systemd,iproute2,udhcpc,qemu-guest-agent \
                        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
                        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
                        bookworm "$IMAGES/tree.partial" ${COWHERD_MIRROR:+"$COWHERD_MIRROR"} &&
                echo debian >"$IMAGES/tree.partial/etc/hostname" &&
                : >"$IMAGES/tree.partial/etc/machine-id" &&
                rm -f "$IMAGES/tree.partial/var/lib/dbus/machine-id" &&
                mv -T "$IMAGES/tree.partial" "$IMAGES/tree"
}

images_lxd() {
        [ -f "$IMAGES/metadata.tar" ] && [ -f "$IMAGES/rootfs.tar" ] && return 0
        images_say 'packing it as an LXD image'
        mkdir "$IMAGES/lxd.partial" &&
                printf 'architecture: %s\ncreation_date: %s\nproperties:\n  os: debian\n  release: bookworm\n  description: %s\n' \
                        "$(uname -m)" "$(date +%s)" 'Debian 12, small' >"$IMAGES/lxd.partial/metadata.yaml" &&
                tar -C "$IMAGES/lxd.partial" -cf "$IMAGES/metadata.tar.partial" metadata.yaml &&
                tar -C "$IMAGES/tree" --numeric-owner --xattrs --acls --exclude='./dev/*' -cf "$IMAGES/rootfs.tar.partial" . &&
                rm -r "$IMAGES/lxd.partial" &&
                mv "$IMAGES/metadata.tar.partial" "$IMAGES/metadata.tar" &&
                mv "$IMAGES/rootfs.tar.partial" "$IMAGES/rootfs.tar"
}

# ---- The disk. No loop device and no mount: every filesystem is written by a tool that takes a file and an offset. ----

IMAGES_KERNEL=linux-image-cloud-amd64
IMAGES_MODULES='virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk virtio_console
        failover net_failover virtio_net virtio-rng af_packet button'

images_disk() {
        [ -f "$IMAGES/debian.qcow2" ] && return 0
        if [ "$(uname -m)" != x86_64 ]; then
                images_say 'the disk can be made on x86_64 only: it boots by BIOS'
                return 1
        fi
        images_say 'making a disk of it that boots by itself'
        work=$IMAGES/disk.partial
        mkdir -p "$work/debs/partial" "$work/kernel" "$work/initrd" "$work/root" &&
                images_kernel "$work" && images_initrd "$work" && images_root "$work" && images_assemble "$work" &&
                rm -rf --one-file-system "$work"
}

# The kernel is unpacked, not installed: its scripts would want a boot loader and an initramfs maker.
images_kernel() {
        images_run env -C "$1/debs" apt-get -q -o APT::Sandbox::User=root download "$(images_kernel_package)" &&
                images_run dpkg-deb -x "$1"/debs/linux-image-*.deb "$1/kernel"
}

images_kernel_package() {
        apt-cache depends "$IMAGES_KERNEL" | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -n 1
}

# A busybox, a handful of modules in their order (virtio_ring before virtio), and an init of ten lines.
images_initrd() {
        mkdir -p "$1/initrd/bin" "$1/initrd/lib" "$1/initrd/proc" "$1/initrd/sys" "$1/initrd/dev" "$1/initrd/root" &&
                cp /bin/busybox "$1/initrd/bin/busybox" && ln -s busybox "$1/initrd/bin/sh" || return 1
        for module in $IMAGES_MODULES; do
                file=$(find "$1/kernel/lib/modules" -name "$module.ko" | head -n 1)
                [ -z "$file" ] || cp "$file" "$1/initrd/lib/" || return 1 # one that is built in has no file
        done
        {
                echo '#!/bin/sh'
                echo 'busybox mount -t proc proc /proc; busybox mount -t sysfs sys /sys; busybox mount -t devtmpfs dev /dev'
                for module in $IMAGES_MODULES; do
                        [ ! -f "$1/initrd/lib/$module.ko" ] || echo "busybox insmod /lib/$module.ko"
                done
                # shellcheck disable=SC2016 # for the shell in there
                echo 'tries=0; until [ -b /dev/vda2 ] || [ $tries = 50 ]; do busybox sleep 0.1; tries=$((tries + 1)); done'
                echo 'busybox mount -t ext4 -o ro /dev/vda2 /root || exec sh'
                echo 'busybox mount -o move /dev /root/dev; busybox umount /proc; busybox umount /sys'
                echo 'exec busybox switch_root /root /sbin/init'
        } >"$1/initrd/init"
        chmod 755 "$1/initrd/init" && (cd "$1/initrd" && find . | cpio -o -H newc --quiet -R 0:0 | gzip -1) >"$1/initrd.img"
}

# What a machine has and a container has not. There is no udev, so nothing may wait for a device unit.
images_root() {
        cp -a --reflink=auto "$IMAGES/tree/." "$1/root/" &&
                mkdir -p "$1/root/lib/modules" && cp -a "$1/kernel"/lib/modules/* "$1/root/usr/lib/modules/" || return 1
        find "$1/root/usr/lib/modules" -name '*.ko' | sed 's|.*/root/||' >"$1/all-modules"
        for module in $IMAGES_MODULES; do
                sed -i "\\|/$module\\.ko\$|d" "$1/all-modules"
        done
        (cd "$1/root" && xargs rm -f) <"$1/all-modules" && images_run depmod -b "$1/root" "$(ls "$1/root/usr/lib/modules")" || return 1
        units=$1/root/etc/systemd/system
        mkdir -p "$units/multi-user.target.wants" &&
                ln -sf /dev/null "$units/serial-getty@ttyS0.service" &&
                ln -sf /dev/null "$units/getty@tty1.service" &&
                echo '/dev/vda2 / ext4 rw,errors=remount-ro 0 0' >"$1/root/etc/fstab" &&
                images_unit "$units" console 'Type=idle' "ExecStart=/sbin/agetty --autologin root -L ttyS0" &&
                images_unit "$units" network 'Type=simple' \
                        "ExecStart=/bin/sh -c 'ip link set lo up; ip link set eth0 up; exec busybox udhcpc -f -i eth0'" &&
                images_unit "$units" agent 'Type=simple' \
                        "ExecStart=/bin/sh -c 'for port in /sys/class/virtio-ports/*; do if grep -qsx org.qemu.guest_agent.0 \$port/name; then exec qemu-ga -m virtio-serial -p /dev/\$(basename \$port); fi; done'"
}

images_unit() {
        printf '[Unit]\nDescription=%s of this machine\n[Service]\n%s\n%s\n[Install]\nWantedBy=multi-user.target\n' "$2" "$3" "$4" \
                >"$1/machine-$2.service" && ln -sf "../machine-$2.service" "$1/multi-user.target.wants/machine-$2.service"
}

# A DOS label; a FAT partition with kernel, initrd and syslinux at 1 MiB, an ext4 root at 65 MiB.
images_assemble() {
        raw=$1/disk.raw
        printf '%s\n' 'DEFAULT debian' 'PROMPT 0' 'SERIAL 0 115200' 'LABEL debian' ' KERNEL vmlinuz' ' INITRD initrd.img' \
                ' APPEND root=/dev/vda2 ro console=ttyS0 quiet' >"$1/syslinux.cfg"
        truncate -s 1G "$raw" &&
                printf 'label: dos\nstart=2048, size=131072, type=c, bootable\nstart=133120, type=83\n' | images_run_in sfdisk -q "$raw" &&
                images_run mkfs.vfat --offset 2048 -F 32 -s 1 "$raw" 65536 &&
                images_run env MTOOLS_SKIP_CHECK=1 mcopy -i "$raw@@1M" "$1"/kernel/boot/vmlinuz-* ::vmlinuz &&
                images_run env MTOOLS_SKIP_CHECK=1 mcopy -i "$raw@@1M" "$1/initrd.img" "$1/syslinux.cfg" :: &&
                images_run syslinux --install --offset 1048576 "$raw" &&
                images_run dd if=/usr/lib/syslinux/mbr/mbr.bin of="$raw" conv=notrunc bs=440 count=1 &&
                images_run mke2fs -q -t ext4 -F -L root -d "$1/root" -O '^metadata_csum_seed,^orphan_file' \
                        -E "offset=$((133120 * 512)),lazy_itable_init=1,lazy_journal_init=1" "$raw" "$((1048576 - 66560))k" &&
                images_run qemu-img convert -f raw -O qcow2 "$raw" "$IMAGES/debian.qcow2.partial" &&
                mv "$IMAGES/debian.qcow2.partial" "$IMAGES/debian.qcow2"
}

# As images_run, for a tool that reads its orders.
images_run_in() {
        if ! "$@" >"$IMAGES/log" 2>&1; then
                images_say "'$1' failed; its output ends:"
                tail -n 15 "$IMAGES/log" >&2
                return 1
        fi
}
