#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Runs alone: whoever copies the mounts of this host meanwhile (a container that starts) keeps a dataset busy.
#
# nspawn's trees on ZFS: zfs-fuse, or the kernel's where it is there. As root.

load lib

setup_file() {
        herds_begin
        export MACHINE=cowherd-test-$$
        image_tree "$MADE/tree"
        fixture_zfs 512M
}

# Where /run is no tmpfs, nspawn leaves a folder of its own there.
teardown_file() {
        herds_end
        rmdir "/run/systemd/nspawn/propagate/$MACHINE" 2>/dev/null || true
}

setup() {
        export COWHERD_ROOT=$FIXTURE_DIR/herd
}

# What cowherd itself will do at start: a clone's dataset on its tree.
mount_dataset() {
        local dataset
        dataset=$(zfs list -H -o name -r "$FIXTURE_POOL" | grep "/clones/$("$PROGRAM" --json nspawn info "$1" | jq .id)\$")
        mkdir -p "$(dirname "$(path_of "$1")")"
        zfs set "mountpoint=$(path_of "$1")" "$dataset" && { mountpoint -q "$(path_of "$1")" || zfs mount "$dataset"; }
}

path_of() {
        answer 0 nspawn info "$1" >/dev/null && field .path
}

@test "setup store=zfs takes a pool that exists, again and again" {
        refuses 69 "pool" nspawn register_base b "rootfs=$MADE/tree" store=zfs
        refuses 66 "'nowhere' not found" nspawn setup store=zfs pool=nowhere
        answer 0 nspawn setup store=zfs "pool=$FIXTURE_POOL"
        answer 0 nspawn setup store=zfs "pool=$FIXTURE_POOL"
        answer 0 nspawn status
        is "$(field .store)" zfs
}

@test "clones are datasets; what a container writes in one is in no other" {
        expect 0 nspawn register_base b "rootfs=$MADE/tree"
        answer 0 nspawn clone base=b name=c count=2
        is "$(field '[.items[].store] | unique | join(" ")')" zfs
        mount_dataset c-1
        mount_dataset c-2
        systemd-nspawn -M "$MACHINE" --register=no --keep-unit -q -D "$(path_of c-1)" /bin/sh -c 'echo one >/root/written; echo x >/etc/os-release' </dev/null 3>&-
        is "$(cat "$(path_of c-1)/root/written")" one
        [ ! -e "$(path_of c-2)/root/written" ]
        cmp "$(path_of c-2)/etc/os-release" "$MADE/tree/etc/os-release"
        expect 0 nspawn clone b late
        mount_dataset late
        cmp "$(path_of late)/etc/os-release" "$MADE/tree/etc/os-release"
        not grep -rsx mine "$(path_of late)"
        answer 0 nspawn usage c-1
        [ "$(field .unique_bytes)" -gt 0 ]
}

@test "teardown is busy, then gives the pool back as it was" {
        refuses 75 "in use" nspawn teardown store=zfs
        expect 0 nspawn remove_base b
        refuses 66 "not found" nspawn clone base=b name=x
        expect 0 nspawn delete 'name=*'
        expect 0 nspawn teardown store=zfs
        is "$(zfs list -H -o name -r "$FIXTURE_POOL")" "$FIXTURE_POOL"
        is "$(zfs list -H -t snapshot -o name | grep -c "^$FIXTURE_POOL")" 0
        [ ! -e "$COWHERD_ROOT" ]
}
