#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The life of a machine, callback by callback (engine_qemu.c), with guests of one boot sector: one that loops, one that
# switches itself off, one that heeds its power button. They are up in a tenth of a second. As root.

load lib

setup_file() {
        herds_begin
        export ENGINE=${COWHERD_BUILD:-$BATS_TEST_DIRNAME/../../build}/tests/unit/engine/engine-qemu
        export PLACE=$FIXTURE_DIR/place
        export HERD=0${RANDOM}0ff-2222-4333-8444-555555555555 # a user id that no machine of others has
        export UID_OF_5=$((0x70000000 + (0x${HERD%%-*} + 5) % 0x0fffffff))
        mkdir -p "$PLACE/bases/1"
        # sti; hlt; jmp
        sector loops fbf4ebfd
        # outw 0x2000 to the PM1 control port
        sector ends ba0406b80020eff4
        # enable the button's event; sti; hlt; until its status bit; then as above
        sector heeds ba0206b80001effbf4ba0006edf6c40174f5ba0406b80020eff4
        chmod -R go+rX "$PLACE"
}

# A raw disk of 4 MiB that says "hello" on the serial port, and then does this.
sector() {
        local hello=baf803 byte
        for byte in 68 65 6c 6c 6f 0a; do
                hello+=b0${byte}ee
        done
        truncate -s 4M "$PLACE/bases/1/$1.raw"
        poke "$PLACE/bases/1/$1.raw" 0 "$hello$2"
        poke "$PLACE/bases/1/$1.raw" 510 55aa
        chmod 444 "$PLACE/bases/1/$1.raw"
}

teardown_file() {
        herds_end
}

setup() {
        mkdir -p "$PLACE/clones/5"
        export RUNTIME=$FIXTURE_DIR/run/5
        clone loops
}

teardown() {
        engine stop force=1 >/dev/null 2>&1
        [ ! -f "$RUNTIME/process" ] || kill -9 "$(cut -d' ' -f1 "$RUNTIME/process")" 2>/dev/null
        rm -rf "$PLACE/clones" "$FIXTURE_DIR/run"
        nobody_left
}

# The machine's disk: an overlay of one of the guests.
clone() {
        (cd "$PLACE/clones/5" && qemu-img create -q -f qcow2 -b "../../bases/1/$1.raw" -F raw disk.qcow2 && chmod 600 disk.qcow2)
        LAYERS=clones/5/disk.qcow2:qcow2,bases/1/$1.raw:raw
}

# With BECOME=exec, in the background: that process is the program itself, to be killed.
engine() {
        local verb=$1
        shift
        ${BECOME:-} "$ENGINE" "$verb" "$@" root="$PLACE" runtime="$RUNTIME" layers="$LAYERS" memory=32 cpus=1 accel=tcg herd="$HERD" # the first of a key counts
}

state() {
        engine states | sed -n 's/^state=//p'
}

# fails CODE TEXT VERB KEYS…
fails() {
        local code=$1 text=$2
        shift 2
        run engine "$@"
        [ "$status" -eq "$code" ] || show "engine $*: status $status instead of $code" || return 1
        says "$text"
}

# process FIELD: of /proc/PID/status of the machine.
process() {
        sed -n "s/^$1:[[:space:]]*//p" "/proc/$(cut -d' ' -f1 "$RUNTIME/process")/status"
}

# Waits, at most 10 s, until a command succeeds: for what is written by a guest.
eventually() {
        local left=200
        until "$@" >/dev/null 2>&1; do
                [ $((left -= 1)) -gt 0 ] || { echo "it never came: $*"; return 1; }
                sleep 0.05
        done
}

log_has() {
        [[ $(engine logs) == *"$1"* ]]
}

# ask COMMAND [ARGUMENTS]: one QMP command, its answer.
ask() {
        python3 - "$RUNTIME/qmp.sock" "$@" <<'END'
import json, socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect(sys.argv[1])
stream = link.makefile("rw")
for name, arguments in ("qmp_capabilities", {}), (sys.argv[2], json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}):
    stream.write(json.dumps({"execute": name, "arguments": arguments, "id": 1}))
    stream.flush()
    for line in stream:
        answer = json.loads(line)
        if "id" in answer:
            break
print(json.dumps(answer.get("return", answer)))
END
}

@test "a machine is started, paused, resumed, and switched off by its button" {
        clone heeds
        is "$(state)" stopped
        engine check
        engine start fresh=1
        is "$(state)" running
        eventually log_has hello
        engine pause
        is "$(state)" paused
        engine pause
        engine resume
        is "$(state)" running
        is "$(engine stop timeout=20000)" forced=0
        is "$(state)" stopped
        [ ! -e "$RUNTIME" ]
        log_has hello
        is "$(engine stop)" forced=0 # what is stopped stays so
}

@test "a paused machine is asked as well" {
        clone heeds
        engine start
        eventually log_has hello
        engine pause
        is "$(engine stop timeout=20000)" forced=0
}

@test "who does not listen is ended after the time, or at once" {
        engine start
        local before
        before=$(date +%s%3N)
        is "$(engine stop timeout=700)" forced=1
        [ $(($(date +%s%3N) - before)) -ge 700 ]
        engine start
        before=$(date +%s%3N)
        is "$(engine stop timeout=60000 force=1)" forced=1
        [ $(($(date +%s%3N) - before)) -lt 20000 ]
        is "$(state)" stopped
}

@test "a guest that switches itself off is seen as stopped, and what it said can be read" {
        fails 66 'never started' logs
        clone ends
        engine start
        engine wait for=stopped timeout=20000
        is "$(state)" stopped
        log_has hello
        is "$(engine logs lines=1 | wc -l)" 1
        engine tidy
        [ ! -e "$RUNTIME" ]
        engine tidy
}

@test "each machine runs as a user of its own, without capabilities, in a sandbox, with nothing of ours" {
        exec 9>"$FIXTURE_DIR/lock"
        flock 9
        engine start fresh=1
        exec 9>&-
        flock -n "$FIXTURE_DIR/lock" true # nobody has kept it
        is "$(process Uid | cut -f1)" "$UID_OF_5"
        is "$(process Gid | cut -f1)" "$UID_OF_5"
        is "$(process Groups)" ""
        for set in CapInh CapPrm CapEff CapBnd CapAmb; do
                is "$(process $set)" 0000000000000000
        done
        is "$(process NoNewPrivs)" 1
        is "$(process Seccomp)" 2
        is "$(stat -c %a "$RUNTIME")" 700
        is "$(process PPid)" 1 || grep -q . "/proc/$(process PPid)/comm" # init's, or a subreaper's
        is "$("$ENGINE" states root="$PLACE" path=clones/5/disk.qcow2 runtime="$RUNTIME")" state=running
}

@test "another id is another user" {
        engine start id=6
        is "$(process Uid | cut -f1)" $((UID_OF_5 + 1))
        engine stop id=6 force=1
        engine start id=6 herd=00000010-2222-4333-8444-555555555555
        is "$(process Uid | cut -f1)" $((0x70000016))
}

@test "a root folder that only we can enter is no hindrance" {
        mkdir "$FIXTURE_DIR/closed"
        mv "$PLACE" "$FIXTURE_DIR/closed/place"
        chmod 700 "$FIXTURE_DIR/closed" "$FIXTURE_DIR/closed/place"
        local result=0
        (PLACE=$FIXTURE_DIR/closed/place && engine start && is "$(state)" running && engine stop force=1) || result=$?
        mv "$FIXTURE_DIR/closed/place" "$PLACE"
        chmod 755 "$PLACE"
        rmdir "$FIXTURE_DIR/closed"
        [ "$result" -eq 0 ]
}

@test "without root a machine runs as its user" {
        chmod 755 "$FIXTURE_DIR"
        chown -R 65534:65534 "$PLACE/clones"
        mkdir "$FIXTURE_DIR/run"
        chown 65534:65534 "$FIXTURE_DIR/run"
        local result=0
        as_nobody start && is "$(process Uid | cut -f1)" 65534 && is "$(as_nobody states)" state=running &&
                is "$(as_nobody stop force=1)" forced=1 || result=$?
        chmod 700 "$FIXTURE_DIR"
        [ "$result" -eq 0 ]
}

as_nobody() {
        setpriv --reuid=65534 --regid=65534 --clear-groups "$ENGINE" "$1" root="$PLACE" runtime="$RUNTIME" layers="$LAYERS" memory=32 accel=tcg "${@:2}"
}

@test "kill -9 of qemu: it is stopped, tidied and started again" {
        engine start
        kill -9 "$(cut -d' ' -f1 "$RUNTIME/process")"
        engine wait for=stopped timeout=10000
        is "$(state)" stopped
        fails 75 'not running' pause
        engine tidy
        [ ! -e "$RUNTIME" ]
        engine start
        is "$(state)" running
        kill -9 "$(cut -d' ' -f1 "$RUNTIME/process")"
        eventually is_stopped
        engine start # over what is left
        is "$(state)" running
}

is_stopped() {
        [ "$(state)" = stopped ]
}

@test "kill -9 of the starter at any moment leaves a whole machine or none" {
        local delay pid
        for delay in 0.000 0.001 0.002 0.004 0.008 0.015 0.030 0.045 0.060 0.090 0.150; do
                BECOME=exec engine start >/dev/null 2>&1 &
                pid=$!
                sleep "$delay"
                kill -9 "$pid" 2>/dev/null || true
                wait "$pid" || true
                if [ "$(state)" = running ] && eventually written_down_or_ended && [ "$(state)" = running ]; then
                        engine stop force=1
                else
                        eventually is_stopped
                        engine tidy
                fi
                is "$(state)" stopped
                [ ! -e "$RUNTIME" ]
                eventually nobody_left
        done
}

written_down_or_ended() {
        [ -f "$RUNTIME/process" ] || is_stopped
}

# Zombies are init's business.
nobody_left() {
        not pgrep -u "$UID_OF_5" -r R,S,D,T
}

@test "a number that is another process's by now is not taken for the machine" {
        engine start
        cp "$RUNTIME/process" "$FIXTURE_DIR/process"
        engine stop force=1
        sleep 100 &
        local other=$!
        mkdir -p "$RUNTIME"
        sed "s/^[0-9]*/$other/" "$FIXTURE_DIR/process" >"$RUNTIME/process"
        is "$(state)" stopped
        engine tidy
        kill -0 "$other"
        kill "$other"
        engine start
        echo 'no process' >"$RUNTIME/process"
        fails 71 'names no process' stop force=1
        cp "$FIXTURE_DIR/process" "$RUNTIME/process" # of the one before
        fails 71 'was not started from here' stop force=1
        is "$(state)" running
        ask quit
        eventually is_stopped
}

@test "what can't be had is said before, and leaves nothing" {
        fails 69 'more than this host has' check memory=99999999
        fails 69 'accel=xen does not work here' check accel=xen
        fails 69 'cpus=999' check cpus=999
        fails 69 'network=host is not for a virtual machine' check network=host
        fails 66 "bridge 'nope' not found" check network=bridge:nope
        fails 66 "'lo' is no bridge" check network=bridge:lo
        fails 66 "cannot share '/nope'" check mount=/nope:/mnt
        fails 66 'no folder' check mount=/etc/passwd:/mnt
        fails 69 'needs a Linux guest' check mount=/etc:/mnt os=windows
        fails 66 'no address of this host' check port=20080:80 address=192.0.2.1
        fails 69 'IPv4' check port=20080:80 address=::1
        is "$(state)" stopped
        [ ! -e "$RUNTIME" ]
        is "$(ls "$PLACE/clones/5")" disk.qcow2
}

@test "a port in use is refused, by check and by start" {
        python3 -c 'import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); print(s.getsockname()[1], flush=True); time.sleep(100)' >"$FIXTURE_DIR/port" &
        local listener=$! port
        eventually test -s "$FIXTURE_DIR/port"
        port=$(cat "$FIXTURE_DIR/port")
        fails 75 'in use' check port="$port:80"
        fails 75 'Could not set up host forwarding' start port="$port:80"
        [ ! -e "$RUNTIME" ]
        kill "$listener"
        wait "$listener" || true
        engine start port="$port:80"
        exec 8<>"/dev/tcp/127.0.0.1/$port" # somebody listens
        exec 8>&-
        fails 75 'in use' check port="$port:80"
}

@test "two of one disk: the second is refused" {
        engine start
        fails 75 'is running' start
        RUNTIME=$FIXTURE_DIR/run/other fails 75 'is running' start
        is "$(state)" running
        fails 75 'is running' tidy
}

@test "a disk that is no disk makes no machine" {
        rm "$PLACE/clones/5/disk.qcow2"
        is "$(state)" missing
        fails 66 'cannot look at the disk' start
        ln -s /etc/passwd "$PLACE/clones/5/disk.qcow2"
        fails 71 'cannot look at the disk' start
        rm "$PLACE/clones/5/disk.qcow2"
        echo nonsense >"$PLACE/clones/5/disk.qcow2"
        fails 71 'not in qcow2 format' start
        [ ! -e "$RUNTIME" ]
}

@test "what a guest writes into its disk's head is not believed" {
        (cd "$PLACE/clones/5" && truncate -s 1M plain.raw && qemu-img create -q -f qcow2 -b /etc/passwd -F raw -u plain.raw 1M)
        LAYERS=clones/5/plain.raw:raw
        engine start
        not grep -q passwd <(ls -l "/proc/$(cut -d' ' -f1 "$RUNTIME/process")/fd")
        is "$(ask query-block | jq -r '.[0].inserted.drv')" raw
        engine stop force=1
        (cd "$PLACE/clones/5" && qemu-img rebase -u -f qcow2 -b /etc/passwd -F raw disk.qcow2)
        LAYERS=clones/5/disk.qcow2:qcow2,bases/1/loops.raw:raw
        engine start
        eventually log_has hello
        not grep -q passwd <(ls -l "/proc/$(cut -d' ' -f1 "$RUNTIME/process")/fd")
}

@test "UEFI: its variables are the machine's own and stay" {
        engine check firmware=uefi
        engine start firmware=uefi memory=128
        is "$(stat -c %a "$PLACE/clones/5/uefi-variables.fd")" 600
        engine stop force=1
        printf mark | dd of="$PLACE/clones/5/uefi-variables.fd" bs=1 seek=500000 conv=notrunc status=none
        engine start firmware=uefi memory=128
        is "$(dd if="$PLACE/clones/5/uefi-variables.fd" bs=1 skip=500000 count=4 status=none)" mark
        cmp -n 500000 "$PLACE/clones/5/uefi-variables.fd" /usr/share/OVMF/OVMF_VARS_4M.fd || true
        is "$(ls "$PLACE/clones/5")" "$(printf '%s\n' console.log disk.qcow2 uefi-variables.fd)"
}

@test "UEFI that is not installed" {
        run unshare -m sh -c 'mount -t tmpfs none /usr/share/OVMF && exec "$@"' sh "$ENGINE" check firmware=uefi root="$PLACE" layers="$LAYERS" runtime="$RUNTIME"
        is "$status" 69
        says 'apt install ovmf'
}

@test "a qemu without a sandbox is started without, and that is said" {
        mkdir -p "$FIXTURE_DIR/usr/bin" # where it finds its modules beside itself
        ln -s /usr/lib /usr/share "$FIXTURE_DIR/usr/"
        cp "$(command -v qemu-system-x86_64)" "$FIXTURE_DIR/usr/bin/"
        chmod 755 "$FIXTURE_DIR" "$FIXTURE_DIR/usr" "$FIXTURE_DIR/usr/bin"
        printf '%s\n' '#!/bin/sh' \
                'case " $* " in *" -sandbox "*) echo "$0: -sandbox on: There is no option group '"'sandbox'"'" >&2; exit 1 ;; esac' \
                "exec '$FIXTURE_DIR/usr/bin/qemu-system-x86_64' \"\$@\"" >"$FIXTURE_DIR/without"
        chmod 755 "$FIXTURE_DIR/without"
        run unshare -m sh -c 'mount --bind "$0" "$(command -v qemu-system-x86_64)" && exec "$@"' "$FIXTURE_DIR/without" \
                "$ENGINE" start root="$PLACE" layers="$LAYERS" runtime="$RUNTIME" memory=32 accel=tcg herd="$HERD"
        chmod 700 "$FIXTURE_DIR"
        rm -r "$FIXTURE_DIR/usr"
        is "$status" 0 || show without
        says 'note=this qemu has no sandbox'
        is "$(process Seccomp)" 0
        is "$(process CapBnd)" 0000000000000000
        is "$(state)" running
}

@test "devices for Windows and for unknown systems" {
        engine start os=windows
        eventually log_has hello
        ask qom-list '{"path": "/machine/peripheral"}' | jq -e 'map(.type) | index("child<ide-hd>") and index("child<e1000e>")'
        engine stop force=1
        engine start os=other fresh=1
        eventually log_has hello
        ask qom-list '{"path": "/machine/peripheral"}' | jq -e 'map(.type) | index("child<ide-hd>") and index("child<e1000>") and index("child<ide-cd>")'
}

@test "a bridge of the host" {
        local bridge=cwbr$((BASHPID % 100000))
        ip link add "$bridge" type bridge
        local result=0
        engine check network=bridge:"$bridge" && fails 69 'ports= is for network=user' check network=bridge:"$bridge" port=20080:80 &&
                engine start network=bridge:"$bridge" && is "$(ls "/sys/class/net/$bridge/brif" | wc -l)" 1 &&
                engine stop force=1 && eventually bridge_is_empty "$bridge" || result=$?
        ip link del "$bridge"
        [ "$result" -eq 0 ]
}

bridge_is_empty() {
        [ "$(ls "/sys/class/net/$1/brif" | wc -l)" -eq 0 ]
}

@test "a snapshot of the running disk, and flat again" {
        engine start
        ask human-monitor-command '{"command-line": "qemu-io -d /machine/peripheral/disk/virtio-backend \"write -P 0x11 1M 64k\""}'
        mkdir "$PLACE/snapshots" "$PLACE/snapshots/9"
        (cd "$PLACE/clones/5" && qemu-img create -q -f qcow2 -u -b ../../snapshots/9/disk.qcow2 -F qcow2 next.qcow2 4M)
        engine quiesce
        is "$(state)" paused
        engine switch next=clones/5/next.qcow2
        mv "$PLACE/clones/5/disk.qcow2" "$PLACE/snapshots/9/"
        mv "$PLACE/clones/5/next.qcow2" "$PLACE/clones/5/disk.qcow2"
        engine quiesce quiet=0
        is "$(state)" running
        ask human-monitor-command '{"command-line": "qemu-io -d /machine/peripheral/disk/virtio-backend \"write -P 0x22 2M 64k\""}'
        fails 66 'cannot open the overlay' switch next=clones/5/none.qcow2
        fails 71 'qemu refused' switch next=clones/5/console.log

        engine flatten 2>"$FIXTURE_DIR/progress"
        is "$(state)" running
        engine stop force=1
        not grep -q 'backing file' <(qemu-img info "$PLACE/clones/5/disk.qcow2")
        qemu-img check -q "$PLACE/clones/5/disk.qcow2"
        qemu-io -r -f qcow2 -c 'read -P 0x11 1M 64k' -c 'read -P 0x22 2M 64k' "$PLACE/clones/5/disk.qcow2"
        cmp -n 512 <(qemu-img dd -f qcow2 -O raw bs=512 count=1 if="$PLACE/clones/5/disk.qcow2" of=/dev/stdout 2>/dev/null || qemu-img convert -O raw "$PLACE/clones/5/disk.qcow2" "$FIXTURE_DIR/flat" && cat "$FIXTURE_DIR/flat") "$PLACE/bases/1/loops.raw"
        qemu-img info "$PLACE/snapshots/9/disk.qcow2" | grep -q 'backing file: ../../bases/1/loops.raw'
        qemu-io -r -f qcow2 -c 'read -P 0x11 1M 64k' -c 'read -P 0 2M 64k' "$PLACE/snapshots/9/disk.qcow2"
        rm -r "$PLACE/snapshots"
}

@test "waiting for what is not so yet" {
        fails 75 'not running' wait for=running timeout=0
        fails 75 'not running' wait for=running timeout=100
        engine wait for=running timeout=20000 &
        local waiter=$!
        sleep 0.2
        engine start
        wait "$waiter"
        engine wait for=running timeout=0
        fails 75 'not stopped yet' wait for=stopped timeout=100
        engine pause
        fails 75 'not running yet' wait for=running timeout=100
        engine wait for=running timeout=20000 &
        waiter=$!
        sleep 0.2
        engine resume
        wait "$waiter"
        fails 69 'no network' wait for=address network=none
        is "$(state)" running
}

@test "ten starts and stops leave nothing" {
        local before
        before=$(find "$FIXTURE_DIR" -type d | wc -l)
        for _ in 1 2 3 4 5 6 7 8 9 10; do
                engine start fresh=1 >/dev/null
                engine stop force=1 >/dev/null
        done
        is "$(find "$FIXTURE_DIR" -type d | wc -l)" $((before + 1)) # run/, which holds the runtime folders
        is "$(ls "$FIXTURE_DIR/run")" ""
        nobody_left
}

@test "a folder of the host's, an identity and a command, in a guest with an agent" {
        images_prepare tiny9p
        mkdir -p "$PLACE/bases/2" "$FIXTURE_DIR/shared"
        ln -f "$IMAGES/tiny9p.qcow2" "$PLACE/bases/2/disk.qcow2" 2>/dev/null || cp "$IMAGES/tiny9p.qcow2" "$PLACE/bases/2/disk.qcow2"
        (cd "$PLACE/clones/5" && qemu-img create -q -f qcow2 -b ../../bases/2/disk.qcow2 -F qcow2 disk.qcow2)
        LAYERS=clones/5/disk.qcow2:qcow2,bases/2/disk.qcow2:qcow2
        echo ours >"$FIXTURE_DIR/shared/file"
        chown -R 1234:1234 "$FIXTURE_DIR/shared"
        chmod 700 "$FIXTURE_DIR/shared"
        set -- memory=192 cpus=2 fresh=1 mount="$FIXTURE_DIR/shared:/shared"
        engine start "$@"
        engine wait for=ready timeout=120000 "$@"
        is "$(engine execute command=hostname)" machine-1
        is "$(engine execute command='cat /sys/class/dmi/id/product_uuid /sys/class/net/eth0/address')" \
                "$(printf '%s\n' 11111111-2222-4333-8444-555555555555 52:54:00:12:34:99)"
        is "$(engine execute command='cat /shared/file; echo theirs >/shared/made; ln -s /etc/shadow /shared/link')" ours
        is "$(stat -c %u:%g "$FIXTURE_DIR/shared/made")" 1234:1234
        is "$(readlink "$FIXTURE_DIR/shared/link")" /etc/shadow
        is "$(engine quiesce "$@")" frozen=1
        is "$(state)" paused
        engine quiesce quiet=0 frozen=1 "$@"
        is "$(engine execute command='nproc')" 2
        is "$(engine stop timeout=60000 "$@")" forced=0
        log_has 'Power down'
}
