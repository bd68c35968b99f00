#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# No two clones are one machine: on all three engines, by what the catalogue says of many and by what is seen inside of a few
# (COWHERD_TEST_LONG: of 50), however a clone came to be, of whatever base. As root.

load lib
load engines

setup_file() {
        engines_begin
        cp -al "$IMAGES/tree" "$MADE/deb" 2>/dev/null || cp -a "$IMAGES/tree" "$MADE/deb"
        a_machine_lived_in "$MADE/deb"
        tar -C "$MADE/deb" --numeric-owner --xattrs --acls --exclude='./dev/*' -cf "$MADE/deb.tar" .
        "$PROGRAM" nspawn register_base ns-base "rootfs=$MADE/deb"
        "$PROGRAM" lxd register_base ct-base "tarball=$MADE/deb.tar"
        "$PROGRAM" qemu register_base vm-base "image=$IMAGES/tiny.qcow2" memory=128M cpus=1
        rm "$MADE/deb.tar"
        if [ -n "${COWHERD_TEST_LONG:-}" ]; then export MANY=200 INSIDE=50; else export MANY=20 INSIDE=3; fi
}

teardown_file() {
        engines_end
}

# What a test that failed has left is not to fail the next.
teardown() {
        [ -n "${BATS_TEST_COMPLETED:-}" ] || for engine in qemu nspawn lxd; do
                "$PROGRAM" $engine delete 'name=*' force=true || true
        done
}

# Everything that a machine gets once in its life, with the word "mine" in it. No file is written into: they may be links.
a_machine_lived_in() {
        local name
        mkdir -p "$1/etc/ssh" "$1/var/lib/dhcp" "$1/var/lib/systemd" "$1/var/lib/dbus"
        for name in etc/machine-id etc/hostname etc/ssh/ssh_host_rsa_key etc/ssh/ssh_host_ed25519_key etc/ssh/ssh_host_ed25519_key.pub \
                var/lib/dhcp/dhclient.eth0.leases var/lib/systemd/random-seed usr/sbin/sshd; do
                rm -f "$1/$name" && echo mine >"$1/$name" || return 1
        done
        echo 0123456789abcdef0123456789abcdef >"$1/etc/machine-id"
        chmod 755 "$1/usr/sbin/sshd"
}

# What is said of clones: one line each.
many_differ() {
        local pattern=$1 count=$2 field
        answer 0 info "name=$pattern"
        for field in hostname machine_id mac uuid generation_id instance_id; do
                jq -r ".items[].$field" <<<"$output" | all_differ "$count" || show "$field" || return 1
        done
        sqlite3 "$COWHERD_ROOT/catalogue.db" "SELECT random_seed FROM object WHERE name GLOB '$pattern'" | all_differ "$count"
}

# look NAME: what can be seen inside, each thing a line; and that it is what `info` says.
# shellcheck disable=SC2016 # for the shell in there
look() {
        local seen
        seen=$(inside "$1" 'cat /etc/machine-id; hostname; cat /sys/class/net/[eh]*[0-9]/address; cut -d" " -f2 /etc/ssh/ssh_host_ed25519_key.pub
                cat /proc/sys/kernel/random/boot_id; od -An -N32 -tx1 /dev/urandom | tr -d " \n"; echo') || return 1
        is "$(head -n 3 <<<"$seen")" "$("$PROGRAM" --json info "$1" | jq -r '.machine_id, .hostname, .mac')" || return 1
        is "$(wc -l <<<"$seen")" 6 || return 1
        not grep -q mine <<<"$seen"
        is "$(inside "$1" 'grep -rlx mine /etc/hostname /etc/ssh /var/lib/dhcp /var/lib/systemd 2>/dev/null; true')" "" || return 1
        printf '%s\n' "$seen" >>"$SEEN"
}

all_seen_differ() {
        is "$(sort "$SEEN" | uniq -d)" ""
        is "$(($(wc -l <"$SEEN") / 6))" "$1"
}

# live ENGINE BASE: one after the other, the ways for a clone to come to be.
live() {
        local engine=$1 base=$2 card=()
        export SEEN=$BATS_TEST_TMPDIR/seen
        : >"$SEEN"
        [ "$engine" = qemu ] || card=("network=bridge:$BRIDGE")
        answer 0 "$engine" clone "base=$base" name=first start=true wait=true timeout=$PATIENCE "${card[@]}"
        is "$(field .identity_applied)" all
        [ "$engine" != qemu ] || inside first 'mkdir /etc/ssh; echo ssh-ed25519 of-the-first >/etc/ssh/ssh_host_ed25519_key.pub; sync'
        [ "$engine" = qemu ] || look first
        expect 0 stop first
        expect 0 "$engine" clone source=first name=second "${card[@]}" # a clone of a clone, with all that the first is on its disk
        expect 0 snapshot second unborn
        expect 0 promote first as=lived
        expect 0 "$engine" clone base=lived name=third "${card[@]}"
        : >"$SEEN" # each is to be seen once
        answer 0 start '*' wait=true timeout=$PATIENCE
        look first
        look third
        look second
        all_seen_differ 3
        # What it was before it had an identity is what its source was; it is itself again all the same.
        expect 0 restore second unborn
        expect 0 start_if_stopped second
        expect 0 wait second timeout=$PATIENCE
        sed -i '13,$d' "$SEEN"
        look second
        all_seen_differ 3
        expect 0 delete second force=true
        expect 0 delete third force=true
        expect 0 delete first force=true
        expect 0 "$engine" remove_base lived
}

# batches ENGINE BASE: many, a few at a time.
batches() {
        local n
        [ "$INSIDE" -gt 3 ] || return 0
        : >"$SEEN"
        for n in $(seq $((INSIDE / 10))); do
                expect 0 "$1" clone "base=$2" name=b$n count=10 start=true wait=true timeout=10m "network=${3:-none}"
                for m in $(seq 10); do look_at_many "b$n-$m"; done
                expect 0 "$1" delete "b$n-*" force=true
        done
        is "$(sort "$SEEN" | uniq -d)" ""
}

# shellcheck disable=SC2016 # for the shell in there
look_at_many() {
        inside "$1" 'cat /etc/machine-id; hostname; cat /sys/class/net/[eh]*[0-9]/address 2>/dev/null; cat /etc/ssh/ssh_host_ed25519_key.pub 2>/dev/null
                cat /proc/sys/kernel/random/boot_id; od -An -N32 -tx1 /dev/urandom | tr -d " \n"; echo' >>"$SEEN"
}

@test "QEMU: 200 clones, none like another" {
        expect 0 qemu clone base=vm-base name=m count=200
        many_differ 'm-*' 200
        expect 0 qemu delete 'm-*'
}

@test "nspawn: 200 clones, none like another" {
        expect 0 nspawn clone base=ns-base name=m count=200
        many_differ 'm-*' 200
        expect 0 nspawn delete 'm-*'
}

@test "LXD: as many clones, none like another" {
        expect 0 lxd clone base=ct-base name=m count="$MANY"
        many_differ 'm-*' "$MANY"
        expect 0 lxd delete 'm-*'
}

@test "QEMU: seen inside, clones of a base, of a clone and of what was promoted; restored" {
        live qemu vm-base
        batches qemu vm-base user
}

@test "nspawn: seen inside, clones of a base, of a clone and of what was promoted; restored" {
        live nspawn ns-base
        batches nspawn ns-base "bridge:$BRIDGE"
}

@test "LXD: seen inside, clones of a base, of a clone and of what was promoted; restored" {
        live lxd ct-base
        batches lxd ct-base "bridge:$BRIDGE"
}

@test "identity=keep leaves all as the base has it" {
        local engine base
        for engine in nspawn lxd; do
                base=ns-base
                [ $engine = nspawn ] || base=ct-base
                answer 0 $engine clone base=$base name=kept identity=keep start=true wait=true
                is "$(inside kept 'cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key /etc/ssh/ssh_host_rsa_key')" $'0123456789abcdef0123456789abcdef\nmine\nmine'
                is "$(info kept identity)" keep
                expect 0 delete kept force=true
        done
}
