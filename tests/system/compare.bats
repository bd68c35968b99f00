#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# compare: every engine that there is, with small images, beside the raw tools; what breaks, what is killed, what there is no room for;
# and nothing is left, wherever it ends. As root.

load lib

setup_file() {
        herds_begin
        images_prepare tiny
        # shellcheck source=tests/lib/lxd.sh
        . "$BATS_TEST_DIRNAME/../lib/lxd.sh"
        PLACE=$(mktemp -d /tmp/cowherd-cmp.XXXXXX)
        export PLACE LXD_CONF=$PLACE/conf HOME=$PLACE
        mkdir -p "$LXD_CONF"
        LXD_POOL_SIZE=3GiB lxd_start "$PLACE"
}

teardown_file() {
        # shellcheck source=tests/lib/lxd.sh
        . "$BATS_TEST_DIRNAME/../lib/lxd.sh"
        lxd_stop "$PLACE"
        rm -rf --one-file-system "$PLACE"
        herds_end
}

setup() {
        herd_begin
        # shellcheck source=tests/lib/lxd.sh
        . "$BATS_TEST_DIRNAME/../lib/lxd.sh"
        lxd_start "$PLACE" # does nothing where it runs
}

teardown() {
        [ -z "${COMPARING:-}" ] || kill -9 "$COMPARING" 2>/dev/null || true
        [ -n "${BATS_TEST_COMPLETED:-}" ] || "$PROGRAM" cleanup || true
}

# compare WORDS…: in the background, its pid in COMPARING.
compare() {
        "$PROGRAM" --json compare "$@" >"$BATS_TEST_TMPDIR/said" 2>"$BATS_TEST_TMPDIR/complaint" 3>&- &
        COMPARING=$!
}

# Kills it, and waits until what it was running has ended too: a tool holds the lock of what it works in.
killed() {
        kill -9 "$COMPARING"
        wait "$COMPARING" || true
        flock "$COWHERD_ROOT"/tmp/compare-*.lock true
}

# until_seen COMMAND…: waits for it to succeed, while compare is at work.
until_seen() {
        for _ in $(seq 600); do
                "$@" && return 0
                kill -0 "$COMPARING" || { cat "$BATS_TEST_TMPDIR/said"; return 1; }
                sleep 0.05
        done
        return 1
}

instances() {
        lxc list -c n -f csv
}

copies() {
        instances | grep -q '^compare-[0-9a-f]*-r'
}

mounts() {
        grep -q "$COWHERD_ROOT/tmp/compare-[0-9a-f]*/raw" /proc/self/mountinfo
}

# Nothing of any comparison is left: no file, mount, process or container, here or in LXD.
nothing_left() {
        is "$(find "$COWHERD_ROOT" 2>/dev/null)" ""
        is "$(grep -F "$COWHERD_ROOT" /proc/self/mountinfo)" ""
        is "$(instances)" ""
        is "$(lxc image list -f csv)" ""
        is "$(find /run/systemd/nspawn -name '*compare-*' 2>/dev/null | grep -F "$(basename "$COWHERD_ROOT")" || true)" ""
        is "$(pgrep -f "$COWHERD_ROOT" || true)" ""
}

# What cleanup would take that nobody knows, and what it would leave as busy.
would_clean() {
        "$PROGRAM" --json cleanup dry_run=true | jq -r '"\(.orphans) \(.busy)"'
}

# What the document in FILE promises: its schema, and of every figure that its numbers agree.
is_document() {
        python3 -c 'import json, sys, jsonschema; jsonschema.validate(json.load(open(sys.argv[2])), json.load(open(sys.argv[1])), jsonschema.Draft202012Validator)' \
                "$BATS_TEST_DIRNAME/../../docs/compare.schema.json" "$1"
        jq -e '.compare == 1 and (.seconds > 0) and (.machine.cores > 0) and (.tools | length > 0) and (.rows | length > 0)
                and ([.figures[] | .n > 0 and (.samples | length) == .n and .ours.median >= .ours.min and .ours.median <= .ours.max
                        and (.compared | length > 0) and (.unit == "ms" or .unit == "bytes")
                        and (.raw == null or ((.ratio == null or .ratio > 0) and (.raw_name | length > 0) and .raw.n == (.raw_samples | length)))] | all)
                and ([.rows[] | .works or (.reason | length > 0)] | all)
                and ([.space[] | .full_copy_bytes == null or (.saved_percent <= 100)] | all)' "$1" >/dev/null || show "$(jq . "$1")"
}

@test "an engine that breaks on the way: it is told, the others are measured, and the status is 71" {
        compare quick=true json="$BATS_TEST_TMPDIR/doc.json"
        until_seen copies
        kill -9 "$(cat "$PLACE/lxd.pid")"
        local status=0
        wait "$COMPARING" || status=$?
        is "$status" 71
        jq -e '.success == 0 and .code == 71 and (.error | contains("lxd")) and .compare == 1' "$BATS_TEST_TMPDIR/said" >/dev/null
        is_document "$BATS_TEST_TMPDIR/doc.json"
        is_document "$BATS_TEST_TMPDIR/said"
        jq -e '([.failed[].engine] | unique) == ["lxd"] and ([.figures[] | select(.engine == "nspawn") | .figure] | unique | contains(["clone", "first_command", "memory", "ready"]))
                and ([.figures[] | select(.engine == "nspawn" and .raw == null and (.figure | startswith("bytes_") | not))] == [])
                and ([.isolation[] | select(.engine == "nspawn") | .facts[] | select(.name == "user namespace").value] | length == 2)
                and ([.left_out[] | select(.engine == "qemu" and .figure == "first_command").why] | first | contains("empty"))' "$BATS_TEST_TMPDIR/doc.json" >/dev/null
        lxd_start "$PLACE"
        expect 0 cleanup
        nothing_left
}

@test "LXD beside lxc; a report, what changed since, and tables that fit" {
        expect 0 compare engine=lxd quick=true clones=2 json=one.json
        says "burst of 2, each"
        is "$(awk 'length > 80' <<<"$output")" ""
        is_document one.json
        jq -e '[.figures[] | select(.raw != null) | .figure] | contains(["burst", "clone", "first_command", "ready", "start"])' one.json >/dev/null
        nothing_left
        refuses 66 "" compare against=nowhere.json
        refuses 66 "" compare html=nowhere/report.html
        expect 0 compare engine=qemu store=qcow2 quick=true against=one.json html=report.html json=two.json
        says "CHANGED since"
        is_document two.json
        grep -q '</html>' report.html
        nothing_left
}

@test "killed: cleanup finds all of it, and leaves alone what is at work" {
        local before
        expect 0 nspawn setup store=overlay
        compare engine=nspawn store=overlay clones=20
        until_seen mounts
        before=$(herd_state)
        refuses 75 "a comparison is under way" nspawn teardown
        refuses 75 "end it with Ctrl-C" nspawn teardown dry_run=true
        expect 0 cleanup
        says "nothing to clean up"
        is "$(would_clean)" "0 1"
        is "$(herd_state | grep -v '^tmp/')" "$(grep -v '^tmp/' <<<"$before")"
        kill -0 "$COMPARING"
        killed
        is "$(would_clean)" "1 0"
        [ -n "$(find "$COWHERD_ROOT/tmp" -mindepth 1 -maxdepth 1 -type d)" ] # only seen
        answer 69 doctor nspawn
        is "$(field '.items[] | select(.check == "leftovers").detail')" "0 unfinished, 1 that nobody knows, 0 expired"
        expect 0 cleanup
        says "1 leftover removed"
        is "$(would_clean)" "0 0"
        expect 0 nspawn teardown
        nothing_left
        compare engine=lxd quick=true
        until_seen copies
        killed
        is "$(would_clean)" "1 0"
        expect 0 cleanup
        nothing_left
}

@test "interrupted: 75, and it cleans up itself" {
        local status=0
        compare engine=lxd quick=true
        until_seen copies
        kill -TERM "$COMPARING"
        wait "$COMPARING" || status=$?
        is "$status" 75
        jq -e '.code == 75 and (.error | contains("interrupted")) and (has("hint") | not)' "$BATS_TEST_TMPDIR/said" >/dev/null || show "$(cat "$BATS_TEST_TMPDIR/said")"
        nothing_left
}

@test "all of a store: whole processes, bursts, and a clone for one command beside what systemd-nspawn has for that" {
        expect 0 compare engine=nspawn store=btrfs clones=2 json=doc.json
        is_document doc.json
        jq -e '([.figures[] | select(.raw != null) | .figure] | contains(["burst", "clone", "clone_process", "first_command", "job", "throwaway"]))
                and ([.figures[] | select(.figure == "job" or .figure == "throwaway").raw_name] == ["systemd-nspawn --template", "systemd-nspawn --ephemeral"])
                and .failed == []' doc.json >/dev/null || show "$(jq 'del(.figures[].samples)' doc.json)"
        says "command in a new clone"
        is "$(awk 'length > 80' <<<"$output")" ""
        nothing_left
}

@test "a machine that boots: start, ready, first command, live clone, and what holds it" {
        expect 0 compare engine=qemu store=qcow2 quick=true image="$IMAGES/tiny.qcow2" json=doc.json
        is_document doc.json
        jq -e '([.figures[].figure] | contains(["bytes_allocated", "clone", "first_command", "live_clone", "memory", "ready", "start"])) and .failed == []
                and ([.figures[] | select(.figure == "live_clone").ours.median] | first) < ([.figures[] | select(.figure == "first_command").ours.median] | first)
                and ([.isolation[].facts[] | select(.name == "sandbox").value] | first | contains("spawn=deny"))
                and (.phases[0].ours | map(.name)) == ["clone", "start", "ready", "command"] and .phases[0].raw != null
                and .space[0].saved_percent > 90' doc.json >/dev/null || show "$(jq 'del(.figures[].samples)' doc.json)"
        nothing_left
}

@test "a disk with something on it that can't be booted: what needs no boot is measured, and why the rest isn't is said" {
        mkdir "$MADE/files" && echo text >"$MADE/files/f"
        mke2fs -q -t ext4 -d "$MADE/files" "$MADE/data.raw" 32M
        SECONDS=0
        expect 0 compare engine=qemu store=qcow2 quick=true image="$MADE/data.raw" json=doc.json
        [ "$SECONDS" -lt 60 ] # it would wait for 100 s
        is_document doc.json
        jq -e '([.left_out[] | select(.engine == "qemu" and .figure == "first_command").why] | first | contains("nothing to boot from"))
                and ([.figures[].figure] | contains(["bytes_allocated", "clone"])) and .failed == [] and .phases == [] and .isolation == []
                and ([.figures[].figure | select(. == "start" or . == "ready" or . == "first_command" or . == "memory" or . == "live_clone")] == [])
                and .space[0].saved_percent > 0' doc.json >/dev/null || show "$(jq 'del(.figures[].samples)' doc.json)"
        says "its firmware found no boot loader"
        nothing_left
}

@test "what can't be: too little space, no such image, two disks; a base of the herd is found by its name" {
        fixture_ext4 small 40M
        qemu-img create -q -f qcow2 "$MADE/big.qcow2" 1G
        qemu-io -f qcow2 -c 'write -P 7 0 64M' "$MADE/big.qcow2" >/dev/null
        refuses 74 "too little space" --root "$FIXTURE_DIR/small/herd" compare engine=qemu image="$MADE/big.qcow2"
        is "$(find "$FIXTURE_DIR/small/herd" 2>/dev/null)" ""
        refuses 66 "neither such a file nor such a base" compare image=nowhere
        refuses 64 "both disks" compare image="$MADE/big.qcow2,$IMAGES/tiny.qcow2"
        refuses 64 "did you mean 'lxd'" compare engine=lxc
        expect 0 compare dry_run=true
        says "take all of it away again"
        nothing_left
        image_tree "$MADE/tree"
        expect 0 nspawn register_base mine rootfs="$MADE/tree"
        local before
        before=$(herd_state)
        expect 0 compare engine=nspawn store=overlay quick=true image=mine json=doc.json
        is "$(jq -r '.images[0].note' doc.json)" "base 'mine' of this herd"
        is_document doc.json
        is "$(herd_state)" "$before"
        is "$(find "$COWHERD_ROOT/tmp" -mindepth 1 2>/dev/null)" ""
        expect 0 nspawn remove_base mine
        expect 0 nspawn teardown
}
