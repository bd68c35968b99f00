#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# QEMU's disks: what can be a base, what must not be, and that qemu-img, qemu-io and a booting QEMU agree with the clones.
# As root.

load lib

setup_file() {
        herds_begin
        image_qcow2 "$MADE/plain.qcow2" 64M
        qemu-io -f qcow2 -c 'write -P 0x11 0 512' -c 'write -P 0x22 40M 1M' "$MADE/plain.qcow2" >/dev/null
        echo "the host's secret" >"$MADE/secret"
        fixture_xfs xfs 320M
        images_prepare
}

teardown_file() {
        herds_end
}

setup() {
        herd_begin
}

register() {
        expect 0 qemu register_base "$@"
}

clone_path() {
        answer 0 qemu info "$1" >/dev/null && field .path
}

# The clone is sound to qemu-img, and as long as nobody has written, the same disk as FILE in FORMAT.
agrees() {
        local path
        path=$(clone_path "$1") && qemu-img check -q -f qcow2 "$path" &&
                qemu-img compare -q -f "$3" -F qcow2 "$2" "$path" && is "$(qemu-img info --output=json "$path" | jq -r .format)" qcow2
}

@test "every format becomes a base whose clones qemu-img agrees with" {
        local format kept
        for format in qcow2 raw vmdk vdi vhdx; do
                qemu-img convert -f qcow2 -O "$format" "$MADE/plain.qcow2" "image.$format"
                answer 0 qemu register_base "base-$format" "image=image.$format"
                kept=qcow2
                [ "$format" = raw ] && kept=raw
                is "$(field '.format + " " + .image + " " + .source')" "$kept image.$format $PWD/image.$format"
                expect 0 qemu clone "base-$format" "of-$format"
                agrees "of-$format" "image.$format" "$format"
                is "$(qemu-img info --output=json "$(clone_path "of-$format")" | jq -r '."backing-filename-format"')" "$kept"
        done
        is "$("$PROGRAM" --json qemu list_bases | jq .count)" 5
}

@test "every dialect of qcow2 and vmdk that QEMU writes" {
        local options n=0
        for options in compat=0.10 compat=1.1,lazy_refcounts=on cluster_size=512 cluster_size=2M extended_l2=on,cluster_size=64k \
                compression_type=zstd refcount_bits=1 refcount_bits=64 preallocation=metadata; do
                n=$((n + 1))
                qemu-img convert -f qcow2 -O qcow2 -o "$options" "$MADE/plain.qcow2" "$n.qcow2"
                register "b$n" "image=$n.qcow2"
                expect 0 qemu clone "b$n" "c$n"
                agrees "c$n" "$MADE/plain.qcow2" qcow2 || { echo "with $options"; return 1; }
        done
        qemu-img convert -c -f qcow2 -O qcow2 "$MADE/plain.qcow2" compressed.qcow2
        qemu-img convert -f qcow2 -O vmdk -o subformat=streamOptimized "$MADE/plain.qcow2" stream.vmdk
        cp "$MADE/plain.qcow2" snapshots.qcow2
        qemu-img snapshot -c first snapshots.qcow2
        for n in compressed.qcow2 stream.vmdk snapshots.qcow2; do
                register "${n%.*}" "image=$n"
                expect 0 qemu clone "${n%.*}" "of-${n%.*}"
                agrees "of-${n%.*}" "$MADE/plain.qcow2" qcow2
        done
}

@test "what is written to a clone reaches neither base nor sibling, and stays there" {
        register b "image=$MADE/plain.qcow2"
        answer 0 qemu clone base=b name=c count=2
        local base one two
        base=$(echo "$COWHERD_ROOT"/bases/*/disk.qcow2)
        one=$(clone_path c-1) two=$(clone_path c-2)
        local before
        before=$(sha256sum "$base" "$two" "$MADE/plain.qcow2")
        qemu-io -f qcow2 -c 'write -P 0x77 0 3M' -c 'write -P 0x78 40M 64k' -c 'discard 1M 64k' "$one" | grep -c 'wrote\|discard'
        is "$(sha256sum "$base" "$two" "$MADE/plain.qcow2")" "$before"
        qemu-io -f qcow2 -c 'read -P 0x77 0 512' -c 'read -P 0x78 40M 64k' -c 'read -P 0x22 41900k 4k' "$one" >read
        not grep 'failed' read
        qemu-img check -q "$one" && qemu-img check -q "$two" && qemu-img check -q "$base"
        agrees c-2 "$MADE/plain.qcow2" qcow2
        answer 0 qemu usage c-1
        [ "$(field .unique_bytes)" -ge $((3 * 1024 * 1024)) ]
        expect 0 qemu clone b c-3
        agrees c-3 "$MADE/plain.qcow2" qcow2
}

@test "a base is read-only, its source free to change or go" {
        cp "$MADE/plain.qcow2" mine.qcow2
        register b image=mine.qcow2
        qemu-io -f qcow2 -c 'write -P 0x99 0 1M' mine.qcow2 >/dev/null
        rm mine.qcow2
        expect 0 qemu clone b c
        agrees c "$MADE/plain.qcow2" qcow2
        run qemu-io -f qcow2 -c 'write 0 512' "$COWHERD_ROOT/bases/1/disk.qcow2"
        [ "$status" -ne 0 ]
}

@test "disks from 1M to 16T: sound, of that size, at most 16 KiB allocated" {
        local size bytes path
        for size in 1M 1G 100G 1T 16T; do
                qemu-img create -q -f qcow2 "$size.qcow2" "$size"
                truncate -s "$size" "$size.raw" 2>/dev/null || rm -f "$size.raw" # ext4 has an end before 16T
                for path in "$size".*; do
                        register "b-${path#*.}-$size" "image=$path"
                        answer 0 qemu clone "b-${path#*.}-$size" "c-${path#*.}-$size"
                        path=$(field .path)
                        bytes=$(($(stat -c '%b * %B' "$path")))
                        [ "$bytes" -le 16384 ] || { echo "$size: $bytes bytes"; return 1; }
                        [ "$(field .space_bytes)" -le 16384 ] # the clone's folder counted in
                        is "$(qemu-img info --output=json "$path" | jq '."virtual-size"')" "$(numfmt --from=iec "$size")"
                        qemu-img check -q "$path"
                        qemu-io -f qcow2 -c "write -P 3 $(($(numfmt --from=iec "$size") - 512)) 512" "$path" | grep -q wrote
                        qemu-img check -q "$path"
                done
        done
}

@test "a raw disk of an odd size, and an empty one" {
        truncate -s 1049088 odd.raw
        register odd image=odd.raw
        expect 0 qemu clone odd c
        agrees c odd.raw raw
        truncate -s 1048577 ragged.raw
        refuses 65 "ragged.raw" qemu register_base ragged image=ragged.raw
        : >none.raw
        refuses 65 "none.raw" qemu register_base none image=none.raw
}

@test "disk_size grows a clone and never shrinks it" {
        register b "image=$MADE/plain.qcow2"
        expect 0 qemu clone base=b name=big disk_size=10G
        is "$(qemu-img info --output=json "$(clone_path big)" | jq '."virtual-size"')" 10737418240
        qemu-img check -q "$(clone_path big)"
        qemu-io -f qcow2 -c 'read -P 0x22 40M 1M' -c 'read -P 0 5G 1M' -c 'write -P 9 9G 1M' "$(clone_path big)" >out
        not grep -q 'failed' out
        refuses 64 "at least the base's" qemu clone base=b name=small disk_size=32M
        refuses 64 "disk_size" qemu clone base=b name=small disk_size=100000001
        refuses 66 "not found" qemu info small
}

@test "count makes NAME-1 to NAME-N, all or none" {
        register b "image=$MADE/plain.qcow2"
        answer 0 qemu clone base=b name=web count=5
        is "$(field '[.count, .failed, (.items | map(.name) | join(" "))] | join("; ")')" "5; 0; web-1 web-2 web-3 web-4 web-5"
        is "$(field '[.items[].path] | unique | length')" 5
        refuses 73 "already exists" qemu clone base=b name=web count=7
        is "$("$PROGRAM" --json qemu list | jq .count)" 5
        answer 0 qemu list 'web-[12]' || refuses 64 "web-" qemu list 'web-[12]'
        answer 0 qemu delete 'name=web-?'
        is "$(field .matched)" 5
        answer 0 qemu list
        is "$(field .count)" 0
}

@test "store=reflink where the filesystem can, a reason where it can't, store=copy anywhere" {
        register b "image=$MADE/plain.qcow2"
        refuses 69 "reflink" qemu clone base=b name=r store=reflink
        refuses 69 "btrfs" qemu clone base=b name=r store=btrfs
        expect 0 qemu clone base=b name=c store=copy
        is "$(qemu-img info --output=json "$(clone_path c)" | jq '."backing-filename"')" null
        agrees c "$MADE/plain.qcow2" qcow2
        export COWHERD_ROOT=$FIXTURE_DIR/xfs/herd
        register b "image=$MADE/plain.qcow2" store=reflink
        answer 0 qemu clone base=b name=r
        is "$(field .store)" reflink
        is "$(qemu-img info --output=json "$(field .path)" | jq '."backing-filename"')" null
        agrees r "$MADE/plain.qcow2" qcow2
        xfs_io -c 'fiemap -v' "$(clone_path r)" | grep -q '0x20[0-9a-f][0-9a-f]' # FIEMAP_EXTENT_SHARED
        qemu-io -f qcow2 -c 'write -P 0x55 1M 64k' "$(clone_path r)" >/dev/null
        expect 0 qemu clone base=b name=s
        agrees s "$MADE/plain.qcow2" qcow2
        expect 0 qemu delete 'name=*'
        expect 0 qemu remove_base b
        herd_is_empty
}

@test "a relative image is looked for here, then beside the script" {
        mkdir scripts elsewhere
        cp "$MADE/plain.qcow2" scripts/beside.qcow2
        cp "$MADE/plain.qcow2" scripts/both.qcow2
        qemu-img create -q -f qcow2 elsewhere/both.qcow2 3M
        echo 'ADDRESS QEMU; "register_base name=one image=beside.qcow2"; SAY RC RESULT.source; "register_base name=two image=both.qcow2"; SAY RC RESULT.source; "register_base name=three image=nowhere.qcow2"; SAY RC' >scripts/s.rexx
        cd elsewhere
        expect 0 run ../scripts/s.rexx
        is "$output" "0 ${PWD%/*}/scripts/beside.qcow2
0 $PWD/both.qcow2
66"
        refuses 66 "looked in '$PWD'" qemu register_base x image=beside.qcow2
}

@test "adopt takes the file itself" {
        cp "$MADE/plain.qcow2" "$FIXTURE_DIR/adopted.qcow2"
        local inode
        inode=$(stat -c %i "$FIXTURE_DIR/adopted.qcow2")
        register b "image=$FIXTURE_DIR/adopted.qcow2" adopt=true
        [ ! -e "$FIXTURE_DIR/adopted.qcow2" ]
        is "$(stat -c %i "$COWHERD_ROOT"/bases/1/disk.qcow2)" "$inode"
        expect 0 qemu clone b c
        agrees c "$MADE/plain.qcow2" qcow2
        # What can't be adopted stays where it is, whole.
        qemu-img convert -O vmdk "$MADE/plain.qcow2" "$FIXTURE_DIR/mine.vmdk"
        refuses 69 "converted" qemu register_base v "image=$FIXTURE_DIR/mine.vmdk" adopt=true
        cp "$MADE/plain.qcow2" "$FIXTURE_DIR/xfs/other.qcow2"
        refuses 69 "another filesystem" qemu register_base o "image=$FIXTURE_DIR/xfs/other.qcow2" adopt=true
        cmp "$FIXTURE_DIR/xfs/other.qcow2" "$MADE/plain.qcow2"
        cp "$MADE/plain.qcow2" "$FIXTURE_DIR/again.qcow2"
        refuses 73 "already exists" qemu register_base b "image=$FIXTURE_DIR/again.qcow2" adopt=true
        cmp "$FIXTURE_DIR/again.qcow2" "$MADE/plain.qcow2"
}

@test "a base that was changed, cut, replaced or removed is not cloned" {
        local what disk
        for what in changed touched cut replaced gone; do
                register "$what" "image=$MADE/plain.qcow2"
                expect 0 qemu clone "$what" "of-$what"
                disk=$COWHERD_ROOT/bases/$(($("$PROGRAM" --json qemu info "$what" | jq .id)))/disk.qcow2
                chattr -i "$disk" && chmod u+w "$disk"
                case $what in
                changed) qemu-io -f qcow2 -c 'write -P 1 2M 64k' "$disk" >/dev/null ;;
                touched) touch "$disk" ;;
                cut) truncate -s 100K "$disk" ;;
                replaced) cp "$disk" "$disk.new" && mv -f "$disk.new" "$disk" ;;
                gone) rm -f "$disk" ;;
                esac
                refuses 65 "$what" qemu clone "$what" "new-$what"
                refuses 66 "not found" qemu info "new-$what"
        done
        is "$("$PROGRAM" --json doctor | jq '[.items[] | select(.check | startswith("base ")) | select(.ok == 0)] | length')" 5
        answer 0 qemu delete 'name=*'
        for what in changed touched cut replaced gone; do
                expect 0 qemu remove_base "$what"
        done
        herd_is_empty
}

@test "a base removed while in use: its name is free, its bytes wait for the last clone" {
        register b "image=$MADE/plain.qcow2"
        expect 0 qemu clone base=b name=c count=2
        answer 0 qemu remove_base b
        is "$(field .clones)" 2
        refuses 66 "Register it first with register_base" qemu clone b d
        answer 0 qemu list_bases
        is "$(field .count)" 0
        agrees c-1 "$MADE/plain.qcow2" qcow2
        qemu-img create -q -f raw other.raw 8M
        register b image=other.raw
        expect 0 qemu clone b d
        agrees d other.raw raw
        expect 0 qemu delete c-1
        agrees c-2 "$MADE/plain.qcow2" qcow2
        expect 0 qemu delete c-2
        is "$(ls "$COWHERD_ROOT/bases")" "$("$PROGRAM" --json qemu info b | jq .id)"
        expect 0 qemu delete d
        expect 0 qemu remove_base b
        herd_is_empty
}

# ---- what must not become a base ----

# hostile FILE [TEXT] [WORDS…]: registering it is 65, leaves nothing, and reads no other file.
hostile() {
        local file=$1 text=${2:-}
        shift $(($# < 2 ? $# : 2))
        refuses 65 "$text" qemu register_base bad "image=$file" "$@" && herd_has_no_files || { echo "hostile: $file"; return 1; }
        [[ $output != *"host's secret"* ]]
}

# An image whose header names another file, whatever that is: qemu-img itself does not look at it (-u).
with_backing() {
        qemu-img create -q -u -f qcow2 -F "${3:-raw}" -b "$2" "$1" 1M
}

@test "a qcow2 whose header names another file is refused, however it is named" {
        local name n=0
        for name in "$MADE/secret" ../../etc/passwd /dev/vda "json:{\"driver\":\"file\",\"filename\":\"$MADE/secret\"}" nbd:localhost:10809 \
                http://localhost/x ssh://localhost/x fat:/etc rbd:pool/image '' "$(printf 'x%.0s' $(seq 1000))"; do
                n=$((n + 1))
                if [ -n "$name" ]; then
                        with_backing "$n.qcow2" "$name"
                else # an offset with no length
                        qemu-img create -q -f qcow2 "$n.qcow2" 1M
                        poke "$n.qcow2" 8 0000000000000200
                fi
                hostile "$n.qcow2" "backing file"
                hostile "$n.qcow2" "was said to be" format=vmdk
        done
}

@test "a qcow2 with its data in another file is refused" {
        qemu-img create -q -f qcow2 -o "data_file=$PWD/data.raw,data_file_raw=on" data.qcow2 1M
        hostile data.qcow2 "external file"
        # The name alone, without the feature bit, and the bit alone.
        poke data.qcow2 72 0000000000000000
        hostile data.qcow2 "external file"
        qemu-img create -q -f qcow2 bit.qcow2 1M
        poke bit.qcow2 72 0000000000000004
        hostile bit.qcow2 "external file"
}

@test "a chain, and a chain that bites its tail" {
        cp "$MADE/plain.qcow2" 0.qcow2
        local n
        for n in 1 2 3; do
                with_backing "$n.qcow2" "$PWD/$((n - 1)).qcow2" qcow2
        done
        hostile 3.qcow2 "backing file"
        with_backing loop.qcow2 "$PWD/loop.qcow2" qcow2
        hostile loop.qcow2 "backing file"
        # Our own clone is such a chain too.
        register b "image=$MADE/plain.qcow2"
        expect 0 qemu clone b c
        refuses 65 "backing file" qemu register_base bad "image=$(clone_path c)"
}

@test "a disk that a guest wrote a qcow2 header into is raw for ever" {
        with_backing evil.raw "$MADE/secret"
        truncate -s 1M evil.raw
        hostile evil.raw "backing file" # it was not said to be raw
        register b image=evil.raw format=raw
        answer 0 qemu clone b c
        is "$(qemu-img info --output=json "$(field .path)" | jq -r '."backing-filename-format"')" raw
        agrees c evil.raw raw
        qemu-io -f qcow2 -c 'read -P 0x51 0 1' "$(clone_path c)" >read # "QFI": its bytes are read, not followed
        not grep 'failed' read
        # A raw base, and the header written through a clone of it.
        image_raw innocent.raw 2M
        register r image=innocent.raw
        expect 0 qemu clone r d
        qemu-io -f qcow2 -c "write -s evil.raw 0 64k" "$(clone_path d)" >/dev/null
        is "$(qemu-img info --output=json "$(clone_path d)" | jq -r '."full-backing-filename" | endswith("disk.raw")')" true
        expect 0 qemu clone r e
        agrees e innocent.raw raw
}

@test "tables beyond all bounds" {
        local n=0 at
        # l1_size, L1 offset, refcount table clusters, its offset, snapshots, cluster bits, refcount order, header length, size
        for at in '36 7fffffff' '36 02000001' '36 00000000' '40 ffffffffffffff00' '40 0000000000000001' '40 0000000000000000' \
                '40 0000100000000000' '56 7fffffff' '56 00000000' '48 fffffffffffff000' '48 0000000000000007' '60 7fffffff' \
                '60 00010001' '20 00000008' '20 00000016' '20 ffffffff' '96 00000007' '100 00000010' '100 ffffffff' '24 7fffffffffffffff' \
                '24 ffffffffffffffff' '4 00000001' '4 00000004' '32 00000001' '32 00000002' '72 0000000000000002' '72 0000000000000001' \
                '72 8000000000000000' '72 0000000000000020' '104 01' '8 ffffffffffffffff'; do
                n=$((n + 1))
                qemu-img create -q -f qcow2 "$n.qcow2" 64M
                # shellcheck disable=SC2086 # two words
                poke "$n.qcow2" $at
                hostile "$n.qcow2" "" || { echo "$at"; return 1; }
        done
}

@test "an unknown feature is refused by its name" {
        qemu-img create -q -f qcow2 feature.qcow2 1M
        poke feature.qcow2 72 0000000000000002 # corrupt
        hostile feature.qcow2 "marked as corrupt"
        poke feature.qcow2 72 0000000000000400
        hostile feature.qcow2 "bit 10"
}

@test "images that are cut, empty, no image, or no file" {
        local length
        for length in 1 4 71 103 104 200 65536; do
                head -c "$length" "$MADE/plain.qcow2" >"cut-$length.qcow2"
                hostile "cut-$length.qcow2" ""
        done
        for length in vmdk vdi vhdx; do
                qemu-img convert -O "$length" "$MADE/plain.qcow2" "whole.$length"
                head -c 1000 "whole.$length" >"cut.$length"
                hostile "cut.$length" ""
        done
        mkfifo pipe
        mkdir folder
        hostile pipe "not a regular file"
        hostile folder "not a regular file"
        hostile /dev/null "not a regular file"
        ln -s loop loop
        refuses 66 "loop" qemu register_base bad image=loop || refuses 71 "loop" qemu register_base bad image=loop
        ln -s "$MADE/plain.qcow2" link.qcow2 # a link of the caller's own is followed
        register good image=link.qcow2
}

@test "vmdk, vdi and vhdx that lead to other files" {
        qemu-img create -q -f vmdk -o subformat=monolithicFlat flat.vmdk 1M
        hostile flat.vmdk "other files"
        qemu-img create -q -f vmdk -o subformat=twoGbMaxExtentSparse extents.vmdk 1M
        hostile extents.vmdk "other files"
        printf '# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 2048 FLAT "%s" 0\n' \
                "$MADE/secret" >secret.vmdk
        hostile secret.vmdk "other files"
        qemu-img create -q -f vmdk parent.vmdk 1M
        qemu-img create -q -f vmdk -F vmdk -b "$PWD/parent.vmdk" child.vmdk
        hostile child.vmdk ""
        # A monolithicSparse whose embedded descriptor names a file elsewhere: with a capacity it is not read, without one it is.
        qemu-img create -q -f vmdk sparse.vmdk 1M
        sed -i 's/SPARSE "sparse.vmdk"/FLAT   "\/etc\/passwd"/' sparse.vmdk
        grep -q 'FLAT   "/etc/passwd"' sparse.vmdk
        cp sparse.vmdk without.vmdk
        poke without.vmdk 12 0000000000000000
        hostile without.vmdk ""
        truncate -s 1M zeros.raw
        register sparse image=sparse.vmdk
        expect 0 qemu clone sparse c
        agrees c zeros.raw raw
}

@test "a format that is not what the file holds" {
        hostile "$MADE/plain.qcow2" "was said to be" format=vdi
        hostile "$MADE/secret" "" format=qcow2
        qemu-img create -q -f parallels p.img 1M
        qemu-img create -q -f qed q.img 1M
        hostile p.img ""
        hostile q.img ""
}

# ---- a real machine ----

# boots DISK LOG: Debian gets as far as its login on the serial console. The QEMU goes on in the background, as $QEMU.
boots() {
        timeout 100 qemu-system-x86_64 -accel tcg -smp 2 -m 512 -nographic -no-reboot -nodefaults -serial stdio \
                -drive "file=$1,format=qcow2,if=virtio" </dev/null >"$2" 2>&1 3>&- &
        QEMU=$!
        for _ in $(seq 600); do
                grep -q 'login' "$2" && return 0
                kill -0 "$QEMU" 2>/dev/null || break
                sleep 0.1
        done
        tail -n 20 "$2"
        return 1
}

@test "a clone of Debian boots; while it runs it is seen, and is not deleted" {
        register debian "image=$IMAGES/debian.qcow2" memory=512M
        expect 0 qemu clone base=debian name=vm count=2
        local path
        path=$(clone_path vm-1)
        boots "$path" console
        answer 0 qemu info vm-1
        is "$(field .state)" running
        answer 0 qemu list
        is "$(field '[.items[] | .name + "=" + .state] | join(" ")')" "vm-1=running vm-2=stopped"
        is "$("$PROGRAM" --json qemu status | jq '.running // .items[0].running')" 1
        refuses 75 "is running" qemu delete vm-1
        refuses 75 "is running" qemu delete 'name=vm-*'
        [ -e "$path" ]
        refuses 66 "not found" qemu info vm-2
        expect 0 qemu remove_base debian
        expect 0 qemu cleanup
        kill "$QEMU"
        wait "$QEMU" || true
        answer 0 qemu info vm-1
        is "$(field .state)" stopped
        qemu-img check -q "$path" || [ $? -eq 3 ] # clusters may leak where QEMU was killed, nothing worse
        expect 0 qemu delete vm-1
        herd_is_empty
}

@test "a clone deleted behind our back is missing, and deleting it is a success" {
        register b "image=$MADE/plain.qcow2"
        expect 0 qemu clone b c
        rm "$(clone_path c)"
        answer 0 qemu list
        is "$(field '.items[0].state')" missing
        answer 0 qemu delete c
        refuses 66 "not found" qemu delete c
}
