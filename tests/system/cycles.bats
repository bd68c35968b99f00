#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What is left where machines come and go, and what is said when one goes in an unforeseen way: starts and stops on all three
# engines (10; COWHERD_TEST_LONG: 200), and the ends of QEMU, of nspawn, of a container's init and of the LXD daemon by
# kill -9. And what `wait` says of it. As root.

load lib
load engines

setup_file() {
        engines_begin
        image_tree "$MADE/small" && mkdir "$MADE/small/sbin" && ln -s /usr/bin/busybox "$MADE/small/sbin/init"
        button "$MADE/button.raw"
        "$PROGRAM" nspawn register_base ns-base "rootfs=$IMAGES/tree"
        "$PROGRAM" lxd register_base ct-base "rootfs=$MADE/small"
        "$PROGRAM" qemu register_base vm-base "image=$MADE/button.raw" memory=32M cpus=1
        HERD=$(sqlite3 "$COWHERD_ROOT/catalogue.db" "SELECT substr(value, 1, 8) FROM setting WHERE key = 'herd.uuid'")
        export HERD
        if [ -n "${COWHERD_TEST_LONG:-}" ]; then export CYCLES=200; else export CYCLES=10; fi
}

setup() {
        cd "$BATS_TEST_TMPDIR" || return 1
}

teardown_file() {
        engines_end
}

teardown() {
        [ -n "${BATS_TEST_COMPLETED:-}" ] || for engine in qemu nspawn lxd; do
                "$PROGRAM" $engine delete 'name=*' force=true || true
        done
}

# A guest of one sector: says "hello" on the serial port, then waits for its power button, and switches itself off.
button() {
        local hello=baf803 byte
        for byte in 68 65 6c 6c 6f 0a; do
                hello+=b0${byte}ee
        done
        truncate -s 4M "$1"
        poke "$1" 0 "${hello}ba0206b80001effbf4ba0006edf6c40174f5ba0406b80020eff4"
        poke "$1" 510 55aa
}

# All that a running instance has outside of its disk: nothing of others, and nothing of the LXD daemon's own.
footprint() {
        {
                awk '{print "mount", $5}' /proc/self/mountinfo
                find /sys/fs/cgroup -type d -printf 'cgroup %p\n'
                find /run/cowherd /run/systemd/nspawn /run/lock /dev/shm -printf 'file %p\n'
                ss -xalnH | awk '{print "socket", $5}'
                losetup -n -O BACK-FILE | sed 's/^/loop /'
                ps -eo args= | grep -v '^grep' | sed 's/^/process /'
        } 2>/dev/null | grep -F -e "$FIXTURE_DIR" -e "$HERD/" -e "-$HERD" -e "$1" | grep -v -e "$BATS_TEST_FILENAME" -e "lxd --group" -e '/l/lxd/unix.socket' | sort
        ip -o link show master "$BRIDGE" | sed 's/^[0-9]*: //; s/@.*//'
}

# as_before NAME BEFORE: LXD takes its own things away a moment after its answer.
as_before() {
        local left=100
        until [ "$(footprint "$1")" = "$2" ]; do
                [ $((left -= 1)) -gt 0 ] || { diff <(printf '%s\n' "$2") <(footprint "$1"); return 1; }
                sleep 0.1
        done
}

# cycles ENGINE BASE WORDS…
cycles() {
        local engine=$1 base=$2 before n
        shift 2
        expect 0 "$engine" clone "base=$base" "name=cycling-$engine" "$@"
        before=$(footprint "cycling-$engine")
        for n in $(seq "$CYCLES"); do
                answer 0 start "cycling-$engine"
                if [ "$n" = 1 ]; then
                        [ "$(footprint "cycling-$engine")" != "$before" ]
                fi
                if [ $((n % 2)) = 0 ] || [ "$engine" = lxd ]; then
                        answer 0 stop "cycling-$engine" force=true
                else
                        answer 0 stop "cycling-$engine" timeout=60s
                        is "$n $(field .forced)" "$n 0"
                fi
        done
        as_before "cycling-$engine" "$before"
        expect 0 delete "cycling-$engine"
        is "$(footprint "cycling-$engine" | grep "cycling-$engine")" ""
        is "$(find "$COWHERD_ROOT/clones" -mindepth 1)" ""
}

@test "QEMU: started and stopped again and again, nothing is left" {
        cycles qemu vm-base
}

@test "nspawn: started and stopped again and again, nothing is left" {
        cycles nspawn ns-base "network=bridge:$BRIDGE" memory=256M cpus=1
}

@test "LXD: started and stopped again and again, nothing is left" {
        cycles lxd ct-base "network=bridge:$BRIDGE" memory=256M cpus=1
}

# state NAME
state() {
        "$PROGRAM" --json list "$1" | jq -r '.items[0].state'
}

# What is known of an instance that ended behind our back; then it lives again.
ended_behind_our_back() {
        is "$(state "$1")" stopped
        is "$(info "$1" state)" stopped
        refuses 75 "is stopped" pause "$1"
        refuses 75 "" stop "$1"
        expect 0 stop_if_running "$1"
        answer 0 start "$1"
        is "$(state "$1")" running
        expect 0 stop "$1" force=true
        answer 0 start "$1"
}

@test "kill -9 of QEMU: it is stopped, starts again, and goes" {
        local before pid
        expect 0 qemu clone base=vm-base name=victim
        before=$(footprint victim)
        expect 0 start victim
        pid=$(cut -d' ' -f1 "/run/cowherd/$HERD/$(info victim id)/process")
        kill -9 "$pid"
        timeout 10 tail --pid="$pid" -f /dev/null
        ended_behind_our_back victim
        kill -9 "$(cut -d' ' -f1 "/run/cowherd/$HERD/$(info victim id)/process")"
        expect 0 delete victim force=true
        as_before victim "$before"
}

@test "kill -9 of nspawn and of a container's init: found again or stopped, and it goes" {
        local before id pid
        expect 0 nspawn clone base=ns-base name=victim
        before=$(footprint victim)
        expect 0 start victim wait=true
        id=$(info victim id)
        # The container outlives its nspawn: it is entered and stopped as if nothing had been.
        pid=$(pgrep -f "^[^ ]*systemd-nspawn .*machine=cowherd-$HERD-$id ")
        kill -9 "$pid"
        is "$(state victim)" running
        is "$(inside victim 'echo still here')" "still here"
        refuses 75 "running already" start victim
        expect 0 stop victim
        is "$(state victim)" stopped
        expect 0 start victim wait=true
        pid=$(pgrep -P "$(pgrep -f "^[^ ]*systemd-nspawn .*machine=cowherd-$HERD-$id ")")
        # shellcheck disable=SC2086
        kill -9 $pid
        expect 0 wait victim for=stopped timeout=10s
        ended_behind_our_back victim
        pid=$(pgrep -f "^[^ ]*systemd-nspawn .*machine=cowherd-$HERD-$id ")
        kill -9 "$pid"
        expect 0 delete victim force=true
        as_before victim "$(sed "/clones\/$id/d" <<<"$before")"
}

@test "kill -9 of the LXD daemon: each answer says so; when it is back, what ran still runs" {
        expect 0 lxd clone base=ct-base name=victim start=true
        kill -9 "$(cat "$FIXTURE_DIR/l/lxd.pid")"
        timeout 20 tail --pid="$(cat "$FIXTURE_DIR/l/lxd.pid")" -f /dev/null
        answer 0 list victim
        is "$(field '.items[0].state')" unknown
        refuses 69 LXD stop victim
        refuses 69 LXD start victim
        expect 125 exec victim -- true
        complains "LXD does not run"
        refuses 69 LXD delete victim force=true
        is "$("$PROGRAM" --json list victim | jq .count)" 1
        lxd_start "$FIXTURE_DIR/l"
        is "$(state victim)" running
        is "$(inside victim 'echo still here')" "still here"
        expect 0 stop victim force=true
        ended_behind_our_back victim
        expect 0 delete victim force=true
}

# ---- wait ----

# waits_in_vain NAME STATE WHAT…: 75 in time, and the instance as it was.
waits_in_vain() {
        local name=$1 state=$2 what
        shift 2
        for what; do
                answer 75 wait "$name" for="$what" timeout=300ms
                is "$what: $(field .state) $(state "$name")" "$what: $state $state"
        done
}

# ends_by_itself NAME COMMAND…: the wait for its end began before, and is told of it.
ends_by_itself() {
        local name=$1
        shift
        "$PROGRAM" --json wait "$name" for=stopped timeout=60s >waited 3>&- &
        sleep 0.5
        "$@"
        wait $! || show "$(cat waited)"
        is "$(state "$name")" stopped
}

@test "wait on QEMU: running and stopped; 75 for what does not come" {
        expect 0 qemu clone base=vm-base name=waited
        waits_in_vain waited stopped running ready address
        answer 0 wait waited for=stopped
        expect 0 start waited
        answer 0 wait waited for=running
        is "$(field .state)" running
        waits_in_vain waited running ready address stopped
        ends_by_itself waited "$PROGRAM" stop waited
        expect 0 delete waited
}

@test "wait on a machine whose disk can't be booted: told when its firmware says so, not when the time is over" {
        image_qcow2 "$MADE/unbootable.qcow2" 8M
        expect 0 qemu register_base unbootable "image=$MADE/unbootable.qcow2"
        refuses 65 "nothing to boot from" qemu clone base=unbootable name=idle start=true wait=true timeout=280s
        is "$(state idle)" running
        "$PROGRAM" logs idle | grep -q "No bootable device"
        refuses 65 "'logs' shows" wait idle timeout=280s
        expect 0 delete idle force=true
        expect 0 qemu remove_base unbootable
}

@test "wait on nspawn: running, ready, an address, stopped; 75 for what does not come" {
        expect 0 nspawn clone base=ns-base name=waited "network=bridge:$BRIDGE"
        waits_in_vain waited stopped running ready address
        "$PROGRAM" --json wait waited for=ready timeout=60s >ready 3>&- &
        expect 0 start waited
        wait $! || show "$(cat ready)"
        waits_in_vain waited running stopped address
        inside waited 'ip address add 10.97.0.7/24 dev host0; ip link set host0 up'
        answer 0 wait waited for=address
        is "$(field .address)" 10.97.0.7
        ends_by_itself waited "$PROGRAM" exec waited -- 'systemctl --no-block poweroff'
        expect 0 delete waited
}

@test "wait on LXD: running, ready, an address, stopped; 75 for what does not come" {
        expect 0 lxd clone base=ct-base name=waited "network=bridge:$BRIDGE"
        waits_in_vain waited stopped running ready address
        "$PROGRAM" --json wait waited for=running timeout=60s >running 3>&- &
        expect 0 start waited
        wait $! || show "$(cat running)"
        answer 0 wait waited for=ready
        waits_in_vain waited running stopped address
        inside waited 'busybox ip address add 10.97.0.8/24 dev eth0; busybox ip link set eth0 up'
        answer 0 wait waited for=address
        is "$(field .address)" 10.97.0.8
        ends_by_itself waited "$PROGRAM" exec waited -- 'busybox poweroff -f'
        expect 0 delete waited
}
