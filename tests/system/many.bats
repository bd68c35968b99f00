#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Many at once: processes that race for one name, that clone while others delete, list, clean up and remove the base; a
# thousand clones; several herds; and the library by itself. As root.

load lib

setup_file() {
        herds_begin
        image_qcow2 "$MADE/disk.qcow2" 8M
        image_tree "$MADE/tree"
        tar -C "$MADE/tree" --numeric-owner -cf "$MADE/tree.tar" .
        fixture_btrfs btrfs 400M
}

teardown_file() {
        herds_end
}

setup() {
        herd_begin
}

# each N COMMAND…: runs it in N processes at once, `@` in its words being 1 to N; the statuses, counted: "1x0 63x73".
each() {
        local count=$1 n word pids=() words statuses=
        shift
        for n in $(seq "$count"); do
                words=()
                for word in "$@"; do
                        words+=("${word//@/$n}")
                done
                "${words[@]}" >"out.$n" 2>&1 3>&- &
                pids+=($!)
        done
        for n in "${pids[@]}"; do
                local status=0
                wait "$n" || status=$?
                statuses+="$status"$'\n'
        done
        sort -n <<<"${statuses%$'\n'}" | uniq -c | awk '{ printf "%s%sx%s", separator, $1, $2; separator = " " }'
}

# Whole, and nothing beside what is listed.
settled() {
        local clones
        answer 0 list
        clones=$(field .count)
        is "$(find "$1/clones" -mindepth 1 -maxdepth 1 | wc -l)" "$clones"
        is "$(field '[.items[] | select(.state != "stopped")] | length')" 0
        answer 0 cleanup
        is "$(field '[.removed, .undone, .finished, .orphans, .failed] | add')" 0
        is "$(sqlite3 "$COWHERD_ROOT/catalogue.db" 'SELECT count(*) FROM intent')" 0
}

@test "64 processes clone to one name: one wins, 63 are told that it exists" {
        expect 0 qemu register_base b "$MADE/disk.qcow2"
        is "$(each 64 "$PROGRAM" qemu clone base=b name=same)" "1x0 63x73" || { grep -h ^cowherd out.*; return 1; }
        is "$(cat out.* | grep -c 'already exists')" 63
        is "$("$PROGRAM" --json qemu list | jq .count)" 1
        settled "$COWHERD_ROOT"
        # Names differ in case only: still one.
        is "$(each 16 bash -c 'n=other; (($1 % 2)) && n=OTHER; "$0" qemu clone base=b name=$n' "$PROGRAM" @)" "1x0 15x73"
        # Ranges that overlap are taken all or none.
        is "$(each 12 "$PROGRAM" qemu clone base=b name=web count=20)" "1x0 11x73"
        is "$("$PROGRAM" --json qemu list 'web-*' | jq .count)" 20
        settled "$COWHERD_ROOT"
}

@test "64 processes on btrfs: one wins there too" {
        export COWHERD_ROOT=$FIXTURE_DIR/btrfs/herd
        expect 0 nspawn register_base b "rootfs=$MADE/tree"
        is "$(each 64 "$PROGRAM" nspawn clone base=b name=same)" "1x0 63x73" || { grep -h ^cowherd out.*; return 1; }
        is "$(btrfs subvolume list "$FIXTURE_DIR/btrfs" | wc -l)" 2
        settled "$COWHERD_ROOT"
        expect 0 nspawn delete same
        expect 0 nspawn remove_base b
}

@test "16 processes register one base: one wins, nothing of the others is left" {
        is "$(each 16 "$PROGRAM" qemu register_base same "$MADE/disk.qcow2")" "1x0 15x73" || { grep -h ^cowherd out.*; return 1; }
        is "$(find "$COWHERD_ROOT/bases" -mindepth 1 -maxdepth 1 | wc -l)" 1
        expect 0 qemu clone same c
}

@test "20 processes clone and delete, while others list, clean up and measure" {
        expect 0 qemu register_base b "$MADE/disk.qcow2"
        expect 0 qemu clone base=b name=stays count=3
        cat >worker <<'SH'
set -e
if [ "$2" -le 20 ]; then
        for n in 1 2 3 4 5; do
                "$1" qemu clone base=b name=w$2-$n
                "$1" --json qemu info w$2-$n | grep -q '"success":1'
                [ $n = 5 ] || "$1" qemu delete w$2-$n
        done
else
        for n in 1 2 3 4 5; do
                "$1" --json list | grep -q '"stays-3"'
                "$1" cleanup
                "$1" usage
                "$1" doctor
        done
fi
SH
        is "$(each 24 sh worker "$PROGRAM" @)" "24x0" || { grep -h ^cowherd out.*; return 1; }
        is "$("$PROGRAM" --json qemu list | jq .count)" 23
        settled "$COWHERD_ROOT"
}

@test "16 processes delete one clone: all agree that it is gone" {
        expect 0 qemu register_base b "$MADE/disk.qcow2"
        expect 0 qemu clone base=b name=c
        local counted
        counted=$(each 16 "$PROGRAM" qemu delete c)
        is "$counted" "1x0 15x66" || { grep -h ^cowherd out.*; return 1; }
        expect 0 qemu clone base=b name=n count=40
        counted=$(each 4 "$PROGRAM" qemu delete 'name=n-*')
        [[ $counted =~ ^[1-4]x0(\ [1-3]x66)?$ ]] || { echo "$counted"; grep -h ^cowherd out.*; return 1; }
        settled "$COWHERD_ROOT"
        is "$("$PROGRAM" --json qemu list | jq .count)" 0
}

@test "a base removed while it is cloned: each clone is whole or was not made" {
        local round made counted
        for round in 1 2 3 4; do
                expect 0 qemu register_base "b$round" "$MADE/disk.qcow2"
                cat >worker <<'SH'
[ "$2" -ne 5 ] || exec "$1" qemu remove_base b$3
exec "$1" qemu clone base=b$3 name=c$3-$2
SH
                counted=$(each 10 sh worker "$PROGRAM" @ "$round")
                [[ $counted =~ ^([0-9]+)x0(\ [0-9]+x66)?$ ]] || { echo "$counted"; grep -h ^cowherd out.*; return 1; }
                made=$((BASH_REMATCH[1] - 1)) # remove_base itself
                answer 0 qemu list "c$round-*"
                is "$(field .count)" "$made"
                field '.items[].path' | while read -r path; do
                        qemu-img compare -q "$MADE/disk.qcow2" "$path" || exit 1
                done
                refuses 66 "not found" qemu info "b$round"
        done
        settled "$COWHERD_ROOT"
        "$PROGRAM" qemu delete 'name=*' || [ $? -eq 66 ]
        is "$(find "$COWHERD_ROOT/bases" -mindepth 1)" ""
}

@test "clones of which the time is over go with cleanup, two of it at once" {
        expect 0 qemu register_base b "$MADE/disk.qcow2"
        expect 0 qemu clone base=b name=short count=30 ttl=1s
        expect 0 qemu clone base=b name=long ttl=1h
        expect 0 qemu clone base=b name=ever
        is "$(each 2 "$PROGRAM" cleanup)" "2x0"
        is "$("$PROGRAM" --json qemu list | jq .count)" 32
        sleep 1.1
        is "$(each 4 "$PROGRAM" --json cleanup)" "4x0" || { grep -h ^cowherd out.*; return 1; }
        is "$(cat out.* | jq -s '[.[].expired] | add')" 30 || { grep -h ^cowherd out.*; return 1; }
        is "$("$PROGRAM" --json qemu list | jq -r '[.items[].name] | join(" ")')" "ever long"
        settled "$COWHERD_ROOT"
}

@test "a rename that many want, and names that change hands" {
        expect 0 qemu register_base b "$MADE/disk.qcow2"
        expect 0 qemu clone base=b name=c count=8
        is "$(each 8 "$PROGRAM" qemu rename c-@ as=chosen)" "1x0 7x73" || { grep -h ^cowherd out.*; return 1; }
        is "$("$PROGRAM" --json qemu list | jq .count)" 8
        settled "$COWHERD_ROOT"
}

@test "two herds side by side know nothing of each other" {
        local one=$COWHERD_ROOT-1 two=$COWHERD_ROOT-2
        expect 0 --root "$one" qemu register_base b "$MADE/disk.qcow2"
        expect 0 --root "$two" qemu register_base b "$MADE/disk.qcow2"
        expect 0 --root "$one" qemu clone base=b name=c count=3
        expect 0 --root "$two" qemu clone base=b name=c count=2
        is "$("$PROGRAM" --json --root "$one" list | jq .count) $("$PROGRAM" --json --root "$two" list | jq .count)" "3 2"
        refuses 66 "" --root "$two" qemu info c-3
        answer 0 --root "$one" qemu delete 'name=*'
        is "$(field .matched)" 3
        is "$("$PROGRAM" --json --root "$two" list | jq .count)" 2
        expect 0 --root "$one" qemu remove_base b
        answer 0 --root "$one" cleanup
        is "$("$PROGRAM" --json --root "$two" doctor | jq -r '.items[] | select(.check == "base b") | .detail')" unchanged
        expect 0 --root "$one" qemu teardown
        [ ! -e "$one" ]
        is "$("$PROGRAM" --json --root "$two" list | jq .count)" 2
        not test "$(sqlite3 "$two/catalogue.db" "SELECT value FROM setting WHERE key = 'herd.uuid'")" = ""
}

@test "a herd that was moved goes on" {
        expect 0 qemu register_base b "$MADE/disk.qcow2"
        expect 0 qemu clone b c
        mv "$COWHERD_ROOT" "$COWHERD_ROOT-moved"
        export COWHERD_ROOT=$COWHERD_ROOT-moved
        answer 0 qemu info c
        qemu-img compare -q "$MADE/disk.qcow2" "$(field .path)"
        expect 0 qemu clone b d
        expect 0 qemu delete 'name=*'
}

@test "a thousand clones, listed and gone" {
        ulimit -Sn 256 # a login's is 1024: who asks for many needs more, and takes it
        expect 0 qemu register_base b "$MADE/disk.qcow2"
        answer 0 qemu clone base=b name=n count=1000
        is "$(field '"\(.count) \(.failed) \([.items[].path] | unique | length)"')" "1000 0 1000"
        answer 0 list
        is "$(field .count)" 1000
        is "$(field '.items[999].name')" n-999
        is "$(sqlite3 "$COWHERD_ROOT/catalogue.db" 'SELECT count(DISTINCT mac), count(DISTINCT machine_id), count(DISTINCT uuid), count(DISTINCT generation_id),
                count(DISTINCT instance_id), count(DISTINCT random_seed) FROM object WHERE role = 1')" "1000|1000|1000|1000|1000|1000"
        qemu-img check -q "$("$PROGRAM" --json qemu info n-1000 | jq -r .path)"
        refuses 73 "already exists" qemu clone base=b name=n count=1000
        answer 0 qemu delete 'name=*'
        is "$(field '"\(.matched) \(.failed)"')" "1000 0"
        is "$(find "$COWHERD_ROOT/clones" "$COWHERD_ROOT/locks" -mindepth 1)" "$COWHERD_ROOT/locks/objects"
        expect 0 qemu remove_base b
        herd_is_empty
}

@test "the installed library: found by pkg-config, works in a program of one's own, and finds its modules" {
        local build=${COWHERD_BUILD:-$(dirname "$PROGRAM")} prefix
        prefix=$(meson introspect --buildoptions "$build" | jq -r '.[] | select(.name == "prefix") | .value')
        DESTDIR=$PWD/staged meson install --no-rebuild -C "$build" >install.log 2>&1 || { tail -n 5 install.log; return 1; }
        local staged=$PWD/staged$prefix
        local pc library
        pc=$(find "$staged" -name cowherd.pc)
        library=$(dirname "$(find "$staged" -name 'libcowherd.so')")
        [ -n "$pc" ] && [ -x "$staged/bin/cowherd" ] && [ -f "$staged/include/cowherd.h" ] && [ -f "$staged/share/man/man1/cowherd.1" ] && grep -q __complete "$staged/share/bash-completion/completions/cowherd" "$staged"/share/zsh/*/_cowherd "$staged/share/fish/vendor_completions.d/cowherd.fish"
        cat >own.c <<'C'
#include <cowherd.h>
#include <stdio.h>

int main(int argc, char **argv)
{
        struct cowherd_options options = {.root = argv[1]};
        struct cowherd_error err;
        struct cowherd_herd *herd;

        if (cowherd_open(&options, &herd, &err) < 0)
                return err.code;
        for (int i = 2; i < argc; i++) {
                enum cowherd_target target = COWHERD_QEMU;
                if (cowherd_target_parse(argv[i], &target))
                        i++;
                struct cowherd_answer *answer = cowherd_execute(herd, target, argv[i], NULL);
                printf("%d %s\n", cowherd_answer_code(answer), cowherd_answer_text(answer));
                cowherd_answer_free(answer);
        }
        cowherd_close(herd);
        return 0;
}
C
        local flags
        flags=$(PKG_CONFIG_SYSROOT_DIR=$PWD/staged PKG_CONFIG_PATH=$(dirname "$pc") pkg-config --cflags --libs cowherd)
        # shellcheck disable=SC2086 # words
        cc -Wall -Werror -o own own.c $flags
        # The modules are looked for in the prefix alone, which in here is the staged one.
        run unshare -m sh -c '
                mkdir -p "$1" && mount -t tmpfs none "$1" && cp -a "$2/." "$1" && shift 2 &&
                LD_LIBRARY_PATH=$1 ./own "$2" "register_base name=b image=$3" "clone base=b name=c" "clone base=b name=c" \
                        nspawn "register_base name=t tarball=$4"' sh "$prefix" "$staged" "${library/#$PWD\/staged/}" "$COWHERD_ROOT" "$MADE/disk.qcow2" \
                "$MADE/tree.tar"
        [ "$status" -eq 0 ] || { echo "$output"; return 1; }
        is "$(cut -d' ' -f1 <<<"$output" | tr '\n' ' ')" "0 0 73 0 " || { echo "$output"; return 1; }
        # Nothing but the public names is to be seen.
        is "$(nm -D --defined-only "$library/libcowherd.so" | awk '$2 != "A" { print $3 }' | grep -vc '^cowherd_')" 0
}

# In a mount namespace whose /usr/local, /etc and /var/cache are thrown away with it.
@test "a plain make install: the program is found and works, its library and modules too, and make uninstall takes all of it" {
        local build=${COWHERD_BUILD:-$(dirname "$PROGRAM")} top=$BATS_TEST_DIRNAME/../..
        mkdir layers
        run unshare -m sh -ec '
                mount -t tmpfs none layers
                for folder in /usr/local /etc /var/cache; do
                        mkdir -p "layers$folder/upper" "layers$folder/work"
                        mount -t overlay overlay -o "lowerdir=$folder,upperdir=$PWD/layers$folder/upper,workdir=$PWD/layers$folder/work" "$folder"
                done
                find /usr/local /etc ! -type d ! -name ld.so.cache | sort >before
                make -C "$1" "BUILD=$2" install >install.log 2>&1 || { tail -n 5 install.log; exit 1; }
                here=$PWD
                cd / && unset LD_LIBRARY_PATH
                cowherd --version
                cowherd qemu register_base b "image=$3"
                cowherd qemu clone b c
                cowherd nspawn register_base t "tarball=$4"
                cowherd qemu delete c; cowherd qemu remove_base b; cowherd nspawn remove_base t
                cd "$here" && make -C "$1" "BUILD=$2" uninstall >uninstall.log 2>&1 || { tail -n 5 uninstall.log; exit 1; }
                find /usr/local /etc ! -type d ! -name ld.so.cache | sort | diff before -' sh "$top" "$build" "$MADE/disk.qcow2" "$MADE/tree.tar"
        [ "$status" -eq 0 ] || { echo "$output"; return 1; }
}
