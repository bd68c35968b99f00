#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Runs alone: whoever copies the mounts of this host meanwhile (a container that starts) keeps a dataset busy.
#
# Points in time on ZFS: zfs-fuse, or the kernel's where it is there. As root.

load lib

setup_file() {
        herds_begin
        image_tree "$MADE/tree"
        fixture_zfs 512M
}

teardown_file() {
        herds_end
}

setup() {
        export COWHERD_ROOT=$FIXTURE_DIR/herd
}

info_of() {
        "$PROGRAM" --json nspawn info "$1" | jq -r ".$2"
}

# The dataset of a base or clone, its mount point for the moment in TREE.
shown() {
        local role
        role=$(info_of "$1" role)
        DATASET=$(zfs list -H -o name -r "$FIXTURE_POOL" | grep "/${role}s/$(info_of "$1" id)\$")
        TREE=$BATS_TEST_TMPDIR/shown
        mkdir -p "$TREE"
        zfs set "mountpoint=$TREE" "$DATASET"
        mountpoint -q "$TREE" || zfs mount "$DATASET"
}

hidden() {
        zfs unmount "$DATASET"
        zfs inherit mountpoint "$DATASET"
}

mark() {
        shown "$1"
        echo "$2" >"$TREE/etc/mark"
        hidden
}

marked() {
        shown "$1"
        local found
        found=$(cat "$TREE/etc/mark" 2>/dev/null || true)
        hidden
        is "$found" "$2"
}

@test "all of it on zfs" {
        expect 0 nspawn setup store=zfs "pool=$FIXTURE_POOL"
        expect 0 nspawn register_base b "rootfs=$MADE/tree"
        expect 0 nspawn clone base=b name=c
        mark c 1
        answer 0 snapshot c one
        is "$(field .store)" zfs
        mark c 2
        expect 0 snapshot c two
        expect 0 clone source=c name=d
        expect 0 nspawn promote c as=p
        expect 0 nspawn clone base=p name=e
        mark c 3
        marked d 2
        marked e 2
        expect 0 restore c one
        marked c 1
        is "$(info_of c base)/$(info_of d base)/$(info_of e base)" b/c/p
        expect 0 delete_snapshot c two
        expect 0 flatten c
        is "$(info_of c base)" none
        marked c 1
        expect 0 doctor
        if [ "$(info_of c store)" = zfs ]; then says "is ONLINE"; fi
        expect 0 delete c
        marked d 2
        expect 0 nspawn remove_base b
        expect 0 delete name='*'
        expect 0 nspawn remove_base p
        answer 0 cleanup
        is "$(field .removed)" 0
        is "$(zfs list -H -o name -t all -r "$FIXTURE_POOL" | grep -c '/[0-9][0-9]*\(@.*\)\?$')" 0
        expect 0 nspawn teardown
}
