#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What build/bench/clone measures on: bench/fixtures.sh PROGRAM [ARGUMENT …] makes it, runs the program with
# COWHERD_BENCH_DIR set, and takes everything away again, however that ends. In the folder:
#
#     disk.qcow2   a 20 GiB disk with 256 MiB written      tree/    a small tree, for figures in microseconds
#     debian/      a Debian tree with systemd              tiny.qcow2   a disk that boots in seconds, with a guest agent
#     x/lxd/       an LXD daemon with a btrfs pool, and in it "raw", an instance never started, with snapshot "base"
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
        "$cowherd" --root "$FIXTURE_DIR/herd" cleanup >/dev/null 2>&1 || true # what it was making
        for engine in qemu nspawn; do
                "$cowherd" --root "$FIXTURE_DIR/herd" "$engine" delete 'name=*' force=true >/dev/null 2>&1 || true
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
chmod 711 "$FIXTURE_DIR" # a container is another user to the host: it must get through to its own root
qemu-img create -q -f qcow2 "$FIXTURE_DIR/disk.qcow2" 20G
qemu-io -f qcow2 -c 'write -P 7 0 256M' "$FIXTURE_DIR/disk.qcow2" >/dev/null
image_tree "$FIXTURE_DIR/tree"
ln -s "$IMAGES/tree" "$FIXTURE_DIR/debian"
ln -s "$IMAGES/tiny.qcow2" "$FIXTURE_DIR/tiny.qcow2"
ln -s "$IMAGES/tiny-guest.qcow2" "$FIXTURE_DIR/tiny-guest.qcow2"
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
cp "$IMAGES/rootfs.tar" "$FIXTURE_DIR/large.tar"
tar -C "$FIXTURE_DIR/more" --owner=0 --group=0 -rf "$FIXTURE_DIR/large.tar" ./usr/share/more
lxc image import "$IMAGES/metadata.tar" "$FIXTURE_DIR/large.tar" --alias large >/dev/null
lxc init large large >/dev/null 2>&1
COWHERD_BENCH_DIR=$FIXTURE_DIR "$@"
