#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Clones that are kept warm, with a real LXD: filled in the background, taken by a rename, never seen by a list or a pattern, never
# handed out twice, gone with their base; and whatever is killed, cleanup finds all of it. As root.

load lib
load lxd_herd

setup_file() {
        lxd_herd_begin warm
        "$PROGRAM" lxd register_base b rootfs="$MADE/tree"
}

teardown_file() {
        kill_helper || true
        lxd_herd_end
}

setup() {
        cd "$BATS_TEST_TMPDIR"
}

# What a test that failed has left is not to fail the next.
teardown() {
        [ -z "${BATS_TEST_COMPLETED:-}" ] || return 0
        "$PROGRAM" lxd delete 'name=*' force=true || true
        "$PROGRAM" lxd setup warm=0 || true
}

# This herd's helper, killed.
kill_helper() {
        local pid
        pid=$(pgrep -f "^[^ ]*/cowherd-warm $COWHERD_ROOT\$") && kill -9 "$pid"
}

# The names of LXD's instances: what is kept warm, then the clones.
kept() {
        lxc list -c n -f csv | grep -c -- '^cowherd-.*-w[0-9]*$' || true
}

clones() {
        lxc list -c n -f csv | grep -v '^cowherd-' | sort | tr '\n' ' '
}

# warm READY [WANTED]: as status tells it, once nobody is filling in any more.
warm() {
        local found
        for _ in $(seq 300); do
                found=$("$PROGRAM" --json lxd status | jq -r '"\(.ready)/\(.warm)"')
                [ "$found" = "$1/${2:-$1}" ] && return 0
                sleep 0.1
        done
        is "$found" "$1/${2:-$1}"
}

# Waits until LXD knows the names of all that was taken, and no helper is there.
quiet() {
        for _ in $(seq 300); do
                pgrep -f "^[^ ]*/cowherd-warm $COWHERD_ROOT\$" >/dev/null || return 0
                sleep 0.1
        done
        pgrep -af cowherd-warm
        return 1
}

# LXD holds what the catalogue says, to the name, and nothing else; nothing is unfinished.
agrees() {
        local uuid
        uuid=$(sqlite3 "$COWHERD_ROOT/catalogue.db" "SELECT substr(value, 1, 8) FROM setting WHERE key = 'herd.uuid'")
        is "$(lxc list -c n -f csv | sort)" "$(sqlite3 "$COWHERD_ROOT/catalogue.db" "SELECT CASE WHEN role = 0 THEN 'cowherd-$uuid-b' || id
                ELSE coalesce(name, 'cowherd-$uuid-w' || id) END FROM object" | sort)"
        is "$(sqlite3 "$COWHERD_ROOT/catalogue.db" 'SELECT * FROM object WHERE phase <> 1; SELECT * FROM intent')" ""
        local name
        for name in $(clones); do
                is "$(lxc config get "$name" user.cowherd.name)" "$name"
        done
}

@test "setup warm= fills in the background; a clone takes one, and another is made" {
        answer 0 lxd setup warm=3
        is "$(field '[.warm, .ready] | join(" ")')" "3 0"
        warm 3
        quiet
        is "$(kept)" 3
        answer 0 lxd clone base=b name=w-1
        is "$(field '[.name, .warm, .state, .container] | join(" ")')" "w-1 1 stopped w-1"
        warm 3
        quiet
        is "$(clones)" "w-1 "
        agrees
        answer 0 lxd info w-1
        is "$(field '[.name, .state, .base] | join(" ")')" "w-1 stopped b"
        is "$(field '.mac != null and .hostname == "w-1"')" true
        local machine_id
        machine_id=$(field .machine_id)
        expect 0 lxd start w-1
        is "$(lxc exec w-1 -- busybox cat /etc/hostname /etc/machine-id </dev/null | tr '\n' ' ')" "w-1 $machine_id "
        expect 0 lxd delete w-1 force=true
        is "$(kept)" 3
}

@test "no list, pattern, count or name shows what is kept; usage and status count it" {
        expect 0 lxd setup warm=2
        warm 2
        answer 0 lxd list
        is "$(field .count)" 0
        answer 0 list
        is "$(field .count)" 0
        refuses 66 "no clone matches" lxd delete 'name=*'
        refuses 66 "no clone matches" lxd info 'name=cowherd-*'
        local name
        name=$(lxc list -c n -f csv | grep -- '-w[0-9]*$' | head -n 1)
        for verb in info delete start; do
                refuses 66 "not found" lxd "$verb" "name=$name"
        done
        answer 0 lxd status
        is "$(field '[.bases, .clones, .warm, .ready] | join(" ")')" "1 0 2 2"
        answer 0 lxd info b
        is "$(field '[.role, .clones, .warm, .ready] | join(" ")')" "base 0 2 2"
        answer 0 lxd usage b
        is "$(field '.unique_bytes >= .warm_bytes and .warm_bytes > 0')" true
        answer 0 lxd clone base=b name=x dry_run=true
        says "take what is kept warm"
        is "$(kept)" 2
        agrees
}

@test "count= takes as many as there are and clones the rest; options of its own go with it, but a disk size" {
        expect 0 lxd setup warm=2
        warm 2
        quiet
        answer 0 lxd clone base=b name=m count=4 memory=64M cpus=1
        is "$(field '[.items[] | .warm // "0"] | map(tostring) | sort | join(" ")')" "0 0 1 1"
        is "$(clones)" "m-1 m-2 m-3 m-4 "
        warm 2
        quiet
        agrees
        answer 0 lxd clone base=b name=s start=true
        is "$(field '[.warm, .state] | join(" ")')" "1 running"
        is "$(lxc config get s user.cowherd.name)" s
        answer 0 lxd clone base=b name=big disk_size=200M
        is "$(field .warm)" null
        warm 2
        refuses 73 "already exists" lxd clone base=b name=m-1
        lxc init --empty foreign >/dev/null
        refuses 73 "not this herd's" lxd clone base=b name=foreign
        lxc delete foreign
        expect 0 lxd delete 'name=*' force=true
        warm 2
        quiet
        agrees
}

@test "warm= of a base of its own, and by default; what is too much goes at once" {
        expect 0 lxd setup warm=1
        expect 0 lxd register_base other rootfs="$MADE/tree" warm=2
        warm 3
        expect 0 lxd setup base=other warm=0
        is "$("$PROGRAM" --json lxd status | jq -r '"\(.ready)/\(.warm)"')" 1/1
        is "$(kept)" 1
        refuses 64 "goes with warm=" lxd setup base=other
        refuses 66 "not found" lxd setup base=nowhere warm=2
        expect 0 lxd setup base=other warm=2
        warm 3
        expect 0 lxd remove_base other
        quiet
        is "$(kept)" 1
        agrees
        expect 0 lxd setup warm=0
        is "$(kept)" 0
        refuses 69 "less than a millisecond" nspawn setup warm=2
        refuses 69 "less than a millisecond" nspawn register_base t rootfs="$MADE/tree" warm=2
        refuses 69 "live bases" qemu register_base v image="$MADE/none.qcow2" warm=2
}

@test "many at once: none is handed out twice" {
        expect 0 lxd setup warm=4
        warm 4
        quiet
        local n
        for n in $(seq 12); do
                "$PROGRAM" --json lxd clone base=b "name=r-$n" >"$BATS_TEST_TMPDIR/r-$n" &
        done
        wait
        cat "$BATS_TEST_TMPDIR"/r-* >"$BATS_TEST_TMPDIR/all"
        is "$(jq -s 'map(select(.success == 1)) | length' "$BATS_TEST_TMPDIR/all")" 12
        is "$(jq -s 'map(.id) | unique | length' "$BATS_TEST_TMPDIR/all")" 12
        [ "$(jq -s 'map(select(.warm == 1)) | length' "$BATS_TEST_TMPDIR/all")" -ge 4 ]
        warm 4
        quiet
        is "$(clones | wc -w)" 12
        agrees
        expect 0 lxd delete 'name=r-*'
        warm 4
}

@test "the helper is killed at any point: cleanup finds all, the next use fills in" {
        local ms
        for ms in 000 030 100; do
                expect 0 lxd setup warm=0
                expect 0 lxd setup warm=2
                sleep "0.$ms"
                kill_helper || true
                answer 0 cleanup
                agrees
                answer 0 cleanup
                says "nothing to clean up"
        done
        expect 0 lxd clone base=b name=k
        warm 2
        quiet
        expect 0 lxd delete k
        agrees
}

@test "a command that takes one is killed at any point: a whole clone or none" {
        expect 0 lxd setup warm=1
        local ms
        for ms in 006 012 020 035; do
                warm 1
                quiet
                timeout -s KILL "0.$ms" "$PROGRAM" lxd clone base=b name=t >/dev/null || true
                quiet
                answer 0 cleanup
                agrees
                "$PROGRAM" lxd delete t || true
                expect 0 lxd setup warm=1
        done
        warm 1
}

@test "cleanup ends the helper and keeps what is ready; what was killed over a name is told it" {
        expect 0 lxd setup warm=6
        answer 0 cleanup
        quiet
        agrees
        answer 0 cleanup
        says "nothing to clean up"
        expect 0 lxd setup warm=2
        warm 2
        quiet
        expect 0 lxd clone base=b name=n
        kill_helper || true
        expect 0 lxd rename n as=o # settles the name first
        is "$(lxc config get o user.cowherd.name)" o
        expect 0 lxd delete o
}

@test "what lxc took away is cloned after all; a pool that does not fill is told" {
        expect 0 lxd setup warm=1
        warm 1
        quiet
        lxc delete "$(lxc list -c n -f csv | grep -- '-w[0-9]*$')"
        answer 0 lxd clone base=b name=g
        is "$(field .warm)" null
        is "$(clones)" "g "
        warm 1
        quiet
        expect 0 lxd delete g
        # The base is changed behind our back: its clones are refused, what is kept of it goes.
        local base
        base=$(lxc list -c n -f csv | grep -- '-b[0-9]*$')
        expect 0 lxd register_base changed rootfs="$MADE/tree" warm=2
        warm 3
        quiet
        base=$(lxc list -c n -f csv | grep -- '-b[0-9]*$' | grep -vx "$base")
        lxc delete "$base/base" && lxc snapshot "$base" base
        refuses 65 "changed" lxd clone base=changed name=c
        quiet
        is "$(clones)" ""
        is "$(kept)" 1
        run --separate-stderr "$PROGRAM" --json doctor
        is "$(jq -r '.items[] | select(.check == "kept warm of changed") | "\(.ok) \(.detail | split(":")[0])"' <<<"$output")" "0 0 of 2 are ready"
        expect 0 lxd remove_base changed
        agrees
}

@test "a base that is removed, while its pool is being filled; teardown leaves nothing" {
        expect 0 lxd register_base away rootfs="$MADE/tree" warm=5
        expect 0 lxd remove_base away
        quiet
        agrees
        expect 0 lxd setup warm=3
        expect 0 lxd clone base=b name=last
        refuses 75 "in use" lxd teardown
        expect 0 lxd delete last
        expect 0 lxd remove_base b
        expect 0 lxd teardown
        quiet
        is "$(lxc list -c n -f csv)" ""
        [ ! -e "$COWHERD_ROOT/catalogue.db" ]
}
