#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What build/bench/clone measures on, in one folder:  bench/fixtures.sh up DIR | down DIR
#
#     DIR/disk.qcow2   a 20 GiB disk with 256 MiB written     DIR/tree     a small tree, for figures in microseconds
#     DIR/debian       a Debian tree with systemd             DIR/lxd      an LXD daemon with a btrfs pool, and in it "raw",
#     zpool cowherdbench, with cowherdbench/raw@base                       an instance that was never started, with a snapshot
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../tests/lib/fixtures.sh"
. "$here/../tests/lib/lxd.sh"
. "$here/../tests/lib/images.sh"

make_disk() {
        qemu-img create -q -f qcow2 "$1/disk.qcow2" 20G
        qemu-io -f qcow2 -c 'write -P 7 0 256M' "$1/disk.qcow2" >/dev/null
}

make_small_tree() {
        mkdir -p "$1/tree/etc" "$1/tree/usr/bin" "$1/tree/bin" "$1/tree/var/lib"
        printf 'ID=bench\nVERSION_ID=1\n' >"$1/tree/etc/os-release"
        cp /bin/true "$1/tree/usr/bin/true"
        cp /bin/true "$1/tree/bin/sh"
}
