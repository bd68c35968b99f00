#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh CONTRACT: makes the filesystems, runs the contract test over every store on each, takes them away. TAP. As root.
set -eu
contract=$1
shift
if [ "$(id -u)" -ne 0 ]; then
        echo "1..0 # SKIP loop devices and mounts need root"
        [ -z "${CI:-}" ] || exit 1
        exit 0
fi
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/lib/fixtures.sh
. "$here/../lib/fixtures.sh"

fixture_begin
fixture_btrfs btrfs 2G
fixture_xfs xfs 1G
fixture_ext4 ext4 1G
fixture_ext4 full-copy 40M
fixture_ext4 full-disk 40M
fixture_ext4 full-overlay 40M
fixture_ext4 full-hardlink 40M
fixture_ext4 full-qcow2 40M
fixture_btrfs full-btrfs 256M
fixture_xfs full-xfs 300M
fixture_xfs full-tree 300M
fixture_zfs 1G
source_dataset=$FIXTURE_POOL/cowherd-00000000
zfs create -o mountpoint=none -o canmount=off -o cowherd:herd=00000000-0000-4000-8000-000000000000 "$source_dataset"
zfs create -o canmount=off "$source_dataset/bases"
zfs create -o canmount=off "$source_dataset/clones"

subjects=()
# subject FILESYSTEM STORE KIND [SOURCE]
subject() {
        mkdir -p "$FIXTURE_DIR/$1/$2-$3"
        subjects+=("$2,$3,$FIXTURE_DIR/$1/$2-$3${4:+,$4}")
}
for filesystem in ext4 xfs btrfs; do
        for kind in raw qcow2; do
                subject $filesystem qcow2 $kind
                subject $filesystem copy $kind
        done
        for store in overlay hardlink copy; do
                subject $filesystem $store tree
        done
done
for filesystem in xfs btrfs; do
        for kind in raw qcow2 tree; do
                subject $filesystem reflink $kind
        done
done
subject btrfs btrfs tree
subject ext4 zfs tree "$source_dataset"
mkdir -p "$FIXTURE_DIR/ext4/pool-btrfs" "$FIXTURE_DIR/ext4/pool-zfs"
subjects+=("pool,btrfs,tree,$FIXTURE_DIR/ext4/pool-btrfs" "pool,zfs,tree,$FIXTURE_DIR/ext4/pool-zfs,$FIXTURE_POOL")
# The folder's own name may hold what mount options are made of.
odd="$FIXTURE_DIR/ext4/odd: name=x\\y"
mkdir -p "$odd"
subjects+=("overlay,tree,$odd")
subjects+=("full,copy,tree,$FIXTURE_DIR/full-copy" "full,copy,raw,$FIXTURE_DIR/full-disk" "full,overlay,tree,$FIXTURE_DIR/full-overlay"
        "full,hardlink,tree,$FIXTURE_DIR/full-hardlink" "full,qcow2,raw,$FIXTURE_DIR/full-qcow2" "full,btrfs,tree,$FIXTURE_DIR/full-btrfs"
        "full,reflink,raw,$FIXTURE_DIR/full-xfs" "full,reflink,tree,$FIXTURE_DIR/full-tree")

# CONTRACT_ONLY=zfs runs the subjects that have this text in them.
if [ -n "${CONTRACT_ONLY:-}" ]; then
        chosen=()
        for one in "${subjects[@]}"; do
                case $one in *"$CONTRACT_ONLY"*) chosen+=("$one") ;; esac
        done
        subjects=("${chosen[@]}")
fi
"$contract" "${subjects[@]}"
