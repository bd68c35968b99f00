#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Points in time on LXD: its own snapshots under the names that were given, bases made of clones, clones of clones; stopped
# and running. And what every verb answers of LXD, by its schema. A private daemon. As root.

load lib
load lxd_herd

setup_file() {
        lxd_herd_begin lxd
        "$PROGRAM" lxd register_base b "rootfs=$MADE/tree"
}

teardown_file() {
        lxd_herd_end
}

setup() {
        cd "$BATS_TEST_TMPDIR"
        expect 0 lxd clone base=b name=c
}

teardown() {
        lxc list -c ns -f csv | sed -n 's/,\(RUNNING\|FROZEN\)$//p' | xargs -r lxc stop -f || true
        "$PROGRAM" lxd delete 'name=*' >/dev/null || true
        "$PROGRAM" lxd remove_base p >/dev/null 2>&1 || true
}

info_of() {
        "$PROGRAM" --json lxd info "$1" | jq -r ".$2"
}

mark() {
        echo "$2" >mark
        lxc file push -q mark "$1/etc/mark"
}

marked() {
        is "$(lxc file pull -q "$1/etc/mark" - 2>/dev/null)" "$2"
}

@test "snapshots bear their names in LXD, and are gone back to" {
        mark c 1
        answer 0 snapshot name=c snapshot=one
        is "$(field '[.snapshot, .engine, .store] | join(" ")')" "one lxd lxd_pool"
        is "$(lxc query /1.0/instances/c/snapshots | jq -r '.[]' | sed 's,.*/,,')" one
        mark c 2
        expect 0 snapshot c two
        mark c 3
        expect 0 restore c
        marked c 2
        expect 0 restore c one
        marked c 1
        expect 0 delete_snapshot c two
        answer 0 list_snapshots c
        is "$(field '[.count, .items[0].snapshot] | join(" ")')" "1 one"
        is "$(lxc query /1.0/instances/c/snapshots | jq length)" 1
}

@test "a running container is snapshot as it runs, and restored by a restart" {
        expect 0 start c
        mark c 1
        answer 0 snapshot c one
        is "$(field .state)/$(info_of c state)" running/running
        mark c 2
        answer 0 restore c one
        is "$(field '[.restarted, .state] | join(" ")')" "1 running"
        is "$(info_of c state)" running
        marked c 1
        expect 0 stop c force=true
}

@test "bases of clones, clones of clones, and clones cut loose" {
        mark c 1
        answer 0 promote c as=p
        is "$(field '[.name, .clone, .clone_stands_on_it] | join(" ")')" "p c 1"
        mark c 2
        expect 0 lxd clone base=p name=d
        expect 0 clone source=c name=e
        marked d 1
        marked e 2
        is "$(info_of c base)/$(info_of d base)/$(info_of e base)" p/p/c
        [ "$(info_of c machine_id)" != "$(info_of e machine_id)" ]
        expect 0 flatten c
        is "$(info_of c base)" none
        expect 0 delete c
        marked e 2
        expect 0 delete name='*'
        expect 0 lxd remove_base p
        is "$(lxc list -c n -f csv | grep -vc '^cowherd-')" 0
        answer 0 cleanup
        is "$(field .removed)" 0
}

# told WORDS…: an answer more, whatever it is.
told() {
        "$PROGRAM" --json "$@" >>"$ANSWERS" </dev/null || true
}

@test "every verb answers of LXD as its schema says" {
        export ANSWERS=$BATS_TEST_TMPDIR/answers
        echo file >f
        told lxd setup
        told lxd register_base b "rootfs=$MADE/tree"
        told lxd clone base=b name=m count=2 memory=64M ttl=1h network=none
        told lxd clone base=b name=m count=2
        told --dry-run lxd clone base=b name=x
        told lxd clone base=b name=s start=true
        told lxd clone base=nothing name=x
        told wait s for=running
        told exec s -- 'echo out; echo err >&2; exit 3'
        told exec s -- 'printf "\377"'
        told copy_to s f /root/f
        told copy_from s /root/f g
        told copy_from s /root/nothing g
        told logs s
        told pause s
        told lxd list
        told lxd info s
        told resume s
        told snapshot s one
        told restore s one
        told list_snapshots s
        told restart s force=true
        told stop s force=true
        told stop_if_running s
        told start s
        told start s
        told start_if_stopped s
        told stop s force=true
        told delete_snapshot s one
        told extend 'm-*' ttl=2h
        told promote s p
        told create source=b name=made
        told flatten s
        told rename s as=other
        told lxd list
        told lxd list_bases
        told info 'm-*'
        told info nothing
        told usage
        told lxd usage m-1
        told lxd status
        told status
        told tree
        told lxd doctor
        told metrics
        told --dry-run delete 'm-*'
        told cleanup dry_run=true
        told cleanup
        told security_audit
        told delete 'm-*'
        told delete other
        told lxd teardown
        told lxd remove_base p
        answers_agree setup clone_from_base start stop wait execute copy_to copy_from logs pause resume restart snapshot restore list_snapshots delete_snapshot \
                extend promote flatten rename list list_bases info usage status tree doctor metrics cleanup security_audit delete remove_base start_if_stopped stop_if_running
}
