#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Completion in the real shells: bash by its own variables, and all three by keys that are typed on a terminal. As root.

load lib

setup_file() {
        herds_begin
        image_qcow2 "$MADE/disk.qcow2" 8M
        export COWHERD_ROOT=$FIXTURE_DIR/herd
        "$PROGRAM" qemu register_base vm-base "$MADE/disk.qcow2" >/dev/null
        "$PROGRAM" qemu clone vm-base web-1 >/dev/null
        "$PROGRAM" qemu snapshot web-1 clean >/dev/null
        mkdir "$MADE/with blank"
        touch "$MADE/with blank/other.raw"
        for shell in bash zsh fish; do
                "$PROGRAM" completion "shell=$shell" >"$MADE/complete.$shell"
        done
}

teardown_file() {
        herds_end
}

setup() {
        cd "$MADE" || return 1
        PATH=$(dirname "$(readlink -f "$PROGRAM")"):$PATH
}

# by_bash LINE: what bash would offer at the end of a line, apart by '|'.
by_bash() {
        bash --norc -c '
                . ./complete.bash
                COMP_LINE=$1 COMP_POINT=${#1} COMPREPLY=()
                shift
                COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
                _cowherd cowherd "${COMP_WORDS[COMP_CWORD]}" ""
                printf "%s|" "${COMPREPLY[@]}"' bash "$@" 2>&1
}

@test "bash gets verbs, keys, values, names and files" {
        is "$(by_bash 'cowherd tre' cowherd tre)" "tree |"
        is "$(by_bash 'cowherd qemu clone base=' cowherd qemu clone base =)" "vm-base |web-1 |"
        is "$(by_bash 'cowherd qemu clone base=vm' cowherd qemu clone base = vm)" "vm-base |"
        is "$(by_bash 'cowherd qemu clone --base ' cowherd qemu clone --base '')" "vm-base |web-1 |"
        is "$(by_bash 'cowherd qemu clone base=vm-base na' cowherd qemu clone base = vm-base na)" "name=|"
        is "$(by_bash 'cowherd restore web-1 snapshot=' cowherd restore web-1 snapshot =)" "clean |"
        is "$(by_bash 'cowherd clone ident' cowherd clone ident)" "identity=|"
        is "$(by_bash 'cowherd clone identity=f' cowherd clone identity = f)" "fresh |"
        is "$(by_bash 'cowherd qemu register_base x image=di' cowherd qemu register_base x image = di)" "disk.qcow2|"
        is "$(by_bash 'cowherd qemu register_base x --rootfs wi' cowherd qemu register_base x --rootfs wi)" "with blank|"
        is "$(by_bash "cowherd --root $COWHERD_ROOT list web" cowherd --root "$COWHERD_ROOT" list web)" "web-1 |"
        # In the middle of a line.
        is "$(bash --norc -c '. ./complete.bash; COMP_LINE="cowherd tre x" COMP_POINT=11 COMP_WORDS=(cowherd tre x) COMP_CWORD=1; _cowherd cowherd; echo "${COMPREPLY[*]}"')" "tree "
}

@test "a herd that can't be read makes no noise" {
        local root
        echo damaged >"$BATS_TEST_TMPDIR/catalogue.db"
        for root in /dev/null /proc/1/nothing "$BATS_TEST_TMPDIR"; do
                COWHERD_ROOT=$root expect 0 __complete clone base=
                is "$output$stderr" ""
        done
        [ ! -e "$BATS_TEST_TMPDIR/none" ]
        COWHERD_ROOT=$BATS_TEST_TMPDIR/none expect 0 __complete clone base=
        [ ! -e "$BATS_TEST_TMPDIR/none" ]
        refuses 64 "did you mean 'bash'" completion shell=bsh
        answer 0 completion shell=zsh
        is "$(field .script)" "$(cat complete.zsh)"
}

all_keys() {
        "$1" -n "complete.$1"
        is "$(timeout 60 python3 "$BATS_TEST_DIRNAME/completion_keys.py" "$1" "$MADE/complete.$1" \
                'cowherd qemu clone_f\tbase=vm\tname=x --sta\t' 'cowherd restore web\t--snapshot cl\t' 'cowherd qemu register_base x im\tdis\t' | paste -sd' ')" \
                "cowherd qemu clone_from_base base=vm-base name=x --start  cowherd restore web-1 --snapshot clean  cowherd qemu register_base x image=disk.qcow2 "
}

@test "keys typed into bash" {
        all_keys bash
}

@test "keys typed into zsh" {
        all_keys zsh
}

@test "keys typed into fish" {
        all_keys fish
        is "$(fish --no-config -c 'source complete.fish; complete -C "cowherd qemu clone base=v"')" $'base=vm-base\tbase on qemu'
}
