#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What a machine was asked to have, seen from inside and from outside: limits, disk, cards, ports, folders, keys and user-data,
# the same words on all three engines; a system that is no Linux; the examples, each run as it is. As root.

load lib
load engines

setup_file() {
        engines_begin
        images_prepare other
        image_tree "$MADE/small" && mkdir "$MADE/small/sbin" && ln -s /usr/bin/busybox "$MADE/small/sbin/init"
        ln -s ../bin/busybox "$MADE/small/usr/bin/ip"
        ln -s busybox "$MADE/small/usr/bin/nproc" && ln -s busybox "$MADE/small/usr/bin/cat" && ln -s busybox "$MADE/small/usr/bin/ls"
        printf 'root:x:0:0:root:/root:/bin/sh\n' >"$MADE/small/etc/passwd"
        cp -al "$IMAGES/tree" "$MADE/deb" 2>/dev/null || cp -a "$IMAGES/tree" "$MADE/deb"
        mkdir "$MADE/deb/etc/cloud" # enough of a cloud-init to be given its seed
        "$PROGRAM" nspawn register_base ns-base "rootfs=$MADE/deb"
        "$PROGRAM" lxd register_base ct-base "rootfs=$MADE/small"
        "$PROGRAM" qemu register_base vm-base "image=$IMAGES/tiny.qcow2" memory=128M
        mkdir -p "$MADE/shared" && echo 'seen inside' >"$MADE/shared/file"
        printf '#cloud-config\n# words of mine\n' >"$MADE/user-data"
        # One of each, with all that can be asked for; the slow one boots meanwhile.
        "$PROGRAM" qemu clone base=vm-base name=vm start=true memory=160M cpus=1 disk_size=2G ports=127.0.0.1:47080:80 \
                ssh_key='ssh-ed25519 AAAA of-me' "user_data=$MADE/user-data"
        "$PROGRAM" nspawn clone base=ns-base name=ns start=true wait=true memory=200M cpus=1 "network=bridge:$BRIDGE" \
                "mount=$MADE/shared:/srv/shared,$MADE/shared:/srv/read:ro" ssh_key='ssh-ed25519 AAAA of-me' "user_data=$MADE/user-data"
        "$PROGRAM" lxd clone base=ct-base name=ct start=true wait=true memory=200M cpus=1 disk_size=1G "network=bridge:$BRIDGE" \
                ports=127.0.0.1:47081:80 "mount=$MADE/shared:/srv/shared,$MADE/shared:/srv/read:ro" ssh_key='ssh-ed25519 AAAA of-me' "user_data=$MADE/user-data"
}

teardown_file() {
        engines_end
}

setup() {
        cd "$BATS_TEST_TMPDIR" || return 1
}

# The smallest limit that counts for what runs inside.
memory_limit() {
        inside "$1" 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max'
}

# answers_at PORT: what a server says there.
# shellcheck disable=SC2086
answers_at() {
        timeout 10 bash -c "exec 5<>/dev/tcp/127.0.0.1/$1; cat <&5"
}

@test "nspawn: memory, a processor, a card, folders, a key, user-data" {
        is "$(memory_limit ns)" $((200 << 20))
        is "$(inside ns nproc)" 1
        is "$(inside ns 'cat /sys/class/net/host0/address')" "$(info ns mac)"
        is "$(inside ns 'cat /srv/shared/file /srv/read/file; echo from inside >/srv/shared/new; stat -c %U /srv/shared/new; touch /srv/read/no 2>/dev/null || echo refused')" \
                $'seen inside\nseen inside\nroot\nrefused'
        is "$(stat -c %u "$MADE/shared/new") $(cat "$MADE/shared/new")" "0 from inside"
        is "$(inside ns 'cat /root/.ssh/authorized_keys; stat -c %a /root/.ssh/authorized_keys')" $'ssh-ed25519 AAAA of-me\n600'
        is "$(inside ns 'cat /var/lib/cloud/seed/nocloud/user-data')" $'#cloud-config\n# words of mine'
        is "$("$PROGRAM" --json info ns | jq -c '[.memory_bytes, .cpus, .network]')" "[$((200 << 20)),1,\"bridge:$BRIDGE\"]"
}

@test "LXD: memory, a processor, a disk, a card, folders, a key, ports" {
        is "$(lxc config get ct limits.memory) $(lxc config get ct limits.cpu)" "200MiB 1"
        is "$(inside ct nproc)" 1
        is "$(inside ct 'cat /sys/class/net/eth0/address')" "$(info ct mac)"
        is "$(inside ct 'cat /srv/shared/file /srv/read/file; busybox touch /srv/read/no 2>/dev/null || echo refused')" $'seen inside\nseen inside\nrefused'
        is "$(inside ct 'cat /root/.ssh/authorized_keys')" 'ssh-ed25519 AAAA of-me'
        is "$(lxc config get ct cloud-init.user-data)" $'#cloud-config\n# words of mine'
        inside ct 'busybox ip address add 127.0.0.1/8 dev lo; busybox ip link set lo up; busybox nc -ll -p 80 -e echo served-by-lxd </dev/null >/dev/null 2>&1 &'
        is "$(answers_at 47081)" served-by-lxd
        is "$("$PROGRAM" --json info ct | jq -c '[.memory_bytes, .cpus, .network, .ports]')" "[$((200 << 20)),1,\"bridge:$BRIDGE\",\"127.0.0.1:47081:80\"]"
}

@test "QEMU: memory, a processor, a disk, a key, a seed with user-data, ports" {
        expect 0 wait vm timeout=$PATIENCE
        local kib
        kib=$(inside vm 'sed -n "s/MemTotal: *\([0-9]*\) kB/\1/p" /proc/meminfo')
        [ "$kib" -gt $((110 << 10)) ] && [ "$kib" -le $((160 << 10)) ]
        is "$(inside vm nproc)" 1
        is "$(inside vm 'cat /sys/block/vda/size')" $((2 << 21)) # in sectors
        is "$(inside vm 'cat /root/.ssh/authorized_keys')" 'ssh-ed25519 AAAA of-me'
        # The seed is a NoCloud one: a volume "cidata" with the two files.
        inside vm 'cat /dev/vdb' >seed
        is "$(dd if=seed bs=1 skip=32808 count=6 status=none | tr A-Z a-z)" cidata
        is "$(isoinfo -J -i seed -x /user-data)" $'#cloud-config\n# words of mine'
        grep -a -q "$(info vm instance_id)" seed
        expect 0 wait vm for=address timeout=60s
        inside vm 'nc -ll -p 80 -e echo served-by-qemu </dev/null >/dev/null 2>&1 &'
        is "$(answers_at 47080)" served-by-qemu
        refuses 75 47080 qemu clone base=vm-base name=late start=true ports=127.0.0.1:47080:80
        is "$("$PROGRAM" --json list 'late*' | jq .count)" 0
        expect 0 delete vm force=true
}

@test "no network is none; the host's is the host's" {
        local pair
        for pair in nspawn:ns-base lxd:ct-base; do
                expect 0 "${pair%:*}" clone "base=${pair#*:}" name=alone network=none start=true wait=true
                is "$(inside alone 'ls /sys/class/net')" lo
                refuses 69 "network" wait alone for=address timeout=5s
                expect 0 delete alone force=true
        done
        expect 0 nspawn clone base=ns-base name=open network=host start=true
        is "$(inside open 'ls /sys/class/net | tr "\n" " "')" "$(ls /sys/class/net | tr '\n' ' ')"
        expect 0 delete open force=true
        refuses 66 "nobridge" nspawn clone base=ns-base name=no network=bridge:nobridge start=true
        refuses 66 "nobridge" lxd clone base=ct-base name=no network=bridge:nobridge start=true
        refuses 66 "nobridge" qemu clone base=vm-base name=no network=bridge:nobridge start=true
        is "$("$PROGRAM" --json list 'no*' | jq .count)" 0
}

@test "nspawn: a user network leads out, and in by its ports only; it ends with the container" {
        expect 0 nspawn register_base small "rootfs=$MADE/small"
        answer 0 nspawn clone base=small name=user network=user ports=127.0.0.1:47082:80,47083:53/udp start=true "user_data=$MADE/user-data"
        [[ $(field .note) == *"no cloud-init"* ]]
        is "$(inside user 'cat /sys/class/net/host0/address /etc/resolv.conf')" "$(info user mac)"$'\nnameserver 10.0.2.3'
        inside user 'busybox nc -ll -p 80 -e echo served-by-nspawn </dev/null >/dev/null 2>&1 &'
        is "$(answers_at 47082)" served-by-nspawn
        ss -Hlun | grep -q '127.0.0.1:47083 '
        # Out to the host's own address, and not to what listens on its loopback only.
        busybox nc -l -p 47084 -e echo heard-outside </dev/null &
        local listener=$!
        is "$(inside user 'for try in 1 2 3 4 5 6 7 8 9 10; do busybox nc -w 3 10.97.0.1 47084 </dev/null && break; busybox sleep 0.2; done')" heard-outside
        wait "$listener"
        is "$(inside user 'busybox nc -w 3 10.0.2.2 47082 </dev/null || echo refused')" refused
        expect 0 wait user for=address timeout=10s
        # The container's own root can't end it, and what is in use is told before anything is made.
        inside user 'busybox kill -9 -1 2>/dev/null; true' || true
        is "$(answers_at 47082 2>/dev/null || true)" ''
        ss -Hlun | grep -q '127.0.0.1:47083 '
        refuses 75 47082 nspawn clone base=small name=late start=true network=user ports=127.0.0.1:47082:80
        refuses 69 'is for network=user' nspawn clone base=small name=late start=true ports=47085:80
        run unshare -m sh -c 'mount --bind /dev/null "$(command -v slirp4netns)" && exec "$@"' sh "$PROGRAM" nspawn clone base=small name=late start=true network=user
        is "$status" 69
        [[ $output == *'apt install slirp4netns'* ]]
        is "$("$PROGRAM" --json list 'late*' | jq .count)" 0
        expect 0 restart user
        ss -Hlun | grep -q '127.0.0.1:47083 '
        expect 0 stop user force=true
        is "$(ss -Hltun | grep '127.0.0.1:4708[23] ')" ''
        expect 0 start user
        # However it ends: here its PID 1 is killed.
        kill -9 "$(sed -n 's/^leader=//p' "/run/cowherd/$(sqlite3 "$COWHERD_ROOT/catalogue.db" "SELECT substr(value, 1, 8) FROM setting WHERE key = 'herd.uuid'")/$(info user id)/state")"
        expect 0 wait user for=stopped timeout=10s
        is "$(ss -Hltun | grep '127.0.0.1:4708[23] ')" ''
        expect 0 delete user force=true
}

@test "more than the host has is refused before anything runs" {
        refuses 69 memory qemu clone base=vm-base name=big memory=60T start=true
        refuses 69 memory nspawn clone base=ns-base name=big memory=60T start=true
        refuses 69 memory lxd clone base=ct-base name=big memory=60T start=true
        is "$("$PROGRAM" --json list 'big*' | jq .count)" 0
}

@test "a ttl ends a machine on each engine; extend lets one live" {
        expect 0 nspawn clone base=ns-base name=brief-n ttl=1s start=true
        expect 0 lxd clone base=ct-base name=brief-l ttl=1s start=true
        expect 0 qemu clone base=vm-base name=brief-q ttl=1s start=true memory=64M
        expect 0 qemu clone base=vm-base name=lasts ttl=1s
        expect 0 extend lasts 1h
        sleep 1
        answer 0 cleanup
        is "$(field '.expired, .ended')" $'3\n3'
        is "$("$PROGRAM" --json list | jq -r '[.items[].name] | map(select(. != "vm")) | sort | join(" ")')" "ct lasts ns"
        expect 0 delete lasts
}

@test "a system that is no Linux boots, tells its console, and ends" {
        expect 0 qemu register_base other "image=$IMAGES/other.qcow2" os=other
        answer 0 qemu clone base=other name=strange start=true memory=64M
        is "$("$PROGRAM" --json info strange | jq -r .os)" other
        local left=600
        until "$PROGRAM" logs strange lines=200 2>/dev/null | grep -q Memtest; do
                [ $((left -= 1)) -gt 0 ] || show "$("$PROGRAM" logs strange)"
                sleep 0.2
        done
        expect 125 exec strange -- true
        complains "agent"
        answer 75 wait strange timeout=500ms
        is "$(field .state)" running
        answer 0 stop strange timeout=500ms
        is "$(field '"\(.forced) \(.output)"')" "1 clone 'strange' stopped, by force: it did not end when asked"
        expect 0 delete strange
        expect 0 qemu remove_base other
}

# ---- examples ----

@test "examples/ci-runner.sh: a job's files go in and come out, its status is the job's, and its machine is gone" {
        export PATH=$BATS_TEST_TMPDIR/bin:$PATH
        mkdir bin job && ln -s "$(realpath "$PROGRAM")" bin/cowherd
        echo 6 >job/number
        run --separate-stderr sh "$BATS_TEST_DIRNAME/../../examples/ci-runner.sh" ns-base job 'mkdir out && echo $(( $(cat number) * 7 )) | tee out/result; exit 3'
        is "$status $output" "3 42" || show "$stderr"
        is "$(cat job/out/result)" 42
        is "$("$PROGRAM" --json list 'job-*' | jq .count)" 0
}

@test "examples/test-lab.rexx: three machines of a base, tried on and put back" {
        run --separate-stderr "$PROGRAM" run "$BATS_TEST_DIRNAME/../../examples/test-lab.rexx" ns-base
        [ "$status" -eq 0 ] || show status
        says "lab-2 was changed: change 2"
        says "lab-3 running"
        is "$(grep -c '^lab-[123]: [0-9a-f]\{32\}$' <<<"$output")" 3
        is "$("$PROGRAM" --json list 'lab-*' | jq .count)" 0
}

@test "examples/herd.c: the library runs a command in each of some clones" {
        local build=${COWHERD_BUILD:-$BATS_TEST_DIRNAME/../../build}
        cc -I "$BATS_TEST_DIRNAME/../../include" -o herd "$BATS_TEST_DIRNAME/../../examples/herd.c" "$build/src/herd/libcowherd.so" -Wl,-rpath,"$(realpath "$build")/src/herd"
        run --separate-stderr ./herd nspawn ns-base 2 'cat /etc/hostname'
        [ "$status" -eq 0 ] || show status
        is "$output" $'demo-1: demo-1\ndemo-2: demo-2'
        is "$("$PROGRAM" --json list 'demo-*' | jq .count)" 0
}
