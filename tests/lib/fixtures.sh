# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Filesystems to test on, each in a file of its own: btrfs, XFS and ext4 by loop devices, ZFS by zfs-fuse. To be sourced by
# bash, as root:
#
#     . tests/lib/fixtures.sh
#     fixture_begin                   # a folder of its own: $FIXTURE_DIR; cleaned up on any exit
#     fixture_btrfs disks 2G          # now mounted on $FIXTURE_DIR/disks
#     fixture_xfs   other 1G          # at least 300M
#     fixture_ext4  small 64M         # no blocks set aside for root, so that full is full
#     fixture_zfs   1G                # a pool named $FIXTURE_POOL, without a mount point of its own
#     fixture_cleanup                 # by the trap; in bats call it in teardown_file
#
# COWHERD_TEST_DIR says where (default /var/tmp). Only one zfs-fuse can run on a machine (its socket is /run/zfs/zfs_socket):
# who calls fixture_zfs holds a lock until fixture_cleanup, and others wait for it. A zfs that runs already, be it a daemon
# or the kernel's, is used as it is and left running.

FIXTURE_ZFS_LOCK=/run/lock/cowherd-test-zfs.lock

fixture_begin() {
        local base=${COWHERD_TEST_DIR:-/var/tmp}
        fixture_sweep "$base"
        FIXTURE_DIR=$(mktemp -d "$base/cowherd-test.$$.XXXXXX") || return 1
        FIXTURE_POOL=
        export FIXTURE_DIR
        if [ -z "${BATS_VERSION:-}" ]; then
                trap fixture_cleanup EXIT
                trap 'exit 129' HUP
                trap 'exit 130' INT
                trap 'exit 143' TERM
        fi
}

# What a killed run has left: its folder bears the pid of a process that is no more.
fixture_sweep() {
        local folder pid
        for folder in "$1"/cowherd-test.*; do
                pid=${folder#"$1"/cowherd-test.}
                pid=${pid%%.*}
                if [ -d "$folder" ] && ! kill -0 "$pid" 2>/dev/null; then
                        fixture_remove "$folder"
                fi
        done
}

# fixture_loop NAME SIZE TYPE MKFS…: makes a file, formats it, mounts it.
fixture_loop() {
        local name=$1 size=$2 type=$3
        shift 3
        mkdir -p "$FIXTURE_DIR/$name" && truncate -s "$size" "$FIXTURE_DIR/$name.img" &&
                "$@" "$FIXTURE_DIR/$name.img" >"$FIXTURE_DIR/$name.log" 2>&1 &&
                mount -t "$type" -o loop,noatime "$FIXTURE_DIR/$name.img" "$FIXTURE_DIR/$name"
}

fixture_btrfs() {
        fixture_loop "$1" "${2:-2G}" btrfs mkfs.btrfs -q -K -m single
}

fixture_xfs() {
        fixture_loop "$1" "${2:-1G}" xfs mkfs.xfs -q -m reflink=1
}

fixture_ext4() {
        fixture_loop "$1" "${2:-256M}" ext4 mkfs.ext4 -q -m 0 -F
}

fixture_zfs_answers() {
        zpool list -H -o name >/dev/null 2>&1
}

# zfs-fuse needs extended attributes switched on, and none of the caller's descriptors: bats waits for 3, the lock is 8.
fixture_zfs_start() {
        zfs-fuse --pidfile "$FIXTURE_DIR/zfs-fuse.pid" --no-kstat-mount --enable-xattr \
                </dev/null >"$FIXTURE_DIR/zfs-fuse.log" 2>&1 3>&- 8>&- 9>&- || return 1
        for _ in $(seq 100); do
                fixture_zfs_answers && return 0
                sleep 0.1
        done
        echo "zfs-fuse did not answer; its log ends:" >&2
        tail -n 5 "$FIXTURE_DIR/zfs-fuse.log" >&2
        return 1
}

fixture_zfs() {
        exec 8>"$FIXTURE_ZFS_LOCK"
        flock 8 || return 1
        fixture_zfs_answers || fixture_zfs_start || return 1
        FIXTURE_POOL=cowherdtest$$
        truncate -s "${1:-1G}" "$FIXTURE_DIR/zfs.img" &&
                zpool create -o cachefile=none -m none "$FIXTURE_POOL" "$FIXTURE_DIR/zfs.img" 2>>"$FIXTURE_DIR/zfs-fuse.log" || return 1
        echo "$FIXTURE_POOL" >"$FIXTURE_DIR/zfs.pool"
        export FIXTURE_POOL
}

# The mount points below a folder, deepest first.
fixture_mounts() {
        awk -v folder="$1/" 'index($5, folder) == 1 { print length($5), $5 }' /proc/self/mountinfo | sort -rn | cut -d' ' -f2-
}

# Takes everything away that is in a fixture's folder, then the folder.
fixture_remove() {
        local folder=$1 point pid
        fixture_mounts "$folder" | while read -r point; do
                umount "$point" || umount -l "$point"
        done
        if [ -s "$folder/zfs.pool" ]; then
                zpool destroy "$(cat "$folder/zfs.pool")" 2>/dev/null || zpool destroy -f "$(cat "$folder/zfs.pool")" 2>/dev/null
        fi
        if [ -s "$folder/zfs-fuse.pid" ]; then
                pid=$(cat "$folder/zfs-fuse.pid")
                if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = zfs-fuse ]; then
                        kill "$pid"
                        for _ in $(seq 100); do
                                kill -0 "$pid" 2>/dev/null || break
                                sleep 0.1
                        done
                fi
        fi
        chattr -R -f -i "$folder" 2>/dev/null
        rm -rf --one-file-system "$folder"
}

fixture_cleanup() {
        local status=$?
        if [ -n "${FIXTURE_DIR:-}" ] && [ -d "$FIXTURE_DIR" ]; then
                fixture_remove "$FIXTURE_DIR"
        fi
        if [ -n "${FIXTURE_POOL:-}" ]; then
                exec 8>&-
                FIXTURE_POOL=
        fi
        return $status
}
