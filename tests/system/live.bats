#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Clones of a running machine: a tiny guest is booted once, and a live base made of it; what wakes from that has what was in
# memory only, and nothing of its identity. The tests go on from one another, as booting is what takes long. As root.
# COWHERD_TEST_LONG=1 wakes fifty at once.

load lib

setup_file() {
        herds_begin
        export COWHERD_ROOT=$FIXTURE_DIR/herd
        images_prepare tiny disk
        {
                "$PROGRAM" qemu register_base name=tiny image="$IMAGES/tiny.qcow2" memory=256M &&
                        "$PROGRAM" qemu clone_from_base base=tiny name=source start=true wait=true &&
                        in_guest source "mkdir -p /run/ram; cat /proc/sys/kernel/random/uuid >/run/ram/nonce; start-stop-daemon -S -b -x /bin/sh -- -c '$TELLER'"
        } >&2
        NONCE=$(in_guest source 'cat /run/ram/nonce') BOOT=$(in_guest source 'cat /proc/sys/kernel/random/boot_id') || return 1
        MACHINE=$(in_guest source 'cat /etc/machine-id; hostname; cat /sys/class/net/eth0/address') || return 1
        export NONCE BOOT MACHINE
}

# A shell whose secret is in a variable of it and nowhere else.
# shellcheck disable=SC2016 # the guest's variables
TELLER='secret=$(cat /run/ram/nonce)-in-a-variable; mkfifo /run/ram/ask; while read -r asked </run/ram/ask; do echo $secret-$asked >/run/ram/told; done'

teardown_file() {
        "$PROGRAM" delete name='*' force=true >&2 || true
        local base
        for base in $("$PROGRAM" --json list_bases | jq -r '.items[].name'); do
                "$PROGRAM" remove_base "$base" >&2 || true
        done
        "$PROGRAM" qemu teardown >&2 || true
        herds_end
}

setup() {
        cd "$BATS_TEST_TMPDIR" || return 1
}

# in_guest NAME COMMAND: what it prints.
in_guest() {
        "$PROGRAM" exec "$1" timeout=60s command="$2"
}

info_of() {
        "$PROGRAM" --json info "$1" | jq -r ".$2"
}

# hashes BASE: of its memory, its machine's state and its disk.
hashes() {
        (cd "$COWHERD_ROOT/bases/$(info_of "$1" id)" && sha256sum ram state disk.*)
}

# The folder of what runs of this herd.
runtime() {
        echo "/run/cowherd/$(sqlite3 "$COWHERD_ROOT/catalogue.db" "SELECT value FROM setting WHERE key='herd.uuid'" | cut -c 1-8)"
}

# process_of ENTRY: of a machine by its id, of a base's memory by base-ID.
process_of() {
        awk '{print $1}' "$(runtime)/$1/process"
}

# How many QEMUs of this herd there are.
count_machines() {
        local file count=0
        for file in "$(runtime)"/[0-9]*/process; do
                [ ! -d "/proc/$(awk '{print $1}' "$file")" ] || count=$((count + 1))
        done
        echo $count
}

bases() {
        find "$COWHERD_ROOT/bases" -mindepth 1 -maxdepth 1 | wc -l
}

# woke NAME: it goes on where the source stood, and is somebody else.
woke() {
        is "$(in_guest "$1" 'cat /run/ram/nonce; hostname; cat /etc/machine-id /sys/class/net/eth0/address')" \
                "$(printf '%s\n' "$NONCE" "$1"; "$PROGRAM" --json info "$1" | jq -r '.machine_id, .mac')"
        [ "$(in_guest "$1" 'cat /proc/sys/kernel/random/boot_id')" != "$BOOT" ]
}

# write_pattern NAME, read_pattern NAME: on its disk and in its memory, its own name.
pattern_of() {
        echo "for i in \$(seq 500); do echo $1-\$i; done >/run/ram/own; cp /run/ram/own /root/own; sync"
}

write_pattern() {
        in_guest "$1" "$(pattern_of "$1")"
}

read_pattern() {
        local sum
        sum=$(for i in $(seq 500); do echo "$1-$i"; done | sha256sum | cut -d ' ' -f 1)
        is "$(in_guest "$1" 'echo 3 >/proc/sys/vm/drop_caches; sha256sum /run/ram/own /root/own | cut -d " " -f 1')" "$sum"$'\n'"$sum"
}

@test "a running machine becomes a live base, and goes on" {
        answer 0 promote name=source as=hot live=true
        is "$(field '[.live, .name, .clone, .state, .clone_stands_on_it, .clones, .memory_bytes] | join(" ")')" "1 hot source running 1 1 268435456"
        is "$(field .guest_brought)" 1
        is "$(in_guest source 'pidof cowherd-guest >/dev/null && ls -A /dev/shm /tmp /run | grep -c cowherd-')" 0
        is "$(field '.pause_ms > 0 and .ram_bytes > 1048576 and .ram_bytes < .memory_bytes and .state_bytes > 1024')" true
        is "$(in_guest source 'cat /run/ram/nonce /proc/sys/kernel/random/boot_id')" "$NONCE"$'\n'"$BOOT"
        is "$(in_guest source 'cat /etc/machine-id; hostname; cat /sys/class/net/eth0/address')" "$MACHINE"
        in_guest source 'echo after >/root/after; sync'
        is "$(info_of source base)" hot
        answer 0 list_bases
        is "$(field '[.items[] | .name + (.live // 0 | tostring)] | sort | join(" ")')" "hot1 tiny0"
        answer 0 info hot
        is "$(field '.live_qemu != null and .live_accel == "tcg" and .live_memory_bytes == 268435456 and .live_cpus > 0 and .in_memory == 1')" true
        answer 0 qemu status
        is "$(field .live_bases)" 1
        local id
        id=$(info_of hot id)
        is "$(stat -c '%a %s' "$COWHERD_ROOT/bases/$id/ram")" "400 268435456"
        is "$(stat -c %a "$COWHERD_ROOT/bases/$id/state")" 400
        [ "$(stat -c %b "$COWHERD_ROOT/bases/$id/ram")" -lt $((200 << 11)) ]
        not sh -c "echo x >>'$COWHERD_ROOT/bases/$id/ram'"
        expect 0 doctor
        says "base hot: unchanged"
}

@test "a clone wakes where the source stood, as somebody else" {
        answer 0 clone base=hot name=first
        is "$(field '[.state, .live, .identity_applied, .identity_pending] | join(" ")')" "running 1 all "
        is "$(field '.spawn_ms > 0 and .restore_ms > 0 and .identity_ms > 0 and .ready_ms >= 0 and .shared_bytes > 0')" true
        is "$(field '.private_bytes > 0 and .private_bytes < 209715200')" true
        woke first
        [ "$(in_guest first 'cat /etc/machine-id')" != "$(sed -n 1p <<<"$MACHINE")" ]
        is "$(in_guest first 'echo first >/run/ram/ask; while [ ! -s /run/ram/told ]; do sleep 0.1; done; cat /run/ram/told')" "$NONCE-in-a-variable-first"
        expect 0 wait name=first for=ready
        not in_guest first 'ls /root/after'
        not in_guest source 'ls /run/ram/told'
}

@test "twelve at once: all answer, all differ, each has its own disk and memory, and the base is as it was" {
        local before name all count=12
        [ "${COWHERD_TEST_LONG:-0}" = 0 ] || count=50
        before=$(hashes hot)
        answer 0 clone base=hot name=w count=$count atomic=true
        is "$(field '[.failed, .count] | join(" ")')" "0 $count"
        is "$(field '[.items[] | select(.state == "running" and .live == 1)] | length')" $count
        for name in $(seq -f w-%g $count); do
                woke "$name"
                all+="$(in_guest "$name" "$(pattern_of "$name"); cat /etc/machine-id; hostname; cat /sys/class/net/eth0/address; head -c 32 /dev/urandom | sha256sum; cat /proc/sys/kernel/random/uuid /proc/sys/kernel/random/boot_id")"$'\n'
        done
        is "$(sort <<<"$all" | grep -v '^$' | uniq -d)" ""
        is "$(grep -c . <<<"$all")" $((6 * count))
        for name in $(seq -f w-%g $count); do
                read_pattern "$name"
        done
        is "$(hashes hot)" "$before"
        expect 0 delete name='w-*' force=true
}

@test "a live clone is promoted again, with the memory that is its own" {
        expect 0 clone base=hot name=again
        write_pattern again
        answer 0 promote name=again as=hotter live=true
        is "$(field '[.live, .clone_stands_on_it] | join(" ")')" "1 1"
        read_pattern again
        answer 0 clone base=hotter name=of-again
        woke of-again
        is "$(in_guest of-again 'head -n 1 /run/ram/own /root/own | grep -c again-1')" 2
        write_pattern of-again
        read_pattern of-again
        read_pattern again
        expect 0 doctor
        expect 0 delete name=of-again force=true
        expect 0 remove_base hotter
}

@test "where no boot id can be laid over the kernel's that is told, and it is laid when it can be" {
        local shown=/proc/sys/kernel/random/boot_id
        in_guest again "umount $shown; rm /run/cowherd/boot-id; echo 1 >/proc/sys/fs/mount-max"
        expect 0 promote name=again as=unlaid live=true
        answer 0 clone base=unlaid name=owes
        is "$(field .identity_pending)" "boot-id: the boot id: No space left on device"
        is "$(in_guest owes "hostname; cat /etc/machine-id /sys/class/net/eth0/address $shown")" \
                "$(echo owes; "$PROGRAM" --json info owes | jq -r '.machine_id, .mac'; echo "$BOOT")"
        expect 0 wait name=owes for=ready
        is "$(info_of owes identity_applied)" ""
        in_guest owes 'echo 1000 >/proc/sys/fs/mount-max'
        expect 0 wait name=owes for=ready
        is "$(info_of owes identity_applied)" all
        woke owes
        expect 0 delete name=owes force=true
        expect 0 delete name=again force=true
        expect 0 remove_base unlaid
        is "$(bases)" 2
}

@test "the network works in a clone, by ports of its own" {
        expect 0 clone base=hot name=web ports=18080:80
        in_guest web 'cp /run/ram/nonce /tmp/index.html; httpd -p 80 -h /tmp'
        is "$(curl -s --max-time 20 http://127.0.0.1:18080/index.html)" "$NONCE"
        expect 0 delete name=web force=true
}

@test "snapshot and restore of a live clone: memory is not kept, and it boots from its disk" {
        expect 0 clone base=hot name=point
        write_pattern point
        expect 0 snapshot point clean
        in_guest point 'echo changed >/root/own; sync'
        expect 0 restore point clean
        expect 0 wait name=point for=ready
        not in_guest point 'cat /run/ram/nonce'
        not in_guest point 'pidof cowherd-guest'
        [ "$(in_guest point 'cat /proc/sys/kernel/random/boot_id')" != "$BOOT" ]
        is "$(in_guest point 'tail -n 1 /root/own')" point-500
        is "$(in_guest point hostname)" point
        expect 0 delete name=point force=true
}

@test "start=false makes a clone of the disk, and what can't be had is refused" {
        answer 0 clone base=hot name=cold start=false memory=128M
        is "$(field '[.state, (.note | test("boots"))] | join(" ")')" "stopped true"
        expect 0 delete cold
        refuses 64 "memory='128M'" clone base=hot name=x memory=128M
        refuses 64 "cpus='2'" clone base=hot name=x cpus=2
        refuses 64 "disk_size=" clone base=hot name=x disk_size=9G
        refuses 69 "network='none'" clone base=hot name=x network=none
        refuses 69 "mount=" clone base=hot name=x mount=/srv:/srv
        refuses 69 "user_data=" clone base=hot name=x user_data=/etc/hosts
        expect 0 clone base=tiny name=off
        refuses 75 "start it first" promote name=off as=x live=true
        refuses 64 "live=true" promote name=off as=x guest=inject
        expect 0 delete off
        expect 0 pause first
        refuses 75 "resume it first" promote name=first as=x live=true
        expect 0 resume first
        refuses 64 "from=" qemu register_base name=x image="$IMAGES/tiny.qcow2" live=true
        image_tree "$BATS_TEST_TMPDIR/tree"
        expect 0 nspawn register_base name=ns rootfs="$BATS_TEST_TMPDIR/tree"
        expect 0 nspawn clone base=ns name=box
        refuses 69 "virtual machine" nspawn promote name=box as=x live=true
        expect 0 nspawn delete box
        expect 0 nspawn remove_base ns
        expect 0 clone base=hot name=twin identity=keep
        is "$(in_guest twin 'cat /etc/machine-id; hostname; cat /sys/class/net/eth0/address' | head -n 1)" "$(head -n 1 <<<"$MACHINE")"
        expect 0 delete name=twin force=true
}

@test "kill -9 of what keeps the memory, and of one clone's QEMU, harms no other" {
        expect 0 clone base=hot name=victim
        kill -9 "$(process_of "base-$(info_of hot id)")"
        expect 0 clone base=hot name=after
        woke after
        is "$(info_of hot in_memory)" 1
        kill -9 "$(process_of "$(info_of victim id)")"
        while [ "$(info_of victim state)" = running ]; do sleep 0.05; done
        woke after
        woke first
        expect 0 start name=victim wait=true
        not in_guest victim 'cat /run/ram/nonce'
        is "$(in_guest victim hostname)" victim
        expect 0 cleanup
        is "$(info_of hot in_memory)" 0
        woke after
        expect 0 delete name=victim force=true
        expect 0 delete name=after force=true
}

# killed_after SECONDS WORDS…: then cleaned up after, once the killed one is gone and with it its locks.
killed_after() {
        local seconds=$1
        shift
        timeout -s KILL "$seconds" "$PROGRAM" "$@" >/dev/null 2>&1 || true
        answer 0 cleanup
        while [ "$(field .busy)" != 0 ]; do
                answer 0 cleanup
        done
}

@test "kill -9 of promote, whenever: a whole live base or none, and the source answers" {
        local seconds
        for seconds in 0.05 0.25 0.5 0.8; do
                killed_after $seconds promote name=first as=killed live=true
                is "$(info_of first state)" running
                woke first
                run "$PROGRAM" info killed
                echo "after $seconds s: $status"
                if [ "$status" -eq 0 ]; then
                        expect 0 clone base=killed name=of-killed
                        woke of-killed
                        expect 0 delete name=of-killed force=true
                        expect 0 remove_base killed
                fi
                expect 0 doctor
        done
        expect 0 delete name=first force=true
        is "$(bases)" 2
}

@test "kill -9 of clone_from_base, whenever: no half clone, no machine of nobody" {
        local seconds
        for seconds in 0.03 0.2 0.6; do
                killed_after $seconds clone base=hot name=k count=4
                answer 0 list name='k-*'
                is "$(field '[.items[] | select(.state != "running")] | length')" 0
                [ "$(field .count)" = 0 ] || expect 0 delete name='k-*' force=true
                is "$(count_machines)" 1 # the source's
        done
        woke_source
}

woke_source() {
        is "$(in_guest source 'cat /run/ram/nonce /proc/sys/kernel/random/boot_id')" "$NONCE"$'\n'"$BOOT"
}

@test "a removed base's bytes stay for its live clones, which go on" {
        expect 0 clone base=hot name=last
        local id
        id=$(info_of hot id)
        answer 0 remove_base hot
        refuses 66 "not found" clone base=hot name=x
        woke last
        is "$(cd "$COWHERD_ROOT/bases/$id" && echo *)" "disk.qcow2 ram state"
        expect 0 promote name=last as=hot live=true
        expect 0 clone base=hot name=new
        woke new
        expect 0 delete name=last force=true
        expect 0 delete name=new force=true
}

@test "a memory that was changed is refused, and doctor finds it" {
        local ram
        ram=$COWHERD_ROOT/bases/$(info_of hot id)/ram
        chattr -i "$ram" 2>/dev/null || true
        printf x | dd of="$ram" bs=1 seek=1000000 conv=notrunc status=none
        refuses 65 "was changed since it was made: its memory" clone base=hot name=x
        expect 69 doctor
        says "base hot"
        expect 0 remove_base hot
        expect 0 delete name=source force=true
        is "$(bases)" 1
}

@test "a whole Debian wakes too" {
        expect 0 qemu register_base name=deb image="$IMAGES/debian.qcow2" memory=512M
        expect 0 clone base=deb name=big start=true wait=true
        in_guest big 'cat /proc/sys/kernel/random/uuid >/run/nonce'
        answer 0 promote name=big as=deb-agent live=true guest=keep
        is "$(field '.guest_brought // 0')" 0
        not in_guest big 'pidof cowherd-guest'
        expect 0 clone base=deb-agent name=by-agent
        is "$(in_guest by-agent hostname)/$(in_guest by-agent 'cat /etc/machine-id')" "by-agent/$(info_of by-agent machine_id)"
        expect 0 delete name=by-agent force=true
        answer 0 promote name=big as=deb-hot live=true
        is "$(field .guest_brought)" 1
        expect 0 delete name=big force=true
        answer 0 clone base=deb-hot name=d count=2
        is "$(in_guest d-1 'cat /run/nonce')" "$(in_guest d-2 'cat /run/nonce')"
        is "$(in_guest d-1 hostname)/$(in_guest d-1 'cat /etc/machine-id')" "d-1/$(info_of d-1 machine_id)"
        is "$(in_guest d-2 'cat /sys/class/net/e*/address')" "$(info_of d-2 mac)"
        [ "$(in_guest d-1 'head -c 32 /dev/urandom | sha256sum')" != "$(in_guest d-2 'head -c 32 /dev/urandom | sha256sum')" ]
        expect 0 delete name='d-*' force=true
}
