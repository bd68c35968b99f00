#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Live bases by the QEMU engine's own callbacks (live_engine.c): a tiny machine boots once, its memory is kept, and others wake from
# it. A number that is in the memory alone proves that they woke and did not boot. As root, for the images.

load words

setup_file() {
        # shellcheck source=tests/lib/images.sh
        . "$BATS_TEST_DIRNAME/../lib/images.sh"
        images_prepare tiny || return 1
        PLACE=$(mktemp -d /tmp/cowherd-live.XXXXXX)
        export IMAGES PLACE
        export ENGINE=${COWHERD_BUILD:-$BATS_TEST_DIRNAME/../../build}/tests/unit/engine/live-engine
        chmod 755 "$PLACE"
        mkdir -p "$PLACE/bases/1" "$PLACE/bases/2" "$PLACE/bases/3" "$PLACE/bases/4" "$PLACE/clones" "$PLACE/run"
        cp "$IMAGES/tiny.qcow2" "$PLACE/bases/1/disk.qcow2"
        clone 5 1
        "$ENGINE" "$PLACE" start 5 memory=256 && "$ENGINE" "$PLACE" wait 5 || return 1
        "$ENGINE" "$PLACE" execute 5 sh -c 'cat /proc/sys/kernel/random/boot_id; head -c 16 /dev/urandom >/run/nonce; dd if=/dev/vda of=/run/touched bs=1M count=30 2>/dev/null; echo five >/root/who; sync'
}

teardown_file() {
        local file
        for file in "$PLACE"/run/*/process; do
                [ ! -f "$file" ] || kill -9 "$(cut -d' ' -f1 "$file")" 2>/dev/null || true
        done
        rm -rf "$PLACE"
}

# An overlay whose header names nothing: the engine says what is under it, and these files change their names.
overlay() {
        qemu-img create -q -f qcow2 "$1" "$(qemu-img info --output=json "$PLACE/bases/1/disk.qcow2" | jq '."virtual-size"')"
}

# clone N BASES…: the topmost base first.
clone() {
        local n=$1 base
        shift
        mkdir -p "$PLACE/clones/$n" && rm -f "$PLACE/clones/$n"/*
        overlay "$PLACE/clones/$n/disk.qcow2"
        echo "clones/$n/disk.qcow2" >"$PLACE/clones/$n/layers"
        for base; do
                echo "bases/$base/disk.qcow2" >>"$PLACE/clones/$n/layers"
        done
}

# engine STATUS VERB WORDS…
engine() {
        runs "$1" "$ENGINE" "$PLACE" "${@:2}"
}

# inside N TEXT: what its shell says.
inside() {
        "$ENGINE" "$PLACE" execute "$1" sh -c "$2"
}

value() {
        sed -n "s/^$1=//p" <<<"$output"
}

# capture N BASE WORDS…: whose disk is going to be the base's; the clone's layers follow.
capture() {
        local n=$1 base=$2
        shift 2
        (cd "$PLACE/clones/$n" && rm -f next.qcow2 && qemu-img create -q -f qcow2 -u -b disk.qcow2 -F qcow2 next.qcow2 "$(qemu-img info --output=json ../../bases/1/disk.qcow2 | jq '."virtual-size"')")
        engine "${EXPECTED:-0}" capture "$n" "$base" "$@"
        [ "$(value switched)" != 1 ] || sed -i "1a bases/$base/disk.qcow2" "$PLACE/clones/$n/layers"
}

BOOT_ID=/proc/sys/kernel/random/boot_id

sums() {
        (cd "$PLACE/bases/2" && sha256sum disk.qcow2 ram state)
}

process() {
        cut -d' ' -f1 "$PLACE/run/$1/process"
}

@test "what can't be kept is refused, and the machine goes on as it was" {
        : >"$PLACE/bases/4/ram"
        EXPECTED=73 capture 5 4
        is "$(value switched)" 0
        rm "$PLACE/bases/4/ram"
        # its disk's part fails
        EXPECTED=74 capture 5 4 fail=1
        is "$(value switched)" 1
        complains "as was asked for"
        is "$(ls -A "$PLACE/bases/4")" ""
        [ ! -e "$PLACE/run/base-4" ]
        # the overlay was on top by then, as the answer says: the caller's to put in its place
        mv "$PLACE/clones/5/disk.qcow2" "$PLACE/bases/4/disk.qcow2"
        mv "$PLACE/clones/5/next.qcow2" "$PLACE/clones/5/disk.qcow2"
        engine 0 states 5
        is "$output" running
        is "$(inside 5 'echo still')" still
}

@test "a machine's memory is kept, and it goes on" {
        capture 5 2
        is "$(value switched)" 1
        is "$(stat -c '%a %s' "$PLACE/bases/2/ram")" '400 268435456'
        is "$(stat -c %a "$PLACE/bases/2/state")" 400
        [ "$(stat -c %b "$PLACE/bases/2/ram")" -lt $((200 << 11)) ] # sparse
        is "$(jq -r '.accel, .processor, .network, .cpus, .agent, .fresh_random' "$PLACE/bases/2/facts" | xargs)" 'tcg max,erms=off,la57=off user 1 true false'
        engine 0 states 5
        is "$output" running
        is "$(inside 5 'cat /root/who; echo more >>/root/who; sync; hostname')" "$(printf 'five\nmachine-5')"
        sums >"$PLACE/sums"
        inside 5 'sha256sum /run/nonce' >"$PLACE/nonce"
}

@test "clones wake from it, each somebody of its own, and none changes it" {
        local n
        clone 6 2 4 1
        clone 7 2 4 1
        engine 0 start 6 live=2 port=47806:80
        is "$(value applied) $(value pending)" '1 '
        [ "$(value private)" -le 60 ] || show 'more memory of its own than it may have'
        engine 0 start 7 live=2
        for n in 6 7; do
                inside "$n" 'sha256sum /run/nonce' | cmp "$PLACE/nonce" -
                is "$(inside "$n" 'hostname; cat /etc/hostname /etc/machine-id /sys/class/net/eth0/address /root/who')" \
                        "$(printf '%s\n' "machine-$n" "machine-$n" "$(printf %032d "$n")" "52:54:00:00:00:0$n" five)"
                inside "$n" "echo $n >/root/who; dd if=/dev/urandom of=/run/own bs=1M count=4 2>/dev/null; sync; sha256sum </run/own"
        done >"$PLACE/owns"
        is "$(for n in 5 6 7; do inside "$n" 'cat /proc/sys/kernel/random/boot_id'; done | sort | uniq -d)" ''
        is "$(sort -u "$PLACE/owns" | wc -l)" 2
        is "$(inside 6 'cat /root/who')$(inside 7 'cat /root/who')" 67
        is "$(inside 5 'cat /root/who' | xargs)" 'five more'
        sums | cmp "$PLACE/sums" -
        # the clock
        local there here
        there=$(inside 7 'date +%s')
        here=$(date +%s)
        [ $((here - there)) -lt 20 ] && [ $((there - here)) -lt 20 ]
}

@test "random pools of clones have nothing in common, though none has the driver" {
        clone 8 2 4 1
        clone 9 2 4 1
        # read by the first command that each executes
        engine 0 start 8 live=2
        inside 8 'head -c 32 /dev/urandom | sha256sum' >"$BATS_TEST_TMPDIR/8"
        engine 0 start 9 live=2
        inside 9 'head -c 32 /dev/urandom | sha256sum' >"$BATS_TEST_TMPDIR/9"
        ! cmp -s "$BATS_TEST_TMPDIR/8" "$BATS_TEST_TMPDIR/9"
        is "$(inside 8 'ls -A /dev/shm /tmp /run 2>/dev/null | grep -c cowherd-reseed || true')" 0
        engine 0 stop 8
        engine 0 stop 9
}

@test "its link is up, its ports lead to it, and its lease is its own" {
        inside 6 '(while :; do echo hello | nc -l -p 80; done) >/dev/null 2>&1 </dev/null &'
        is "$(timeout 60 python3 -c 'import socket; s = socket.create_connection(("127.0.0.1", 47806), 30); s.settimeout(30); print(s.recv(99).decode().strip())')" hello
        is "$(inside 6 'ip -4 -o address show dev eth0 | grep -c inet; ip -4 address show dev eth0 | sed -n "s/^ *inet //p" | cut -d" " -f1' | xargs)" '1 10.0.2.15/24'
}

@test "a clone without network has no link; one that keeps its identity keeps it" {
        clone 8 2 4 1
        engine 0 start 8 live=2 network=none keep=1
        is "$(value applied)" 1
        is "$(inside 8 'hostname; cat /sys/class/net/eth0/carrier /sys/class/net/eth0/address')" "$(printf '%s\n' machine-5 0 52:54:00:00:00:05)"
        engine 0 stop 8
}

@test "a live clone is kept as well, and clones of that wake" {
        inside 6 'echo six >/run/six'
        # a file of the kernel's own words lies over nothing, and no other can be laid
        inside 6 "umount $BOOT_ID; cat $BOOT_ID >/run/cowherd/boot-id; echo 1 >/proc/sys/fs/mount-max"
        capture 6 3
        is "$(value switched)" 1
        clone 10 3 2 4 1
        engine 0 start 10 live=3
        is "$(value applied) $(value pending)" '0 boot-id'
        is "$(inside 10 'cat /run/six /root/who; hostname')" "$(printf '%s\n' six 6 machine-10)"
        inside 10 'sha256sum /run/nonce' | cmp "$PLACE/nonce" -
        is "$(inside 6 'hostname; cat /run/six')" "$(printf '%s\n' machine-6 six)"
        sums | cmp "$PLACE/sums" -
}

@test "a boot id that could not be laid over the kernel's is owed, and laid when it can be" {
        is "$(inside 10 "cat $BOOT_ID")" "$(inside 6 "cat $BOOT_ID")"
        engine 0 wait 10
        is "$(value applied)" 0
        inside 10 'echo 1000 >/proc/sys/fs/mount-max'
        engine 0 wait 10
        is "$(value applied)" 1
        [ "$(inside 10 "cat $BOOT_ID")" != "$(inside 6 "cat $BOOT_ID")" ]
        engine 0 stop 10
}

@test "a stopped clone boots from its disk, and is still who it was" {
        engine 0 stop 7
        [ ! -e "$PLACE/run/7" ]
        engine 0 start 7 memory=256
        engine 0 wait 7
        is "$(inside 7 'hostname; cat /root/who; ls /run/nonce 2>&1 | grep -c "No such"')" "$(printf '%s\n' machine-7 7 1)"
        engine 0 stop 7
}

@test "the memory's keeper: killed, it is read in again; two that begin at once make one" {
        local pid n
        pid=$(process base-2)
        is "$(tr -d '\0' </proc/"$pid"/comm)" cowherd-keeper
        kill -9 "$pid"
        for n in 7 8; do
                clone "$n" 2 4 1
                "$ENGINE" "$PLACE" start "$n" live=2 >"$BATS_TEST_TMPDIR/$n" 2>&1 3>&- &
        done
        wait
        inside 7 'sha256sum /run/nonce' | cmp "$PLACE/nonce" -
        inside 8 'sha256sum /run/nonce' | cmp "$PLACE/nonce" -
        [ "$(process base-2)" != "$pid" ]
        is "$(pgrep -x cowherd-keeper | while read -r n; do readlink "/proc/$n/fd/4"; done | sort -u | wc -l)" "$(pgrep -cx cowherd-keeper)"
        engine 0 stop 7
        engine 0 stop 8
        # released, nothing of it stays, and the clone that has it goes on
        pid=$(process base-2)
        engine 0 release 2
        engine 0 release 2
        [ ! -e "$PLACE/run/base-2" ]
        ! readlink "/proc/$pid/exe" # whoever reaps it may take its time
        is "$(inside 6 'echo on')" on
}

@test "what does not fit is refused with why, and nothing stays" {
        clone 8 2 4 1
        cp "$PLACE/bases/2/facts" "$BATS_TEST_TMPDIR/facts"
        engine 69 start 8 live=2 memory=512
        complains 'memory='
        local change
        for change in '.qemu = "8.2.1"' '.devices[2] = "-cpu other"' '.processor = "another"' '.accel = "kvm"' 'del(.devices[-1])'; do
                jq -c "$change" "$BATS_TEST_TMPDIR/facts" >"$PLACE/bases/2/facts"
                engine 69 start 8 live=2
                complains rebuild
                [ ! -e "$PLACE/run/8" ]
        done
        jq -c '.agent = false' "$BATS_TEST_TMPDIR/facts" >"$PLACE/bases/2/facts"
        engine 69 start 8 live=2
        complains identity=keep
        echo '{}' >"$PLACE/bases/2/facts"
        engine 65 start 8 live=2
        cp "$BATS_TEST_TMPDIR/facts" "$PLACE/bases/2/facts"
        engine 0 states 8
        is "$output" stopped
}

@test "a damaged memory or state is an error, and nothing stays" {
        clone 8 2 4 1
        engine 0 release 2
        mv "$PLACE/bases/2/ram" "$PLACE/bases/2/ram.away"
        engine 66 start 8 live=2
        truncate -s 1M "$PLACE/bases/2/ram"
        engine 65 start 8 live=2
        mv -f "$PLACE/bases/2/ram.away" "$PLACE/bases/2/ram"
        mv "$PLACE/bases/2/state" "$PLACE/bases/2/state.away"
        head -c 100000 "$PLACE/bases/2/state.away" >"$PLACE/bases/2/state"
        engine 71 start 8 live=2
        [ ! -e "$PLACE/run/8" ]
        engine 0 states 8
        is "$output" stopped
        mv -f "$PLACE/bases/2/state.away" "$PLACE/bases/2/state"
        engine 0 start 8 live=2
        engine 0 stop 8
        sums | cmp "$PLACE/sums" -
}

@test "a killed start leaves nothing that stop does not find" {
        local pause
        clone 8 2 4 1
        for pause in 0.05 0.2 0.6; do
                "$ENGINE" "$PLACE" start 8 live=2 >/dev/null 2>&1 3>&- &
                sleep "$pause"
                kill -9 $! 2>/dev/null || true
                wait $! 2>/dev/null || true
                engine 0 stop 8
                engine 0 states 8
                is "$output" stopped
                [ ! -e "$PLACE/run/8" ]
        done
        engine 0 start 8 live=2
        engine 0 stop 8
}
