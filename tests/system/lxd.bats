#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# LXD as a user of cowherd meets it: every source a base can have, clones beside other people's instances, real containers
# started by `lxc`. A private daemon; the store's own callbacks are tested in lxd_store.bats. As root.

load lib
load lxd_herd

setup_file() {
        images_prepare
        lxd_herd_begin lxd
        export ANSWERS=$PLACE/answers
        tar -C "$MADE/tree" --numeric-owner -cf "$MADE/tree.tar" .
        cat >"$COWHERD_ROOT/sources.conf" <<CONF
[image ubuntu:22.04]
metadata = $IMAGES/metadata.tar
rootfs = $IMAGES/rootfs.tar
distro = debian
release = 12
[distro ubuntu]
rootfs = $MADE/tree
CONF
}

teardown_file() {
        lxd_herd_end
}

setup() {
        cd "$BATS_TEST_TMPDIR"
}

# What a test that failed has left is not to fail the next.
teardown() {
        [ -z "${BATS_TEST_COMPLETED:-}" ] || return 0
        lxc list -c ns -f csv | sed -n 's/,\(RUNNING\|FROZEN\)$//p' | xargs -r lxc stop -f || true
        "$PROGRAM" lxd delete 'name=*' || true
}

# The names of LXD's instances that are not bases of ours.
instances() {
        lxc list -c n -f csv | grep -v '^cowherd-' | sort | tr '\n' ' '
}

took_ms() {
        local began
        began=$(date +%s%N)
        "$@"
        took=$((($(date +%s%N) - began) / 1000000))
}

@test "status tells the daemon's version and store; setup can be repeated" {
        answer 0 lxd status
        is "$(field '[.available, .store, .version, .bases, .clones] | join(" ")')" "1 lxd_pool $(lxd --version) 0 0"
        expect 0 lxd setup
        expect 0 lxd setup
        answer 0 lxd doctor
        [[ $(field '.items[] | select(.check | startswith("pool of lxd_pool")).detail') == *" free" ]]
        LXD_DIR=/nonexistent refuses 69 "/nonexistent" lxd register_base b image=ubuntu:22.04
        LXD_DIR=/nonexistent answer 0 lxd status
        is "$(field .available)" 0
}

@test "ubuntu:22.04 by sources.conf, and the answer says what it truly is" {
        answer 0 lxd register_base ct-base image=ubuntu:22.04
        is "$(field '[.engine, .store, .image, .distro] | join(" ")')" "lxd lxd_pool ubuntu:22.04 debian"
        says "gives for 'ubuntu:22.04'"
        is "$(instances)" ""
        is "$(lxc image list -f csv)" ""
        refuses 73 "already exists" lxd register_base ct-base image=ubuntu:22.04
}

@test "clones bear their names in LXD; what others made is not ours" {
        lxc copy "$(lxc list -c n -f csv | grep '^cowherd-')" foreign
        lxc config unset foreign security.protection.delete # all else of a base's tags it keeps, and is none for that
        answer 0 lxd clone base=ct-base name=ct-1
        is "$(field '[.name, .store, .state, .container] | join(" ")')" "ct-1 lxd_pool stopped ct-1"
        answer 0 lxd clone base=ct-base name=web count=4
        is "$(instances)" "ct-1 foreign web-1 web-2 web-3 web-4 "
        refuses 73 "already exists" lxd clone ct-base foreign
        refuses 73 "already exists" lxd clone ct-base ct-1
        refuses 73 "already exists" lxd clone base=ct-base name=web count=5
        answer 0 lxd list
        is "$(field '[.items[].name] | join(" ")')" "ct-1 web-1 web-2 web-3 web-4"
        refuses 66 "not found" lxd delete foreign
        refuses 66 "not found" lxd info foreign
        answer 0 lxd delete 'name=*'
        is "$(field .matched)" 5
        is "$(instances)" "foreign "
        lxc delete foreign
}

@test "rename is seen by lxc" {
        expect 0 lxd clone ct-base ct-1
        expect 0 lxd clone ct-base ct-2
        expect 0 lxd rename ct-1 as=other
        is "$(instances)" "ct-2 other "
        answer 0 lxd info other
        is "$(field '.name + " " + .container')" "other other"
        refuses 73 "already exists" lxd rename other as=ct-2
        refuses 66 "not found" lxd rename ct-1 as=ct-9
        refuses 64 "" lxd rename other as=under_score
        expect 0 lxd delete other
        expect 0 lxd delete ct-2
        is "$(instances)" ""
}

@test "clones start, each with an identity of its own; while one runs it is not deleted" {
        answer 0 lxd clone base=ct-base name=ct count=2
        local n ids=
        for n in 1 2; do
                lxc start "ct-$n"
        done
        for n in 1 2; do
                for _ in $(seq 100); do
                        [ "$(lxc exec "ct-$n" -- cat /etc/machine-id </dev/null 2>/dev/null | wc -c)" -ge 33 ] && break
                        sleep 0.1
                done
                ids+="$(lxc exec "ct-$n" -- cat /etc/machine-id </dev/null) "
                lxc exec "ct-$n" -- sh -c "echo $n >/root/written" </dev/null
        done
        is "$(tr ' ' '\n' <<<"$ids" | grep -cE '^[0-9a-f]{32}$')" 2
        is "$(tr ' ' '\n' <<<"$ids" | grep . | sort -u | wc -l)" 2
        answer 0 lxd list
        is "$(field '[.items[] | .name + "=" + .state] | join(" ")')" "ct-1=running ct-2=running"
        is "$("$PROGRAM" --json lxd status | jq .running)" 2
        refuses 75 "is running" lxd delete ct-1
        lxc pause ct-2
        is "$("$PROGRAM" --json lxd info ct-2 | jq -r .state)" paused
        refuses 75 "is running" lxd delete 'name=ct-*'
        is "$(field '[.failed, .count, .items[1].error] | join("; ")')" "2; 2; clone 'ct-2' is paused"
        lxc stop -f ct-1 ct-2
        # What was written there is in neither base nor next clone.
        expect 0 lxd clone ct-base ct-3
        run lxc file pull ct-3/root/written -
        [ "$status" -ne 0 ]
        is "$(lxc file pull ct-1/root/written -)" 1
        is "$(lxc file pull ct-2/root/written -)" 2
        is "$(lxc file pull ct-3/etc/machine-id - | tr -d '\n')" ""
        answer 0 lxd usage ct-1
        [ "$(field .unique_bytes)" -gt 0 ]
        answer 0 lxd delete 'name=*'
        is "$(field .matched)" 3
        is "$(instances)" ""
}

@test "a base is a folder, a tarball, or what sources.conf says a distribution is" {
        local base
        answer 0 lxd register_base by-folder "rootfs=$MADE/tree"
        is "$(field '.distro + " " + .release')" "debian 12"
        expect 0 lxd register_base by-tarball "tarball=$MADE/tree.tar"
        expect 0 lxd register_base by-distro distro=ubuntu
        for base in by-folder by-tarball by-distro; do
                expect 0 lxd clone "$base" "of-$base"
                is "$(lxc file pull "of-$base/etc/os-release" - | head -n 1)" ID=debian
                is "$(lxc file pull "of-$base/etc/machine-id" - | tr -d '\n')" ""
                run lxc file pull "of-$base/etc/ssh/ssh_host_ed25519_key" -
                [ "$status" -ne 0 ]
        done
        expect 0 lxd delete 'name=of-*'
        for base in by-folder by-tarball by-distro; do
                expect 0 lxd remove_base "$base"
        done
        is "$(lxc list -c n -f csv | wc -l)" 1
        is "$(find "$COWHERD_ROOT/tmp" -mindepth 1 2>/dev/null)" ""
}

@test "a base is an image that LXD has, by alias and by fingerprint; the image stays" {
        lxc image import "$IMAGES/metadata.tar" "$IMAGES/rootfs.tar" --alias mine >/dev/null
        local fingerprint
        fingerprint=$(lxc image list -c F -f csv)
        answer 0 lxd register_base by-alias image=mine
        answer 0 lxd register_base by-fingerprint "image=${fingerprint:0:12}"
        expect 0 lxd clone by-alias a
        expect 0 lxd clone by-fingerprint b
        is "$(instances)" "a b "
        expect 0 lxd delete 'name=*'
        expect 0 lxd remove_base by-alias
        expect 0 lxd remove_base by-fingerprint
        is "$(lxc image list -c F -f csv)" "$fingerprint"
        lxc image delete mine
}

@test "an image that nobody knows is told soon, and leaves nothing" {
        took_ms refuses 66 "nosuch" lxd register_base x image=nosuch
        [ "$took" -lt 5000 ]
        took_ms refuses 66 "'nowhere' not found among LXD's remotes" lxd register_base x image=nowhere:22.04
        [ "$took" -lt 5000 ]
        refuses 66 "not found" lxd register_base x rootfs=nowhere
        refuses 65 "not a root filesystem" lxd register_base x "rootfs=$BATS_TEST_TMPDIR"
        printf 'no image\n' >none.tar
        refuses 65 "" lxd register_base x image=none.tar || refuses 71 "" lxd register_base x image=none.tar
        is "$(lxc list -c n -f csv | wc -l)" 1
        is "$(lxc image list -f csv)" ""
        is "$("$PROGRAM" --json lxd list_bases | jq -r '[.items[].name] | join(" ")')" ct-base
        is "$(ls "$COWHERD_ROOT/locks")" objects
}

@test "what lxc deleted behind our back is missing; deleting it is a success" {
        expect 0 lxd clone ct-base ct-1
        lxc delete ct-1
        answer 0 lxd list
        is "$(field '.items[0].state')" missing
        answer 0 lxd delete ct-1
        refuses 66 "not found" lxd delete ct-1
}

@test "16 clones of one name at once: one is made" {
        local n pids=() won=0 lost=0 status
        for n in $(seq 16); do
                "$PROGRAM" lxd clone base=ct-base name=same >"$n.out" 2>&1 3>&- &
                pids+=($!)
        done
        for n in "${pids[@]}"; do
                status=0
                wait "$n" || status=$?
                case $status in
                0) won=$((won + 1)) ;;
                73) lost=$((lost + 1)) ;;
                *) cat ./*.out ;;
                esac
        done
        is "$won $lost" "1 15"
        is "$(instances)" "same "
        expect 0 lxd delete same
}

@test "a base that was changed behind our back gives no clone, alone or many" {
        expect 0 lxd register_base changed "rootfs=$MADE/tree"
        base=$(lxc list -c n -f csv | grep '^cowherd-' | sort -V | tail -1)
        lxc delete "$base/base"
        refuses 65 "was removed behind our back" lxd clone changed d
        lxc config set "$base" security.protection.delete=false # else the new snapshot has it, and a clone
        lxc snapshot "$base" base
        refuses 65 "is another one now" lxd clone changed d
        refuses 65 "is another one now" lxd clone base=changed name=d count=2
        is "$(instances)" ""
        expect 0 lxd remove_base changed
}

@test "a base removed while in use goes with its last clone; then LXD is as it was" {
        expect 0 lxd clone base=ct-base name=c count=2
        refuses 75 "in use" lxd teardown
        expect 0 lxd remove_base ct-base
        refuses 66 "Register it first" lxd clone ct-base d
        expect 0 lxd delete c-1
        is "$(lxc file pull c-2/etc/os-release - | grep -c ^ID=debian)" 1
        expect 0 lxd delete c-2
        is "$(lxc list -f csv)" ""
        answer 0 lxd teardown
        is "$(lxc storage list -f csv | cut -d, -f1)" default
        is "$(lxc profile list -f csv | cut -d, -f1)" default
        answers_agree register_base clone_from_base list info delete usage status doctor teardown
        is "$(lxc image list -f csv)" ""
}
