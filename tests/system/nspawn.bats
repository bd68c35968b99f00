#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# nspawn's trees: every store that keeps trees on the filesystem it is for, what may become a base and what must not, and
# real containers in the clones. (ZFS, which needs a daemon of its own, is in nspawn_zfs.bats.) As root.

load lib

setup_file() {
        herds_begin
        export MACHINE=cowherd-test-$$
        image_tree "$MADE/tree"
        tar -C "$MADE/tree" --numeric-owner -cf "$MADE/tree.tar" .
        fixture_btrfs btrfs 400M
        fixture_xfs xfs 320M
        images_prepare
}

# Where /run is no tmpfs, nspawn leaves a folder of its own there.
teardown_file() {
        herds_end
        rmdir "/run/systemd/nspawn/propagate/$MACHINE" 2>/dev/null || true
}

setup() {
        herd_begin
        CONTAINER=
}

teardown() {
        [ -z "$CONTAINER" ] || container_stop
}

register() {
        expect 0 nspawn register_base "$@"
}

path_of() {
        answer 0 nspawn info "$1" >/dev/null && field .path
}

folder_of() {
        local path
        path=$(path_of "$1") && dirname "$path"
}

# Every file of a tree with its bytes, for comparing.
contents() {
        (cd "$1" && find . -printf '%P %y %m %U %G %l\n' | sort && find . -type f -print0 | sort -z | xargs -0 sha256sum)
}

# What cowherd itself will do at start: an overlay clone's layers on its tree.
mount_layers() {
        local clone base
        clone=$(folder_of "$1") base=$(path_of "$2")
        mount -t overlay overlay -o "lowerdir=$base,upperdir=$clone/upper,workdir=$clone/work" "$clone/tree"
}

inside() {
        local tree=$1
        shift
        systemd-nspawn -M "$MACHINE" --register=no --keep-unit -q -D "$tree" "$@" </dev/null 3>&-
}

# A container that waits, in the background; returns when it runs.
container_start() {
        mkfifo ready
        systemd-nspawn -M "$MACHINE" --register=no --keep-unit -q -D "$1" /bin/sh -c 'echo up; exec /usr/bin/busybox sleep 60' >ready 2>container.err </dev/null 3>&- &
        CONTAINER=$!
        grep -q up <ready || { cat container.err; return 1; }
}

# nspawn's SIGTERM goes to PID 1 in there, which is a sleep that ignores it: its own end ends the container too.
container_stop() {
        kill -KILL "$(pgrep -P "$CONTAINER")" 2>/dev/null || true
        wait "$CONTAINER" || true
        CONTAINER=
}

@test "each filesystem has its store, told by status and taken" {
        local where store
        for where in .:overlay btrfs:btrfs xfs:overlay; do
                store=${where#*:}
                export COWHERD_ROOT=$FIXTURE_DIR/${where%:*}/herd-status
                answer 0 nspawn status
                is "$(field .store)" "$store"
                [ ! -e "$COWHERD_ROOT" ] # asking leaves no trace
                register b "rootfs=$MADE/tree"
                answer 0 nspawn clone b c
                is "$(field .store)" "$store"
                expect 0 nspawn delete c
                expect 0 nspawn remove_base b
                herd_is_empty
        done
}

@test "overlay: containers write, base and sibling see nothing" {
        register b "rootfs=$MADE/tree"
        expect 0 nspawn clone base=b name=c count=2
        local before
        before=$(contents "$(path_of b)")
        mount_layers c-1 b
        mount_layers c-2 b
        local one two
        one=$(path_of c-1) two=$(path_of c-2)
        inside "$one" /bin/true
        inside "$one" /bin/sh -c 'echo one >/root/written; echo more >>/etc/os-release; echo x >/usr/bin/true; busybox rm /usr/bin/sh; busybox chmod 600 /etc/hostname'
        is "$(cat "$one/root/written")" one
        [ ! -e "$two/root/written" ]
        is "$(contents "$(path_of b)")" "$before"
        inside "$two" /bin/true
        cmp "$two/etc/os-release" "$MADE/tree/etc/os-release"
        expect 0 nspawn clone b late
        mount_layers late b
        cmp "$(path_of late)/usr/bin/busybox" "$MADE/tree/usr/bin/busybox"
        [ -h "$(path_of late)/usr/bin/sh" ]
        answer 0 nspawn delete 'name=*' # mounted by other hands, and yet gone
        is "$(field .matched)" 3
        is "$(fixture_mounts "$COWHERD_ROOT")" ""
        expect 0 nspawn remove_base b
        herd_is_empty
}

@test "a running container is seen and not deleted" {
        export COWHERD_ROOT=$FIXTURE_DIR/btrfs/herd-running
        register b "rootfs=$MADE/tree"
        expect 0 nspawn clone base=b name=c count=2
        container_start "$(path_of c-1)"
        answer 0 nspawn list
        is "$(field '[.items[] | .name + "=" + .state] | join(" ")')" "c-1=running c-2=stopped"
        refuses 75 "is running" nspawn delete c-1
        refuses 75 "is running" nspawn delete 'name=c-*'
        is "$("$PROGRAM" --json nspawn list | jq -r '[.items[].name] | join(" ")')" c-1
        expect 0 nspawn remove_base b
        container_stop
        is "$("$PROGRAM" --json nspawn info c-1 | jq -r .state)" stopped
        expect 0 nspawn delete c-1
        herd_is_empty
}

# Clones with this store in this folder: a container writes in one; what it wrote is in no other place.
clones_apart() {
        local store=$1 before
        export COWHERD_ROOT=$2/herd-$1
        register b "rootfs=$MADE/tree" "store=$store"
        answer 0 nspawn clone base=b name=c count=2
        is "$(field '[.items[].store] | unique | join(" ")')" "$store"
        before=$(contents "$(path_of b)")
        is "$(contents "$(path_of c-2)")" "$before"
        inside "$(path_of c-1)" /bin/sh -c 'echo one >/root/written; echo more >>/etc/os-release; echo x >/usr/bin/true; busybox chmod 600 /etc/hostname'
        is "$(cat "$(path_of c-1)/root/written")" one
        is "$(contents "$(path_of c-2)")" "$before"
        is "$(contents "$(path_of b)")" "$before"
        answer 0 nspawn usage c-1
        [ "$(field .unique_bytes)" -ge 4096 ]
        expect 0 nspawn delete 'name=*'
        expect 0 nspawn remove_base b
        herd_is_empty
}

@test "btrfs: a snapshot each" {
        clones_apart btrfs "$FIXTURE_DIR/btrfs"
        is "$(btrfs subvolume list "$FIXTURE_DIR/btrfs" | grep -c herd-btrfs)" 0
}

@test "reflink: files that share their blocks, on XFS" {
        clones_apart reflink "$FIXTURE_DIR/xfs"
}

@test "copy: on request, anywhere" {
        clones_apart copy "$FIXTURE_DIR"
}

@test "hardlink: no write goes through to the base" {
        register b "rootfs=$MADE/tree"
        answer 0 nspawn clone base=b name=c store=hardlink
        is "$(field .store)" hardlink
        expect 0 nspawn clone base=b name=d store=hardlink
        local before folder
        before=$(contents "$(path_of b)")
        folder=$(folder_of c)
        is "$(stat -c %i "$folder/farm/usr/bin/busybox")" "$(stat -c %i "$(path_of b)/usr/bin/busybox")"
        mount -t overlay overlay -o "lowerdir=$folder/farm,upperdir=$folder/upper,workdir=$folder/work" "$folder/tree"
        inside "$folder/tree" /bin/sh -c 'echo x >>/usr/bin/busybox; echo x >/etc/os-release; busybox rm /etc/hostname'
        umount "$folder/tree"
        is "$(contents "$(path_of b)")" "$before"
        is "$(contents "$(folder_of d)/farm")" "$before"
        expect 0 nspawn remove_base b
        cmp "$(folder_of d)/farm/usr/bin/busybox" "$MADE/tree/usr/bin/busybox"
        expect 0 nspawn delete 'name=*'
        herd_is_empty
}

@test "a store that can't is refused with its reason" {
        local store
        for store in btrfs reflink zfs; do
                refuses 69 "store '$store' can't be used here" nspawn register_base b "rootfs=$MADE/tree" "store=$store"
        done
        for store in qcow2 lxd_pool; do
                refuses 69 "$store" nspawn register_base b "rootfs=$MADE/tree" "store=$store"
                refuses 69 "$store" nspawn setup "store=$store"
        done
        herd_is_empty
}

# ---- the embedded pool ----

loops_of() {
        losetup -n -O NAME -j "$COWHERD_ROOT/pools/btrfs.img" | wc -l
}

# A loop device goes with its last user, and whoever looks for one (another test) has each of them open for a moment.
loops_are_gone() {
        for _ in {1..100}; do
                [ "$(loops_of)" != 0 ] || return 0
                sleep 0.05
        done
        is "$(loops_of)" 0
}

@test "setup store=btrfs makes a pool, again and again the same; teardown takes it away" {
        answer 0 nspawn setup store=btrfs size=300M
        is "$(field '.store + " " + .engine')" "btrfs nspawn"
        register b "rootfs=$MADE/tree"
        expect 0 nspawn clone base=b name=c count=3
        expect 0 nspawn setup store=btrfs size=300M
        expect 0 nspawn setup store=btrfs
        is "$(loops_of)" 1
        answer 0 nspawn list
        is "$(field '[.items[] | .store + "=" + .state] | unique | join(" ")')" btrfs=stopped
        refuses 75 "in use" nspawn teardown store=btrfs
        inside "$(path_of c-1)" /bin/sh -c 'echo one >/root/written'
        # After a boot nothing is mounted: the next command that needs it finds it by itself.
        umount "$COWHERD_ROOT/pools/btrfs"
        loops_are_gone
        answer 0 nspawn clone b later
        is "$(loops_of)" 1
        # A copy of the mount in another namespace keeps the loop device: that one is mounted again, not a second one.
        unshare --mount --propagation private sleep 60 3>&- &
        local holder=$!
        until [ "$(readlink "/proc/$holder/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ]; do :; done
        umount "$COWHERD_ROOT/pools/btrfs"
        is "$(loops_of)" 1
        answer 0 nspawn clone b beside
        is "$(loops_of)" 1
        kill "$holder"
        # One that shows a part of it is somebody else's doing.
        umount "$COWHERD_ROOT/pools/btrfs"
        loops_are_gone
        local part
        part=$(losetup --find --show --offset 1048576 "$COWHERD_ROOT/pools/btrfs.img")
        refuses 75 "the loop device '$part' uses it already" nspawn clone b apart
        losetup --detach "$part"
        loops_are_gone
        is "$(cat "$(path_of c-1)/root/written")" one
        umount "$COWHERD_ROOT/pools/btrfs"
        answer 0 nspawn list
        is "$(field '[.items[].state] | unique | join(" ")')" stopped
        expect 0 nspawn delete 'name=*'
        refuses 75 "in use" nspawn teardown
        # With store= the rest of what setup was told stays, without it goes.
        local warm="SELECT value FROM setting WHERE key = 'qemu.warm'"
        expect 0 qemu setup warm=2
        expect 0 qemu teardown store=qcow2
        is "$(sqlite3 "$COWHERD_ROOT/catalogue.db" "$warm")" 2
        expect 0 qemu teardown
        is "$(sqlite3 "$COWHERD_ROOT/catalogue.db" "$warm")" ""
        expect 0 nspawn remove_base b
        expect 0 nspawn teardown store=zfs
        [ -e "$COWHERD_ROOT/pools/btrfs.img" ]
        expect 0 nspawn teardown store=btrfs size=300M # the words of setup, said again
        is "$(fixture_mounts "$FIXTURE_DIR" | grep -c "^$COWHERD_ROOT/")" 0
        [ ! -e "$COWHERD_ROOT" ]
        expect 0 nspawn teardown
}

@test "eight setups at once make one pool with one loop device" {
        local n pids=() failed=0
        for n in 1 2 3 4 5 6 7 8; do
                "$PROGRAM" nspawn setup store=btrfs size=300M >"$n.out" 2>&1 3>&- &
                pids+=($!)
        done
        for n in "${pids[@]}"; do
                wait "$n" || failed=$((failed + 1))
        done
        is "$failed" 0 || { cat ./*.out; return 1; }
        is "$(loops_of)" 1
        # Likewise when it is there, but not mounted.
        register b "rootfs=$MADE/tree"
        umount "$COWHERD_ROOT/pools/btrfs"
        pids=()
        for n in 1 2 3 4 5 6 7 8; do
                "$PROGRAM" nspawn clone b "c$n" >"$n.out" 2>&1 3>&- &
                pids+=($!)
        done
        for n in "${pids[@]}"; do
                wait "$n" || failed=$((failed + 1))
        done
        is "$failed" 0 || { cat ./*.out; return 1; }
        is "$(loops_of)" 1
        is "$(fixture_mounts "$FIXTURE_DIR" | grep -cx "$COWHERD_ROOT/pools/btrfs")" 1
        expect 0 nspawn delete 'name=*'
        expect 0 nspawn remove_base b
        expect 0 nspawn teardown
        loops_are_gone
}

@test "a pool that can't be made leaves nothing" {
        refuses 64 "256 MiB" nspawn setup store=btrfs size=100M
        refuses 64 "size" nspawn setup store=btrfs size=1M
        refuses 64 "needs no pool" nspawn setup store=overlay size=1G
        refuses 74 "" nspawn setup store=btrfs size=60T || refuses 64 "" nspawn setup store=btrfs size=60T
        loops_are_gone
        [ ! -e "$COWHERD_ROOT/pools/btrfs.img" ]
        answer 0 nspawn status
        is "$(field .store)" overlay
}

@test "a small pool in which much is made and thrown away has room for the next" {
        local n
        mkdir tree
        cp -a "$MADE/tree/." tree/
        head -c 60M /dev/urandom >tree/blob
        expect 0 nspawn setup store=btrfs size=300M
        for n in 1 2 3 4 5 6 7; do # 420 MB in all: the kernel takes away what was removed when it comes to it
                register b rootfs="$PWD/tree"
                expect 0 nspawn remove_base b
        done
        expect 0 nspawn teardown
}

# ---- identity ----

@test "a base has no identity, its source keeps its own, and clones have different ones" {
        local store tree
        for store in overlay copy; do
                answer 0 nspawn register_base "b-$store" "rootfs=$MADE/tree" "store=$store"
                tree=$(field .path)
                is "$(stat -c '%s %F' "$tree/etc/machine-id")" "0 regular empty file"
                not grep -rsx mine "$tree"
                [ ! -e "$tree/var/lib/dbus/machine-id" ]
                is "$(ls "$tree/etc/ssh")" ""
        done
        is "$(cat "$MADE/tree/etc/machine-id")" 0123456789abcdef0123456789abcdef
        is "$(grep -rlx mine "$MADE/tree" | wc -l)" 4
        answer 0 nspawn clone base=b-overlay name=web count=20
        local key n
        for n in $(seq 20); do
                "$PROGRAM" --json nspawn info "web-$n"
        done >infos
        for key in hostname machine_id mac instance_id; do
                is "$(jq -s "[.[].$key | select(length > 0)] | unique | length" infos)" 20 || { echo "$key"; return 1; }
        done
        is "$(jq -s '[.[] | select(.hostname != .name)] | length' infos)" 0
        expect 0 nspawn clone base=b-overlay name=same identity=keep
        answer 0 nspawn info same
        is "$(field '.identity + " " + (.machine_id // "")')" "keep "
}

# ---- what a tree may come from ----

@test "a tarball, however it is packed" {
        local pack
        gzip -k <"$MADE/tree.tar" >tree.tar.gz
        xz -0 <"$MADE/tree.tar" >tree.tar.xz
        zstd -q <"$MADE/tree.tar" >tree.tar.zst
        cp "$MADE/tree.tar" tree.tar
        register whole "rootfs=$MADE/tree"
        for pack in tree.tar tree.tar.gz tree.tar.xz tree.tar.zst; do
                answer 0 nspawn register_base "b-${pack##*.}" "tarball=$pack"
                is "$(field '.distro + " " + .release')" "debian 12"
                is "$(contents "$(path_of "b-${pack##*.}")")" "$(contents "$(path_of whole)")"
        done
        answer 0 nspawn register_base by-image image=tree.tar.gz
}

@test "distro= and image= through sources.conf, and the answer says what it really is" {
        mkdir -p "$COWHERD_ROOT"
        ln -s "$MADE/tree" tree
        cat >"$COWHERD_ROOT/sources.conf" <<CONF
# this site's
[distro ubuntu]
rootfs  = $MADE/tree
distro  = debian   # truly
release = bookworm
[distro ubuntu noble]
tarball = $MADE/tree.tar
[image ubuntu:22.04]
tarball = $MADE/tree.tar
[distro elsewhere]
mirror = file:/nonexistent
distro = debian
CONF
        sed -i '/image ubuntu/,+1d' "$COWHERD_ROOT/sources.conf"
        answer 0 nspawn register_base b distro=ubuntu
        is "$(field '.distro + " " + .mapped_by')" "debian $COWHERD_ROOT/sources.conf:2"
        says "gives for 'ubuntu'"
        answer 0 nspawn register_base n distro=ubuntu release=noble
        is "$(field '.source')" "$MADE/tree.tar"
        expect 0 nspawn clone b c
        refuses 69 "plan9" nspawn register_base p distro=plan9
        refuses 71 "mmdebstrap" nspawn register_base e distro=elsewhere
        refuses 66 "not found" nspawn register_base i image=ubuntu:22.04
        echo 'nonsense here' >>"$COWHERD_ROOT/sources.conf"
        refuses 78 "sources.conf:" nspawn register_base q distro=ubuntu
        sed -i '$d' "$COWHERD_ROOT/sources.conf"
        chmod 666 "$COWHERD_ROOT/sources.conf"
        refuses 78 "sources.conf" nspawn register_base q distro=ubuntu
        is "$("$PROGRAM" --json nspawn list_bases | jq -r '[.items[].name] | join(" ")')" "b n"
        is "$(ls "$COWHERD_ROOT/bases" | wc -l)" 2
}

@test "a Debian from its packages" {
        answer 0 nspawn register_base deb distro=debian release=12 variant=extract packages=base-files,coreutils ${COWHERD_MIRROR:+"mirror=$COWHERD_MIRROR"}
        is "$(field '.distro + " " + .release')" "debian 12"
        [ -x "$(field .path)/lib/systemd/systemd" ]
        expect 0 nspawn clone deb c
        mount_layers c deb
        inside "$(path_of c)" /bin/uname
        umount "$(path_of c)"
}

@test "a real Debian boots in a clone, under a name and an id of its own" {
        export COWHERD_ROOT=$FIXTURE_DIR/herd-boot
        register debian "rootfs=$IMAGES/tree"
        expect 0 nspawn clone debian c
        mount_layers c debian
        inside "$(path_of c)" /bin/sh -c 'systemd-machine-id-setup --print >/root/id; apt-get --version' | grep -q ^apt
        [ "$(wc -c <"$(path_of c)/root/id")" -eq 33 ]
        is "$(stat -c %s "$(path_of debian)/etc/machine-id")" 0
        expect 0 nspawn delete c
}

# ---- what must not become a base ----

# A small root filesystem as a tarball with something planted: entries as NAME:TYPE[:LINK[:SIZE]], types of tarfile.
planted() {
        local file=$1
        shift
        python3 - "$MADE/tree.tar" "$file" "$@" <<'PYTHON'
import io, shutil, sys, tarfile
shutil.copy(sys.argv[1], sys.argv[2])
types = {"file": tarfile.REGTYPE, "link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "char": tarfile.CHRTYPE,
         "block": tarfile.BLKTYPE, "fifo": tarfile.FIFOTYPE, "dir": tarfile.DIRTYPE}
with tarfile.open(sys.argv[2], "a") as archive:
    for word in sys.argv[3:]:
        name, kind, link = (word.split("|") + [""])[:3]
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname, entry.mode = types[kind], link, 0o755
        if kind in ("char", "block"):
            entry.devmajor, entry.devminor = 1, 3
        data = b"pwned\n" if kind == "file" else b""
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
PYTHON
}

@test "tarballs that lead out of their tree" {
        local n=0 case words
        export COWHERD_ROOT=$PWD/deep/er/herd
        mkdir -p deep/er victim
        echo precious >victim/file
        chmod 600 victim/file
        for case in "../../pwned|file" "../../../../../victim/file|file" "/pwned|file" "$PWD/victim/file|file" "etc/../../../pwned|file" \
                "etc/..|file" "out|link|/ out/pwned|file" "out|link|$PWD/victim out/file|file" "out|link|../../../../../../victim out/file|file" \
                "a|link|b b|link|$PWD/victim a/file|file" "h|hard|$PWD/victim/file" "h|hard|../../../../../victim/file" \
                "out|link|$PWD/victim h|hard|out/file" "out|link|$PWD/victim/file out|file|x out/y|file" \
                "..|dir" "etc/os-release/x|file" "d|link|victim/../../../../../../victim d/file|file"; do
                n=$((n + 1))
                read -ra words <<<"$case"
                planted "$n.tar" "${words[@]}"
                refuses 65 "" nspawn register_base bad "tarball=$n.tar" && herd_has_no_files || { echo "$case"; return 1; }
        done
        is "$(cat victim/file; stat -c %a victim/file; ls victim; find . -name 'pwned*')" $'precious\n600\nfile'
        [ ! -e /pwned ]
}

@test "what is odd in a tarball but stays inside" {
        planted odd.tar "dev/null|char" "dev/sda|block" "run/pipe|fifo" "etc/self|link|/etc/shadow" "etc/up|link|../../../../etc/shadow" \
                "usr/bin/again|hard|usr/bin/busybox" "etc/motd|file" "./etc/issue|file" "out|link|$MADE/tree" "out|dir" "out/file|file"
        register b tarball=odd.tar
        local tree
        tree=$(path_of b)
        is "$(find "$tree" -type b -o -type c)" "" # containers get devices of their own
        is "$(stat -c %i "$tree/usr/bin/again")" "$(stat -c %i "$tree/usr/bin/busybox")"
        [ ! -h "$tree/out" ] && [ -f "$tree/out/file" ] && [ ! -e "$MADE/tree/file" ] # a folder takes the link's place
        [ -h "$tree/etc/up" ] && [ -f "$tree/etc/motd" ] && [ -f "$tree/etc/issue" ]
}

@test "tarballs that are none, cut, or hold no root filesystem" {
        head -c 3000 "$MADE/tree.tar" >cut.tar
        gzip <"$MADE/tree.tar" | head -c 20000 >cut.tar.gz
        echo hello >text.tar
        : >empty.tar
        head -c 100000 /dev/urandom >noise.tar
        tar -cf other.tar -C "$BATS_TEST_DIRNAME" lib.bash
        zip=$(printf 'PK\003\004'); echo "$zip" >zip.tar
        local file
        for file in cut.tar cut.tar.gz text.tar empty.tar noise.tar other.tar zip.tar; do
                refuses 65 "$file" nspawn register_base bad "tarball=$file" && herd_has_no_files || { echo "$file"; return 1; }
        done
        refuses 65 "not a regular file" nspawn register_base bad tarball=/dev/zero
        mkfifo pipe
        refuses 65 "not a regular file" nspawn register_base bad tarball=pipe
        refuses 66 "nowhere" nspawn register_base bad tarball=nowhere.tar
        refuses 69 "disk image" nspawn register_base bad "image=$IMAGES/debian.qcow2"
        herd_is_empty
}

@test "a rootfs with planted symlinks changes nothing outside" {
        mkdir victim
        echo precious | tee victim/machine-id victim/ssh_host_rsa_key victim/x.leases victim/random-seed >victim/shadow
        local before
        before=$(contents victim)
        cp -a "$MADE/tree" planted
        ln -sfn "$PWD/victim/machine-id" planted/etc/machine-id
        rm -r planted/etc/ssh planted/var/lib/dhcp planted/var/lib/systemd planted/var/lib/dbus
        ln -s "$PWD/victim" planted/etc/ssh
        ln -s ../../../../../../../../../../../../"$PWD/victim" planted/var/lib/dhcp
        ln -s "$PWD/victim" planted/var/lib/dhcpcd
        ln -s / planted/var/lib/systemd
        ln -s /proc/self/root"$PWD/victim" planted/var/lib/dbus
        ln -sfn "$PWD/victim/shadow" planted/etc/hostname
        ln -sfn /proc/1/environ planted/etc/os-release
        ln -s loop planted/var/lib/cloud
        answer 0 nspawn register_base b rootfs=planted
        is "$(field '.distro // "none"')" none
        is "$(contents victim)" "$before"
        is "$(stat -c '%F' "$(path_of b)/etc/machine-id")" "regular empty file"
        is "$(readlink "$(path_of b)/etc/hostname")" "$PWD/victim/shadow"
        expect 0 nspawn clone b c
        expect 0 nspawn delete c
        expect 0 nspawn remove_base b
        is "$(contents victim)" "$before"
        is "$(readlink planted/etc/ssh)" "$PWD/victim"
        herd_is_empty
}

@test "a rootfs whose files are not what they seem" {
        cp -a "$MADE/tree" odd
        rm odd/etc/machine-id odd/etc/os-release
        mkdir odd/etc/machine-id
        mkfifo odd/etc/os-release
        answer 0 nspawn register_base b rootfs=odd || refuses 65 "machine-id" nspawn register_base b rootfs=odd
        rm -r odd/etc
        ln -s "$MADE/tree/etc" odd/etc
        refuses 65 "not a root filesystem" nspawn register_base bad rootfs=odd
        mkdir none
        refuses 65 "not a root filesystem" nspawn register_base bad rootfs=none
        refuses 65 "not a folder" nspawn register_base bad "rootfs=$MADE/tree.tar"
        refuses 66 "not found" nspawn register_base bad rootfs=nowhere
        refuses 65 "the herd's own root folder" nspawn register_base bad rootfs=/
        refuses 65 "the herd's own root folder" nspawn register_base bad "rootfs=$COWHERD_ROOT"
        refuses 69 "adopt" nspawn register_base bad rootfs=odd adopt=true
        refuses 69 "qemu boots a disk" qemu register_base bad "rootfs=$MADE/tree"
}

# ---- bases under clones ----

@test "a base removed while in use, and a base that was changed" {
        local base
        register b "rootfs=$MADE/tree"
        expect 0 nspawn clone b c
        base=$(path_of b)
        expect 0 nspawn remove_base b
        [ -e "$base/etc/os-release" ]
        mount -t overlay overlay -o "lowerdir=$base,upperdir=$(folder_of c)/upper,workdir=$(folder_of c)/work" "$(path_of c)"
        inside "$(path_of c)" /bin/true
        expect 0 nspawn delete c
        [ ! -e "$base" ]
        herd_is_empty
        register b "rootfs=$MADE/tree"
        base=$(path_of b)
        mv "$base" "$base.old" && cp -a "$base.old" "$base"
        refuses 65 "was changed" nspawn clone b d
        is "$("$PROGRAM" --json doctor | jq '.items[] | select(.check == "base b") | .ok')" 0
        rm -r "$base"
        refuses 65 "are gone" nspawn clone b d
        refuses 66 "not found" nspawn info d
}

@test "64 clones at once on btrfs, and gone" {
        export COWHERD_ROOT=$FIXTURE_DIR/btrfs/herd-many
        register b "rootfs=$MADE/tree"
        answer 0 nspawn clone base=b name=n count=64
        is "$(field '"\(.count) \(.failed)"')" "64 0"
        inside "$(path_of n-64)" /bin/true
        answer 0 nspawn delete 'name=n-*'
        is "$(field '"\(.matched) \(.failed)"')" "64 0"
        is "$(btrfs subvolume list "$FIXTURE_DIR/btrfs" | grep -c herd-many/clones)" 0
}
