#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What is answered with --json is what docs/schemas says: the real answers of every verb, of successes, failures and plans. As root.

load lib

SCHEMAS=$BATS_TEST_DIRNAME/../../docs/schemas

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

teardown() {
        "$PROGRAM" delete '*' force=true >/dev/null 2>&1 || true
}

# says WORDS…: adds the answer to the answers, whatever it is.
says() {
        "$PROGRAM" --json "$@" >>answers </dev/null || true
}

@test "every verb answers as its schema says" {
        local verbs
        says qemu setup
        says nspawn register_base ns rootfs="$MADE/tree"
        says qemu register_base deb "$MADE/disk.qcow2"
        says qemu register_base deb "$MADE/disk.qcow2"
        says qemu clone deb web count=2 memory=64M cpus=1 ttl=1h network=none identity=keep
        says qemu clone deb web count=3
        says --dry-run qemu clone deb x
        says qemu clone web-1 of
        says qemu create image="$MADE/disk.qcow2" name=made
        says nspawn clone ns c ttl=1h
        says nspawn clone ns c start=true
        says nspawn clone ns many count=2 start=true
        says clone deb 1bad
        says bogus
        says list
        says list_bases
        says info web-1
        says info 'web-*'
        says info deb
        says info nothing
        says usage
        says usage c
        says status
        says nspawn status
        says tree
        says doctor
        says advise
        says advise need=windows,live
        says metrics
        says metrics file=metrics
        says completion bash
        says help
        says help clone
        says help codes
        says stop 'many-*' force=true
        says start c
        says start c
        says start 'many-*'
        says pause 'many-*'
        says pause 'many-*'
        says resume 'many-*'
        says start_if_stopped '*-1'
        says wait c for=running timeout=10s
        says exec c -- 'echo out; echo err >&2; exit 3'
        says exec c -- 'printf "\377"'
        says exec many-2 -- true
        says copy_to c "$MADE/disk.qcow2" /root/disk
        says copy_from c /root/disk copied
        says logs c
        says pause c
        says resume c
        says restart c force=true
        says stop c force=true
        says stop_if_running 'c'
        says extend c ttl=2h
        says extend 'many-*' ttl=2h
        says snapshot web-2 one
        says snapshot web-2
        says list_snapshots 'web-*'
        says restore web-2 one
        says delete_snapshot web-2 one
        says promote web-2 tested
        says flatten of
        says rename of as=other
        says --dry-run delete other
        says delete other
        says delete nothing
        says delete 'many-*' force=true
        says --dry-run cleanup
        says cleanup
        says security_audit
        says remove_base tested
        says delete '*' force=true
        says remove_base deb
        says remove_base ns
        says qemu teardown
        # 'run' is the script's own to print, 'shell' a terminal's, and what compare prints is a document of its own.
        verbs=$("$PROGRAM" --json help | jq -r '.items[] | select(.available == 1).verb' | grep -vxE 'run|shell|compare')
        # shellcheck disable=SC2086 # words
        python3 "$BATS_TEST_DIRNAME/schemas.py" "$SCHEMAS" answers $verbs
}

@test "what is not so is found" {
        mkdir schemas
        cp "$SCHEMAS"/*.json schemas
        says qemu register_base deb "$MADE/disk.qcow2"
        says list_bases
        python3 "$BATS_TEST_DIRNAME/schemas.py" schemas answers list_bases | grep -v 'no answer was of the kind' >left || true
        is "$(cat left)" ""
        sed -i 's/"size_bytes": {/"size_byte": {/' schemas/base.json
        python3 "$BATS_TEST_DIRNAME/schemas.py" schemas answers | grep -q "does not have"
        cp "$SCHEMAS"/fields.json schemas
        jq '."$defs".engine.enum = ["lxd"]' "$SCHEMAS/fields.json" >schemas/fields.json
        python3 "$BATS_TEST_DIRNAME/schemas.py" schemas answers | grep -q "'qemu' is not one of"
        python3 "$BATS_TEST_DIRNAME/schemas.py" "$SCHEMAS" answers shell | grep -q "no answer of 'shell'"
}
