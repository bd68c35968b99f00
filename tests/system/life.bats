#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The life of instances as people speak of it: the program over real engines, nspawn for what is the same on all of them, then
# a machine of QEMU and an LXD container once through. As root.

load lib
# shellcheck source=tests/lib/lxd.sh
. "$BATS_TEST_DIRNAME/../lib/lxd.sh"

setup_file() {
        herds_begin
        images_prepare tree tiny lxd
        image_tree "$MADE/bare"
        export COWHERD_ROOT=$FIXTURE_DIR/herd
        "$PROGRAM" nspawn register_base deb "rootfs=$IMAGES/tree"
        "$PROGRAM" nspawn clone base=deb name=up start=true wait=true
        export RUNTIME
        RUNTIME=/run/cowherd/$(sqlite3 "$COWHERD_ROOT/catalogue.db" "SELECT substr(value, 1, 8) FROM setting WHERE key = 'herd.uuid'")
}

teardown_file() {
        for COWHERD_ROOT in "$FIXTURE_DIR/herd" "$FIXTURE_DIR"/own-*; do
                [ -e "$COWHERD_ROOT/catalogue.db" ] || continue
                for target in qemu lxd nspawn; do
                        "$PROGRAM" "$target" delete 'name=*' force=true
                        "$PROGRAM" "$target" list_bases --json | jq -r '.items[].name' | xargs -r -n1 "$PROGRAM" "$target" remove_base
                done
                "$PROGRAM" cleanup
                for target in qemu lxd nspawn; do "$PROGRAM" "$target" teardown; done
        done >/dev/null 2>&1 || true
        lxd_stop "$FIXTURE_DIR/l"
        herds_end
}

setup() {
        cd "$BATS_TEST_TMPDIR" || return 1
}

# What a stopped instance, or none, has left of itself: nothing.
nothing_runs_of() {
        local id=$1
        [ ! -e "$RUNTIME/$id" ] || show "left: $(find "$RUNTIME/$id")" || return 1
        not grep -q "/clones/$id/" /proc/mounts
}

id_of() {
        "$PROGRAM" --json nspawn info "$1" | jq -r .id
}

@test "a start tells what it did; a stop leaves nothing of what ran; both again" {
        expect 0 nspawn clone base=deb name=one memory=256M
        local id
        id=$(id_of one)
        for _ in 1 2; do
                answer 0 start one wait=true
                is "$(field '.state, (.start_ms > 0), (.wait_ms > 0)')" $'running\ntrue\ntrue'
                refuses 75 "running already" start one
                answer 0 start_if_stopped one
                is "$(field .skipped)" 1
                answer 0 stop one
                is "$(field '.state, .forced')" $'stopped\n0'
                nothing_runs_of "$id"
                refuses 75 "stopped already" stop one
        done
        answer 0 restart one
        is "$(field .state)" running
        refuses 75 "force=true" delete one
        answer 0 delete one force=true
        is "$(field .ended)" 1
        nothing_runs_of "$id"
        [ ! -e "$COWHERD_ROOT/clones/$id" ]
}

@test "the identity was chosen at the clone and is inside at the first start; the next ones leave it alone" {
        local chosen
        chosen=$("$PROGRAM" --json info up | jq -r '.hostname, .machine_id')
        is "$("$PROGRAM" exec up -- cat /etc/hostname /etc/machine-id)" "$chosen"
        is "$("$PROGRAM" exec up -- uname -n)" up
        is "$("$PROGRAM" --json info up | jq -r '.identity_applied + "/" + .identity_pending')" all/
        not grep -q PRIVATE "$COWHERD_ROOT/catalogue.db" # no host key is kept once it is inside
        expect 0 nspawn clone base=deb name=kept identity=keep start=true
        not grep -qx kept <("$PROGRAM" exec kept -- 'cat /etc/hostname || true')
        is "$("$PROGRAM" --json info kept | jq -r .identity)" keep
        expect 0 delete kept force=true
}

@test "a command's words, input, output, environment and exit code" {
        is "$("$PROGRAM" exec up -- printf '[%s]' 'two  words' '' "a'b\"c" '$HOME' --flag)" "[two  words][][a'b\"c][\$HOME][--flag]"
        is "$("$PROGRAM" exec up -- 'echo $((6 * 7)) | cat')" 42
        is "$(printf 'in\nput' | "$PROGRAM" exec up -- cat)" $'in\nput'
        run --separate-stderr "$PROGRAM" exec up -- 'echo out; echo err >&2; exit 7'
        is "$status/$output/$stderr" "7/out/err"
        answer_of_exec 3 up -- 'echo out; echo err >&2; exit 3'
        is "$(field '.exit_code, .stdout, .stderr')" $'3\nout\n\nerr'
        answer_of_exec 0 up command='printf "\377\000x"'
        is "$(field .stdout_base64)" /wB4
        is "$("$PROGRAM" exec up command='printf "\377\000x"' stdin= | od -An -tx1 | tr -d ' ')" ff0078
        answer_of_exec 0 up command='echo "$A/$B/$PWD/$(id -un)"; cat' env='A=1 B="two words"' working_dir=/etc user=daemon stdin='typed in'
        is "$(field .stdout)" $'1/two words//etc/daemon\ntyped in'
        answer_of_exec 143 up command='kill -TERM $$'
        run --separate-stderr "$PROGRAM" exec up timeout=500ms -- sleep 987
        is "$status" 125
        complains "within 500 ms"
        not "$PROGRAM" exec up -- 'readlink /proc/[0-9]*/exe | grep -q sleep' # it is ended inside, too
        run --separate-stderr "$PROGRAM" exec up -- /no/such/program
        [ "$status" -ne 0 ]
}

# answer_of_exec STATUS WORDS…: --json of a command that ran: success, and its exit code as the status.
answer_of_exec() {
        local expected=$1
        shift
        expect "$expected" --json exec "$@" || return 1
        jq -e ".success == 1 and .exit_code == $expected and (has(\"code\") | not)" <<<"$output" >/dev/null || show "$*"
}

@test "a terminal is a terminal inside, of the same size; a shell logs in" {
        is "$(script -qec "stty rows 33 cols 99; $PROGRAM exec up -- 'tty >/dev/null && stty size'" /dev/null </dev/null | tr -d '\r' | grep -ao '[0-9]* [0-9]*$')" "33 99"
        is "$("$PROGRAM" exec up -- 'tty || true' </dev/null)" "not a tty"
        is "$(printf 'echo in-%%s $((40 + 2))\nexit 5\n' | "$PROGRAM" shell up | grep -c 'in-%s 42')" 1
        printf 'exit 5\n' | { run "$PROGRAM" shell up; is "$status" 5; }
}

@test "files and folders go in and out as cp takes them" {
        mkdir -p d/sub && echo one >d/sub/f && ln -s sub/f d/link && chmod 741 d/sub/f && echo alone >file
        expect 0 copy_to up local=d remote=/srv
        is "$("$PROGRAM" exec up -- 'cat /srv/d/link; stat -c "%a %U" /srv/d/sub/f')" $'one\n741 root'
        expect 0 copy_to up d /srv/other
        is "$("$PROGRAM" exec up -- 'cat /srv/other/sub/f')" one
        expect 0 copy_from up /srv/d out
        is "$(cat out/link; readlink out/link; stat -c %a out/sub/f)" $'one\nsub/f\n741'
        expect 0 exec up -- 'echo two >/srv/d/sub/f; echo new >/srv/d/new'
        expect 0 copy_from up /srv/d out          # a folder that is there takes it
        is "$(cat out/d/sub/f out/sub/f)" $'two\none'
        mkdir merged merged/d && echo mine >merged/d/mine
        expect 0 copy_from up /srv/d merged       # … and what lies there under its name is merged with it
        is "$(cat merged/d/mine merged/d/new)" $'mine\nnew'
        echo old >there
        expect 0 copy_from up remote=/srv/d/new local=there
        is "$(cat there)" new
        mkdir folder && mkdir folder/new
        refuses 73 "already exists" copy_from up /srv/d/new folder
        refuses 66 "" copy_from up /srv/nothing x
        refuses 66 "" copy_to up file /no/such/folder/x
        is "$(find . -name '.cowherd*')" ""
        # What a hostile guest plants does not lead out.
        expect 0 exec up -- 'mkdir -p /srv/evil && ln -s /etc /srv/evil/way && ln -s ../../../../../../../../tmp/pwned /srv/evil/file; chmod u+s /bin/true; cp -p /bin/true /srv/evil/su'
        expect 0 copy_from up /srv/evil evil
        is "$(readlink evil/way)" /etc
        is "$(stat -c %a evil/su)" 755
        expect 0 exec up -- 'rm -rf /srv/d /srv/other /srv/evil; chmod u-s /bin/true'
}

@test "the console, a pause, an address; what waits in vain says how it was left" {
        answer 0 logs up lines=500
        [[ $(field .log) == *systemd* ]] || show "no systemd in the log"
        [ "$("$PROGRAM" logs up lines=2 | wc -l)" -le 2 ]
        expect 0 pause up
        is "$("$PROGRAM" --json list up | jq -r '.items[0].state')" paused
        refuses 75 "paused" start up
        expect 0 resume up
        expect 0 exec up -- true
        answer 75 wait up for=stopped timeout=300ms
        is "$(field .state)" running
        expect 0 wait up timeout=10s
}

@test "a guest that prints without end does not fill the host: cleanup keeps the end of its console" {
        local console used
        console=$RUNTIME/$(id_of up)/console
        expect 0 exec up -- 'head -c 20000000 /dev/zero | tr "\0" "x" | fold -w 100 >/dev/console; echo the-last-line >/dev/console'
        until tail -c 100 "$console" | grep -q the-last-line; do sleep 0.1; done # nspawn carries it over
        used=$(du -k "$console" | cut -f1)
        [ "$used" -gt 19000 ] || show "only $used KiB"
        expect 0 cleanup
        used=$(du -k "$console" | cut -f1)
        [ "$used" -le 4200 ] || show "$used KiB are left"
        answer 0 logs up lines=2
        [[ $(field .log) == *the-last-line* ]] || show "the end is lost"
}

@test "several at once: each answers for itself, atomic ones for all" {
        expect 0 nspawn clone base=deb name=w count=3
        answer 0 start 'w-*'
        is "$(field '.matched, .failed, ([.items[].state] | unique | join(" "))')" $'3\n0\nrunning'
        expect 0 stop w-2 force=true
        answer 75 stop 'w-*' atomic=true # one does not run: then none is touched
        is "$("$PROGRAM" --json list 'w-*' | jq -r '[.items[].state] | join(" ")')" "running stopped running"
        answer 75 stop 'w-*' force=true
        is "$(field '.failed, ([.items[] | .success] | join(" "))')" $'1\n1 0 1'
        expect 0 start 'w-*'
        says "w-3"
        answer 0 delete 'w-*' force=true
        is "$(field .matched)" 3
        is "$(find "$RUNTIME" -mindepth 1 -maxdepth 1 | wc -l)" 1 # the one that is up
}

@test "whoever starts, stops and deletes one name at once: one after the other, and nothing is left" {
        expect 0 nspawn clone base=deb name=race
        local id n
        id=$(id_of race)
        for n in 1 2 3; do
                "$PROGRAM" start race >"s$n" 2>&1 3>&- &
                "$PROGRAM" stop race force=true >"t$n" 2>&1 3>&- &
        done
        wait
        "$PROGRAM" delete race force=true >d1 2>&1 3>&- &
        "$PROGRAM" start race >s4 2>&1 3>&- &
        wait
        run "$PROGRAM" delete race force=true
        nothing_runs_of "$id"
        not grep -l -i "internal\|bug" s? t? d1
}

@test "a ttl ends what runs; extend lets it live" {
        expect 0 nspawn clone base=deb name=short ttl=1s start=true
        expect 0 nspawn clone base=deb name=long ttl=1s
        answer 0 extend long ttl=1h
        local id
        id=$(id_of short)
        sleep 1.2
        answer 0 cleanup
        is "$(field '.expired, .ended')" $'1\n1'
        refuses 66 "not found" info short
        nothing_runs_of "$id"
        [ "$("$PROGRAM" --json info long | jq .ttl_left_ms)" -gt 3500000 ]
        expect 0 delete long
}

@test "an instance that died, or whose folder under /run a reboot emptied, is stopped and starts again" {
        expect 0 nspawn clone base=deb name=dead start=true
        local id
        id=$(id_of dead)
        "$PROGRAM" exec dead -- 'kill -9 -1' || true
        # The container's own nspawn, by this herd's whole path: other herds of this host have clones of the same number.
        local at pid=
        for at in /proc/[0-9]*; do
                [ "$(tr '\0' '\n' 2>/dev/null <"$at/cmdline" | grep -cxF -- "--directory=$COWHERD_ROOT/clones/$id/tree")" = 1 ] && pid=${at#/proc/}
        done
        [ -z "$pid" ] || kill -9 "$pid"
        "$PROGRAM" stop_if_running dead force=true
        is "$("$PROGRAM" --json info dead | jq -r .state)" stopped
        mkdir -p "$RUNTIME/$id" && echo stale >"$RUNTIME/$id/pid"
        answer 0 cleanup
        nothing_runs_of "$id"
        expect 0 start dead
        expect 0 delete dead force=true
}

@test "create makes a base and a clone in one go, and leaves the clone alone" {
        tar -C "$MADE/bare" --numeric-owner -cf bare.tar .
        answer 0 nspawn create image=bare.tar name=made
        is "$(field .operation)" create
        is "$("$PROGRAM" --json list_bases | jq -r '[.items[].name] | join(" ")')" deb
        refuses 73 "already exists" nspawn create image=bare.tar name=made
        expect 0 delete made
        is "$(find "$COWHERD_ROOT/bases" -mindepth 1 -maxdepth 1 | wc -l)" 1
}

@test "QEMU: a machine from the wish to the last byte" {
        export COWHERD_ROOT=$FIXTURE_DIR/own-qemu
        expect 0 qemu register_base tiny "image=$IMAGES/tiny.qcow2" memory=256M
        answer 0 qemu clone base=tiny name=vm start=true wait=true timeout=120s
        is "$(field '.state, .identity_applied')" $'running\nall'
        is "$("$PROGRAM" exec vm -- cat /etc/hostname)" vm
        is "$(echo piped | "$PROGRAM" exec vm -- cat)" piped
        echo file >f
        expect 0 copy_to vm f /root/f
        expect 0 copy_from vm /root/f g
        is "$(cat g)" file
        expect 0 pause vm
        refuses 75 paused copy_from vm /root/f g
        expect 0 resume vm
        answer 0 logs vm
        answer 0 stop vm
        is "$(field .state)" stopped
        answer 0 delete vm
        expect 0 qemu remove_base tiny
        expect 0 qemu teardown
        [ ! -e "$COWHERD_ROOT" ]
}

@test "LXD: a container from the wish to the last byte" {
        chmod a+x "$FIXTURE_DIR" # containers run under user ids of their own
        lxd_start "$FIXTURE_DIR/l"
        export COWHERD_ROOT=$FIXTURE_DIR/own-lxd
        expect 0 lxd setup
        expect 0 lxd register_base deb "tarball=$IMAGES/rootfs.tar"
        answer 0 lxd clone base=deb name=box start=true wait=true
        is "$(field '.state, .identity_applied')" $'running\nall'
        is "$("$PROGRAM" exec box -- uname -n)" box
        is "$(echo piped | "$PROGRAM" exec box -- cat)" piped
        refuses 75 "stop it first" rename box as=other
        echo file >f
        expect 0 copy_to box f /root/f
        expect 0 copy_from box /root/f g
        is "$(cat g)" file
        answer 0 stop box force=true
        expect 0 rename box as=other
        expect 0 start other
        answer 0 delete other force=true
        expect 0 lxd remove_base deb
        expect 0 lxd teardown
}
