#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What build/bench/clone measures on: bench/fixtures.sh PROGRAM [ARGUMENT …] makes it, runs the program with
# COWHERD_BENCH_DIR set, and takes everything away again, however that ends. In the folder:
#
#     disk.qcow2   a 20 GiB disk with 256 MiB written      tree/    a small tree, for figures in microseconds
#     debian/      a Debian tree with systemd              tiny.qcow2   a disk that boots in seconds, with a guest agent
#
# all of it on an ext4 of its own, for where thousands of files were deleted in the last minutes ext4 makes new ones slowly; and
#
#     ../x/lxd/    an LXD daemon with a btrfs pool, and in it "raw", an instance never started, with snapshot "base",
#                  and "large", the same with 17,000 files
#     $FIXTURE_POOL  a ZFS pool, in it raw@base
set -eu
COWHERD_TOP=$(cd "$(dirname "$0")/.." && pwd)
export COWHERD_TOP
cd "$COWHERD_TOP"
. tests/lib/fixtures.sh
. tests/lib/images.sh
. tests/lib/lxd.sh

clean_up() {
        local status=$? engine
        # A bench that was killed has left machines running, which would be measured by the next one.
        "$cowherd" --root "$here/herd" cleanup >/dev/null 2>&1 || true # what it was making
        for engine in qemu nspawn; do
                "$cowherd" --root "$here/herd" "$engine" delete 'name=*' force=true >/dev/null 2>&1 || true
        done
        lxd_stop "$FIXTURE_DIR/x" || true
        fixture_cleanup || true
        exit "$status"
}

cowherd=$(dirname "$1")/../cowherd
images_prepare
images_prepare tiny tinyguest
fixture_begin
trap clean_up EXIT
here=$FIXTURE_DIR/here
fixture_loop here 16G ext4 mkfs.ext4 -q -m 0 -F -E lazy_itable_init=0,lazy_journal_init=0
chmod 711 "$FIXTURE_DIR" "$here" # a container is another user to the host: it must get through to its own root
qemu-img create -q -f qcow2 "$here/disk.qcow2" 20G
qemu-io -f qcow2 -c 'write -P 7 0 256M' "$here/disk.qcow2" >/dev/null
image_tree "$here/tree"
ln -s "$IMAGES/tree" "$here/debian"
ln -s "$IMAGES/tiny.qcow2" "$here/tiny.qcow2"
ln -s "$IMAGES/tiny-guest.qcow2" "$here/tiny-guest.qcow2"
fixture_zfs 2G
zfs create -o canmount=noauto "$FIXTURE_POOL/raw"
zfs snapshot "$FIXTURE_POOL/raw@base"
mkdir "$FIXTURE_DIR/x"
lxd_start "$FIXTURE_DIR/x"
lxc image import "$IMAGES/metadata.tar" "$IMAGES/rootfs.tar" --alias raw >/dev/null
lxc init raw raw >/dev/null 2>&1
lxc snapshot raw base
# The same with as many files as an image has that people work in: compilers, git and Python make it 17,000.
mkdir -p "$FIXTURE_DIR/more/usr/share/more"
(cd "$FIXTURE_DIR/more/usr/share/more" && for file in $(seq 9500); do echo "$file" >"$file"; done)
cp "$IMAGES/rootfs.tar" "$here/large.tar"
tar -C "$FIXTURE_DIR/more" --owner=0 --group=0 -rf "$here/large.tar" ./usr/share/more
lxc image import "$IMAGES/metadata.tar" "$here/large.tar" --alias large >/dev/null
lxc init large large >/dev/null 2>&1
COWHERD_BENCH_DIR=$here "$@"
