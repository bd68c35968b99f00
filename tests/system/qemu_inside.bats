#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# cowherd-guest inside a tiny machine that has nothing else to answer with, function by function (qemu_inside.c); and a machine that
# has the agent alone. As root.

load lib

setup_file() {
        herds_begin || return 1
        export COWHERD_GUEST=${COWHERD_BUILD:-$BATS_TEST_DIRNAME/../../build}/src/guest/cowherd-guest
        images_prepare tiny tinyguest || return 1
        export BUILT=${COWHERD_BUILD:-$BATS_TEST_DIRNAME/../../build}/tests/unit/engine PLACE=$FIXTURE_DIR/place
        mkdir -p "$PLACE/bases/1"
        cp --reflink=auto "$IMAGES/tiny.qcow2" "$IMAGES/tiny-guest.qcow2" "$PLACE/bases/1"
        ssh-keygen -q -t ed25519 -N '' -C '' -f "$FIXTURE_DIR/key"
        export KEY=$FIXTURE_DIR/key SEED
        SEED=$(head -c 32 /dev/urandom | od -An -vtx1 | tr -d ' \n')
        machine 5 tiny-guest
}

teardown_file() {
        local id
        COWHERD_ROOT=$FIXTURE_DIR/herd-14 "$PROGRAM" qemu delete 'name=*' force=true >/dev/null 2>&1
        for id in 5 6; do
                [ ! -f "$FIXTURE_DIR/run/$id/process" ] || engine "$id" stop force=1 >/dev/null
        done
        herds_end
}

setup() {
        cd "$BATS_TEST_TMPDIR" || return 1
}

# machine ID IMAGE: starts one.
machine() {
        mkdir -p "$PLACE/clones/$1" && echo "$2" >"$PLACE/clones/$1/image"
        (cd "$PLACE/clones/$1" && qemu-img create -q -f qcow2 -b "../../bases/1/$2.qcow2" -F qcow2 disk.qcow2 && chmod 600 disk.qcow2)
        chmod -R go+rX "$PLACE"
        engine "$1" start
}

# engine ID VERB KEYS…
engine() {
        local id=$1 verb=$2
        shift 2
        "$BUILT/engine-qemu" "$verb" "$@" root="$PLACE" runtime="$FIXTURE_DIR/run/$id" id="$id" memory=192 cpus=1 accel=tcg \
                layers="clones/$id/disk.qcow2:qcow2,bases/1/$(cat "$PLACE/clones/$id/image").qcow2:qcow2" 3>&-
}

# With BECOME=exec, in the background: that process is the program itself, to be killed.
check() {
        ${BECOME:-} "$BUILT/qemu-inside" "$PLACE" clones/5/disk.qcow2 "$FIXTURE_DIR/run/5" "$@" 3>&-
}

# inside STATUS WORDS…: with nothing on its stdin.
inside() {
        local expected=$1
        shift
        run --separate-stderr check "$@" </dev/null
        [ "$status" -eq "$expected" ] || show "$*: status $status instead of $expected"
}

# in_guest TEXT: by its shell.
in_guest() {
        inside 0 execute 0 "" "" sh -c "$1"
}

# on_terminal COMMAND: that has one, of 33 lines.
on_terminal() {
        run script -qec "stty rows 33 cols 99; $1" /dev/null 3>&-
}

nothing_runs() {
        in_guest "n=50; while ps -o args | grep -q '[s]leep $1'; do sleep 0.1; n=\$((n - 1)); [ \$n -gt 0 ] || exit 1; done"
}

@test "a guest that boots has no helper yet, and nobody waits for one; who waits is told by the first answer" {
        inside 69 execute 0 "" "" true
        inside 75 wait 100
        inside 0 wait 60000
        is "$output" cowherd-guest
        inside 0 address 20000
        is "$output" 10.0.2.15
}

@test "a command: its outputs, its status, its environment, its input, all bytes" {
        inside 3 execute 0 "" "" sh -c 'echo "$GREETING"; pwd; echo $HOME $USER $SHELL; echo wrong >&2; exit 3'
        is "$output" "$(printf '%s\n' 'it'\''s "fine" $HOME' /root '/root root /bin/sh')"
        is "$stderr" wrong
        head -c 300000 /dev/urandom >bytes
        check execute 0 "" "" cat <bytes | cmp bytes -
        check attach 0 "" "" cat <bytes | cmp bytes -
        check execute 0 "" "" sh -c 'sleep 1; wc -c' <bytes >count
        is "$(cat count)" 300000
        check execute 0 "" "" true <bytes # which reads none of it
        inside 137 execute 0 "" "" sh -c 'kill -9 $$'
        check execute 0 "" "" head -c 17000000 /dev/zero </dev/null 2>errors | wc -c >count
        is "$(cat count errors)" "$(printf '%s\n' 16777216 cut)"
        inside 0 execute 0 "" "" sh -c 'echo $#' sh $(seq 1 4000)
        is "$output" 4000
        inside 64 execute 0 "" "" true $(seq 1 4200)
        inside 0 execute 0 "" "" sh -c "echo ${#SEED} # $(head -c 100000 /dev/zero | tr '\0' x)"
        is "$output" 64
}

@test "a command as somebody, somewhere; and what is not there" {
        inside 0 execute 0 /tmp guest sh -c 'id -un; id -Gn; pwd; echo $HOME'
        is "$output" "$(printf '%s\n' guest 'guest audio' /tmp /home/guest)"
        inside 0 execute 0 "" 1000 pwd
        is "$output" /home/guest
        inside 66 execute 0 "" nobody2 true
        complains "user 'nobody2' not found"
        inside 66 execute 0 /nope "" true
        complains "working_dir '/nope' not found"
        inside 66 execute 0 "" "" nope
        complains "command 'nope' not found"
        inside 77 execute 0 "" "" /etc
        inside 64 execute 0 "" 'a:b' true
}

@test "a command that takes too long is ended, with all that it has started, and nothing else is" {
        in_guest 'setsid sleep 8001 >/dev/null 2>&1 </dev/null &' # a service: it outlives its command
        inside 75 execute 400 "" "" sh -c 'sleep 7001 & (sleep 7002; true) & setsid sh -c "setsid sleep 7003 & wait" & sleep 7004'
        complains "it was ended"
        inside 75 execute 400 "" guest sh -c 'sleep 7005 & sleep 7006'
        nothing_runs 700
        in_guest 'ps -o args | grep -c "[s]leep 8001"; kill $(pidof sleep); ps -o stat | grep -c Z || true'
        is "$output" "$(printf '%s\n' 1 0)"
}

@test "a killed client ends its command, and leaves nothing that confuses the next" {
        local pause
        for pause in 02 05 13 18 23 31; do
                BECOME=exec check execute 0 "" "" sh -c 'sleep 7010 & head -c 3000000 /dev/zero; sleep 7011' </dev/null >/dev/null 2>&1 &
                sleep "0.$pause"
                kill -9 $! 2>/dev/null || true
                wait $! 2>/dev/null || true
                in_guest "echo $pause"
                is "$output" "$pause"
        done
        nothing_runs 701
        # half a frame, and a lot of nonsense
        python3 -c 'import socket, sys, os
for said in b"\x41\x06\x00\x01", os.urandom(300000), bytes(200000), b"\x05" * 200000:
    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(said); s.close()' "$FIXTURE_DIR/run/5/guest0.sock"
        in_guest 'echo 7'
        is "$output" 7
}

@test "many at once: a long one does not keep the others out" {
        local n
        check execute 0 "" "" sleep 5 </dev/null &
        check attach 0 "" "" sleep 7 </dev/null &
        SECONDS=0
        for n in 1 2 3 4 5 6; do
                check execute 0 "" "" echo "$n" </dev/null >"out.$n" &
        done
        in_guest 'echo 0'
        [ "$SECONDS" -lt 4 ]
        wait
        is "$(cat out.*)" "$(seq 6)"
}

@test "a terminal: its size, its keys, its colours, its end; and a shell" {
        on_terminal "$(declare -p BUILT PLACE FIXTURE_DIR); $(declare -f check); check attach 0 '' '' sh -c 'tty; stty size; echo \$TERM; exit 7' </dev/tty"
        is "$status" 7
        says "/dev/pts/0"
        says "33 99"
        run script -qec "$BUILT/qemu-inside $PLACE clones/5/disk.qcow2 $FIXTURE_DIR/run/5 attach 0 '' ''" /dev/null 3>&- < <(sleep 1; printf 'sleep 7020\n'; sleep 1; printf '\003'; sleep 1; printf 'echo si''gnal-$?; exit 5\n'; sleep 1)
        is "$status" 5
        says "signal-130"
        nothing_runs 702
}

@test "a signal of ours is the command's" {
        BECOME=exec check attach 0 "" "" sh -c 'trap "echo ended; exit 9" TERM; echo ready; while :; do sleep 0.1; done' </dev/null >said &
        until grep -q ready said; do kill -0 $!; sleep 0.1; done
        kill -TERM $!
        wait $! || status=$?
        is "$status" 9
        is "$(cat said)" "$(printf '%s\n' ready ended)"
}

@test "frozen filesystems are thawed by whoever asks, or by themselves; meanwhile nothing is run" {
        inside 0 freeze
        is "$output" frozen=1
        inside 75 execute 0 "" "" true
        complains frozen
        inside 75 freeze
        inside 0 thaw
        in_guest 'echo written >/written; cat /written'
        is "$output" written
        inside 0 thaw
        engine 5 quiesce >quiet
        is "$(cat quiet)" frozen=1
        engine 5 quiesce quiet=0 frozen=1
        in_guest 'cat /written'
}

@test "an identity: all of it at once, a second time nothing" {
        in_guest 'mkdir -p /etc/ssh /var/lib/dhcp; echo old >/etc/ssh/ssh_host_rsa_key; echo old >/var/lib/dhcp/x.leases; ln -s /written /etc/hostname.cowherd; cat /proc/sys/kernel/random/boot_id'
        inside 0 personalise web-1 0123456789abcdef0123456789abcdef iid-1 "$SEED" "$KEY" "ssh-ed25519 AAAA me" ""
        is "$output" pending=
        in_guest 'hostname; cat /etc/hostname /etc/machine-id /var/lib/cowherd/instance-id /written; grep web-1 /etc/hosts; ls /etc/ssh /var/lib/dhcp; cat /root/.ssh/authorized_keys; stat -c %a /etc/ssh/ssh_host_ed25519_key /root/.ssh'
        is "$output" "$(printf '%s\n' web-1 web-1 0123456789abcdef0123456789abcdef iid-1 written $'127.0.1.1\tweb-1' /etc/ssh: \
                ssh_host_ed25519_key ssh_host_ed25519_key.pub '' /var/lib/dhcp: 'ssh-ed25519 AAAA me' 600 700)"
        in_guest 'cat /etc/ssh/ssh_host_ed25519_key'
        is "$output" "$(cat "$KEY")"
        inside 0 personalise web-2 11111111111111111111111111111111 iid-1 "$SEED" "$KEY" "ssh-ed25519 AAAA me" ""
        in_guest 'hostname; wc -l </root/.ssh/authorized_keys'
        is "$output" "$(printf '%s\n' web-1 1)"
        in_guest 'mount -o remount,ro /'
        inside 0 personalise web-3 11111111111111111111111111111111 iid-3 "$SEED" "$KEY" "" ""
        says "/etc/hostname: Read-only file system"
        in_guest 'mount -o remount,rw /; hostname'
        is "$output" web-3
        inside 64 personalise 'web 4' 11111111111111111111111111111111 iid-4 "$SEED" "$KEY" "" ""
        complains hostname
}

@test "who woke has another address on its link, its routes as before, the right time and a lease" {
        in_guest 'date -s "2020-01-01 00:00:00" >/dev/null; ip route add 192.0.2.0/24 via 10.0.2.2; ip route >/before'
        in_guest 'cat /proc/sys/kernel/random/boot_id'
        local boot=$output
        inside 0 wake web-5 22222222222222222222222222222222 iid-5 "$SEED" "$KEY" "" 52:54:00:0a:0b:0c
        is "$output" pending=
        in_guest 'cat /proc/sys/kernel/random/boot_id; grep -c boot_id /proc/mounts; ip -6 address show dev eth0 scope link | grep -c "fe80::5054:ff:fe0a:b0c/64"'
        [ "${lines[0]}" != "$boot" ]
        is "${lines[1]} ${lines[2]}" '1 1'
        in_guest 'cat /sys/class/net/eth0/address; ip route | diff /before - && cat /proc/sys/net/ipv4/conf/eth0/arp_notify; date +%Y'
        is "$output" "$(printf '%s\n' 52:54:00:0a:0b:0c 1 "$(date +%Y)")"
        inside 0 address 10000
        is "$output" 10.0.2.15
}

@test "a helper that is killed is missed, and comes again" {
        check execute 0 "" "" sleep 60 </dev/null 2>said &
        local client=$! before
        before=$(check hold 0)
        is "$before" "$(check hold 0)"
        in_guest 'echo here'
        inside 71 execute 0 "" "" sh -c 'kill -9 $(pidof cowherd-guest | tr " " "\n" | sort -n | head -n 1); sleep 60'
        complains "broke off"
        wait "$client" || status=$?
        is "$status" 71
        inside 0 wait 20000
        not is "$before" "$(check hold 0)"
}

@test "a guest with the agent alone is asked through that, and with neither delay nor question to the helper" {
        machine 6 tiny
        engine 6 wait for=ready timeout=60000
        run --separate-stderr "$BUILT/qemu-inside" "$PLACE" clones/6/disk.qcow2 "$FIXTURE_DIR/run/6" execute 0 "" "" echo agent </dev/null
        is "$output" agent
        is "$("$BUILT/qemu-inside" "$PLACE" clones/6/disk.qcow2 "$FIXTURE_DIR/run/6" wait 5000)" agent
        engine 6 stop force=1
}

@test "the program: a disk gets the helper by its own agent, a terminal, copies both ways" {
        herd_begin
        expect 0 qemu register_base name=b "image=$IMAGES/tiny.qcow2" guest=inject memory=192M
        is "$(find "$COWHERD_ROOT/bases" -type f -printf '%f ')" 'disk.qcow2 '
        expect 0 qemu clone_from_base base=b name=vm-1 start=true wait=true
        expect 4 exec vm-1 -- sh -c 'hostname; pidof cowherd-guest >/dev/null && exit 4'
        is "$output" vm-1
        on_terminal "'$PROGRAM' exec vm-1 -- sh -c 'tty; stty size; exit 6' </dev/tty"
        is "$status" 6
        says "33 99"
        mkdir -p folder/deep && head -c 200000 /dev/urandom >folder/deep/bytes && ln -s deep folder/link && chmod 640 folder/deep/bytes
        expect 0 qemu copy_to name=vm-1 local=folder remote=/srv
        expect 0 qemu copy_to name=vm-1 local=folder/deep/bytes remote=/root/
        expect 0 qemu copy_from name=vm-1 remote=/srv local=back
        cmp folder/deep/bytes back/deep/bytes
        is "$(stat -c %a back/deep/bytes) $(readlink back/link)" '640 deep'
        expect 0 qemu copy_from name=vm-1 remote=/root/bytes local=bytes
        cmp folder/deep/bytes bytes
        refuses 66 'not found' qemu copy_from name=vm-1 remote=/nope local=nope
        refuses 66 'not found' qemu copy_to name=vm-1 local=bytes remote=/nope/there
        expect 0 qemu delete name=vm-1 force=true
        expect 0 qemu remove_base name=b
        refuses 69 'no use for guest=inject' nspawn register_base name=b rootfs=/tmp guest=inject
        refuses 64 'exclude each other' qemu register_base name=b "image=$IMAGES/tiny.qcow2" guest=inject adopt=true
}

@test "it shuts down when it is asked to" {
        is "$(engine 5 stop timeout=20000)" forced=0
}
