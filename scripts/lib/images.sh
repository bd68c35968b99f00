# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# Real images to try things on, made once from Debian's own packages and kept: for the demo and for the system tests. To be
# sourced, as root:
#
#     . scripts/lib/images.sh
#     images_prepare [tree] [lxd] [disk] [tiny] [tiny9p] [tinyguest] [other] [bare]    # makes what is missing of these (none named: of the first
#                             # three); tells what it does on stderr
#     $IMAGES/tree            # tree: a Debian root filesystem in a folder (systemd, dbus), 170 MB
#     $IMAGES/metadata.tar $IMAGES/rootfs.tar    # lxd: the same as an LXD image
#     $IMAGES/debian.qcow2    # disk: the same as a disk that boots by itself (BIOS, serial console, guest agent, DHCP)
#     $IMAGES/tiny.qcow2      # tiny: as that, but busybox is all there is besides the agent: up in about 5 s without KVM
#     $IMAGES/tiny9p.qcow2    # tiny9p: as tiny, with the kernel for all machines: 9p and the generation id; 4 s slower
#     $IMAGES/tiny-guest.qcow2    # tinyguest: as tiny, with cowherd-guest in the agent's place
#     $IMAGES/other.qcow2     # other: a system that is no Linux; it says so on the serial console
#     $IMAGES/bare            # bare: a Debian host with the engines, and with what else the packages depend on to be installed, 620 MB
#     images_remove           # takes all of it away
#
# COWHERD_IMAGES says where they are kept (default /var/cache/cowherd-images), COWHERD_MIRROR where packages come from, COWHERD_GUEST
# where cowherd-guest is (default in build/). What
# is there was made whole: each thing is made beside its name and renamed. A lock lets one process at a time make it.

IMAGES=${COWHERD_IMAGES:-/var/cache/cowherd-images}
IMAGES_RECIPE=1 # counted up where what this file makes is no longer what it made before: then all of it is made anew
IMAGES_RECIPE_TINY=3 # likewise, of the tiny one alone
IMAGES_RECIPE_OTHER=1
IMAGES_RECIPE_BARE=1

images_say() {
        echo "images: $*" >&2
}

# Runs a command quietly; its output is shown if it fails. It inherits no file but its output: mmdebstrap has dash write to the
# next free number, and dash knows none above 9, so it fails where the caller (bats, some CI) keeps a few files open.
images_run() {
        # shellcheck disable=SC2016 # for the bash in there
        if ! bash -c 'for fd in /proc/$$/fd/*; do [ "${fd##*/}" -le 2 ] || eval "exec ${fd##*/}>&-"; done; exec "$@"' bash "$@" \
                >"$IMAGES/log" 2>&1 </dev/null; then
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
                [ $# -gt 0 ] || set -- tree lxd disk
                for wanted; do
                        "images_$wanted" || exit 1
                done
                rm -f "$IMAGES/log"
        ) 9>"$IMAGES/lock"
}

# images_current NAME NUMBER: whether NAME.qcow2 is there and of this recipe; an older one is removed.
images_current() {
        [ -f "$IMAGES/$1.qcow2" ] && [ "$(cat "$IMAGES/$1.recipe" 2>/dev/null)" = "$2" ] && return 0
        rm -f "$IMAGES/$1.qcow2" && echo "$2" >"$IMAGES/$1.recipe" && return 1
}

images_empty() {
        rm -rf --one-file-system "$IMAGES"/tree "$IMAGES"/bare "$IMAGES"/*.tar "$IMAGES"/*.qcow2 "$IMAGES"/*.partial "$IMAGES/log" "$IMAGES"/*recipe
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
        images_tree || return 1
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
        images_tree || return 1
        [ -f "$IMAGES/debian.qcow2" ] && return 0
        if [ "$(uname -m)" != x86_64 ]; then
                images_say 'the disk can be made on x86_64 only: it boots by BIOS'
                return 1
        fi
        images_say 'making a disk of it that boots by itself'
        work=$IMAGES/disk.partial
        mkdir -p "$work/root" &&
                images_kernel "$work" "$IMAGES_KERNEL" && images_initrd "$work" "$IMAGES_MODULES" && images_root "$work" && images_assemble "$work" 1G debian.qcow2 &&
                rm -rf --one-file-system "$work"
}

# The kernel is unpacked, not installed: its scripts would want a boot loader and an initramfs maker.
images_kernel() {
        mkdir -p "$1/debs/partial" "$1/kernel" &&
                images_run env -C "$1/debs" apt-get -q -o APT::Sandbox::User=root download "$(images_kernel_package "$2")" &&
                images_run dpkg-deb -x "$1"/debs/linux-image-*.deb "$1/kernel"
}

images_kernel_package() {
        apt-cache depends "$1" | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -n 1
}

# images_initrd WORK MODULES: a busybox, some modules in their order (virtio_ring before virtio), and an init of ten lines.
images_initrd() {
        mkdir -p "$1/initrd/bin" "$1/initrd/lib" "$1/initrd/proc" "$1/initrd/sys" "$1/initrd/dev" "$1/initrd/root" &&
                cp /bin/busybox "$1/initrd/bin/busybox" && ln -s busybox "$1/initrd/bin/sh" || return 1
        images_modules "$1" "$1/initrd/lib" "$2" || return 1
        {
                echo '#!/bin/sh'
                echo 'busybox mount -t proc proc /proc; busybox mount -t sysfs sys /sys; busybox mount -t devtmpfs dev /dev'
                for module in $2; do
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

# images_modules WORK FOLDER MODULES: copies them out of the kernel's package. One that is built in has no file.
images_modules() {
        for module in $3; do
                file=$(find "$1/kernel/lib/modules" -name "$module.ko" | head -n 1)
                [ -z "$file" ] || cp "$file" "$2/" || return 1
        done
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

# images_assemble WORK SIZE NAME [WORDS]: a disk of two partitions. The words are the kernel's.
images_assemble() {
        images_boot "$1" "$2" ' INITRD initrd.img' "root=/dev/vda2 ro console=ttyS0 quiet ${4:-}" "$1/initrd.img" &&
                images_run mke2fs -q -t ext4 -F -L root -d "$1/root" -O '^metadata_csum_seed,^orphan_file' \
                        -E "offset=$((133120 * 512)),lazy_itable_init=1,lazy_journal_init=1" "$1/disk.raw" \
                        "$(($(stat -c %s "$1/disk.raw") / 1024 - 66560))k" && images_keep "$1" "$3"
}

# images_boot WORK SIZE LINE WORDS [FILE]: a DOS label; a FAT partition with the kernel, FILE and syslinux at 1 MiB; the second
# begins at 65 MiB.
images_boot() {
        raw=$1/disk.raw
        printf '%s\n' 'DEFAULT debian' 'PROMPT 0' 'SERIAL 0 115200' 'LABEL debian' ' KERNEL vmlinuz' "$3" " APPEND $4" >"$1/syslinux.cfg"
        truncate -s "$2" "$raw" &&
                printf 'label: dos\nstart=2048, size=131072, type=e, bootable\nstart=133120, type=83\n' | images_run_in sfdisk -q "$raw" &&
                images_run mkfs.vfat --offset 2048 -F 16 -s 8 "$raw" 65536 &&
                images_run env MTOOLS_SKIP_CHECK=1 mcopy -i "$raw@@1M" "$1"/kernel/boot/vmlinuz-* ::vmlinuz &&
                images_run env MTOOLS_SKIP_CHECK=1 mcopy -i "$raw@@1M" ${5:+"$5"} "$1/syslinux.cfg" :: &&
                images_run syslinux --install --offset 1048576 "$raw" &&
                images_run dd if=/usr/lib/syslinux/mbr/mbr.bin of="$raw" conv=notrunc bs=440 count=1
}

images_keep() {
        images_run qemu-img convert -f raw -O qcow2 "$1/disk.raw" "$IMAGES/$2.partial" && mv "$IMAGES/$2.partial" "$IMAGES/$2"
}

# ---- The tiny disk: made likewise. ----

# What mounts its root; what can wait until the agent was started. Debian's kernel for all machines has 9p and ext4 as modules, that for clouds has ext4
# built in and no 9p; but the former is unpacked by xz, which takes 4 s without KVM.
IMAGES_MODULES_TINY='virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk
        crc16 mbcache jbd2 crc32c_generic libcrc32c ext4'
IMAGES_MODULES_LATER='failover net_failover virtio_net button evdev virtio-rng'
IMAGES_MODULES_9P='netfs fscache 9pnet 9pnet_virtio 9p'

images_tiny() {
        images_make_tiny tiny linux-image-cloud-amd64 virtio_console
}

images_tiny9p() {
        images_make_tiny tiny9p linux-image-amd64 "$IMAGES_MODULES_9P virtio_console"
}

# Made anew for each cowherd-guest.
images_tinyguest() {
        program=${COWHERD_GUEST:-build/src/guest/cowherd-guest}
        images_current tiny-guest "$IMAGES_RECIPE_TINY-$(sha256sum <"$program" | cut -c 1-16)" && return 0
        images_tree || return 1
        images_say 'making a tiny disk with cowherd-guest'
        work=$IMAGES/tiny-guest.partial
        mkdir -p "$work/root" &&
                images_kernel "$work" linux-image-cloud-amd64 && images_initrd "$work" "$IMAGES_MODULES_TINY" &&
                images_tiny_programs "$work/root" && images_tiny_files "$work/root" virtio_console &&
                images_tiny_helper "$work/root" "$program" &&
                images_modules "$work" "$work/root/lib/modules" "virtio_console $IMAGES_MODULES_LATER" &&
                images_assemble "$work" 256M tiny-guest.qcow2 'nokaslr mitigations=off no_timer_check' &&
                rm -rf --one-file-system "$work"
}

# Nothing of the agent stays; what has terminals needs devpts.
images_tiny_helper() {
        rm -rf "$1/usr/sbin/qemu-ga" "$1/etc/agent" "$1"/lib/*.so* "$1/lib64" "$1/sbin/shutdown" &&
                install -m 755 "$2" "$1/usr/sbin/cowherd-guest" &&
                sed -i 's|^::respawn:/etc/agent$|::respawn:/usr/sbin/cowherd-guest|' "$1/etc/inittab" &&
                echo 'mkdir -p /dev/pts; mount -t devpts -o mode=620,ptmxmode=666 pts /dev/pts' >>"$1/etc/rc"
}

# images_make_tiny NAME KERNEL MODULES: those that are there before the agent is.
images_make_tiny() {
        images_current "$1" "$IMAGES_RECIPE_TINY" && return 0
        images_tree || return 1
        images_say "making a tiny disk that boots by itself, with $2"
        work=$IMAGES/$1.partial
        mkdir -p "$work/root" &&
                images_kernel "$work" "$2" && images_initrd "$work" "$IMAGES_MODULES_TINY" &&
                images_tiny_programs "$work/root" && images_tiny_files "$work/root" "$3" &&
                images_modules "$work" "$work/root/lib/modules" "$3 $IMAGES_MODULES_LATER" &&
                images_assemble "$work" 256M "$1.qcow2" 'nokaslr mitigations=off no_timer_check' &&
                rm -rf --one-file-system "$work"
}

# Busybox under all its names, and the agent with its libraries.
images_tiny_programs() {
        for folder in bin sbin usr/bin usr/sbin lib/modules lib64 etc/acpi/PWRF proc sys dev run tmp root var/lib var/log var/tmp home; do
                mkdir -p "$1/$folder" || return 1
        done
        chmod 1777 "$1/tmp" "$1/var/tmp" && chmod 700 "$1/root" && ln -s /run "$1/var/run" && cp /bin/busybox "$1/bin/busybox" || return 1
        for name in $(busybox --list); do
                ln -sf busybox "$1/bin/$name" || return 1
        done
        rm "$1/bin/busybox" && cp /bin/busybox "$1/bin/busybox" && ln -s ../bin/busybox "$1/sbin/init" &&
                cp "$IMAGES/tree/usr/sbin/qemu-ga" "$1/usr/sbin/" || return 1
        chroot "$IMAGES/tree" ldd /usr/sbin/qemu-ga | sed -n 's|^[^/]*\(/[^ ]*\) (.*|\1|p' | while read -r library; do
                cp -L "$IMAGES/tree$library" "$1/lib/" || return 1
        done
        mv "$1"/lib/ld-linux-* "$1/lib64/"
}

# images_write FILE LINES…
images_write() {
        file=$1
        shift
        printf '%s\n' "$@" >"$file"
}

# images_tiny_files ROOT MODULES: its init is busybox's. What the agent needs comes first, the network while the agent starts already.
# shellcheck disable=SC2016 # for the shell in there
images_tiny_files() {
        images_write "$1/etc/passwd" 'root::0:0:root:/root:/bin/sh' 'guest:x:1000:1000:guest:/home/guest:/bin/sh' &&
                images_write "$1/etc/group" 'root:x:0:' 'guest:x:1000:' 'audio:x:29:guest' &&
                mkdir -p "$1/home/guest" && chown 1000:1000 "$1/home/guest" &&
                echo tiny >"$1/etc/hostname" && : >"$1/etc/machine-id" && echo '127.0.0.1 localhost' >"$1/etc/hosts" &&
                images_write "$1/etc/inittab" '::sysinit:/etc/rc' '::respawn:/etc/agent' '::once:/etc/network' \
                        'ttyS0::respawn:-/bin/sh' '::ctrlaltdel:/bin/reboot' '::shutdown:/bin/umount -a -r' &&
                images_write "$1/etc/rc" '#!/bin/sh' \
                        'mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs -o mode=755 run /run' \
                        'mount -o remount,rw /; hostname -F /etc/hostname' "for module in $2; do insmod /lib/modules/\$module.ko; done" \
                        '[ ! -f /var/lib/random-seed ] || cat /var/lib/random-seed >/dev/urandom' &&
                images_write "$1/etc/agent" '#!/bin/sh' 'for port in /sys/class/virtio-ports/*; do' \
                        '    if grep -qsx org.qemu.guest_agent.0 $port/name; then exec qemu-ga -m virtio-serial -p /dev/${port##*/} -t /run; fi' \
                        'done' 'exec sleep 0.1 # the port has no name yet' &&
                images_write "$1/etc/network" '#!/bin/sh' 'ip link set lo up' "for module in \\" \
                        "    $(echo $IMAGES_MODULES_LATER); do" '    [ ! -f /lib/modules/$module.ko ] || insmod /lib/modules/$module.ko' 'done' \
                        'acpid -l /dev/null' 'ip link set eth0 up && exec udhcpc -f -i eth0 -s /etc/dhcp -t 10 -T 1 -S' &&
                images_write "$1/etc/dhcp" '#!/bin/sh' 'case $1 in bound | renew)' \
                        'ip address replace "$ip/$mask" dev "$interface"; [ -z "$router" ] || ip route replace default via "${router%% *}"' \
                        'for server in $dns; do echo "nameserver $server"; done >/etc/resolv.conf' ';; esac' &&
                images_write "$1/etc/acpi/PWRF/00000080" '#!/bin/sh' 'exec poweroff' &&
                images_write "$1/sbin/shutdown" '#!/bin/sh' 'case " $* " in *" -r "*) exec reboot ;; *) exec poweroff ;; esac' &&
                chmod 755 "$1/etc/rc" "$1/etc/agent" "$1/etc/network" "$1/etc/dhcp" "$1/etc/acpi/PWRF/00000080" "$1/sbin/shutdown"
}

# ---- A disk without Linux: memtest86+, which draws its screen on the serial console as well. ----

images_other() {
        images_current other "$IMAGES_RECIPE_OTHER" && return 0
        images_say 'making a disk that boots memtest86+'
        work=$IMAGES/other.partial
        mkdir -p "$work/debs/partial" "$work/kernel/boot" &&
                images_run env -C "$work/debs" apt-get -q -o APT::Sandbox::User=root download memtest86+ &&
                images_run dpkg-deb -x "$work"/debs/memtest86+*.deb "$work/package" &&
                cp "$(find "$work/package/boot" -name '*x64.bin' | head -n 1)" "$work/kernel/boot/vmlinuz-memtest" &&
                images_boot "$work" 66M '' console=ttyS0,115200 && images_keep "$work" other.qcow2 && rm -rf --one-file-system "$work"
}

# ---- A host to install packages on: the engines and a compiler are there, as that takes long. ----

# What the packages depend on is not there, but can be installed without the network.
images_bare() {
        [ -d "$IMAGES/bare" ] && [ "$(cat "$IMAGES/bare.recipe" 2>/dev/null)" = "$IMAGES_RECIPE_BARE" ] && return 0
        images_say 'making a Debian 12 host by mmdebstrap (about a minute, once)'
        rm -rf --one-file-system "$IMAGES/bare" && mkdir "$IMAGES/bare.partial" &&
                # shellcheck disable=SC2016 # for the shell of mmdebstrap
                images_run mmdebstrap --mode=root --variant=minbase --format=directory \
                        --include=systemd,systemd-container,dbus,qemu-system-x86,qemu-utils,lxd,btrfs-progs,e2fsprogs \
                        --include=iproute2,gcc,libc6-dev,pkg-config,man-db \
                        --dpkgopt='path-exclude=/usr/share/locale/*' --skip=cleanup/apt/lists --skip=cleanup/apt/cache \
                        --customize-hook='chroot "$1" apt-get clean' \
                        --customize-hook='chroot "$1" apt-get -q -y --no-install-recommends --download-only \
                                -o Binary::apt-get::APT::Keep-Downloaded-Packages=true install \
                                libarchive13 libbtrfsutil1 libcurl3-gnutls libhogweed6 libjansson4 libmount1 libnettle8 libregina3 libsqlite3-0 \
                                libyaml-0-2' \
                        bookworm "$IMAGES/bare.partial" ${COWHERD_MIRROR:+"$COWHERD_MIRROR"} &&
                mv -T "$IMAGES/bare.partial" "$IMAGES/bare" && echo "$IMAGES_RECIPE_BARE" >"$IMAGES/bare.recipe"
}

# As images_run, for a tool that reads its orders.
images_run_in() {
        if ! "$@" >"$IMAGES/log" 2>&1; then
                images_say "'$1' failed; its output ends:"
                tail -n 15 "$IMAGES/log" >&2
                return 1
        fi
}
