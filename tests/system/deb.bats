#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The Debian packages: built from this tree, without errors of lintian's, installed on a plain Debian 12 in a folder, used there as
# anybody would, and purged without a trace. The tests build on each other, in this order. COWHERD_TEST_LONG=1 also builds them
# twice, to compare. As root.

load lib
. "$BATS_TEST_DIRNAME/../lib/host.sh"

setup_file() {
        herds_begin
        images_prepare tree lxd disk tiny bare
        export DEBS=${COWHERD_BUILD:-$BATS_TEST_DIRNAME/../../build}/deb PLACE=$FIXTURE_DIR/h
        nice "$COWHERD_TOP/scripts/deb.sh" "$DEBS" >&2
        mkdir "$PLACE" "$PLACE/debs"
        # Meanwhile; the last test has its word.
        (flock 9 && nice lintian --allow-root --fail-on error,warning --tag-display-limit 0 "$DEBS"/*.changes >"$PLACE/lintian" 2>&1
                echo $? >"$PLACE/lintian.status") 9>"$PLACE/lintian.lock" 3>&- &
        cp "$DEBS"/cowherd_*.deb "$DEBS"/libcowherd0_*.deb "$DEBS"/libcowherd-dev_*.deb "$PLACE/debs/"
        truncate -s 1G "$PLACE/herd.img" && mkfs.btrfs -q -m single "$PLACE/herd.img"
        host_start "$PLACE/host" "$PLACE/debs:/debs" "$IMAGES:/images" "$PLACE/herd.img:/herd:btrfs"
        host_files >"$PLACE/before"
}

teardown_file() {
        host_stop
        herds_end
}

# inside STATUS COMMAND…: runs it on the host.
inside() {
        local expected=$1
        shift
        run --separate-stderr host "$@"
        [ "$status" -eq "$expected" ] || show "$*: status $status instead of $expected"
}

# inside_answer FILTER WORDS…: of a command that succeeds there.
inside_answer() {
        local filter=$1
        shift
        inside 0 cowherd --json "$@" && field "$filter"
}

install_packages() {
        inside 0 sh -c 'exec apt-get -q -y --no-install-recommends -o Acquire::http::Proxy=http://127.0.0.1:9 -o APT::Keep-Downloaded-Packages=true install \
                /debs/cowherd_*.deb /debs/libcowherd*.deb'
}

# COWHERD_TEST_LONG builds them once more, elsewhere and all anew.
@test "what is built of them says nothing of when and where" {
        local package
        if [ -n "${COWHERD_TEST_LONG:-}" ]; then
                "$COWHERD_TOP/scripts/deb.sh" --anew "$PLACE/again"
                for package in "$DEBS"/*.deb "$DEBS"/*.dsc "$DEBS"/*.tar.xz; do
                        cmp "$package" "$PLACE/again/${package##*/}"
                done
        fi
        # The times in them are the changelog's, or of before.
        [ -z "$(for package in "$DEBS"/*.deb; do dpkg-deb --fsys-tarfile "$package"; done | TZ=UTC tar -tvi --full-time |
                awk -v last="$(date -u -d "$(dpkg-parsechangelog -l "$COWHERD_TOP/debian/changelog" -S Date)" '+%F %T')" '$4 " " $5 > last')" ]
}

@test "they install with what Debian has, and have all that they should" {
        install_packages
        inside 0 cowherd --version
        is "$output" "cowherd $(dpkg-parsechangelog -l "$COWHERD_TOP/debian/changelog" -S Version)"
        inside 0 sh -c 'man -w cowherd cowherd-clone_from_base cowherd-live cowherd-rexx && man cowherd-verbs | grep -c clone_from_base'
        inside 0 sh -c 'for file in /usr/bin/cowherd /usr/lib/*/libcowherd.so.0 /usr/lib/*/cowherd/*; do ldd $file; done | grep "not found" || true'
        is "$output" ""
        inside 0 sh -c 'stat -c "%a %U" /usr/lib/*/cowherd/cowherd-lxd.so /usr/libexec/cowherd/cowherd-guest'
        is "$output" $'644 root\n755 root'
        inside 0 cowherd help clone_from_base
        inside 0 find /usr/share/doc/cowherd/examples -name seed.rexx
        says seed.rexx
        # Nothing of where it was built.
        inside 0 sh -c "grep -rl '$DEBS' /usr/bin/cowherd /usr/lib/*/cowherd /usr/lib/*/libcowherd* /usr/libexec/cowherd || true"
        is "$output" ""
}

@test "its units are sound, its timer is switched on, its account has a range" {
        inside 0 systemd-analyze verify --man=no /lib/systemd/system/cowherd-cleanup.timer /lib/systemd/system/cowherd-cleanup.service
        is "$output$stderr" ""
        inside 0 readlink /etc/systemd/system/timers.target.wants/cowherd-cleanup.timer
        is "$output" /lib/systemd/system/cowherd-cleanup.timer
        # As in a guest.
        inside 0 ln -s /usr/libexec/cowherd/cowherd-guest /usr/sbin/cowherd-guest
        inside 0 systemd-analyze verify --man=no /usr/libexec/cowherd/cowherd-guest.service
        is "$output$stderr" ""
        inside 0 rm /usr/sbin/cowherd-guest
        inside 0 getent passwd cowherd-qemu
        [[ $output == cowherd-qemu:x:[1-9]*:*:/:/usr/sbin/nologin ]] || show "the account"
        inside 0 grep -h cowherd /etc/subuid /etc/subgid
        is "$output" $'cowherd-qemu:1879048192:268435455\ncowherd-qemu:1879048192:268435455'
}

@test "doctor finds three engines, and the seed's script makes a clone on each" {
        inside 0 sh -c 'mkdir /var/lib/cowherd && mount --bind /herd /var/lib/cowherd'
        host sh -c 'setsid lxd --group root --logfile /var/log/lxd.log </dev/null >/dev/null 2>&1 & exec lxd waitready --timeout 60'
        inside 0 sh -c 'lxc storage create default btrfs size=2GiB && lxc profile device add default root disk path=/ pool=default'
        inside 0 cowherd doctor
        is "$(inside_answer '[.items[] | select(.available == 1) | .engine] | sort | join(" ")' status)" "lxd nspawn qemu"
        printf '%s\n' '[image ubuntu:22.04]' 'metadata = /images/metadata.tar' 'rootfs = /images/rootfs.tar' 'distro = debian' 'release = 12' \
                '[distro ubuntu]' 'rootfs = /images/tree' 'distro = debian' 'release = 12' >"$PLACE/debs/sources.conf"
        inside 0 install -m 600 /debs/sources.conf /var/lib/cowherd/sources.conf
        inside 0 env -C /images cowherd run /usr/share/doc/cowherd/examples/seed.rexx
        is "$(inside_answer '[.items[] | .name] | sort | join(" ")' list)" "ct-1 ns-1 vm-1"
        is "$(inside_answer .store nspawn info ns-1)" btrfs
}

@test "a program in C, built with pkg-config, runs a command in new clones" {
        inside 0 sh -c 'cc -Wall -Werror -o /root/herd /usr/share/doc/libcowherd-dev/examples/herd.c $(pkg-config --cflags --libs cowherd)'
        inside 0 /root/herd nspawn ns-base 2 'cat /etc/machine-id'
        is "$(grep -cE '^demo-[12]: [0-9a-f]{32}$' <<<"$output")" 2
}

# machine_user: that of the machine vm-1, which runs.
machine_user() {
        inside 0 sh -c 'read -r pid rest </run/cowherd/*/*/process; grep -E "^(Uid|Gid):" /proc/$pid/status'
        echo $output
}

@test "a virtual machine's user is of the account's range, wherever that is" {
        local user
        inside 0 cowherd start vm-1
        user=$(machine_user | cut -d' ' -f2)
        [ "$user" -ge 1879048192 ] && [ "$user" -lt 2147483647 ]
        inside 0 cowherd stop vm-1 force=true
        inside 0 usermod --del-subuids 1879048192-2147483646 --add-subuids 3000000000-3000065535 cowherd-qemu
        inside 0 cowherd start vm-1
        user=$(machine_user | cut -d' ' -f2)
        [ "$user" -ge 3000000000 ] && [ "$user" -le 3000065535 ]
        inside 0 cowherd stop vm-1 force=true
        inside 0 sed -i s/3000000000/0/ /etc/subuid
        inside 78 cowherd start vm-1
        complains "/etc/subuid:"
        # Installing it again leaves a range as it was found.
        inside 0 sed -i 's/^cowherd-qemu:.*/cowherd-qemu:3000000000:65536/' /etc/subuid
        inside 0 sh -c 'dpkg -i /debs/cowherd_*.deb'
        inside 0 grep cowherd /etc/subuid
        is "$output" cowherd-qemu:3000000000:65536
}

@test "a purge leaves machines to who made them, and says so" {
        inside 0 sh -c 'cowherd lxd delete ct-1 && cowherd lxd remove_base ct-base && cowherd nspawn delete ns-1 && cowherd nspawn remove_base ns-base'
        inside 0 sh -c 'cowherd qemu delete vm-1 && cowherd qemu remove_base vm-base && cowherd cleanup && lxd shutdown'
        inside 0 umount /var/lib/cowherd
        inside 0 sh -c 'cowherd qemu register_base tiny /images/tiny.qcow2 && cowherd qemu clone tiny precious'
        inside 0 apt-get -q -y purge cowherd libcowherd0 libcowherd-dev
        [[ $output$stderr == *"'/var/lib/cowherd' has machines in it and is left as it is"* ]] || show "the purge"
        inside 0 sh -c 'qemu-img check -q /var/lib/cowherd/clones/*/disk.qcow2'
        # They are there again with the package.
        install_packages
        is "$(inside_answer '.items[0].name' list)" precious
        inside 0 sh -c 'cowherd qemu delete precious && cowherd qemu remove_base tiny'
}

@test "a purge leaves nothing else behind" {
        inside 0 apt-get -q -y purge --auto-remove cowherd libcowherd0 libcowherd-dev
        inside 0 sh -c 'find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /debs -o -path /var/cache -o -path /var/log \) -prune -o -iname "*cowherd*" -print'
        is "$output" ""
        inside 0 find /run -iname '*cowherd*'
        is "$output" ""
        # Of LXD, which was used as well.
        inside 0 sh -c 'rm -rf /var/lib/lxd/* /root/.config /root/.cache /root/herd && chmod 755 /var/lib/lxd'
        host_files >"$PLACE/after"
        run diff "$PLACE/before" "$PLACE/after"
        is "$output" ""
}

@test "lintian finds no error and no warning" {
        (flock 9) 9<"$PLACE/lintian.lock"
        cat "$PLACE/lintian"
        is "$(cat "$PLACE/lintian.status")" 0
}
