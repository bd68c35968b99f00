#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Scripts against a real herd: QEMU's disk images, which need neither root nor a running engine.

load words

setup_file() {
        export SCRIPTS=$BATS_TEST_DIRNAME/../rexx
        export IMAGE=$BATS_FILE_TMPDIR/image.qcow2
        qemu-img create -q -f qcow2 "$IMAGE" 64M
}

setup() {
        PROGRAM=${COWHERD_PROGRAM:-$BATS_TEST_DIRNAME/../../build/cowherd}
        export COWHERD_ROOT=$BATS_TEST_TMPDIR/herd
        cd "$BATS_TEST_TMPDIR"
}

# A base may be immutable (chattr +i), which a plain rm cannot remove.
teardown() {
        chattr -R -f -i "$COWHERD_ROOT" 2>/dev/null || true
}

says() {
        if [ "$output" != "$1" ]; then
                printf 'said:\n%s\ninstead of:\n%s\n%s\n' "$output" "$1" "$stderr"
                return 1
        fi
}

@test "what commands leave in RC, RESULT, stems and QEMU_ variables" {
        runs 0 "$PROGRAM" run "$SCRIPTS/answers.rexx" "$IMAGE"
        says "all well"
        complains ""
}

@test "a value put in by {{name}} stays one value" {
        runs 0 "$PROGRAM" "$SCRIPTS/names.rexx" "$IMAGE"
        says $'0\n64\n64\n64\n64\n0\nfrom-stem\nfrom-variable'
}

@test "the shell's commands between our own; ERROR is raised and names line and command" {
        runs 66 "$PROGRAM" run "$SCRIPTS/mixed.rexx" "$PWD"
        says $'made\nc made\nline 11: 66 clone base=nowhere name=d'
        complains "mixed.rexx:11: \"clone base=nowhere name=d\": base 'nowhere' not found"
}

@test "a stopped script still cleans up" {
        "$PROGRAM" run "$SCRIPTS/halt.rexx" "$IMAGE" "$PWD/ready" >out 2>err 3>&- &
        local script=$!
        for _ in $(seq 100); do
                [ -s ready ] && break
                sleep 0.1
        done
        [ -s ready ]
        runs 0 "$PROGRAM" qemu info short-lived
        kill -TERM "$script"
        local ended=0
        wait "$script" || ended=$?
        [ "$ended" -eq 9 ]
        [ "$(cat out)" = $'stopped\n0' ]
        runs 66 "$PROGRAM" qemu info short-lived
}

@test "a stopped script that traps nothing ends with 128 and the signal" {
        echo 'CALL LINEOUT "ready", "x"; CALL LINEOUT "ready"; DO FOREVER; CALL SLEEP 1; END' >loop.rexx
        "$PROGRAM" run loop.rexx >out 2>err 3>&- &
        local script=$! ended=0
        for _ in $(seq 100); do
                [ -s ready ] && break
                sleep 0.1
        done
        kill -INT "$script" # bash has INT ignored in what it starts with &
        kill -TERM "$script"
        wait "$script" || ended=$?
        [ "$ended" -eq 143 ]
        grep -q 'loop.rexx:1: stopped by SIGTERM' err
}

@test "a relative image is found beside the script" {
        mkdir scripts elsewhere
        cp "$IMAGE" scripts/beside.qcow2
        printf 'ADDRESS QEMU "register_base name=b image=beside.qcow2"; SAY RC; EXIT RC\n' >scripts/s.rexx
        cd elsewhere
        runs 0 "$PROGRAM" run ../scripts/s.rexx
        says 0
}

@test "a script that is a program of its own" {
        mkdir bin
        ln -s "$PROGRAM" bin/cowherd
        printf '#!/usr/bin/env cowherd\nPARSE ARG a b\nSAY b a\nEXIT 5\n' >own
        chmod +x own
        PATH=$PWD/bin:$PATH runs 5 ./own one two
        says "two one"
}

@test "what is not REXX is told with its file and line, and nothing of it runs" {
        printf 'ADDRESS QEMU "register_base name=b image=%s"\nIF 1 THEN DO\n' "$IMAGE" >broken.rexx
        runs 65 "$PROGRAM" run broken.rexx
        complains "broken.rexx:2: incomplete DO/SELECT/IF (REXX error 14"
        runs 66 "$PROGRAM" qemu info b
}

@test "a script that is not there" {
        runs 66 "$PROGRAM" run absent.rexx
        complains "cannot run 'absent.rexx': file not found"
}

@test "an unknown environment is an error, never a silent 0" {
        printf 'ADDRESS VIRTUALBOX "list"; SAY RC\n' >other.rexx
        runs 0 "$PROGRAM" run other.rexx
        says 69
        complains "environment 'VIRTUALBOX' is unknown"
}

@test "an unknown verb comes with the nearest known one" {
        printf 'ADDRESS QEMU "clon_from_base base=b"; SAY RC\n' >typo.rexx
        runs 0 "$PROGRAM" run typo.rexx
        says 64
        complains "clone_from_base"
}

@test "with --safe only our own commands work" {
        printf 'ADDRESS QEMU "list"; SAY RC; ADDRESS SYSTEM "touch made"; SAY "never"\n' >tame.rexx
        runs 65 "$PROGRAM" run --safe tame.rexx
        says 0
        [ ! -e made ]
        printf 'CALL OPEN "made", "W"\n' >tame.rexx
        runs 65 "$PROGRAM" run --safe tame.rexx
        [ ! -e made ]
}

@test "dry_run tells the plan and makes nothing" {
        printf 'ADDRESS QEMU "register_base name=b image=%s dry_run=true"; SAY RC; ADDRESS QEMU "list_bases"; SAY RESULT.0\n' "$IMAGE" >plan.rexx
        runs 0 "$PROGRAM" run plan.rexx
        says $'0\n0'
}

@test "an empty script is a success" {
        : >empty.rexx
        runs 0 "$PROGRAM" run empty.rexx
        says ""
}
