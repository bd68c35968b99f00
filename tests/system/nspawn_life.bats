#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The nspawn engine on real containers, callback by callback (nspawn_engine.c): a Debian that boots, on overlay (ext4) and
# on btrfs, and a tree without an init. As root.

load lib

setup_file() {
        herds_begin
        images_prepare
        export CHECK=${COWHERD_BUILD:-$BATS_TEST_DIRNAME/../../build}/tests/unit/engine/nspawn-engine-check
        HERD=$(cat /proc/sys/kernel/random/uuid)
        export HERD PLACE=$FIXTURE_DIR/place STORE=overlay
        mkdir -p "$PLACE/bases" "$PLACE/clones" "$PLACE/bare"
        "$CHECK" "$PLACE" overlay base 1 "$IMAGES/tree"
        image_tree "$MADE/bare"
}

teardown_file() {
        local id
        for id in "$PLACE"/clones/* "$FIXTURE_DIR"/*/clones/*; do
                [ -d "$id" ] || continue
                "$CHECK" "${id%/clones/*}" "$(store_of "${id%/clones/*}")" tidy "${id##*/}" >/dev/null 2>&1 || true
        done
        rm -rf "/run/cowherd-test/${HERD:0:8}"
        rmdir /run/cowherd-test 2>/dev/null || true
        herds_end
}

store_of() {
        if [ "$(stat -f -c %T "$1")" = btrfs ]; then echo btrfs; else echo overlay; fi
}

setup() {
        ID=$((BATS_TEST_NUMBER + 1))
        export HOST=c-$ID
        cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
        "$CHECK" "$PLACE" "$STORE" tidy "$ID" >/dev/null 2>&1 || true
}

# n STATUS COMMAND [WORD…]: on the test's container.
n() {
        local expected=$1 command=$2
        shift 2
        run --separate-stderr "$CHECK" "$PLACE" "$STORE" "$command" "$ID" "$@"
        [ "$status" -eq "$expected" ] || show "$command $*: status $status instead of $expected"
}

# A container of its own that is up.
up() {
        n 0 clone && n 0 start && n 0 wait ready 60000
}

state_is() {
        n 0 state && is "$output" "$1"
}

nothing_is_left() {
        is "$(find /sys/fs/cgroup -maxdepth 4 -type d -path "*cowherd/${HERD:0:8}/$ID*")" "" &&
                is "$(ls -d "/run/systemd/nspawn/propagate/cowherd-${HERD:0:8}-$ID" 2>/dev/null)" "" &&
                is "$(ls "/run/cowherd-test/${HERD:0:8}/$ID" 2>/dev/null)" "" &&
                is "$(ls -A "$PLACE/clones/$ID" | grep lck)" "" &&
                is "$(grep -c "$PLACE/clones/$ID/" /proc/mounts)" 0 &&
                is "$(pgrep -af "machine=cowherd-${HERD:0:8}-$ID ")" ""
}

# Ends a container that a test has started by hand, in a control group of its own.
end_group() {
        local tree
        echo 1 >"$1/cgroup.kill"
        wait "$2" || true
        timeout 20 bash -c 'until grep -qx "populated 0" "$1/cgroup.events"; do sleep 0.05; done' - "$1"
        for tree in "$1" /sys/fs/cgroup/systemd/"${1##*/}"; do
                [ ! -d "$tree" ] || find "$tree" -depth -type d -exec rmdir {} \;
        done
}

supervisor() {
        pgrep -f "machine=cowherd-${HERD:0:8}-$ID "
}

@test "a container boots, answers, tells its log, stops, and leaves nothing" {
        n 0 clone
        state_is stopped
        n 66 logs
        n 75 execute true
        n 0 start
        is "$output" ""
        state_is running
        n 75 start
        n 0 wait ready 60000
        n 0 execute /bin/sh -c 'echo out; echo err >&2; exit 0'
        is "$output" out
        is "$stderr" err
        n 0 logs 1000
        says 'multi-user.target'
        [[ $output != *$'\e['* && $output != *$'\r'* ]] || show 'escapes in the log'
        n 0 logs 1
        [ "${#lines[@]}" -le 1 ]
        n 0 stop
        is "$output" forced=0
        state_is stopped
        nothing_is_left
        n 0 stop # is success
}

@test "it has a user namespace of its own, and the disk keeps the owners of inside" {
        up
        n 0 execute /bin/sh -c 'cut -c-22 /proc/self/uid_map; install -o 1000 -g 1000 -m 640 /dev/null /srv/file; stat -c %u:%g /etc/passwd'
        [ "$(awk 'NR == 1 {print $2}' <<<"$output")" -ge 524288 ]
        is "${lines[1]}" 0:0
        is "$(stat -c %u:%g:%a "$PLACE/clones/$ID/upper/srv/file")" 1000:1000:640
        is "$(stat -c %u "$PLACE/clones/$ID/upper")" 0
        [ "$(stat -c %u "$PLACE/clones/$ID/tree")" -ge 524288 ]
        du -sk "$PLACE/clones/$ID/upper" | awk '$1 > 50000 {exit 1}' # the tree was not copied up
        n 0 stop
        nothing_is_left
}

@test "pause and resume; stopping a paused one" {
        up
        n 0 pause
        state_is paused
        n 75 execute true
        n 0 pause
        n 0 resume
        state_is running
        n 0 execute true
        n 0 pause
        n 0 stop
        is "$output" forced=0
        nothing_is_left
        n 75 pause
}

@test "stopped as soon as it is born, it shuts itself down all the same" {
        n 0 clone
        local i
        for i in 1 2 3; do
                n 0 start
                n 0 stop 30000
                is "$output" forced=0
        done
        n 0 start
        n 0 wait ready 60000 # it is not ready before its init is
        n 0 execute systemctl is-system-running
        n 0 stop
}

@test "one that reboots itself is stopped then: nspawn leaves that to who started it" {
        up
        n 0 execute systemctl reboot --no-block
        n 0 wait stopped 30000
        state_is stopped
        n 0 start
        n 0 stop 0 force
        nothing_is_left
}

@test "nspawn killed: the container still runs, is entered, and is stopped" {
        up
        local pid
        pid=$(supervisor)
        kill -9 "$pid"
        tail --pid="$pid" -f /dev/null
        state_is running
        n 0 execute hostname
        n 0 stop
        state_is stopped
        nothing_is_left
}

@test "its PID 1 killed: it is stopped, and starts again" {
        up
        local pid
        pid=$(pgrep -P "$(supervisor)")
        kill -9 "$pid"
        n 0 wait stopped 10000
        state_is stopped
        n 0 start
        n 0 stop 0 force
        is "$output" forced=1
        nothing_is_left
}

@test "a start that is killed leaves nothing that tidy does not find" {
        n 0 clone
        local delay
        for delay in 0.002 0.01 0.05 0.1 0.15; do
                timeout -s KILL "$delay" "$CHECK" "$PLACE" overlay start "$ID" 2>/dev/null || true
                n 0 tidy
                nothing_is_left
                state_is stopped
        done
        n 0 start
        n 0 stop 0 force
}

@test "what fails to start says why, and leaves nothing" {
        n 0 clone
        mkdir -p host
        MOUNT=$PWD/host:/etc/passwd/x n 71 start # a file is in the way
        complains "the folder '/etc/passwd' in the tree: Not a directory"
        nothing_is_left
        MOUNT=$PWD/nowhere:/mnt n 66 start
        complains "nowhere"
        NETWORK=bridge BRIDGE=nobridge0 n 66 check
        complains "bridge 'nobridge0' not found"
        state_is stopped
}

@test "limits are the kernel's, and seen inside" {
        MEMORY=100663296 CPUS=1 n 0 clone
        MEMORY=100663296 CPUS=1 n 0 start
        n 0 execute /bin/sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null | head -n 1; nproc'
        is "${lines[0]}" 100663296
        is "${lines[1]}" 1
        n 137 execute /bin/sh -c 'exec head -c 200M /dev/zero | tail -c 190M | wc -c; kill -9 $$' # the shell's own way to tell
        grep -qs . /sys/fs/cgroup/memory/cowherd/"${HERD:0:8}/$ID"/memory.max_usage_in_bytes &&
                [ "$(cat /sys/fs/cgroup/memory/cowherd/"${HERD:0:8}/$ID"/memory.max_usage_in_bytes)" -le 100663296 ]
        n 0 stop
        CPUS=1000 n 69 check
        complains 'more than this host has'
        MEMORY=$((1 << 50)) n 69 check
        complains 'more than this host has'
}

@test "a command: its input, its environment, its user, its folder, its status" {
        up
        INPUT='some text' n 0 execute cat
        is "$output" 'some text'
        COMMAND_ENV=ONE='1 2' n 0 execute /bin/sh -c 'echo "$ONE $HOME $PATH"'
        is "$output" '1 2 /root /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
        COMMAND_USER=nobody n 0 execute /bin/sh -c 'id -u; id -G; grep Seccomp: /proc/self/status'
        is "${lines[0]}" 65534
        is "${lines[2]}" $'Seccomp:\t2'
        COMMAND_USER=1234 n 0 execute id -u
        is "$output" 1234
        COMMAND_USER=nosuch n 66 execute id
        complains "user 'nosuch' not found"
        WORKING_DIR=/usr n 0 execute pwd
        is "$output" /usr
        WORKING_DIR=/nosuch n 66 execute pwd
        n 66 execute nosuch-program
        complains "not found"
        n 42 execute /bin/sh -c 'exit 42'
        n 143 execute /bin/sh -c 'kill -TERM $$'
        n 0 execute /bin/sh -c 'head -c 3000000 /dev/zero | tr "\0" x'
        is "${#output}" 3000000
        n 0 execute /bin/sh -c 'ls /proc/self/fd | wc -l; cat /proc/self/cgroup' # nothing of ours is inside: 0, 1, 2 and that of ls
        is "${lines[0]}" 4
}

@test "the limits of what enters are those of the payload" {
        up
        n 0 execute /bin/sh -c 'for pid in 1 self; do grep -E "^(CapBnd|Seccomp|Seccomp_filters):" /proc/$pid/status | tr "\n" " "; echo; done'
        is "${lines[0]}" "${lines[1]}"
        n 0 execute /bin/sh -c 'for kind in user mnt pid uts ipc net cgroup; do [ "$(readlink /proc/1/ns/$kind)" = "$(readlink /proc/self/ns/$kind)" ] || echo $kind; done'
        is "$output" ""
}

@test "what enters is the container's own: its init may make units of it, and takes the words that we would give to a host's" {
        up
        n 0 execute systemd-run --quiet --scope --collect --slice=machine.slice --unit=cowherd-4f1c2a9e-12.scope \
                '--description=cowherd container web_1' --property=Delegate=yes --property=TasksMax=16384 \
                --property=MemoryMax=536870912 --property=CPUQuota=200% --property=AllowedCPUs=0 -- \
                /bin/sh -c 'sed -n "s/^0:://p" /proc/self/cgroup; systemctl show -p Delegate -p TasksMax -p MemoryMax cowherd-4f1c2a9e-12.scope'
        is "$output" $'/machine.slice/cowherd-4f1c2a9e-12.scope\nDelegate=yes\nMemoryMax=536870912\nTasksMax=16384'
        n 0 execute systemd-run --quiet --wait --pipe echo from a unit
        is "$output" 'from a unit'
}

@test "it runs for those in other pid namespaces too" {
        n 0 clone
        n 0 start
        is "$(unshare --pid --fork --mount-proc "$CHECK" "$PLACE" overlay state "$ID" 2>/dev/null)" running
        run unshare --pid --fork --mount-proc "$CHECK" "$PLACE" overlay execute "$ID" true
        [ "$status" -eq 69 ] || show 'execute from elsewhere'
        says "can't be seen from here"
        unshare --pid --fork "$CHECK" "$PLACE" overlay stop "$ID" 1000
        state_is stopped
        nothing_is_left
}

@test "a timeout ends a command with all that it has started" {
        up
        TIMEOUT_MS=300 n 75 execute /bin/sh -c 'setsid sleep 987 & sleep 986'
        complains 'did not end'
        n 1 execute /bin/sh -c 'cat /proc/[0-9]*/cmdline | tr "\0" " " | grep "sleep 98[67]"'
        n 0 execute /bin/sh -c 'setsid sleep 985 >/dev/null 2>&1 </dev/null & echo started' # a daemon stays
        n 0 execute /bin/sh -c 'cat /proc/[0-9]*/cmdline | tr "\0" " " | grep -c "sleep 985"'
        n 0 stop
        nothing_is_left
}

@test "a terminal: of the container, as large as ours, with job control; and pipes where there is none" {
        up
        run script -qec "stty rows 33 cols 101; $CHECK $PLACE overlay attach $ID /bin/sh -c 'tty; stty size; test -t 0 && exit 7'" /dev/null
        [ "$status" -eq 7 ] || show terminal
        says /dev/pts/
        says '33 101'
        run script -qec "printf 'echo in-\$((1+1)) \$0\nexit 5\n' | $CHECK $PLACE overlay attach $ID" /dev/null
        [ "$status" -eq 5 ] || show shell
        says 'in-2 -bash'
        run --separate-stderr bash -c "printf 'a\0b' | $CHECK $PLACE overlay attach $ID cat | od -An -c"
        says 'a  \0   b'
        TIMEOUT_MS=300 n 75 attach sleep 100
        n 0 stop
}

@test "files go in and out, running and stopped" {
        n 0 clone
        mkdir -p in/d/e out
        echo text >in/d/e/file
        chmod 750 in/d/e/file
        chmod 700 in/d/e
        ln -s /etc/passwd in/d/link
        local round
        for round in stopped running; do
                [ "$round" = stopped ] || { n 0 start; n 0 wait ready 60000; }
                n 0 copy_in in d "/srv"
                n 0 copy_in in d "/srv/as-$round"
                n 66 copy_in in d /nosuch/x
                n 66 copy_in in nothing /srv
                rm -rf out/*
                n 0 copy_out out "$round" "/srv/as-$round"
                is "$(cat "out/$round/e/file")" text
                is "$(stat -c %a "out/$round/e/file" "out/$round/e" | tr '\n' ' ')" '750 700 '
                is "$(readlink "out/$round/link")" /etc/passwd
                is "$(stat -c %u "out/$round/e/file")" 0
                n 66 copy_out out x /srv/nothing
        done
        n 0 execute stat -c '%u:%g %a' /srv/d/e/file /srv/as-running/e/file
        is "$output" $'0:0 750\n0:0 750'
        n 0 copy_in in d /srv # again
        n 0 stop
        is "$(stat -c %u "$PLACE/clones/$ID/upper/srv/as-running/e/file")" 0
}

@test "a hostile tree leads neither in nor out" {
        up
        echo secret >secret
        echo mine >file
        mkdir out
        n 0 execute /bin/sh -c "ln -s $PWD /srv/leads-out; ln -s $PWD/secret /srv/file; ln -s /proc/1/root/etc /srv/magic; mkfifo /srv/fifo; chmod 4755 /bin/true; mkdir /srv/dir; mkfifo /srv/dir/fifo"
        n 66 copy_in . file "/srv/leads-out/x"
        n 66 copy_out out x "/srv/leads-out/secret"
        n 0 copy_in . file /srv/file # replaced, not followed
        is "$(cat secret)" secret
        n 0 execute cat /srv/file
        is "$output" mine
        n 71 copy_in . file /srv/magic/x
        n 65 copy_out out x /srv/fifo
        n 65 copy_out out x /srv/dir
        n 0 copy_out out su /bin/true # and never a setuid file of theirs
        is "$(stat -c %a out/su)" 755
        n 77 copy_out out x /proc/1/environ
        n 77 copy_in . file /proc/sys/kernel/core_pattern
        n 77 copy_out out x /sys/kernel/notes
        is "$(ls out | grep -v su)" ""
}

@test "a file that turns into a symlink and back is copied as one of both, and never followed" {
        up
        echo secret >secret
        mkdir out
        n 0 execute /bin/sh -c "cd /srv; echo fine >real; ln -s $PWD/secret evil; (for i in \$(seq 3000); do cp real target.1; mv target.1 target; cp -d evil target.2; mv target.2 target; done; touch done) >/dev/null 2>&1 </dev/null & sleep 0.1"
        local i
        for i in $(seq 60); do
                "$CHECK" "$PLACE" overlay copy_out "$ID" out "t$i" /srv/target 2>/dev/null || true
        done
        [ "$(ls out | wc -l)" -gt 0 ]
        for i in out/*; do
                [ -L "$i" ] || is "$(cat "$i")" fine
        done
}

@test "networks: none, and the host's" {
        n 0 clone
        NETWORK=none n 0 start
        n 0 execute /bin/sh -c 'ls /sys/class/net'
        is "$output" lo
        NETWORK=none n 69 wait address 100
        n 0 stop 0 force
        n 0 start
        n 0 execute ls /sys/class/net
        is "$output" "$(ls /sys/class/net)"
        n 0 stop 0 force
}

@test "a bridge: a card of its own with its own MAC, and an address that is waited for" {
        n 0 clone
        # In a network namespace of the test's, with a bridge of its own.
        run --separate-stderr unshare -n bash -euc '
                ip link add br-test type bridge && ip addr add 10.99.0.1/24 dev br-test && ip link set br-test up
                export NETWORK=bridge BRIDGE=br-test MAC=52:54:00:12:34:56
                c() { local verb=$1; shift; "$CHECK" "$PLACE" overlay "$verb" "'"$ID"'" "$@"; }
                c start && c wait ready 60000 >/dev/null
                c execute cat /sys/class/net/host0/address
                c wait address 0 && exit 1
                (sleep 0.3; c execute /bin/sh -c "ip link set host0 up; ip addr add 10.99.0.5/24 dev host0") &
                c wait address 10000
                timeout 10 bash -c "until ping -c 1 -W 1 10.99.0.5 >/dev/null 2>&1 || ip neigh show 10.99.0.5 | grep -q lladdr; do echo >/dev/udp/10.99.0.5/9; sleep 0.05; done"
                ip neigh show 10.99.0.5 | grep -o "52:54:00:12:34:56"
                c stop
                # The kernel takes a card away some time after its last namespace has gone.
                timeout 20 bash -c "while ls /sys/class/net | grep -q vb-; do sleep 0.05; done"'
        [ "$status" -eq 0 ] || show bridge
        is "${lines[0]}" 52:54:00:12:34:56
        says address=10.99.0.5
        nothing_is_left
}

@test "folders of the host, with the owners of inside, writable or not" {
        n 0 clone
        mkdir shared
        echo hello >shared/file
        MOUNT=$PWD/shared:/mnt n 0 start
        n 0 execute /bin/sh -c 'cat /mnt/file; stat -c %u /mnt/file; echo new >/mnt/new'
        is "$output" $'hello\n0'
        is "$(stat -c %u shared/new)" 0
        n 0 stop 0 force
        MOUNT=$PWD/shared:/mnt:ro n 0 start
        n 1 execute /bin/sh -c 'echo new >/mnt/other 2>/dev/null || exit 1'
        n 0 stop 0 force
        is "$(ls shared | tr '\n' ' ')" 'file new '
}

@test "waiting ends by the fact, or by the clock" {
        n 0 clone
        n 75 wait ready 0
        n 0 wait stopped 0
        n 0 start
        n 75 wait ready 0
        complains 'not ready'
        n 75 wait stopped 50
        n 0 wait ready 60000
        n 0 wait ready 0
        n 0 wait running 0
        "$CHECK" "$PLACE" overlay wait "$ID" stopped 20000 3>&- &
        local waiter=$!
        n 0 execute /bin/sh -c 'systemctl poweroff --no-block'
        wait "$waiter"
        state_is stopped
}

@test "quiet around a snapshot, and as before afterwards" {
        up
        n 0 quiesce 1
        is "$output" frozen=1
        state_is paused
        n 0 quiesce 0
        state_is running
        n 0 pause
        n 0 quiesce 1
        n 0 quiesce 0
        state_is paused
        n 0 resume
        n 0 stop
}

@test "what somebody else runs is not ours to stop" {
        n 0 clone
        local tree=$PLACE/clones/$ID/tree
        n 0 copy_out . x /etc/hostname
        mount -t overlay overlay -o "lowerdir=$PLACE/bases/1/tree,upperdir=$PLACE/clones/$ID/upper,workdir=$PLACE/clones/$ID/work" "$tree"
        mkdir -p "/sys/fs/cgroup/unified/test-${HERD:0:8}" 2>/dev/null || mkdir -p "/sys/fs/cgroup/test-${HERD:0:8}"
        local group
        group=$(ls -d /sys/fs/cgroup/unified/test-"${HERD:0:8}" 2>/dev/null || ls -d /sys/fs/cgroup/test-"${HERD:0:8}")
        bash -c 'echo $$ >"$1/cgroup.procs"; exec systemd-nspawn -q --register=no --keep-unit -D "$2" --console=pipe /bin/sh -c "echo up; exec sleep 1000"' - "$group" "$tree" >said 2>&1 3>&- </dev/null &
        local pid=$!
        timeout 10 bash -c 'until grep -q up said; do sleep 0.05; done'
        state_is running
        n 75 stop
        complains 'did not start'
        n 75 start
        end_group "$group" "$pid"
        state_is stopped
        n 0 tidy
        nothing_is_left
}

@test "a store without shifted owners: it runs, and says so" {
        n 0 clone
        # A filesystem that can't be shifted: an overlay that is mounted as it is.
        UNSHIFTED=1 n 0 start
        says 'without a user namespace'
        n 0 execute /bin/sh -c 'cat /proc/self/uid_map; echo x >/srv/x'
        is "$(awk 'NR == 1 {print $1, $2}' <<<"$output")" '0 0'
        n 0 copy_in "$MADE" bare /srv
        n 0 stop
        is "$(stat -c %u "$PLACE/clones/$ID/upper/srv/x")" 0
        nothing_is_left
}

@test "a tree without an init runs something that waits" {
        PLACE=$FIXTURE_DIR/bare
        mkdir -p "$PLACE/bases" "$PLACE/clones"
        "$CHECK" "$PLACE" overlay base 1 "$MADE/bare"
        n 0 clone
        n 0 start
        says 'has no init'
        state_is running
        n 0 wait ready 0
        n 0 execute /bin/sh -c 'echo $(busybox id -u)'
        is "$output" 0
        n 0 stop 20000
        is "$output" forced=0
        nothing_is_left
}

@test "btrfs: nspawn shows the owners shifted, the disk keeps them" {
        fixture_btrfs life 600M
        PLACE=$FIXTURE_DIR/life STORE=btrfs
        mkdir -p "$PLACE/bases" "$PLACE/clones"
        "$CHECK" "$PLACE" btrfs base 1 "$IMAGES/tree"
        up
        n 0 execute /bin/sh -c 'cut -c-22 /proc/self/uid_map; install -o 1000 -g 1000 -m 640 /dev/null /srv/file; stat -c %u:%g /etc/passwd'
        [ "$(awk 'NR == 1 {print $2}' <<<"$output")" -ge 524288 ]
        is "${lines[1]}" 0:0
        is "$(stat -c %u:%g "$PLACE/clones/$ID/tree/srv/file" "$PLACE/clones/$ID/tree/etc/passwd" | tr '\n' ' ')" '1000:1000 0:0 '
        n 0 copy_in "$MADE" bare /srv
        n 0 execute stat -c %u:%g /srv/bare/etc/hostname
        is "$output" 0:0
        is "$(stat -c %u "$PLACE/clones/$ID/tree/srv/bare/etc/hostname")" 0
        n 0 copy_out . passwd /etc/passwd
        n 0 stop
        nothing_is_left
}

# Where systemd is PID 1: a Debian of its own, started by hand without a filter, with this engine inside.
@test "a host with systemd: a container is a scope of it, with its limits, entered, paused, stopped" {
        local host=$PWD/host group pid leader
        n 0 clone
        mkdir -p "$host/lib"
        cp -L "$CHECK" /usr/bin/systemd-nspawn "$host/"
        ldd "$CHECK" /usr/bin/systemd-nspawn | awk '/=> \// {print $3}' | sort -u | xargs cp -Lnt "$host/lib"
        cp -a "$MADE/bare" "$host/bare"
        cat >"$host/go" <<'GO'
set -eu
cp /opt/systemd-nspawn /usr/bin/
export LD_LIBRARY_PATH=/opt/lib HERD=4f1c2a9e-0000 HOST=inner
mount -t tmpfs none /mnt
mkdir -p /mnt/bases /mnt/clones
c() { verb=$1; shift; /opt/nspawn-engine-check /mnt overlay "$verb" "$@" 2>/tmp/err || { echo "$verb failed: $(cat /tmp/err)"; exit 1; }; }
scope=cowherd-4f1c2a9e-7.scope
c base 1 /opt/bare
c clone 7
CPUS=1 MEMORY=67108864 c start 7
c state 7
systemctl show -p ActiveState -p MemoryMax -p CPUQuotaPerSecUSec -p Delegate $scope
c execute 7 /bin/sh -c 'echo inside $(busybox id -u)'
c pause 7
c state 7
c resume 7
c stop 7
c state 7
systemctl is-active $scope || true
GO
        mount -t overlay overlay -o "lowerdir=$PLACE/bases/1/tree,upperdir=$PLACE/clones/$ID/upper,workdir=$PLACE/clones/$ID/work" "$PLACE/clones/$ID/tree"
        group=$(ls -d /sys/fs/cgroup/unified 2>/dev/null || echo /sys/fs/cgroup)/test-${HERD:0:8}
        mkdir "$group"
        bash -c 'echo $$ >"$1/cgroup.procs"; SYSTEMD_SECCOMP=0 exec systemd-nspawn -q --register=no --keep-unit -D "$2" --bind="$3:/opt" --capability=all --console=read-only -b' \
                - "$group" "$PLACE/clones/$ID/tree" "$host" >said 2>&1 3>&- </dev/null &
        pid=$!
        timeout 60 bash -c 'until grep -q "Reached target.*multi-user" said; do sleep 0.1; done'
        leader=$(pgrep -P "$pid")
        run nsenter -t "$leader" -a /bin/bash /opt/go
        end_group "$group" "$pid"
        umount "$PLACE/clones/$ID/tree"
        rm -rf /run/systemd/nspawn/propagate/tree
        [ "$status" -eq 0 ] || show 'in the host'
        is "$output" "note=its tree has no init, so '/bin/busybox' runs in it
running
Delegate=yes
CPUQuotaPerSecUSec=1s
MemoryMax=67108864
ActiveState=active
inside 0
paused
forced=0
stopped
inactive"
}

@test "where the unified hierarchy is alone, as on a Debian of today: started, entered, stopped" {
        n 0 clone
        # shellcheck disable=SC2016 # for the bash in there
        run --separate-stderr unshare --mount --propagation private bash -ec '
                groups=/sys/fs/cgroup/unified
                [ -d "$groups" ] || groups=/sys/fs/cgroup
                mkdir alone
                mount --bind "$groups" alone
                umount --recursive --lazy /sys/fs/cgroup
                mount --bind alone /sys/fs/cgroup
                umount alone
                say() { local command=$1; shift; "$CHECK" "$PLACE" "$STORE" "$command" "$1" "${@:2}"; }
                say start "$1"
                say execute "$1" sed -n "s/^0:://p" /proc/self/cgroup
                cat /sys/fs/cgroup/cowherd/"${HERD:0:8}/$1"/supervisor/cgroup.procs | wc -l
                say stop "$1" 0 force
                [ "$(grep -c cgroup /proc/self/mountinfo)" = 1 ]' - "$ID"
        [ "$status" -eq 0 ] || show "status $status"
        [[ ${lines[0]} == /exec-* ]] || show "the command's group is ${lines[0]}"
        is "${lines[1]}" 1
        state_is stopped
        nothing_is_left
}

@test "ten lives leave nothing" {
        n 0 clone
        local i
        for i in $(seq 10); do
                n 0 start
                n 0 stop 0 force
        done
        nothing_is_left
        is "$(find /sys/fs/cgroup -maxdepth 3 -path "*cowherd/${HERD:0:8}*" -type d)" ""
}
