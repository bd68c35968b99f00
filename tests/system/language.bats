#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The language as the shell speaks it: what is refused, with which code and which words, and that nothing was changed by it;
# help, JSON, dry runs. As root.

load lib

setup_file() {
        herds_begin
        image_qcow2 "$MADE/disk.qcow2" 8M
        image_tree "$MADE/tree"
        export COWHERD_ROOT=$FIXTURE_DIR/herd LXD_DIR=/nonexistent
        "$PROGRAM" qemu register_base b "$MADE/disk.qcow2"
        "$PROGRAM" qemu clone base=b name=c
        "$PROGRAM" qemu clone base=b name=d
        "$PROGRAM" nspawn register_base b "rootfs=$MADE/tree"
        "$PROGRAM" nspawn clone base=b name=c
        "$PROGRAM" nspawn clone base=b name=t
}

teardown_file() {
        herds_end
}

# The herd must be after each test what it was before, but for those tests that say otherwise.
setup() {
        cd "$BATS_TEST_TMPDIR"
        BEFORE=$(herd_state)
}

unchanged() {
        is "$(herd_state)" "$BEFORE"
}

# Every verb that works in this version and names something, with the place for the name. (Not rename's and list's, whose
# name may be a pattern.)
NAMING=('qemu register_base image=IMAGE name=' 'qemu info name=' 'qemu remove_base name=' 'qemu clone_from_base base='
        'qemu clone_from_base base=b name=' 'qemu usage name=' 'qemu snapshot name=' 'qemu snapshot name=c snapshot=' 'qemu restore name=' 'qemu promote as=x name=' 'qemu promote name=c as='
        'qemu flatten name=' 'qemu register_base name=x from=' 'qemu rename as=x name=' 'qemu rename name=c as=' 'qemu delete name='
        'nspawn clone_from_base base=b name=' 'lxd delete name=' 'info name=' 'delete name=' 'qemu start name=' 'nspawn stop name='
        'qemu wait name=' 'qemu copy_to local=/etc/hosts remote=/x name=' 'qemu logs name=' 'qemu extend ttl=1h name='
        'qemu create image=IMAGE name=' 'start name=')

@test "names that are none, for every verb" {
        local -a names=('../x' '-x' '' "$(printf 'n%.0s' $(seq 300))" $'a\nb' 'a,b' 'a"b' "a'b" 'käse' $'a\tb' 'a/b' '.' '..' 'a-' '1a' 'a b'
                'a;b' '$(x)' 'a%sb' 'a\b' $'\xff\xfe' '{{x}}' 'a=b' '--' "$(printf 'n%.0s' $(seq 64))")
        local name verb said status
        local -a words
        for verb in "${NAMING[@]}"; do
                for name in "${names[@]}"; do
                        read -ra words <<<"${verb/IMAGE/$MADE/disk.qcow2}"
                        words[${#words[@]}-1]+=$name
                        said=$("$PROGRAM" --json "${words[@]}") && status=0 || status=$?
                        [ "$status" -eq 64 ] && [[ $said == *'"error":"'?*'"code":64'* ]] || { printf '%q ' "${words[@]}" "$status" "$said"; return 1; }
                done
        done
        unchanged
        is "$(find "$FIXTURE_DIR" -maxdepth 1 -name 'x*')" ""
}

@test "a name's sentence names the parameter, shows the name, and the hint the rule" {
        refuses 64 "'../x'" qemu clone base=b name=../x
        refuses 64 "parameter 'name'" qemu clone base=b name=../x
        refuses 64 "does not begin with a letter" qemu clone base=b name=-x
        refuses 64 "longer than 63" qemu clone base=b name="$(printf 'n%.0s' $(seq 64))"
        refuses 64 "longer than 63" qemu clone base=b name="$(printf 'n%.0s' $(seq 62))" count=10
        refuses 64 "'_' or '.'" nspawn clone base=b name=a_b
        refuses 64 "pattern" qemu clone base=b 'name=web-*'
        refuses 64 "pattern" qemu rename 'c*' as=x
        unchanged
        expect 0 qemu clone base=b name=old_script.1 # QEMU takes these, for old scripts
        expect 0 qemu delete old_script.1
        unchanged
}

@test "words that begin with a dash, an equals sign, or nothing" {
        refuses 64 "" qemu clone base=b name=x -x
        refuses 64 "" qemu clone base=b name=x =y
        refuses 64 "" qemu clone base=b name=x ''
        refuses 64 "no parameter 'command'" qemu clone base=b name=x --
        refuses 64 "no parameter 'command'" qemu clone base=b name=x -- touch me
        refuses 64 "bogus" qemu clone base=b name=x --bogus
        refuses 64 "bogus" qemu clone base=b name=x --bogus=1
        refuses 64 "" qemu clone base=b name=x --memory
        refuses 64 "is no size" qemu clone base=b name=x memory=-1
        refuses 64 "is no count" qemu clone base=b name=x count=-1
        refuses 64 "" qemu clone b x y
        unchanged
}

@test "unknown verbs, keys, targets and values come with the nearest known one" {
        refuses 64 "did you mean 'clone_from_base'" qemu clon_from_base base=b
        refuses 64 "did you mean 'delete'" delte c
        refuses 64 "did you mean 'name'" qemu clone base=b nmae=x
        refuses 64 "did you mean 'memory'" qemu clone base=b name=x memroy=1G
        refuses 64 "did you mean 'qcow2'" qemu clone base=b name=x store=qcow
        refuses 64 "" qmeu list
        refuses 64 "is not known" frobnicate
        refuses 64 "no parameter 'colour'" qemu list colour=red
        refuses 64 "did you mean" help clone_from_bsae
        unchanged
}

@test "given twice, missing, of the wrong type, out of range" {
        refuses 64 "twice" qemu clone base=b name=x name=y
        refuses 64 "twice" qemu clone base=b name=x destination=y
        refuses 64 "one word too many" qemu clone b base=b name=x
        refuses 64 "Missing required parameter 'base'" qemu clone name=x
        refuses 64 "Missing required parameter 'name'" qemu delete
        refuses 64 "Missing required parameter 'name'" qemu register_base image=x
        refuses 64 "Missing required parameter 'as'" qemu rename c
        refuses 64 "Missing required parameter 'image'" qemu register_base x
        local word
        for word in memory=lots memory=0 memory=1 memory=65T memory= memory=1.5G memory=99999999999999999999G cpus=0 cpus=1025 cpus=two cpus=1e3 \
                count=0 count=10001 count=many count= disk_size=1 disk_size=big ttl=soon ttl=0 ttl=999ms ttl=1y identity=new identity= \
                store=floppy durable=maybe durable= atomic=2 start=ja stem=out stem=a.b. stem=1. count=99999999999999999999; do
                refuses 64 "${word%%=*}" qemu clone base=b name=x "$word" || { echo "$word"; return 1; }
        done
        for word in size=1M size=65T size=0 store=x pool=; do
                refuses 64 "${word%%=*}" nspawn setup "$word" || { echo "$word"; return 1; }
        done
        refuses 64 "exclude each other" qemu register_base x "image=$MADE/disk.qcow2" "rootfs=$MADE/tree"
        refuses 64 "exclude each other" nspawn register_base x distro=debian "rootfs=$MADE/tree"
        refuses 64 "goes with" qemu register_base x "image=$MADE/disk.qcow2" release=bookworm
        refuses 64 "goes with" nspawn register_base x "tarball=$MADE/none" mirror=http://localhost
        refuses 64 "goes with" nspawn register_base x "rootfs=$MADE/tree" format=qcow2
        refuses 64 "is empty" qemu register_base x image=
        for word in release=../x 'release=a b' 'mirror=nowhere' 'mirror=http://x y' 'packages=?name' 'packages=/etc/passwd' 'packages=-o' variant=-x; do
                refuses 64 "" nspawn register_base x distro=debian "$word" || { echo "$word"; return 1; }
        done
        unchanged
}

@test "what is not there" {
        refuses 66 "Register it first with register_base" qemu clone base=nowhere name=x
        refuses 66 "not found" qemu delete nowhere
        refuses 66 "no clone matches" qemu delete 'nowhere-*'
        refuses 66 "not found" qemu info nowhere
        refuses 66 "not found" qemu rename nowhere as=x
        refuses 66 "not found" qemu remove_base nowhere
        refuses 66 "not found" qemu usage nowhere
        refuses 66 "not found" qemu register_base x image=nowhere.qcow2
        refuses 66 "not found" nspawn register_base x rootfs=nowhere
        refuses 66 "not found" nspawn register_base x tarball=nowhere
        refuses 66 "did you mean" qemu clone base=bb name=x
        # A clone is no base, a base no clone.
        answer 64 qemu delete b || answer 66 qemu delete b
        answer 64 qemu remove_base c || answer 66 qemu remove_base c
        unchanged
}

@test "what is there already" {
        refuses 73 "already exists" qemu clone base=b name=c
        refuses 73 "already exists" qemu clone base=b name=C
        refuses 73 "already exists" qemu clone base=b name=b
        refuses 73 "already exists" qemu register_base b "image=$MADE/disk.qcow2"
        refuses 73 "already exists" qemu register_base c "image=$MADE/disk.qcow2"
        refuses 73 "already exists" qemu rename c as=d
        refuses 73 "already exists" qemu rename c as=b
        refuses 73 "already exists" nspawn register_base B "rootfs=$MADE/tree"
        unchanged
}

@test "what has no point in time, or no such name, is told, and nothing is done" {
        refuses 66 "clone 'nix' not found" qemu snapshot nix
        refuses 66 "it is the name of a base / of a base, clone_from_base base=b makes clones" qemu snapshot b
        refuses 66 "it is the name of a base" qemu promote b as=x
        refuses 66 "it is the name of a base" qemu flatten b
        refuses 66 "it has none" qemu restore c
        refuses 66 "snapshot 'x' of 'c' not found / 'c' has no snapshots" qemu restore c snapshot=x
        refuses 66 "snapshot 'x' of 'c' not found" qemu delete_snapshot c snapshot=x
        refuses 64 "Missing required parameter 'snapshot'" qemu delete_snapshot c
        refuses 64 "Missing required parameter 'as'" qemu promote c
        refuses 64 "Missing required parameter 'name'" qemu flatten
        refuses 64 "" qemu snapshot c snapshot=../x
        refuses 64 "" qemu snapshot c snapshot=-x
        refuses 64 "" qemu snapshot 'c*'
        refuses 64 "" qemu promote c as=../x
        refuses 64 "" qemu snapshot c colour=red
        refuses 73 "clone 'd' already exists" qemu promote c as=d
        refuses 73 "base 'b' already exists" qemu promote c as=B
        refuses 73 "clone 'd' already exists" qemu clone source=c name=d
        refuses 66 "no clone matches 'nix*'" qemu list_snapshots 'nix*'
        refuses 66 "clone 'nix' not found" qemu register_base x from=nix
        refuses 64 "exclude each other" qemu register_base x from=c image=y
        refuses 64 "exclude each other" qemu register_base x from=c store=qcow2
        unchanged
}

@test "an engine that is not there says so" {
        refuses 69 "no LXD and no Incus" lxd register_base x image=x || refuses 69 "lxd can't be used here" lxd register_base x image=x
        unchanged
}

# in_guest CODE TEXT WORDS…: refuses, of execute and shell, whose exit status of an error of our own is 125.
in_guest() {
        local code=$1 text=$2
        shift 2
        expect 125 --json "$@" || return 1
        jq -e ".success == 0 and .code == $code and (has(\"exit_code\") | not)" <<<"$output" >/dev/null || show "$*" || return 1
        [[ $(field '.error + " / " + (.hint // "")') == *"$text"* ]] || show "cowherd --json $*: the error is without: $text"
}

@test "bad words of the verbs of a life" {
        local said
        while IFS='|' read -r code part said; do
                # shellcheck disable=SC2086 # words
                if [[ $said == *" execute "* || $said == *" shell "* ]]; then said="in_guest $code \"\$part\" $said"; else said="refuses $code \"\$part\" $said"; fi
                eval "$said" || { echo "$said"; return 1; }
        done <<'END'
64|Missing required parameter 'name'|qemu start
64|Missing required parameter 'name'|qemu wait
64|timeout|qemu start c timeout=0
64|timeout|qemu start c timeout=soon
64|wait|qemu start c wait=maybe
64|force|qemu stop c force=2
64|for|qemu wait c for=ever
64|did you mean 'timeout'|qemu stop c tiemout=3s
64|one word too many|qemu pause c d
64|goes with start=true|qemu clone base=b name=x wait=true
64|Missing required parameter 'command'|qemu execute c
64|'command' is empty|qemu execute c command=
64|which is no variable|qemu execute c command=true env=A
64|which is no variable|qemu execute c command=true env=1A=2
64|timeout|qemu execute c command=true timeout=-1
64|needs somebody's terminal|qemu shell c
64|Missing required parameter 'remote'|qemu copy_to c /etc/hosts
64|is not absolute|qemu copy_to c /etc/hosts tmp/x
64|is not absolute|qemu copy_from c tmp/x /tmp
66|'/no/such' not found|qemu copy_to c /no/such /tmp
66|No such file|qemu copy_from c /etc/hosts /no/such/folder/x
65|neither a file nor a folder|qemu copy_to c /dev/null /tmp
64|has no name|qemu copy_from c / /tmp
64|lines|qemu logs c lines=0
64|Missing required parameter 'ttl'|qemu extend c
64|ttl|qemu extend c ttl=0
64|Missing required parameter 'image'|qemu create
66|not found|qemu create image=nowhere.qcow2 name=x
73|already exists|qemu create "image=$MADE/disk.qcow2" name=c
64|expected none, user, host or bridge|qemu clone base=b name=x network=wifi
64|which is no port|qemu clone base=b name=x ports=80
64|leads nowhere|qemu clone base=b name=x network=none ports=80:80
64|names no folders|qemu clone base=b name=x mount=srv:mnt
65|is not one public key|qemu clone base=b name=x ssh_key=/etc/hosts
66|ssh_key|qemu clone base=b name=x ssh_key=/no/such.pub
66|user_data|qemu clone base=b name=x user_data=/no/such
69|for virtual machines|nspawn clone base=b name=x os=linux
64|did you mean 'linux'|qemu clone base=b name=x os=linx
64|firmware|qemu clone base=b name=x firmware=coreboot
END
        unchanged
}

@test "what is not there, does not run, or is no clone" {
        local verb
        for verb in start stop restart pause resume start_if_stopped stop_if_running wait logs 'extend ttl=1h' \
                'copy_to local=/etc/hosts remote=/x' 'copy_from remote=/x local=x'; do
                # shellcheck disable=SC2086 # words
                refuses 66 "not found" qemu $verb name=nowhere || { echo "$verb"; return 1; }
                # shellcheck disable=SC2086
                refuses 66 "name of a base" qemu $verb name=b || { echo "$verb"; return 1; }
        done
        for verb in start stop restart pause resume start_if_stopped stop_if_running wait 'extend ttl=1h'; do
                # shellcheck disable=SC2086
                refuses 66 "no clone matches" qemu $verb 'name=zz-*' || { echo "$verb"; return 1; }
        done
        in_guest 66 "not found" qemu execute command=true name=nowhere
        in_guest 66 "name of a base" qemu execute command=true name=b
        in_guest 64 "does not begin with a letter" qemu execute command=true name=../x
        in_guest 75 "stopped" qemu execute command=true name=c
        for verb in stop pause resume 'copy_to local=/etc/hosts remote=/x' 'copy_from remote=/x local=x'; do
                # shellcheck disable=SC2086
                refuses 75 "stopped" qemu $verb name=c || { echo "$verb"; return 1; }
        done
        refuses 66 "" qemu logs c
        answer 0 qemu stop_if_running c
        is "$(field .skipped)" 1
        answer 0 qemu wait c for=stopped
        refuses 75 "" qemu wait c for=running timeout=100ms
        is "$(field .state)" stopped
        unchanged
        expect 125 exec c -- true
        expect 125 shell d
        answer 75 qemu stop 'name=*'
        is "$(field '.matched, .failed, (.items | length), .items[0].code')" $'2\n2\n2\n75'
        unchanged
}

@test "every answer is one line of JSON in its order" {
        local verb
        for verb in status 'qemu status' list 'qemu list' list_bases 'info t' 'qemu info c' usage 'usage t' cleanup doctor help; do
                # shellcheck disable=SC2086
                answer 0 $verb || { echo "$verb"; return 1; }
                is "$(field 'keys_unsorted[0:3] | join(" ")')" "success operation output" || { echo "$verb"; return 1; }
                is "$(field 'if has("items") then (.items | length) == .count else true end')" true || { echo "$verb"; return 1; }
        done
        answer 0 list
        is "$(field '[.items[] | .engine + "/" + .name] | join(" ")')" "qemu/c qemu/d nspawn/c nspawn/t"
        # What is not UTF-8 in a word is not in the answer.
        run "$PROGRAM" --json qemu clone base=$'\xff\xfe' name=x
        iconv -f UTF-8 -t UTF-8 <<<"$output" >/dev/null
        jq -e '.code == 64' <<<"$output"
        # Quotes and backslashes are kept; what would break a line is shown as '?'.
        refuses 66 'a"b\c?d' qemu register_base x $'image=a"b\\c\nd'
        unchanged
}

@test "dry_run changes nothing, for every verb, and prints a plan" {
        local verb
        for verb in "qemu register_base x image=$MADE/disk.qcow2" "nspawn register_base x rootfs=$MADE/tree" "qemu clone base=b name=x" \
                "nspawn clone base=b name=x count=3" "qemu remove_base b" "qemu delete c" "qemu delete name=*" "qemu rename c as=x" "qemu setup" \
                "nspawn setup store=btrfs size=300M" "qemu cleanup" "cleanup" "qemu list" "qemu status" "qemu usage c" "doctor"; do
                # shellcheck disable=SC2086
                answer 0 --dry-run $verb || { echo "$verb"; return 1; }
                # shellcheck disable=SC2086
                answer 0 $verb dry_run=true || { echo "$verb"; return 1; }
                unchanged || { echo "$verb"; return 1; }
        done
        is "$(find "$COWHERD_ROOT" -maxdepth 1 -name 'pools*')" ""
        expect 0 --dry-run qemu clone base=b name=x
        says "nothing done"
        says "1. "
        refuses 66 "not found" qemu info x
        # What would be refused is refused in a dry run too.
        refuses 66 "not found" --dry-run qemu delete nowhere
        refuses 64 "" --dry-run qemu clone base=b name=../x
        refuses 75 "in use" --dry-run qemu teardown
        unchanged
        # On a machine where nothing is yet, nothing comes of it.
        export COWHERD_ROOT=$PWD/none
        answer 0 --dry-run qemu setup
        answer 0 --dry-run qemu register_base x "image=$MADE/disk.qcow2"
        answer 0 --dry-run qemu teardown
        [ ! -e none ]
}

@test "nothing is made by asking, or by what is refused" {
        export COWHERD_ROOT=$PWD/none
        local verb
        for verb in 'list' 'qemu list' 'list_bases' 'status' 'doctor' 'cleanup' 'usage' 'help' 'qemu teardown'; do
                # shellcheck disable=SC2086
                answer 0 $verb
        done
        answer 0 list
        is "$(field .count)" 0
        for verb in 'info x' 'delete x' 'delete name=*' 'remove_base x' 'usage x' 'rename x as=y' 'clone b x' 'register_base x image=nowhere'; do
                # shellcheck disable=SC2086
                refuses 66 "" qemu $verb || { echo "$verb"; return 1; }
        done
        refuses 64 "" qemu register_base ../x "image=$MADE/disk.qcow2"
        refuses 65 "" qemu register_base x image=/dev/null
        refuses 66 "not found" qemu start x
        [ ! -e none ]
}

@test "a target left out: the only one of that name is meant; where two are, it must be said" {
        answer 0 info t
        is "$(field .engine)" nspawn
        answer 0 info d
        is "$(field .engine)" qemu
        local verb
        for verb in 'info c' 'info b' 'delete c' 'clone b x' 'rename c as=x' 'remove_base b'; do
                # shellcheck disable=SC2086
                refuses 64 "known to both qemu and nspawn" $verb || { echo "$verb"; return 1; }
        done
        refuses 64 "which engine" register_base x "image=$MADE/disk.qcow2"
        refuses 64 "cowherd qemu setup" setup
        refuses 66 "not found" info nowhere
        refuses 66 "base 'nowhere' not found. Register it first with register_base" clone nowhere x
        unchanged
        expect 0 rename t as=t2
        expect 0 rename t2 as=t
        unchanged
}

@test "the shell's spellings of one command" {
        expect 0 QEMU CLONE_FROM_BASE BASE=b NAME=x
        expect 0 qemu delete x
        expect 0 qemu clone-from-base --base b --name x
        expect 0 qemu remove --name=x
        expect 0 qemu copy source=b destination=x
        expect 0 delete x
        expect 0 qemu clone b x --disk-size 16M --durable
        is "$("$PROGRAM" --json qemu info x --dry-run | jq -r .name)" x
        expect 0 qemu delete x
        expect 0 --root "$COWHERD_ROOT" qemu clone b x
        COWHERD_ROOT=/nonexistent expect 0 --root="$COWHERD_ROOT" delete x
        unchanged
}

@test "values as a script quotes them" {
        cat >s.rexx <<'REXX'
ADDRESS QEMU
"clone base=b name='x'"; SAY RC
'clone base="b" name="y"'; SAY RC
"delete name=x name=y"; SAY RC
"clone base=b name='un''quoted'"; SAY RC
"clone base=b name='open"; SAY RC RESULT
"clone base=b name=z memory="; SAY RC
"delete name=x"; SAY RC
"delete name=y"; SAY RC
v = "b name=evil"
"clone base={{v}} name=z"; SAY RC
"clone base={{unset}} name=z"; SAY RC RESULT
"clone base=b name={{{{"; SAY RC
"   clone    base=b"||'09'x||"name=z   "; SAY RC
"delete name=z"; SAY RC
""; SAY RC
REXX
        expect 0 run s.rexx
        is "$(cut -d' ' -f1 <<<"$output" | tr '\n' ' ')" "0 0 64 64 64 64 0 0 64 64 64 0 0 64 "
        says "unset"
        unchanged
}

# At most 80 columns, and no blank at a line's end.
narrow() {
        not grep -nE '^.{81,}| $' <<<"$output"
}

@test "help: every verb, every topic, 80 columns" {
        expect 0 help
        narrow
        local verb verbs
        verbs=$(awk '/^  [a-z_]+  / { print $1 }' <<<"$output" | grep -v '^cowherd$' | sort -u)
        [ "$(wc -l <<<"$verbs")" -ge 43 ]
        for verb in $verbs; do
                expect 0 help "$verb"
                narrow
                says "$verb"
        done
        for verb in syntax types targets qemu lxd nspawn stores answers codes rexx; do
                expect 0 help "$verb"
                narrow
        done
        expect 0 --help
        expect 0 qemu clone --help
        says "clone_from_base"
        expect 0 -h
        expect 0 --version
        is "$output" "cowherd $(sed -n 's/.*COWHERD_VERSION "\(.*\)"/\1/p' "$BATS_TEST_DIRNAME/../../include/cowherd.h")"
        expect 64
        expect 64 qemu
        expect 64 help no-such-topic
        unchanged
}

@test "tables: 80 columns" {
        local verb
        for verb in 'list' 'list_bases' 'status' 'doctor' 'usage' '--dry-run qemu clone base=b name=x'; do
                # shellcheck disable=SC2086
                expect 0 $verb
                # A path of this test's own may be longer.
                output=${output//$FIXTURE_DIR/}
                narrow || { echo "$verb"; return 1; }
        done
}

@test "the manual has every verb" {
        local man=${COWHERD_BUILD:-$(dirname "$PROGRAM")}/man verb
        expect 0 help
        for verb in $(awk '/^  [a-z_]+  / { print $1 }' <<<"$output" | grep -v '^cowherd$' | sort -u); do
                grep -q "${verb//_/.*_}" "$man/cowherd-verbs.7" || { echo "$verb"; return 1; }
        done
        grep -q '^.TH "cowherd" "1"' "$man/cowherd.1"
        grep -q '^.TH "cowherd-rexx" "7"' "$man/cowherd-rexx.7"
}

@test "output that cannot be written is an error" {
        local verb
        for verb in list '--json list' help '--version' 'qemu info d'; do
                # shellcheck disable=SC2086
                run bash -c '"$0" "$@" >/dev/full' "$PROGRAM" $verb
                [ "$status" -eq 74 ] || { echo "$verb: $status"; return 1; }
        done
}

@test "a root folder that can't be one" {
        : >file
        refuses 78 "is not a folder" --root "$PWD/file" qemu setup
        refuses 78 "is not a folder" --root "$PWD/file/under" list
        refuses 64 "'--root' is empty" --root= list
        refuses 64 "has no value" list --root
        mkdir damaged newer other
        echo "this is no database, but it is long enough to have a header of a hundred bytes, or so one would think, would one not" >damaged/catalogue.db
        refuses 78 "is not a catalogue" --root damaged list
        sqlite3 other/catalogue.db 'CREATE TABLE x (y)'
        refuses 78 "database of another program" --root other list
        "$PROGRAM" --root newer qemu setup
        sqlite3 newer/catalogue.db 'PRAGMA wal_checkpoint(TRUNCATE); PRAGMA user_version = 999' >/dev/null
        local before
        before=$(sqlite3 newer/catalogue.db .dump)
        refuses 78 "newer" --root newer list
        refuses 78 "newer" --root newer qemu register_base x "image=$MADE/disk.qcow2"
        is "$(sqlite3 newer/catalogue.db .dump)" "$before"
}

@test "without root: disks work, trees say what they need" {
        mkdir "$FIXTURE_DIR/nobody" && chown nobody "$FIXTURE_DIR/nobody" && chmod 755 "$FIXTURE_DIR" "$MADE"
        export COWHERD_ROOT=$FIXTURE_DIR/nobody/herd
        cd /
        # The build may lie where only root may look.
        local own=$FIXTURE_DIR/nobody/program
        mkdir "$own"
        cp "$PROGRAM" "$own/cowherd"
        ldd "$PROGRAM" | awk '/libcowherd/ { print $3 }' | xargs -r cp -t "$own"
        PROGRAM="$own/cowherd"
        nobody() {
                run --separate-stderr setpriv --reuid=nobody --regid=nogroup --clear-groups env LD_LIBRARY_PATH="$own" "$PROGRAM" "$@"
        }
        nobody qemu register_base b "$MADE/disk.qcow2"
        [ "$status" -eq 0 ] || show register
        nobody qemu clone base=b name=c count=3
        [ "$status" -eq 0 ] || show clone
        qemu-img check -q "$(find "$COWHERD_ROOT/clones" -name disk.qcow2 | head -n 1)"
        nobody nspawn register_base b "rootfs=$MADE/tree"
        [ "$status" -eq 77 ] || show nspawn
        complains "root"
        nobody nspawn setup store=btrfs size=300M
        [ "$status" -eq 77 ] || show pool
        nobody --root "$FIXTURE_DIR/herd" list
        [ "$status" -eq 77 ] || show "another's herd"
        nobody qemu delete 'name=*'
        [ "$status" -eq 0 ] || show delete
}

@test "a setup that fails leaves no herd where there was none, and a herd that was there as it was" {
        export COWHERD_ROOT=$BATS_TEST_TMPDIR/none
        refuses 69 "reflink" nspawn setup store=reflink
        not test -e "$COWHERD_ROOT"
        answer 0 qemu setup
        local before
        before=$(herd_state)
        refuses 69 "reflink" nspawn setup store=reflink
        is "$(herd_state)" "$before"
        # Where ZFS has no module or daemon its tools have made nothing, and could undo nothing either.
        if ! zpool list >/dev/null 2>&1; then
                not "$PROGRAM" nspawn setup store=zfs
                not "$PROGRAM" nspawn setup store=zfs pool=tank
                is "$(herd_state)" "$before"
                expect 0 qemu setup
        fi
}
