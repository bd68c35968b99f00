#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The life of LXD's instances, engine callback by engine callback (lxd_life.c; the store's by lxd_store.c), against a private
# daemon: two guests, a Debian with systemd and a busybox that knows no signal to shut down by. As root.

load words

setup_file() {
        [ "$(id -u)" -eq 0 ] || return 1
        # shellcheck source=tests/lib/images.sh
        . "$BATS_TEST_DIRNAME/../lib/images.sh"
        # shellcheck source=tests/lib/lxd.sh
        . "$BATS_TEST_DIRNAME/../lib/lxd.sh"
        images_prepare
        PLACE=$(mktemp -d /tmp/cowherd-life.XXXXXX)
        export PLACE LXD_CONF=$PLACE/conf HERD=22222222-2222-4333-8444-555555555555
        TOOLS=${COWHERD_BUILD:-$BATS_TEST_DIRNAME/../../build}/tests/unit/lxd_api
        export STORE=$TOOLS/lxd-store-check LIFE=$TOOLS/lxd-life-check
        export BRIDGE_NAME=cwt${PLACE##*.}
        mkdir -p "$LXD_CONF" "$PLACE/more/usr/sbin" "$PLACE/more/etc/ssh"
        # Enough of an SSH server to be given its keys.
        printf '#!/bin/sh\n' >"$PLACE/more/usr/sbin/sshd" && chmod 755 "$PLACE/more/usr/sbin/sshd"
        echo old >"$PLACE/more/etc/ssh/ssh_host_rsa_key"
        cp "$IMAGES/rootfs.tar" "$PLACE/rootfs.tar"
        tar -C "$PLACE/more" --owner=0 --group=0 -rf "$PLACE/rootfs.tar" ./usr/sbin/sshd ./etc/ssh
        image_tree "$PLACE/small" && mkdir "$PLACE/small/sbin" && ln -s /usr/bin/busybox "$PLACE/small/sbin/init"
        tar -C "$PLACE/small" --numeric-owner --owner=0 --group=0 -cf "$PLACE/small.tar" .
        LXD_POOL_SIZE=3GiB lxd_start "$PLACE"
        ip link add "$BRIDGE_NAME" type bridge && ip addr add 10.123.45.1/24 dev "$BRIDGE_NAME" && ip link set "$BRIDGE_NAME" up
        "$STORE" import 1 the-base "$IMAGES/metadata.tar" "$PLACE/rootfs.tar" >"$PLACE/import.out" 2>/dev/null
        "$STORE" import 2 small "$IMAGES/metadata.tar" "$PLACE/small.tar" >"$PLACE/small.out" 2>/dev/null
        FINGERPRINT=$(sed -n 's/^fingerprint=//p' "$PLACE/import.out")
        export FINGERPRINT
}

teardown_file() {
        # shellcheck source=tests/lib/lxd.sh
        . "$BATS_TEST_DIRNAME/../lib/lxd.sh"
        ip link del "$BRIDGE_NAME" 2>/dev/null || true
        lxd_start "$PLACE" # where a test has killed it
        lxd_stop "$PLACE"
        rm -rf --one-file-system "$PLACE"
}

setup() {
        unset NAME_OF_HOST APPLIED
        export MACHINE_ID=0123456789abcdef0123456789abcde1 MAC=00:16:3e:00:00:01 INSTANCE_ID=iid-11111111-1111-4111-8111-111111111111
}

# What a test that failed has left is not to fail the next.
teardown() {
        local name
        [ -z "${BATS_TEST_COMPLETED:-}" ] || return 0
        for name in $(lxc list -c n -f csv | grep -v '^cowherd-'); do
                lxc delete -f "$name" || true
        done
}

# expect STATUS WORDS…: runs the engine's check program.
expect() {
        runs "$1" "$LIFE" "${@:2}"
}

# inside ID NAME SCRIPT: what a shell in the instance prints.
inside() {
        "$LIFE" execute "$1" "$2" sh -c "$3"
}

# make ID NAME: a clone of the Debian.
make() {
        "$STORE" clone 1 "$1" "$2" >/dev/null
}

unmake() {
        "$LIFE" stop "$1" "$2" 0 1 >/dev/null
        "$STORE" destroy clone "$1" "$2"
}

now_ms() {
        echo $(($(date +%s%N) / 1000000))
}

@test "a first start brings an identity, limits and keys; a second changes nothing" {
        make 10 web-1
        HOST_KEY=$'the host key\n' SSH_KEY='ssh-ed25519 AAAA me' MEMORY=134217728 CPUS=1 expect 0 start 10 web-1
        says 'applied=1 pending= note='
        expect 0 wait 10 web-1 ready 60000
        is "$(inside 10 web-1 'cat /etc/machine-id; hostname; cat /etc/ssh/ssh_host_ed25519_key; ls /etc/ssh; cat /root/.ssh/authorized_keys')" \
                "$(printf '%s\n' "$MACHINE_ID" web-1 'the host key' ssh_host_ed25519_key ssh_host_ed25519_key.pub 'ssh-ed25519 AAAA me')"
        is "$(inside 10 web-1 'stat -c %a:%u /etc/ssh/ssh_host_ed25519_key /root/.ssh /root/.ssh/authorized_keys' | tr '\n' ' ')" "600:0 700:0 600:0 "
        is "$(inside 10 web-1 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max; nproc')" "$(printf '134217728\n1')"
        is "$(lxc config get web-1 volatile.cloud-init.instance-id)" 11111111-1111-4111-8111-111111111111
        is "$(lxc config get web-1 volatile.eth0.hwaddr)" "$MAC"
        is "$(lxc config get web-1 user.cowherd.neutral)" ""
        expect 0 stop 10 web-1 20000 0
        says forced=0
        before=$(lxc config show web-1 | grep -v last_state)
        APPLIED=1 SSH_KEY='ssh-ed25519 AAAA me' MEMORY=134217728 CPUS=1 expect 0 start 10 web-1
        is "$(lxc config show web-1 | grep -v last_state | diff - <(printf '%s\n' "$before"))" ""
        is "$(inside 10 web-1 'cat /etc/machine-id')" "$MACHINE_ID"
        unmake 10 web-1
}

@test "no two are alike; a name that LXD spells otherwise is written down; identity=keep keeps the image's" {
        make 11 Web-A
        make 12 web-b
        make 13 kept
        NAME_OF_HOST=web-a expect 0 start 11 Web-A
        MACHINE_ID=0123456789abcdef0123456789abcde2 MAC=00:16:3e:00:00:02 expect 0 start 12 web-b
        KEEP=1 expect 0 start 13 kept
        for each in '11 Web-A' '12 web-b' '13 kept'; do
                # shellcheck disable=SC2086
                expect 0 wait $each ready 60000
        done
        is "$(inside 11 Web-A 'hostname; cat /etc/machine-id')" "$(printf '%s\n' web-a 0123456789abcdef0123456789abcde1)"
        is "$(inside 12 web-b 'hostname; cat /etc/machine-id')" "$(printf '%s\n' web-b 0123456789abcdef0123456789abcde2)"
        is "$(inside 13 kept hostname)" debian
        unmake 11 Web-A
        unmake 12 web-b
        unmake 13 kept
}

@test "somebody's own start before ours leaves no identity" {
        make 10 web-1
        lxc start web-1
        for _ in $(seq 100); do
                [ "$(lxc exec web-1 -- cat /etc/machine-id </dev/null | wc -c)" -lt 33 ] || break
                sleep 0.1
        done
        lxc stop -f web-1
        expect 0 start 10 web-1
        expect 0 wait 10 web-1 ready 60000
        is "$(inside 10 web-1 'cat /etc/machine-id')" "$MACHINE_ID"
        unmake 10 web-1
}

@test "network, ports and mounts; what can't be had is told before" {
        make 10 web-1
        mkdir -p "$PLACE/share" && echo shared >"$PLACE/share/f"
        NETWORK=3 expect 69 check 10 web-1
        says 'no network=host'
        NETWORK=2 expect 69 check 10 web-1
        says 'lxc network create'
        NETWORK=4 BRIDGE=nosuch0 expect 66 check 10 web-1
        NETWORK=4 BRIDGE=lo expect 66 check 10 web-1
        says 'is no bridge'
        MEMORY=99999999999999 expect 69 check 10 web-1
        CPUS=4096 expect 69 check 10 web-1
        MOUNT=/nonexistent expect 66 check 10 web-1
        NETWORK=4 BRIDGE=$BRIDGE_NAME PORT=18653 MOUNT=$PLACE/share READ_ONLY=1 expect 0 check 10 web-1
        NETWORK=4 BRIDGE=$BRIDGE_NAME PORT=18653 MOUNT=$PLACE/share READ_ONLY=1 expect 0 start 10 web-1
        is "$(inside 10 web-1 'cat /sys/class/net/eth0/address /mnt/host/f; echo x 2>/dev/null >/mnt/host/f || echo read-only')" \
                "$(printf '%s\n' "$MAC" shared read-only)"
        "$LIFE" execute 10 web-1 sh -c 'sleep 0.3; ip addr add 10.123.45.9/24 dev eth0; ip link set eth0 up' &
        expect 0 wait 10 web-1 address 10000
        says address=10.123.45.9
        wait
        inside 10 web-1 '(while :; do printf "HTTP/1.0 200 OK\r\n\r\nhello" | busybox nc -l -p 80; done) >/dev/null 2>&1 &'
        for _ in $(seq 50); do # LXD's proxy takes a connection before anybody listens inside
                said=$(curl -s -m 5 http://127.0.0.1:18653/) && break
                sleep 0.1
        done
        is "$said" hello
        make 11 web-2
        began=$(now_ms)
        MAC=00:16:3e:00:00:02 PORT=18653 expect 75 start 11 web-2
        [ $(($(now_ms) - began)) -lt 5000 ]
        says 'port 18653 of 127.0.0.1 is in use'
        is "$(lxc list web-2 -c s -f csv)" STOPPED
        MAC=00:16:3e:00:00:02 NETWORK=1 expect 0 start 11 web-2
        is "$(inside 11 web-2 'ls /sys/class/net')" lo
        expect 69 wait 11 web-2 address 10000
        unmake 10 web-1
        unmake 11 web-2
}

@test "execute: output, exit code, input, user, folder, environment" {
        make 10 web-1
        expect 0 start 10 web-1
        expect 3 execute 10 web-1 sh -c 'echo out; echo err >&2; exit 3'
        is "$output/$stderr" out/err
        code=0
        "$LIFE" execute 10 web-1 nosuch || code=$?
        is "$code" 127
        expect 126 execute 10 web-1 /etc/passwd
        expect 137 execute 10 web-1 sh -c 'kill -9 $$'
        head -c 700000 /dev/urandom >"$BATS_TEST_TMPDIR/bytes"
        INPUT=1 "$LIFE" execute 10 web-1 cat <"$BATS_TEST_TMPDIR/bytes" | cmp - "$BATS_TEST_TMPDIR/bytes"
        is "$(inside 10 web-1 'cat | wc -c')" 0
        is "$(RUN_AS=daemon "$LIFE" execute 10 web-1 sh -c 'id -un; pwd; echo $HOME $USER')" "$(printf '%s\n' daemon /usr/sbin '/usr/sbin daemon')"
        is "$(RUN_AS=4321 "$LIFE" execute 10 web-1 sh -c 'id -u; pwd')" "$(printf '%s\n' 4321 /)"
        RUN_AS=nobody2 expect 66 execute 10 web-1 true
        is "$(FOLDER=/var VARIABLE='A=b c=d' "$LIFE" execute 10 web-1 sh -c 'pwd; echo "$A"')" "$(printf '%s\n' /var 'b c=d')"
        FOLDER=/nosuch expect 66 execute 10 web-1 true
        expect 64 execute 10 web-1 echo "$(printf '\377')"
        is "$(inside 10 web-1 'head -c 20000000 /dev/zero' | wc -c)" 16777216
        TIMES=1 expect 0 execute 10 web-1 sh -c 'head -c 20000000 /dev/zero >&2; echo whole'
        is "$output" whole
        unmake 10 web-1
}

@test "a command that takes too long is ended with its children, whatever they have become" {
        make 10 web-1
        expect 0 start 10 web-1
        began=$(now_ms)
        TIMEOUT=400 expect 75 execute 10 web-1 sh -c 'sleep 3001 & (setsid sleep 3002 &); (RUN=1 sh -c "trap : TERM HUP; sleep 3003") ; sleep 3004'
        says 'took longer than 400 ms'
        [ $(($(now_ms) - began)) -lt 5000 ]
        is "$(inside 10 web-1 'for p in /proc/[0-9]*; do tr "\0" " " <$p/cmdline; echo; done' | grep -c '^sleep 300')" 0
        TIMEOUT=30000 expect 0 execute 10 web-1 true
        unmake 10 web-1
}

@test "attach: pipes, and a terminal with its size and its keys" {
        make 10 web-1
        expect 0 start 10 web-1
        is "$(printf 'a\nb\n' | "$LIFE" attach 10 web-1 0 cat)" "$(printf 'a\nb')"
        expect 5 attach 10 web-1 0 sh -c 'echo out; echo err >&2; exit 5'
        is "$output/$stderr" out/err
        head -c 3000000 /dev/urandom >"$BATS_TEST_TMPDIR/bytes"
        "$LIFE" attach 10 web-1 0 cat <"$BATS_TEST_TMPDIR/bytes" | cmp - "$BATS_TEST_TMPDIR/bytes"
        # A reader that goes away ends it.
        timeout 20 "$LIFE" attach 10 web-1 0 yes | head -n 1 >"$BATS_TEST_TMPDIR/first"
        python3 "$BATS_TEST_DIRNAME/lxd_terminal.py" "$LIFE" attach 10 web-1 1 >"$BATS_TEST_TMPDIR/seen" || { cat "$BATS_TEST_TMPDIR/seen"; false; }
        unmake 10 web-1
}

@test "files and folders in and out, running and stopped; modes and links kept" {
        make 10 web-1
        local from=$BATS_TEST_TMPDIR/from to=$BATS_TEST_TMPDIR/to
        mkdir -p "$from/tree/sub" "$to"
        echo one >"$from/tree/a" && chmod 751 "$from/tree/a" && chown 1000:1000 "$from/tree/a"
        ln -s a "$from/tree/link" && ln -s ../a "$from/tree/sub/up" && ln -s /etc/passwd "$from/tree/absolute"
        head -c 300000 /dev/urandom >"$from/tree/sub/-big" && chmod 700 "$from/tree/sub"
        for round in running stopped without; do
                [ "$round" != running ] || expect 0 start 10 web-1
                [ "$round" != stopped ] || expect 0 stop 10 web-1 20000 0
                # A guest without tar is one where pack and unpack are not used.
                [ "$round" != without ] || { expect 0 start 10 web-1 && export WITHOUT_TAR=1; }
                expect 0 in 10 web-1 "$from" tree "/root/$round"
                expect 0 in 10 web-1 "$from/tree" a "/root/$round"
                expect 0 in 10 web-1 "$from/tree" a "/root/$round-file"
                expect 66 in 10 web-1 "$from/tree" a /nosuch/file
                expect 0 out 10 web-1 "$to" "$round" "/root/$round/"
                diff -r --no-dereference "$from/tree" "$to/$round"
                is "$(cd "$to" && stat -c '%a:%u %n' "$round/a" "$round/sub" | tr '\n' ' ')" "751:0 $round/a 700:0 $round/sub "
                expect 0 out 10 web-1 "$to" "$round-file" "/root/$round-file"
                cmp "$from/tree/a" "$to/$round-file"
                expect 0 out 10 web-1 "$to" release /etc/os-release # a symlink's file
                grep -q ^ID=debian "$to/release"
                expect 66 out 10 web-1 "$to" none /root/nosuch
                expect 64 out 10 web-1 "$to" none root
                expect 64 out 10 web-1 "$to" none /root/../etc
                is "$(find "$to" -name none -o -name '.none*')" ""
        done
        unset WITHOUT_TAR
        is "$(inside 10 web-1 'cd /root/stopped && stat -c %a:%u:%g a sub && readlink link absolute sub/up' | tr '\n' ' ')" "751:0:0 700:0:0 a /etc/passwd ../a "
        unmake 10 web-1
}

@test "hostile folders: links that lead out are not followed, odd names are refused, nothing is left" {
        make 10 web-1
        expect 0 start 10 web-1
        local to=$BATS_TEST_TMPDIR/to
        mkdir "$to" && ln -s /etc "$to/planted"
        inside 10 web-1 'mkdir -p /root/h && cd /root/h && ln -s /etc/shadow s && ln -s . loop && mkfifo fifo && cp /bin/true setuid && chmod 4755 setuid
                ln -s /root/x /root/y && ln -s /root/y /root/x'
        WITHOUT_TAR=1 expect 0 out 10 web-1 "$to" h /root/h
        is "$(readlink "$to/h/s")" /etc/shadow
        is "$(stat -c %a "$to/h/setuid")" 755
        [ ! -e "$to/h/fifo" ]
        expect 65 out 10 web-1 "$to" x /root/x
        WITHOUT_TAR=1 run "$LIFE" out 10 web-1 "$to" planted /root/h
        [ "$status" -ne 0 ]
        [ -L "$to/planted" ]
        inside 10 web-1 'cd /root/h && touch "$(printf "\377")"'
        WITHOUT_TAR=1 expect 0 out 10 web-1 "$to" h2 /root/h
        [ -e "$to/h2/$(printf '\377')" ]
        # What is read without end, or never begins, is no file.
        expect 65 out 10 web-1 "$to" fifo /root/h/fifo
        expect 65 out 10 web-1 "$to" zero /dev/zero
        is "$(find "$to" -mindepth 1 -maxdepth 1 | sort | tr '\n' ' ')" "$to/h $to/h2 $to/planted "
        unmake 10 web-1
}

@test "a full disk: it stops, its start says why, a larger one starts" {
        DISK_SIZE=314572800 make 10 web-1
        expect 0 start 10 web-1
        expect 1 execute 10 web-1 dd if=/dev/zero of=/root/big bs=1M count=400
        expect 0 stop 10 web-1 0 1
        is "$(lxc list web-1 -c s -f csv)" STOPPED
        APPLIED=1 expect 74 start 10 web-1
        says 'disk quota exceeded'
        says "hint: its disk is full: 'lxc config device set web-1 root size=SIZE' gives it a larger one"
        lxc config device set web-1 root size=400MiB
        APPLIED=1 expect 0 start 10 web-1
        expect 0 execute 10 web-1 rm /root/big
        unmake 10 web-1
}

@test "wait: for what is, what comes, and what does not come" {
        make 10 web-1
        expect 75 wait 10 web-1 running 0
        expect 75 wait 10 web-1 running 100
        says 'did not start within'
        expect 0 wait 10 web-1 stopped 0
        (sleep 0.3 && "$LIFE" start 10 web-1 >/dev/null 2>&1 && now_ms >"$BATS_TEST_TMPDIR/started") &
        expect 0 wait 10 web-1 running 20000
        seen=$(now_ms)
        wait
        [ $((seen - $(cat "$BATS_TEST_TMPDIR/started"))) -lt 1500 ]
        expect 0 wait 10 web-1 ready 60000
        # It says good-bye by itself.
        (sleep 0.2 && inside 10 web-1 'systemctl poweroff --no-block') &
        expect 0 wait 10 web-1 stopped 30000
        wait
        is "$(lxc list web-1 -c s -f csv)" STOPPED
        "$STORE" destroy clone 10 web-1
        expect 66 wait 10 web-1 running 1000
}

@test "stop asks, then forces; paused instances wake; a wrong state is told" {
        "$STORE" clone 2 20 small-1 >/dev/null || FINGERPRINT='' "$STORE" clone 2 20 small-1
        expect 75 execute 20 small-1 true
        says 'start it first'
        expect 75 pause 20 small-1
        NAME_OF_HOST=small-1 expect 0 start 20 small-1
        is "$(inside 20 small-1 'cat /etc/hostname /etc/machine-id')" "$(printf '%s\n' small-1 "$MACHINE_ID")"
        expect 75 start 20 small-1
        expect 0 wait 20 small-1 ready 5000
        expect 0 pause 20 small-1
        expect 0 pause 20 small-1
        expect 75 execute 20 small-1 true
        says 'resume it first'
        expect 75 wait 20 small-1 running 100
        expect 0 resume 20 small-1
        expect 0 execute 20 small-1 true
        began=$(now_ms)
        expect 0 stop 20 small-1 1000 0
        says forced=1
        [ $(($(now_ms) - began)) -lt 8000 ]
        expect 0 stop 20 small-1 1000 0
        says forced=0
        expect 0 tidy 20 small-1
        "$STORE" destroy clone 20 small-1
        expect 66 start 20 small-1
}

@test "logs: the console since the start" {
        make 10 web-1
        expect 66 logs 10 web-1 10
        says 'never started'
        expect 0 start 10 web-1
        expect 0 wait 10 web-1 ready 60000
        for _ in $(seq 50); do
                expect 0 logs 10 web-1 1000
                [[ $output == *Multi-User* ]] && break
                sleep 0.1
        done
        says Multi-User
        is "$("$LIFE" logs 10 web-1 3 | tr -cd '\n' | wc -c)" "$("$LIFE" logs 10 web-1 1000 | tail -n 3 | tr -cd '\n' | wc -c)"
        is "$("$LIFE" logs 10 web-1 0 | wc -c)" 0
        unmake 10 web-1
        expect 66 logs 10 web-1 10
}

@test "snapshots and bases of what runs: its clones are others" {
        make 10 web-1
        expect 0 start 10 web-1
        expect 0 wait 10 web-1 ready 60000
        inside 10 web-1 'echo one >/root/f; sync'
        "$STORE" snapshot 10 web-1 30 first
        "$STORE" clone-snapshot 10 web-1 30 first 11 web-2
        "$STORE" promote 10 web-1 40 other-base >"$BATS_TEST_TMPDIR/promoted" 2>/dev/null
        FINGERPRINT=$(sed -n 's/^fingerprint=//p' "$BATS_TEST_TMPDIR/promoted") "$STORE" clone 40 12 web-3
        for n in 2 3; do
                MACHINE_ID=0123456789abcdef0123456789abcde$n MAC=00:16:3e:00:00:0$n expect 0 start 1$((n - 1)) web-$n
                [[ $n = 2 || $stderr != *identity_ms* ]] || { echo "a clone of a base is neutral: $stderr"; false; }
                expect 0 wait 1$((n - 1)) web-$n ready 60000
                is "$(inside 1$((n - 1)) web-$n 'cat /root/f /etc/machine-id; hostname')" "$(printf '%s\n' one 0123456789abcdef0123456789abcde$n web-$n)"
        done
        is "$(inside 10 web-1 'cat /etc/machine-id')" "$MACHINE_ID"
        unmake 10 web-1
        unmake 11 web-2
        unmake 12 web-3
        "$STORE" destroy base 40 other-base
}

@test "ten times started and stopped: nothing is left" {
        make 10 web-1
        mounts=$(grep -c "$PLACE/" /proc/self/mountinfo)
        for round in 1 2 3 4 5 6 7 8 9 10; do
                APPLIED=1 expect 0 start 10 web-1
                expect 0 stop 10 web-1 20000 $((round % 2))
        done
        is "$(grep -c "$PLACE/" /proc/self/mountinfo)" "$mounts"
        is "$(lxc operation list -f csv | grep -c RUNNING)" 0
        "$STORE" destroy clone 10 web-1
        expect 66 tidy 10 web-1 || expect 0 tidy 10 web-1
}

@test "the daemon killed: what runs goes on, and is found again" {
        # shellcheck source=tests/lib/lxd.sh
        . "$BATS_TEST_DIRNAME/../lib/lxd.sh"
        make 10 web-1
        expect 0 start 10 web-1
        inside 10 web-1 'echo before >/root/f'
        "$LIFE" execute 10 web-1 sleep 30 >"$BATS_TEST_TMPDIR/sleeping" 2>&1 &
        sleeping=$!
        "$LIFE" wait 10 web-1 stopped 30000 >"$BATS_TEST_TMPDIR/waiting" 2>&1 &
        waiting=$!
        sleep 0.3
        kill -9 "$(cat "$PLACE/lxd.pid")"
        status=0
        wait "$sleeping" || status=$?
        is "$status" 69
        status=0
        wait "$waiting" || status=$?
        is "$status" 69
        run "$STORE" states 10 web-1
        [ "$status" -eq 69 ]
        says 'does not run'
        expect 69 execute 10 web-1 true
        expect 69 stop 10 web-1 1000 0
        lxd_start "$PLACE"
        is "$("$STORE" states 10 web-1 2>/dev/null)" "web-1 running"
        is "$(inside 10 web-1 'cat /root/f')" before
        expect 0 stop 10 web-1 20000 0
        is "$("$STORE" states 10 web-1 2>/dev/null)" "web-1 stopped"
        "$STORE" destroy clone 10 web-1
}
