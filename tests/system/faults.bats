#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# When what cowherd stands on fails: system calls, tools, disks that are full or read-only, catalogues of another time. It
# says so with a code of its own, and nothing is left but what cleanup finds. As root. (tests/crash kills cowherd itself.)

load lib

setup_file() {
        herds_begin
        fixture_ext4 disk 512M
        image_qcow2 "$MADE/disk.qcow2" 8M
        qemu-img convert -O vmdk "$MADE/disk.qcow2" "$MADE/disk.vmdk"
        image_tree "$MADE/tree"
}

teardown_file() {
        herds_end
}

setup() {
        herd_begin
        export COWHERD_ROOT=$FIXTURE_DIR/disk/herd-$BATS_TEST_NUMBER
        STAND_INS=$BATS_TEST_TMPDIR/bin
        mkdir "$STAND_INS"
}

teardown() {
        [ -z "${TOOL:-}" ] || kill "$TOOL" 2>/dev/null || true
        chattr -R -f -i "$COWHERD_ROOT" 2>/dev/null || true
        rm -rf --one-file-system "$COWHERD_ROOT" "$FIXTURE_DIR/disk/filler"
}

# stand_in TOOL: the program of that name, for commands run by with_stand_ins, is what stdin says.
stand_in() {
        cat >"$STAND_INS/$1" && chmod 755 "$STAND_INS/$1"
}

# Runs a command that finds the stand-ins where cowherd looks for tools first, and nobody else does.
with_stand_ins() {
        # shellcheck disable=SC2016 # for the shell in there
        unshare --mount --propagation private -- sh -c 'mount --bind "$0" /usr/local/sbin && exec "$@"' "$STAND_INS" "$@"
}

nothing_is_left() {
        answer 0 cleanup || return 1
        is "$(field .failed)" 0 || return 1
        answer 0 cleanup || return 1
        is "$(field '.removed + .busy')" 0 || return 1
        is "$(find "$COWHERD_ROOT/bases" "$COWHERD_ROOT/clones" "$COWHERD_ROOT/tmp" "$COWHERD_ROOT/locks" -mindepth 1 -maxdepth 1 ! -path "$COWHERD_ROOT/locks/objects" 2>/dev/null)" "" || return 1
        is "$(find "$COWHERD_ROOT" -maxdepth 1 -name '.probe*')" ""
}

lists_nothing() {
        answer 0 list_bases || return 1
        is "$(field .count)" 0 || return 1
        answer 0 list || return 1
        is "$(field .count)" 0
}

# strike COMMAND…: kills cowherd where it would make a clone's or a base's folder whole.
strike() {
        local call=$1
        shift
        strace -qq -o /dev/null -e trace="$call" -e inject="$call:signal=KILL:when=1" "$PROGRAM" "$@" >/dev/null 2>&1 || true
}

@test "a tool that is killed is told of by name, and leaves nothing" {
        stand_in qemu-img <<<$'#!/bin/sh\nkill -KILL $$'
        run --separate-stderr with_stand_ins "$PROGRAM" --json qemu register_base name=b image="$MADE/disk.vmdk"
        is "$status" 71
        says qemu-img
        lists_nothing
        is "$(ls "$COWHERD_ROOT/bases")" ""
        nothing_is_left
}

@test "a tool that fails and says why" {
        stand_in mmdebstrap <<<$'#!/bin/sh\necho "E: the mirror is made of cheese" >&2; exit 3'
        run --separate-stderr with_stand_ins "$PROGRAM" --json nspawn register_base name=b distro=debian
        is "$status" 71
        says "made of cheese"
        lists_nothing
        nothing_is_left
}

@test "a tool that succeeds and did nothing is not believed" {
        stand_in qemu-img <<<$'#!/bin/sh\nexit 0'
        run --separate-stderr with_stand_ins "$PROGRAM" --json qemu register_base name=b image="$MADE/disk.vmdk"
        is "$status" 65
        lists_nothing
        nothing_is_left
}

@test "an interrupted setup that can't be undone keeps only its own store from being set up" {
        expect 0 qemu setup
        sqlite3 "$COWHERD_ROOT/catalogue.db" "INSERT INTO place (name, store, folder, source, size_bytes, ours) VALUES ('zfs', 'zfs', '', 'tank', 0, 1)"
        stand_in zfs <<<$'#!/bin/sh\necho "cannot open /dev/zfs" >&2; exit 1'
        run --separate-stderr with_stand_ins "$PROGRAM" nspawn setup store=overlay
        is "$status" 0
        run --separate-stderr with_stand_ins "$PROGRAM" nspawn setup store=zfs pool=tank
        is "$status" 71
        complains "undoing a setup or teardown of store 'zfs' that was interrupted"
        complains "cannot open /dev/zfs"
        run --separate-stderr with_stand_ins "$PROGRAM" --json cleanup
        is "$(field .failed)" 1
        # Nor does a teardown that can do nothing make a place unfinished.
        sqlite3 "$COWHERD_ROOT/catalogue.db" "UPDATE place SET folder = 'pools/zfs', source = 'tank/x'"
        mkdir -p "$COWHERD_ROOT/pools/zfs"
        run --separate-stderr with_stand_ins "$PROGRAM" nspawn teardown store=zfs
        is "$status" 71
        is "$(sqlite3 "$COWHERD_ROOT/catalogue.db" 'SELECT folder, source FROM place')" "pools/zfs|tank/x"
        rm -r "$COWHERD_ROOT/pools/zfs"
        sqlite3 "$COWHERD_ROOT/catalogue.db" 'DELETE FROM place'
        nothing_is_left
}

# outlives TOOL COMMAND…: cowherd is killed while its tool waits. It owns the object until it ends.
outlives() {
        local tool=$1
        shift
        stand_in "$tool" <<END
#!/bin/sh
echo \$\$ >$STAND_INS/pid.new && mv $STAND_INS/pid.new $STAND_INS/pid
exec >/dev/null 2>&1
until [ -e $STAND_INS/go ]; do sleep 0.05; done
END
        with_stand_ins "$PROGRAM" "$@" >/dev/null 2>&1 3>&- &
        local starter=$! cowherd
        for _ in $(seq 200); do
                [ ! -e "$STAND_INS/pid" ] || break
                sleep 0.05
        done
        TOOL=$(cat "$STAND_INS/pid")
        cowherd=$(ps -o ppid= -p "$TOOL" | tr -d ' ')
        is "$(cat "/proc/$cowherd/comm")" cowherd || return 1
        kill -KILL "$cowherd"
        wait "$starter" || true
        kill -0 "$TOOL"
}

owned_while_it_runs() {
        lists_nothing
        answer 0 cleanup
        is "$(field '"\(.busy) \(.removed) \(.failed)"')" "1 0 0"
        is "$(find "$COWHERD_ROOT/bases" -mindepth 1 -maxdepth 1 | wc -l)" 1
        touch "$STAND_INS/go"
        tail --pid="$TOOL" -f /dev/null
        answer 0 cleanup
        is "$(field '"\(.busy) \(.removed) \(.undone)"')" "0 1 1"
        nothing_is_left
}

@test "qemu-img outlives a killed cowherd, and its object stays owned until it ends" {
        outlives qemu-img qemu register_base name=b image="$MADE/disk.vmdk"
        owned_while_it_runs
        answer 0 qemu register_base name=b image="$MADE/disk.vmdk"
}

@test "mmdebstrap outlives a killed cowherd, and its object stays owned until it ends" {
        outlives mmdebstrap nspawn register_base name=b distro=debian
        owned_while_it_runs
}

@test "who wants the name of a killed command's base waits for its tool, and then has it" {
        outlives qemu-img qemu register_base name=b image="$MADE/disk.vmdk"
        "$PROGRAM" qemu register_base name=b image="$MADE/disk.qcow2" >"$BATS_TEST_TMPDIR/second" 2>&1 3>&- &
        local second=$!
        sleep 0.5
        kill -0 "$second"
        touch "$STAND_INS/go"
        wait "$second"
        answer 0 info name=b
        is "$(field .source)" "$MADE/disk.qcow2"
}

@test "two cleanups at once share the work" {
        answer 0 qemu register_base name=b image="$MADE/disk.qcow2"
        for name in 1 2 3 4 5 6; do
                strike pwrite64 qemu clone_from_base base=b name="x$name"
                mkdir -p "$COWHERD_ROOT/clones/90$name"
        done
        "$PROGRAM" --json cleanup >"$BATS_TEST_TMPDIR/one" 3>&- &
        local one=$!
        "$PROGRAM" --json cleanup >"$BATS_TEST_TMPDIR/two" 3>&- &
        local two=$!
        wait "$one"
        wait "$two"
        is "$(jq -s 'map(.failed) | add' "$BATS_TEST_TMPDIR/one" "$BATS_TEST_TMPDIR/two")" 0
        answer 0 cleanup
        is "$(field '"\(.removed) \(.busy) \(.failed)"')" "0 0 0"
        is "$(find "$COWHERD_ROOT/clones" -mindepth 1)" ""
        answer 0 qemu remove_base name=b
        nothing_is_left
}

# Fills the filesystem but for so many KiB.
fill() {
        local free
        sync -f "$FIXTURE_DIR/disk"
        free=$(df --output=avail -k "$FIXTURE_DIR/disk" | tail -n 1)
        fallocate -l "$((free - $1))K" "$FIXTURE_DIR/disk/filler"
}

@test "a full disk: what does not fit fails with 74, and leaves nothing" {
        answer 0 qemu register_base name=b image="$MADE/disk.qcow2"
        answer 0 nspawn register_base name=t rootfs="$MADE/tree" store=overlay
        fill 96
        answer 74 qemu register_base name=c image="$MADE/disk.qcow2"
        answer 74 nspawn register_base name=u rootfs="$MADE/tree" store=overlay
        is "$(ls "$COWHERD_ROOT/bases" | wc -l)" 2
        answer 74 nspawn setup store=btrfs size=300M
        rm "$FIXTURE_DIR/disk/filler"
        answer 0 qemu register_base name=c image="$MADE/disk.qcow2"
        for name in b c; do
                answer 0 qemu remove_base name="$name"
        done
        answer 0 nspawn remove_base name=t
        nothing_is_left
}

@test "a disk without a single free block: each command fails with 74 or is done" {
        answer 0 qemu register_base name=b image="$MADE/disk.qcow2"
        answer 0 qemu clone_from_base base=b name=old
        fill 64
        cat /dev/zero >"$FIXTURE_DIR/disk/filler2" 2>/dev/null || true
        for name in 1 2 3 4 5 6 7 8; do
                run --separate-stderr "$PROGRAM" --json qemu clone_from_base base=b name="c$name" count=5
                [ "$status" -eq 0 ] || [ "$status" -eq 74 ] || show "clone c$name"
        done
        [ "$status" -eq 74 ] || show "it never filled up"
        rm -f "$FIXTURE_DIR/disk/filler" "$FIXTURE_DIR/disk/filler2"
        answer 0 cleanup
        is "$(field .failed)" 0
        answer 0 list
        for path in $(field '.items[].path'); do
                qemu-img check -q "$path"
        done
        run "$PROGRAM" qemu delete 'name=c*'
        [ "$status" -eq 0 ] || [ "$status" -eq 66 ] # there may be none
        answer 0 qemu delete name=old
        answer 0 qemu remove_base name=b
        nothing_is_left
}

@test "a read-only root folder is told of, and reading goes on or says so" {
        answer 0 qemu register_base name=b image="$MADE/disk.qcow2"
        mount -o bind "$FIXTURE_DIR/disk" "$FIXTURE_DIR/disk"
        mount -o remount,bind,ro "$FIXTURE_DIR/disk"
        for words in "qemu clone_from_base base=b name=c" "qemu register_base name=d image=$MADE/disk.qcow2" "qemu remove_base name=b" "cleanup" "list"; do
                # shellcheck disable=SC2086 # words on purpose
                run --separate-stderr "$PROGRAM" --json $words
                [ "$status" -eq 74 ] || [ "$status" -eq 77 ] || { umount "$FIXTURE_DIR/disk"; show "$words: status $status"; }
                says "$COWHERD_ROOT"
        done
        umount "$FIXTURE_DIR/disk"
        answer 0 qemu clone_from_base base=b name=c
}

@test "a root folder that cannot be made" {
        mkdir -p "$COWHERD_ROOT/below"
        chattr +i "$COWHERD_ROOT"
        answer 77 --root "$COWHERD_ROOT/new" qemu register_base name=b image="$MADE/disk.qcow2"
        chattr -i "$COWHERD_ROOT"
}

@test "a catalogue of a newer version is refused, and not a byte of it changes" {
        answer 0 qemu register_base name=b image="$MADE/disk.qcow2"
        python3 -c 'import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute("PRAGMA user_version = 999"); d.close()' "$COWHERD_ROOT/catalogue.db"
        local before
        before=$(cd "$COWHERD_ROOT" && find . -type f -exec sha256sum {} + | sort)
        for words in list "qemu clone_from_base base=b name=c" "qemu remove_base name=b" cleanup "qemu setup" "qemu teardown"; do
                # shellcheck disable=SC2086 # words on purpose
                answer 78 $words
                says 999
        done
        is "$(cd "$COWHERD_ROOT" && find . -type f -not -name '*-shm' -not -name '*-wal' -exec sha256sum {} + | sort)" \
                "$(grep -v -e -shm -e -wal <<<"$before")"
        is "$(ls "$COWHERD_ROOT/bases")" 1
}

@test "a tree that can't be looked at is not taken for mounted: what would be read is the empty folder beneath" {
        expect 0 nspawn register_base b "rootfs=$MADE/tree" store=overlay
        local number wanted
        wanted=$(ls "$MADE/tree")
        for number in 1 2 3 4; do
                expect 0 nspawn clone b c
                strace -qq -o /dev/null -e trace=statx -e inject="statx:error=EIO:when=$number" "$PROGRAM" nspawn flatten c >/dev/null 2>said || grep -q 'cannot look at' said
                expect 0 nspawn flatten c
                is "$(ls "$COWHERD_ROOT"/clones/*/tree)" "$wanted"
                expect 0 nspawn delete c
        done
}

@test "a teardown that fails when the pool is gone already is finished by cleanup" {
        local number
        for number in 1 2 3 4; do
                expect 0 nspawn setup store=btrfs size=256M
                strace -qq -o /dev/null -e trace=unlinkat -e inject="unlinkat:error=EIO:when=$number" "$PROGRAM" nspawn teardown >/dev/null 2>said || grep -q 'cannot remove' said
                answer 0 cleanup
                is "$(field .failed)" 0
                [ "$number" -eq 1 ] || [ ! -e "$COWHERD_ROOT/pools" ]
                expect 0 nspawn teardown
        done
}

# faults WORD…: system calls that fail, one at a time, under the scenarios of tests/crash with these words.
faults() {
        run --separate-stderr "$BATS_TEST_DIRNAME/../crash/faults.py" ${COWHERD_TEST_LONG:+--all} "$@"
        [ "$status" -eq 0 ] || show faults "$@"
}

@test "system calls that fail: disks" {
        faults "qemu, copied" "vmdk" "adopt=true"
}

@test "system calls that fail: rename, cleanup, setup and teardown" {
        faults "ext4 qemu: rename" "ext4 cleanup" "ext4 qemu: setup" "ext4 qemu: teardown"
}

@test "system calls that fail: trees on an overlay" {
        local verb
        local -a names=()
        for verb in register_base clone delete remove_base snapshot restore delete_snapshot promote flatten; do
                names+=("=nspawn, overlay: $verb")
        done
        faults "${names[@]}" "of a tarball"
}

@test "system calls that fail: what runs" {
        faults "=nspawn, overlay: stop" ${COWHERD_TEST_LONG:+"=nspawn, overlay: start" "=qemu: start" "=qemu: stop" "=qemu, running: flatten"}
}

@test "system calls that fail: trees on btrfs, and its pool" {
        faults "nspawn, btrfs in a file: clone" "nspawn, btrfs in a file: delete" "setup of a pool" "teardown of a pool"
}
