#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Points in time: snapshots, what is made of clones, and clones cut loose; stopped and running, on disks (qcow2, reflink) and
# trees (overlay, btrfs, reflink, copy). What a guest would write is written beside it, by other tools. As root.

load lib

setup_file() {
        herds_begin
        image_qcow2 "$MADE/disk.qcow2" 8M
        image_tree "$MADE/tree"
        mkdir -p "$MADE/tree/etc/ssh" && echo key >"$MADE/tree/etc/ssh/ssh_host_ed25519_key"
        fixture_xfs xfs 320M
}

teardown_file() {
        herds_end
}

setup() {
        herd_begin
}

teardown() {
        "$PROGRAM" stop name='*' force=true >/dev/null 2>&1 || true
        "$PROGRAM" nspawn delete name='*' >/dev/null 2>&1 || true
        "$PROGRAM" nspawn remove_base b >/dev/null 2>&1 || true
        "$PROGRAM" nspawn teardown >/dev/null 2>&1 || true
        rmdir "/run/cowherd/$(sqlite3 "$COWHERD_ROOT/catalogue.db" "SELECT substr(value, 1, 8) FROM setting WHERE key = 'herd.uuid'")" 2>/dev/null || true
}

info_of() {
        "$PROGRAM" --json info "$1" | jq -r ".$2"
}

path_of() {
        info_of "$1" path
}

# write NAME VALUE, holds NAME VALUE: the first 64 KiB of a disk.
write() {
        qemu-io -f qcow2 -c "write -P $2 0 64k" "$(path_of "$1")" >/dev/null
}

holds() {
        qemu-img check -q "$(path_of "$1")" && qemu-io -U -r -f qcow2 -c "read -P $2 0 64k" -c 'read -P 0x5a 1M 64k' "$(path_of "$1")" | not grep -q failed
}

# Objects by their folders: nothing but these are there.
lie() {
        is "$(cd "$COWHERD_ROOT" && find bases clones snapshots -mindepth 1 -maxdepth 1 2>/dev/null | sort | tr '\n' ' ')" "$*${*:+ }"
}

disk_herd() {
        expect 0 qemu register_base b "$MADE/disk.qcow2"
        expect 0 qemu clone base=b name=c
}

# ---- disks ----

@test "a snapshot keeps what was, and can be gone back to again and again" {
        disk_herd
        write c 1
        answer 0 snapshot name=c snapshot=one
        is "$(field '[.snapshot, .name, .engine, .store, .frozen, .state] | join(" ")')" "one c qemu qcow2 0 stopped"
        is "$(field '(.created | test("^20[0-9-]+T")) and .snapshot_ms > 0 and .bytes > 65536')" true
        write c 2
        answer 0 snapshot c
        is "$(field .snapshot)" snap-2
        write c 3
        answer 0 restore name=c
        is "$(field '[.snapshot, .name, .restarted] | join(" ")')" "snap-2 c 0"
        holds c 2
        expect 0 restore c one
        holds c 1
        write c 4
        expect 0 restore c snapshot=ONE
        holds c 1
        is "$(info_of c base)/$(info_of c snapshots)" "b/2"
        expect 0 restore c snap-2
        holds c 2
        expect 0 doctor
        says "snapshot one of c: unchanged"
}

@test "snapshots are listed, by patterns too" {
        disk_herd
        expect 0 qemu clone base=b name=other
        expect 0 snapshot c one
        expect 0 snapshot c two
        expect 0 snapshot other one
        answer 0 list_snapshots name=c
        is "$(field '[.count, .items[].snapshot] | join(" ")')" "2 one two"
        answer 0 list_snapshots name='*' snapshot='o*'
        is "$(field '[.items[] | .name + "@" + .snapshot] | join(" ")')" "c@one other@one"
        answer 0 qemu list_snapshots other
        is "$(field '.items[0] | has("created") and has("bytes") and .engine == "qemu"')" true
        refuses 66 "no clone matches 'x*'" list_snapshots name='x*'
}

@test "a deleted snapshot's bytes wait for what stands on them" {
        disk_herd
        expect 0 snapshot c one
        expect 0 snapshot c two
        answer 0 delete_snapshot name=c snapshot=one
        is "$(field .waits)" 1
        lie bases/1 clones/2 snapshots/3 snapshots/4
        answer 0 delete_snapshot name=c snapshot=two
        answer 0 list_snapshots c
        is "$(field .count)" 0
        expect 0 snapshot c one
        expect 0 delete c
        lie bases/1
        expect 0 qemu clone base=b name=c
        expect 0 snapshot c one
        expect 0 snapshot c two
        expect 0 restore c one
        answer 0 delete_snapshot name=c snapshot=two
        is "$(field .waits)" 0
        lie bases/1 clones/6 snapshots/7
}

@test "promote makes a base, and the clone goes on upon it: to any depth" {
        disk_herd
        local depth
        for depth in 1 2 3 4; do
                write c $depth
                answer 0 promote name=c as=level-$depth
                is "$(field '[.name, .clone, .clone_stands_on_it, .clones] | join(" ")')" "level-$depth c 1 1"
        done
        is "$(info_of c base)/$(info_of c depth)/$(info_of level-3 base)" level-4/5/level-2
        for depth in 1 2 3 4; do
                expect 0 clone base=level-$depth name=of-$depth
                holds of-$depth $depth
        done
        holds c 4
        expect 0 qemu remove_base b
        expect 0 qemu remove_base level-2
        holds of-4 4
        expect 0 delete name='of-*'
        expect 0 delete c
        expect 0 qemu remove_base level-4
        lie bases/1 bases/3 bases/4 bases/5
        expect 0 qemu remove_base level-3
        expect 0 qemu remove_base level-1
        lie
}

@test "restoring to before a promote gives the clone its old base again" {
        disk_herd
        expect 0 snapshot c one
        expect 0 promote c as=p
        is "$(info_of c base)" p
        expect 0 restore c one
        is "$(info_of c base)" b
        expect 0 qemu remove_base p
        lie bases/1 clones/2 snapshots/3
}

@test "flatten cuts a clone loose, and frees a base that nothing else stands on" {
        disk_herd
        write c 1
        expect 0 qemu clone base=b name=d
        expect 0 qemu remove_base b
        answer 0 flatten name=c
        is "$(field '[.base, .was, .store] | join(" ")')" "none  qcow2"
        is "$(info_of c base)/$(info_of c depth)" none/0
        is "$(qemu-img info --output=json "$(path_of c)" | jq 'has("backing-filename")')" false
        holds c 1
        lie bases/1 clones/2 clones/3
        expect 0 flatten d
        lie clones/2 clones/3
        holds d 0
        answer 0 flatten c
        says "already"
        expect 0 snapshot c one
        is "$(info_of c base)" none
        write c 2
        expect 0 restore c
        holds c 1
        is "$(info_of c base)" none
}

@test "a clone of a clone shares its blocks, and outlives it" {
        disk_herd
        write c 1
        answer 0 clone_from_base source=c name=d
        is "$(field '[.base, .basedOn] | join(" ")')" "c c"
        is "$(field 'has("space_bytes") and .space_bytes < 65536')" true
        write c 2
        write d 3
        answer 0 clone base=c name=e count=2 atomic=true
        holds e-1 2
        holds e-2 2
        holds d 3
        holds c 2
        is "$(info_of c base)/$(info_of d base)/$(info_of c snapshots)" b/c/0
        [ "$(info_of c machine_id)" != "$(info_of d machine_id)" ]
        expect 0 qemu rename c as=renamed
        is "$(info_of d base)" renamed
        refuses 73 "already exists" clone base=renamed name=d
        expect 0 delete renamed
        holds e-1 2
        holds d 3
        answer 0 info d
        is "$(field '.output')" "clone 'd' of 'a removed base' is stopped"
        expect 0 delete name='e-*'
        expect 0 delete d
        lie bases/1
}

@test "register_base from= is as promote where the store stacks" {
        disk_herd
        write c 1
        answer 0 qemu register_base name=p from=c memory=64M
        is "$(field '[.name, .image, .clone, .clone_stands_on_it] | join(" ")')" "p c c 1"
        expect 0 qemu clone base=p name=d
        holds d 1
        holds c 1
        refuses 64 "exclude each other" qemu register_base name=q from=c store=qcow2
        refuses 66 "clone 'nix' not found" qemu register_base name=q from=nix
        refuses 66 "it is the name of a base" qemu register_base name=q from=b
}

@test "a clone's usage counts its snapshots as its own bytes" {
        disk_herd
        write c 1
        answer 0 usage c
        local before
        before=$(field .unique_bytes)
        expect 0 snapshot c one
        answer 0 usage c
        is "$(field ".unique_bytes >= $before and .snapshot_bytes >= 65536 and .shared_bytes < 1000000")" true
}

@test "what is planned is told and not done" {
        disk_herd
        expect 0 snapshot c one
        local before command
        before=$(herd_state)
        for command in "snapshot name=c snapshot=x" "restore c" "delete_snapshot c one" "promote c as=p" "flatten c" "clone source=c name=x" \
                "qemu register_base name=p from=c"; do
                # shellcheck disable=SC2086 # words
                answer 0 --dry-run $command
                is "$(field '.count > 0 and (.items | length) > 0 and (.output | startswith("nothing done"))')" true
        done
        is "$(herd_state)" "$before"
}

@test "a chain as long as it may be is refused one more, with what to do, and flatten cuts it" {
        disk_herd
        local i
        for i in $(seq 70); do
                "$PROGRAM" snapshot c >/dev/null 2>&1 || break
        done
        [ "$i" -gt 20 ] && [ "$i" -lt 70 ]
        refuses 69 "flatten" snapshot c
        expect 0 flatten c
        expect 0 snapshot c
        holds c 0
}

# ---- a machine that runs ----

# qmp NAME COMMAND…: HMP commands, in one conversation.
qmp() {
        local runtime
        runtime=/run/cowherd/$(sqlite3 "$COWHERD_ROOT/catalogue.db" "SELECT substr(value, 1, 8) FROM setting WHERE key = 'herd.uuid'")/$(info_of "$1" id)
        python3 - "$runtime/qmp.sock" "${@:2}" <<'PY'
import json, socket, sys
link = socket.socket(socket.AF_UNIX)
link.settimeout(20)
link.connect(sys.argv[1])
lines = link.makefile("rw")
json.loads(lines.readline())
for command in [None, *sys.argv[2:]]:
    request = {"execute": "qmp_capabilities"} if command is None else {"execute": "human-monitor-command", "arguments": {"command-line": command}}
    lines.write(json.dumps(request) + "\n")
    lines.flush()
    while "event" in (answer := json.loads(lines.readline())):
        pass
    print(answer["return"])
PY
}

# What its guest would do, through the device.
write_running() {
        qmp "$1" "qemu-io -d /machine/peripheral/disk/virtio-backend \"write -P $2 0 64k\"" >"$BATS_TEST_TMPDIR/written"
        is "$(grep -ci 'error\|conflict\|fail' "$BATS_TEST_TMPDIR/written")" 0
}

@test "a running machine goes on through snapshot, promote and flatten, and is restored by a restart" {
        disk_herd
        expect 0 start c
        write_running c 1
        answer 0 snapshot c one
        is "$(field '[.state, .frozen] | join(" ")')" "running 0"
        is "$(info_of c state)" running
        write_running c 2
        answer 0 promote c as=p
        is "$(info_of c base)/$(info_of c state)" p/running
        write_running c 3
        expect 0 clone source=c name=d
        write_running c 4
        expect 0 flatten c
        is "$(info_of c base)/$(info_of c state)" none/running
        expect 0 clone base=p name=e
        holds d 3
        holds e 2
        expect 0 stop c force=true
        holds c 4
        expect 0 start c
        answer 0 restore c one
        is "$(field '[.restarted, .state] | join(" ")')" "1 running"
        is "$(info_of c state)/$(info_of c base)" running/b
        expect 0 stop c force=true
        holds c 1
}

@test "a paused machine stays paused" {
        disk_herd
        expect 0 start c
        expect 0 pause c
        answer 0 snapshot c one
        is "$(field .state)/$(info_of c state)" paused/paused
        expect 0 resume c
        write_running c 2
        expect 0 stop c force=true
        holds c 2
        expect 0 restore c
        holds c 0
}

# ---- trees ----

# Where what a stopped clone of a store writes goes, and what it reads.
tree_write() {
        local tree
        tree=$(path_of "$1")
        [ ! -d "$(dirname "$tree")/upper" ] || tree=$(dirname "$tree")/upper
        mkdir -p "$tree/etc" && echo "$2" >"$tree/etc/mark"
}

tree_holds() {
        tree_shown "$1"
        is "$(cat "$TREE/etc/mark" 2>/dev/null)" "$2" && [ -x "$TREE/bin/sh" ]
}

# TREE: the tree of a base or clone as it is read.
tree_shown() {
        local id lowers=() folder
        TREE=$(path_of "$1")
        [ -d "$(dirname "$TREE")/upper" ] || return 0
        for id in $(sqlite3 "$COWHERD_ROOT/catalogue.db" "WITH RECURSIVE chain(id, base) AS (SELECT id, base_id FROM object WHERE id = $(info_of "$1" id)
                        UNION ALL SELECT o.id, o.base_id FROM object o JOIN chain c ON o.id = c.base) SELECT id FROM chain"); do
                folder=$(find "$COWHERD_ROOT"/{bases,clones,snapshots} -maxdepth 1 -name "$id" 2>/dev/null)
                if [ -d "$folder/upper" ]; then lowers+=("$folder/upper"); else lowers+=("$folder/tree"); fi
        done
        mkdir -p "$FIXTURE_DIR/shown"
        umount "$FIXTURE_DIR/shown" 2>/dev/null || true
        (IFS=: && mount -t overlay overlay -o "ro,lowerdir=${lowers[*]}" "$FIXTURE_DIR/shown")
        TREE=$FIXTURE_DIR/shown
}

# All of it on one store, stacking or not.
tree_round() {
        expect 0 nspawn register_base b "rootfs=$MADE/tree" "${@:2}"
        expect 0 nspawn clone base=b name=c
        is "$(info_of c store)" "$1"
        tree_write c 1
        answer 0 nspawn snapshot c one
        is "$(field '[.snapshot, .store] | join(" ")')" "one $1"
        tree_write c 2
        expect 0 clone source=c name=d
        tree_write c 3
        expect 0 nspawn promote c as=p
        tree_write c 4
        expect 0 nspawn clone base=p name=e
        tree_holds d 2
        tree_holds e 3
        tree_holds c 4
        tree_holds p 3
        tree_shown p
        [ ! -e "$TREE/etc/ssh/ssh_host_ed25519_key" ]
        is "$(info_of c base)/$(info_of e base)/$(info_of d base)" p/p/c
        expect 0 restore c one
        tree_holds c 1
        is "$(info_of c base)" b
        expect 0 flatten c
        tree_holds c 1
        is "$(info_of c base)" none
        expect 0 nspawn remove_base b
        expect 0 doctor
        expect 0 delete c
        tree_holds d 2
        tree_holds e 3
        umount "$FIXTURE_DIR/shown" 2>/dev/null || true
        expect 0 delete name='*'
        expect 0 nspawn remove_base p
        answer 0 cleanup
        is "$(field .removed)" 0
}

@test "trees on an overlay" {
        tree_round overlay store=overlay
        lie
}

@test "trees that are copied" {
        tree_round copy store=copy
        lie
}

@test "trees in an embedded btrfs pool" {
        expect 0 nspawn setup store=btrfs size=300M
        tree_round btrfs
        is "$(find "$COWHERD_ROOT"/pools/btrfs/{bases,clones,snapshots} -mindepth 1 -maxdepth 1)" ""
}

@test "trees and disks by reflink" {
        export COWHERD_ROOT=$FIXTURE_DIR/xfs/herd-$BATS_TEST_NUMBER
        tree_round reflink store=reflink
        lie
        expect 0 qemu register_base b "$MADE/disk.qcow2" store=reflink
        expect 0 qemu clone base=b name=c
        write c 1
        expect 0 snapshot c one
        write c 2
        expect 0 promote c as=p
        write c 3
        expect 0 qemu register_base name=q from=c
        is "$(info_of c base)" p
        expect 0 qemu clone base=q name=d
        expect 0 clone source=d name=e
        holds d 3
        holds e 3
        expect 0 restore c one
        holds c 1
        is "$(info_of c base)" b
        expect 0 delete name='*'
        expect 0 qemu remove_base q
        expect 0 qemu remove_base p
        expect 0 qemu remove_base b
        lie
}

@test "an identity that went into a base of a tree is put in again at the next start" {
        expect 0 nspawn register_base b "rootfs=$MADE/tree" store=overlay
        expect 0 nspawn clone base=b name=c
        sqlite3 "$COWHERD_ROOT/catalogue.db" "UPDATE object SET identity_applied = 1 WHERE name = 'c'"
        local was
        was=$(info_of c machine_id)
        answer 0 promote name=c as=p
        is "$(field '.note | contains("next start")')" true
        is "$(info_of c machine_id)" "$was"
        is "$(info_of c identity_applied)" ""
}

# ---- many at once, and what was killed ----

@test "snapshots from many processes at once: none is lost, no name twice" {
        disk_herd
        local i
        for i in 1 2 3 4 5 6 7 8; do
                "$PROGRAM" snapshot c >/dev/null &
        done
        wait
        answer 0 list_snapshots c
        is "$(field '[.count, ([.items[].snapshot] | unique | length)] | join(" ")')" "8 8"
        holds c 0
        for i in 1 2 3 4; do
                "$PROGRAM" promote c as=same >"$BATS_TEST_TMPDIR/said-$i" 2>&1 &
        done
        wait
        is "$(grep -l "made of clone" "$BATS_TEST_TMPDIR"/said-* | wc -l)/$(grep -l "already exists" "$BATS_TEST_TMPDIR"/said-* | wc -l)" 1/3
}

@test "a version 1 catalogue is brought up, and an older program refuses it" {
        disk_herd
        sqlite3 "$COWHERD_ROOT/catalogue.db" 'DROP INDEX object_label; ALTER TABLE object DROP COLUMN of_id; ALTER TABLE object DROP COLUMN label; PRAGMA user_version = 1'
        expect 0 snapshot c one
        is "$(sqlite3 "$COWHERD_ROOT/catalogue.db" 'PRAGMA user_version')" 2
}
