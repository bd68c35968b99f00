#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Everyday comfort: the tree, lists for people and for programs, what doctor says, figures for a monitoring system. Nothing is
# started here. As root.

load lib

setup_file() {
        herds_begin
        image_qcow2 "$MADE/disk.qcow2" 8M
        image_tree "$MADE/tree"
}

teardown_file() {
        herds_end
}

setup() {
        herd_begin
}

LONG=a23456789012345678901234567890123456789012345678901234567890123

# The tree's items as "depth name>parent", one a line.
shape() {
        field '.items as $all | .items[] | "\(.depth) \(.name)" + (if .parent_id then ">" + (.parent_id as $p | $all[] | select(.id == $p) | .name) else "" end)'
}

@test "the tree has bases, clones and clones of clones, each under what it is a clone of" {
        answer 0 tree
        is "$(field .count)" 0
        refuses 66 "is empty" tree name=x
        expect 0 qemu register_base deb "$MADE/disk.qcow2"
        expect 0 qemu clone deb web count=3
        expect 0 qemu clone web-1 sub
        expect 0 qemu clone sub subsub
        expect 0 qemu snapshot web-2 s1
        expect 0 qemu promote web-3 tested
        expect 0 qemu clone tested y
        expect 0 nspawn register_base ns rootfs="$MADE/tree"
        expect 0 nspawn clone ns web-1
        answer 0 tree
        is "$(shape)" "0 deb
1 tested>deb
2 web-3>tested
2 y>tested
1 web-1>deb
2 sub>web-1
3 subsub>sub
1 web-2>deb
0 ns
1 web-1>ns"
        is "$(field '[.bases, .clones] | join(" ")')" "3 7"
        is "$(field '[.items[] | select(.unique_bytes >= 0 and .shared_bytes >= 0)] | length')" 10
        is "$(field '.total_unique_bytes == ([.items[].unique_bytes] | add)')" true
        is "$(field '.items[] | select(.name == "sub").unique_bytes')" "$("$PROGRAM" --json usage sub | jq .unique_bytes)"
        answer 0 tree 'su*'
        is "$(shape)" "0 deb
1 web-1>deb
2 sub>web-1
3 subsub>sub"
        answer 0 nspawn tree
        is "$(shape)" "0 ns
1 web-1>ns"
        answer 0 tree engine=lxd
        is "$(field .count)" 0
        refuses 66 "no base and no clone matches" tree nothing
        refuses 64 "contradicts" qemu tree engine=lxd
        LC_ALL=C expect 0 tree engine=nspawn
        [[ ${lines[1]} == '`- ns '* && ${lines[2]} == '   `- web-1 '* ]] || show "not drawn in ASCII"
        LC_ALL=de_DE.UTF-8 expect 0 tree engine=nspawn
        [[ ${lines[1]} == '└─ ns '* && ${lines[2]} == '   └─ web-1 '* ]] || show "not drawn in Unicode"
}

@test "a clone outlives the clone that it was made of and its base, and the tree shows on what it stands" {
        expect 0 qemu register_base deb "$MADE/disk.qcow2"
        expect 0 qemu clone deb a
        expect 0 qemu clone a b
        expect 0 qemu delete a
        answer 0 tree
        is "$(shape)" "0 deb
1 b>deb"
        expect 0 qemu remove_base deb
        answer 0 tree
        is "$(field '.items[0] | [.name, .role, .state] | join("/")')" "/base/removed"
        [ "$(field '.items[0].unique_bytes')" -gt 0 ]
        expect 0 tree
        says "(removed base)"
        expect 0 qemu flatten b
        answer 0 tree
        is "$(shape)" "0 b"
}

# A terminal of that many columns, with these words' output.
on_terminal() {
        local columns=$1
        shift
        script -qec "stty cols $columns; $(printf '%q ' "$@")" /dev/null </dev/null | tr -d '\r'
}

@test "a list fits the terminal whatever the names are, in colour where that is wanted" {
        local columns
        expect 0 qemu register_base deb "$MADE/disk.qcow2"
        expect 0 qemu register_base "$LONG" "$MADE/disk.qcow2"
        expect 0 qemu clone deb web
        expect 0 qemu clone "$LONG" "b${LONG#a}"
        expect 0 qemu snapshot "b${LONG#a}" "$LONG"
        for columns in 64 80 200; do
                for verb in list list_bases 'list_snapshots b2*' tree usage; do
                        # shellcheck disable=SC2086
                        NO_COLOR=1 TERM=xterm on_terminal "$columns" "$PROGRAM" $verb >out
                        # What is never cut, a name behind its word, is 73 columns wide.
                        [ "$(wc -l <out)" -ge 2 ] && [ "$(LC_ALL=C.UTF-8 wc -L <out)" -le "$((columns < 73 ? 73 : columns))" ] || {
                                cat out
                                return 1
                        }
                        not grep -q $'\e' out
                done
        done
        TERM=xterm on_terminal 80 "$PROGRAM" list | grep -q $'\e'
        not grep -q $'\e' <(TERM=dumb on_terminal 80 "$PROGRAM" list)
        not grep -q $'\e' <(TERM=xterm "$PROGRAM" list)
        TERM=xterm on_terminal 200 "$PROGRAM" list | grep -q CLONE_MS
        not grep -q CLONE_MS <(TERM=xterm on_terminal 80 "$PROGRAM" list)
}

@test "format= and columns= of lists" {
        local verb
        expect 0 list format=csv columns=name,state
        is "$output" "name,state"
        expect 0 qemu register_base deb "$MADE/disk.qcow2"
        expect 0 qemu clone deb web count=2 ttl=1h memory=64M
        expect 0 list --format csv --columns name,base,state
        is "$output" $'name,base,state\nweb-1,deb,stopped\nweb-2,deb,stopped'
        expect 0 list format=tsv columns=NAME,memory_bytes web-2
        is "$output" $'NAME\tmemory_bytes\nweb-2\t67108864'
        expect 0 list format=plain columns=name,engine
        is "$output" $'web-1  qemu\nweb-2  qemu'
        expect 0 list format=plain
        is "$(awk '{ print $1, $4 }' <<<"$output")" $'web-1 stopped\nweb-2 stopped'
        expect 0 list format=json columns=name
        is "$(field '.items | tojson')" '[{"name":"web-1"},{"name":"web-2"}]'
        refuses 64 "did you mean 'state'" list columns=name,stat
        refuses 64 "it has: id name" list columns=bogusbogus
        refuses 64 "is named twice" list columns=name,name
        refuses 64 "is empty" list columns=
        refuses 64 "did you mean 'csv'" list format=cvs
        refuses 64 "did you mean 'snapshot'" list_snapshots 'web-*' columns=snapshto
        refuses 64 "did you mean 'clones'" list_bases columns=clone
        expect 0 qemu snapshot web-1 s
        expect 0 list_snapshots 'web-*' format=csv columns=name,snapshot
        is "$output" $'name,snapshot\nweb-1,s'
        expect 0 list_bases format=csv columns=name,clones
        is "$output" $'name,clones\ndeb,2'
        # What the answers have is what can be asked for.
        for verb in 'list' 'list_bases' 'list_snapshots web-*' 'info web-*'; do
                # shellcheck disable=SC2086
                answer 0 $verb
                expect 0 ${verb/info/list} columns="$(field '.items[0] | keys | join(",")')" format=csv
        done
}

# level CHECK: of the last doctor's answer.
level() {
        field ".items[] | select(.check == \"$1\").level"
}

@test "doctor: engines, host and herd, with what to do and a status for scripts" {
        export LXD_DIR=$BATS_TEST_TMPDIR/none
        answer 0 doctor
        is "$(field .problems)" 0
        is "$(level 'engine lxd')/$(level 'engine qemu')/$(level 'root folder')/$(level installation)/$(level 'guest helper')" "note/ok/ok/ok/ok"
        [ ! -e "$COWHERD_ROOT" ]
        refuses 69 "lxd can't be used here" doctor engine=lxd
        is "$(level 'engine lxd')" problem
        [ "$(field '.items[] | select(.check == "engine lxd").advice')" != null ]
        expect 69 lxd doctor
        says "hint: "
        expect 0 doctor nspawn
        not says "engine qemu"
        refuses 64 "did you mean 'lxd'" doctor engine=lxc
        expect 0 qemu register_base deb "$MADE/disk.qcow2"
        expect 0 qemu clone deb a ttl=1s
        expect 0 qemu clone a b
        expect 0 doctor qemu
        says "what clones of a stand on: unchanged"
        not says nameless
        # What nobody knows, and what has lived long enough: seen, and left to cleanup.
        mkdir -p "$COWHERD_ROOT/clones/999" && touch "$COWHERD_ROOT/clones/999/disk.qcow2"
        sqlite3 "$COWHERD_ROOT/catalogue.db" "UPDATE object SET expires_ms = 1 WHERE name = 'a'"
        answer 69 doctor
        is "$(level leftovers)" problem
        is "$(field '.items[] | select(.check == "leftovers").detail')" "0 unfinished, 1 that nobody knows, 1 expired"
        [ -e "$COWHERD_ROOT/clones/999/disk.qcow2" ]
        answer 0 cleanup dry_run=true
        is "$(field '[.unfinished, .orphans, .expired] | join(" ")')" "0 1 1"
        answer 0 cleanup
        is "$(field '[.orphans, .expired] | join(" ")')" "1 1"
        answer 0 doctor
        is "$(level leftovers)" ok
        chattr -i "$COWHERD_ROOT"/bases/*/disk.qcow2 2>/dev/null || true
        touch "$COWHERD_ROOT"/bases/*/disk.qcow2
        answer 69 doctor
        is "$(level 'base deb')" problem
}

@test "doctor tells of a root folder without room, and of one that is not ours to write" {
        mkdir small
        unshare -m sh -c "mount -t tmpfs -o size=32M none small && '$PROGRAM' --json --root small/herd doctor qemu" >answer || true
        is "$(jq -r '.code, (.items[] | select(.check == "root folder") | .level, .advice)' answer | head -2 | paste -sd/)" "69/problem"
        theirs=$(mktemp -d /tmp/cowherd-theirs-XXXXXX) && chmod 755 "$theirs"
        setpriv --reuid 65534 --regid 65534 --clear-groups "$PROGRAM" --json --root "$theirs/herd" doctor qemu >answer || true
        rmdir "$theirs"
        is "$(jq -r '.items[] | select(.check == "root folder") | .level' answer)" problem
        is "$(jq -r '.items[] | select(.check == "rights") | .level' answer)" note
}

@test "doctor looks at a pool's room and at its devices" {
        expect 0 nspawn setup store=btrfs size=256M
        answer 0 doctor nspawn
        is "$(level 'pool of btrfs in btrfs')" ok
        fallocate -l 236M "$COWHERD_ROOT/pools/btrfs/full" || dd if=/dev/zero of="$COWHERD_ROOT/pools/btrfs/full" bs=1M count=236 status=none || true
        sync -f "$COWHERD_ROOT/pools/btrfs"
        answer 69 doctor nspawn
        is "$(level 'pool of btrfs in btrfs')" problem
        rm "$COWHERD_ROOT/pools/btrfs/full"
        expect 0 nspawn teardown store=btrfs
}

# A strict reader of the text format, besides promtool: every figure has its HELP and TYPE before it, and none comes twice.
metrics_are_well_formed() {
        promtool check metrics <"$1" && awk '
                /^# HELP cowherd_[a-z_]+ [A-Z].*\.$/ { help[$3] = 1; next }
                /^# TYPE cowherd_[a-z_]+ (gauge|counter)$/ { if (!($3 in help) || ($3 in type)) exit 1; type[$3] = $4; next }
                /^cowherd_[a-z_]+(\{[a-z]+="([^"\\]|\\.)*"(,[a-z]+="([^"\\]|\\.)*")*\})? [0-9]+$/ {
                        name = $1; sub(/\{.*/, "", name); key = $0; sub(/ [0-9]+$/, "", key)
                        if (!(name in type) || key in seen) { print "bad: " $0; exit 1 }
                        seen[key] = 1; next
                }
                { print "bad: " $0; exit 1 }' "$1"
}

figure() {
        grep -v '^#' metrics | grep -F "cowherd_$1 " | cut -d' ' -f2
}

@test "metrics for Prometheus" {
        "$PROGRAM" metrics >metrics
        metrics_are_well_formed metrics
        is "$(figure 'bases{engine="qemu"}')" 0
        [ ! -e "$COWHERD_ROOT" ]
        expect 0 qemu register_base deb "$MADE/disk.qcow2"
        expect 0 qemu clone deb a count=3
        expect 0 qemu clone deb old ttl=1h
        expect 0 nspawn register_base ns rootfs="$MADE/tree"
        expect 66 qemu delete nothing
        sqlite3 "$COWHERD_ROOT/catalogue.db" "UPDATE object SET expires_ms = 1 WHERE name = 'old'"
        rm -r "$COWHERD_ROOT/clones/$("$PROGRAM" --json info a-3 | jq .id)"
        expect 0 metrics "file=$PWD/metrics"
        says "metrics written to"
        metrics_are_well_formed metrics
        is "$(stat -c %a metrics) $(find . -type f -name '.*' | wc -l)" "644 0"
        is "$(figure 'bases{engine="qemu"}') $(figure 'bases{engine="nspawn"}') $(figure 'clones{engine="qemu",state="stopped"}')" "1 1 3"
        is "$(figure 'clones{engine="qemu",state="missing"}') $(figure 'clones_expired{engine="qemu"}')" "1 1"
        is "$(figure 'recent_commands{operation="delete",code="66"}') $(figure 'recent_commands{operation="register_base",code="0"}')" "1 2"
        is "$(figure audited_commands_total)" 3
        [ "$(figure 'disk_unique_bytes{engine="qemu",role="base"}')" -gt 0 ] && [ "$(figure 'disk_shared_bytes{engine="qemu",role="clone"}')" -gt 0 ]
        # What one that was killed had not yet put into place goes with the next, whichever file that writes.
        yes half | head -c 100000 >.cowherd-publish
        expect 0 metrics file=metrics
        metrics_are_well_formed metrics
        is "$(find . -type f -name '.*')" ""
        refuses 66 "writing the metrics" metrics file=none/metrics
        answer 0 metrics
        is "$(field .metrics | grep -c HELP)" "$(grep -c HELP metrics)"
        answer 0 metrics dry_run=true file=none/metrics
        COWHERD_ROOT=$BATS_TEST_TMPDIR/'quo"te\back' "$PROGRAM" metrics >metrics
        metrics_are_well_formed metrics
        [[ $(grep cowherd_info metrics) == *'quo\"te\\back'* ]]
}

@test "progress is drawn on a terminal, and nowhere else" {
        head -c 48M /dev/urandom >image.raw
        LC_ALL=C TERM=xterm on_terminal 60 "$PROGRAM" qemu register_base a "$PWD/image.raw" >out
        grep -q '% \[' out && grep -q 'of 48.0 MiB  copying the image' out
        TERM=dumb on_terminal 60 "$PROGRAM" qemu register_base b "$PWD/image.raw" >out
        not grep -q '%' out
        TERM=xterm expect 0 qemu register_base c "$PWD/image.raw"
        is "$stderr" ""
        rm image.raw
}
