#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The lxd_pool store and the lxd engine against a private LXD daemon, callback by callback (lxd_store.c). As root.

load words

setup_file() {
        [ "$(id -u)" -eq 0 ] || return 1
        # shellcheck source=tests/lib/images.sh
        . "$BATS_TEST_DIRNAME/../lib/images.sh"
        # shellcheck source=tests/lib/lxd.sh
        . "$BATS_TEST_DIRNAME/../lib/lxd.sh"
        images_prepare
        PLACE=$(mktemp -d /tmp/cowherd-lxd.XXXXXX)
        export PLACE METADATA=$IMAGES/metadata.tar ROOTFS=$PLACE/rootfs.tar LXD_CONF=$PLACE/conf
        export CHECK=${COWHERD_BUILD:-$BATS_TEST_DIRNAME/../../build}/tests/unit/lxd_api/lxd-store-check
        export HERD=11111111-2222-4333-8444-555555555555 BASE=cowherd-11111111-b1
        mkdir -p "$LXD_CONF"
        make_rootfs
        lxd_start "$PLACE"
        "$CHECK" import 1 the-base "$METADATA" "$ROOTFS" >"$PLACE/import.out" 2>"$PLACE/import.err"
        FINGERPRINT=$(sed -n 's/^fingerprint=//p' "$PLACE/import.out")
        export FINGERPRINT
}

# The image, with an identity in it such as a boot leaves.
make_rootfs() {
        local more=$PLACE/more
        mkdir -p "$more/etc/ssh" "$more/var/lib/dhcp" "$more/var/lib/cloud/instances/i-1" "$more/var/lib/cloud/data"
        echo mine | tee "$more/etc/ssh/ssh_host_ed25519_key" "$more/etc/ssh/ssh_host_ed25519_key.pub" \
                "$more/var/lib/dhcp/dhclient.eth0.leases" "$more/var/lib/cloud/instances/i-1/user-data" >"$more/var/lib/cloud/data/instance-id"
        echo kept >"$more/etc/ssh/ssh_config"
        ln -s instances/i-1 "$more/var/lib/cloud/instance"
        ln -s /etc "$more/var/lib/cloud/sem" # planted: must not be followed
        cp "$IMAGES/rootfs.tar" "$ROOTFS"
        tar -C "$more" --owner=0 --group=0 -rf "$ROOTFS" ./etc/ssh ./var/lib/dhcp ./var/lib/cloud
}

teardown_file() {
        # shellcheck source=tests/lib/lxd.sh
        . "$BATS_TEST_DIRNAME/../lib/lxd.sh"
        for pid in "$PLACE"/*.pid; do # servers of tests that failed; the daemon is stopped in its own way
                [ "$pid" = "$PLACE/lxd.pid" ] || [ ! -f "$pid" ] || kill "$(cat "$pid")" 2>/dev/null || true
        done
        lxd_stop "$PLACE"
        rm -rf --one-file-system "$PLACE"
}

setup() {
        unset POOL
}

# What a test that failed has left is not to fail the next.
teardown() {
        local name
        [ -z "${BATS_TEST_COMPLETED:-}" ] || return 0
        for name in $(lxc list -c n -f csv); do
                [ "$name" != "$BASE" ] || continue
                lxc config set "$name" security.protection.delete=false
                lxc delete -f "$name"
        done
        for name in $(lxc image list -f json | jq -r '.[].fingerprint'); do
                lxc image delete "$name"
        done
}

# expect STATUS WORDS…: runs the check program.
expect() {
        runs "$1" "$CHECK" "${@:2}"
}

api() {
        curl -s --unix-socket "$LXD_DIR/unix.socket" "http://lxd$1"
}

now_ms() {
        echo $(($(date +%s%N) / 1000000))
}

names() {
        lxc list -c n -f csv | sort | tr '\n' ' '
}

@test "engine and store say what they found" {
        expect 0 probe
        says "available=1 version=$(lxd --version)"
        says "usable=1 detail=LXD pool 'default' on btrfs"
}

@test "no daemon, no socket, no right: each is told with what to do" {
        LXD_DIR=/nonexistent expect 69 clone 1 2 x
        says "there is no socket '/nonexistent/unix.socket'"
        says 'hint: systemctl start lxd'
        LXD_DIR=/nonexistent expect 0 probe
        says 'available=0'
        mkdir -p "$PLACE/dead"
        python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$PLACE/dead/unix.socket"
        LXD_DIR=$PLACE/dead expect 69 clone 1 2 x
        says 'nobody listens'
        LXD_DIR=/tmp/$(printf 'x%.0s' $(seq 120)) expect 78 clone 1 2 x
        cp "$CHECK" "$PLACE/check"
        chmod 755 "$PLACE" "$PLACE/check"
        chgrp nogroup "$LXD_DIR/unix.socket"
        chmod 600 "$LXD_DIR/unix.socket"
        run setpriv --reuid=65534 --regid=65534 --clear-groups env LXD_SOCKET="$LXD_DIR/unix.socket" "$PLACE/check" clone 1 2 x
        chgrp root "$LXD_DIR/unix.socket"
        chmod 660 "$LXD_DIR/unix.socket"
        [ "$status" -eq 77 ]
        says 'join its group: usermod -aG nogroup'
}

@test "a base is imported from files, and LXD is left as it was but for the base" {
        grep -q 'distro=debian release=bookworm' "$PLACE/import.out"
        [ "$(names)" = "$BASE " ]
        [ -z "$(lxc image list -f csv)" ]
        [ "$(lxc list -c s -f csv)" = STOPPED ]
        [ "$(lxc config get "$BASE" user.cowherd.herd)" = "$HERD" ]
        [ "$(lxc config get "$BASE" boot.autostart)" = false ]
        run lxc delete "$BASE"
        [ "$status" -ne 0 ]
}

@test "a base has no identity left in it" {
        [ "$(api "/1.0/instances/$BASE/files?path=/etc/machine-id" | wc -c)" -eq 0 ]
        api "/1.0/instances/$BASE/files?path=/etc/ssh" | jq -e '.metadata | index("ssh_config")' >/dev/null
        api "/1.0/instances/$BASE/files?path=/etc/ssh" | jq -e '.metadata | map(select(startswith("ssh_host_"))) == []' >/dev/null
        [ "$(api "/1.0/instances/$BASE/files?path=/var/lib/dhcp" | jq -c .metadata)" = '[]' ]
        [ "$(api "/1.0/instances/$BASE/files?path=/var/lib/cloud" | jq -c .metadata)" = '[]' ]
        api "/1.0/instances/$BASE/files?path=/usr/lib/os-release" | grep -q debian
        [ "$(api "/1.0/instances/$BASE/files?path=/var/lib/dbus" | jq -c '.metadata | index("machine-id")')" = null ]
}

@test "a base is checked at each clone: unchanged, replaced, gone" {
        expect 0 check 1 "$FINGERPRINT"
        expect 65 check 1 "another one"
        says 'was changed'
        expect 65 check 99 "$FINGERPRINT"
        says 'removed behind our back'
}

@test "a clone is whole, bears its own tags, and differs from its base only where it was written" {
        expect 0 clone 1 2 web-1
        [ "$(lxc config get web-1 user.cowherd.name)" = web-1 ]
        [ "$(lxc config get web-1 user.cowherd.id)" = 2 ]
        [ -z "$(lxc config get web-1 security.protection.delete)" ]
        [ -z "$(lxc config get web-1 boot.autostart)" ]
        expect 0 usage clone 2 web-1
        [[ $output =~ unique=([0-9]+)\ shared=([0-9]+) ]]
        [ "${BASH_REMATCH[1]}" -lt 262144 ]
        [ "${BASH_REMATCH[2]}" -gt 100000000 ]
        dd if=/dev/urandom bs=1M count=3 2>/dev/null | lxc file push - web-1/root/written
        sync -f "$LXD_DIR/storage-pools/default"
        expect 0 usage clone 2 web-1
        [[ $output =~ unique=([0-9]+) ]]
        [ "${BASH_REMATCH[1]}" -gt 3145728 ]
        [ "${BASH_REMATCH[1]}" -lt 3670016 ] || { echo "$output"; false; }
        run lxc file pull "$BASE/root/written" -
        [ "$status" -ne 0 ]
        expect 0 clone 1 3 web-2
        run lxc file pull web-2/root/written -
        [ "$status" -ne 0 ]
        expect 0 usage base 1 the-base
        [[ $output =~ unique=([0-9]+)\ shared=0 ]]
        [ "${BASH_REMATCH[1]}" -gt 100000000 ]
        for clone in '2 web-1' '3 web-2'; do
                # shellcheck disable=SC2086
                expect 0 destroy clone $clone
        done
        [ "$(names)" = "$BASE " ]
        expect 0 usage clone 2 web-1
        says missing=1
}

@test "a clone without the fingerprint's profiles asks LXD for them" {
        FINGERPRINT='' expect 0 clone 1 2 web-1
        [ "$(api /1.0/instances/web-1 | jq -c .metadata.profiles)" = '["default"]' ]
        expect 0 destroy clone 2 web-1
}

@test "another's instance is neither cloned over, nor renamed over, nor destroyed" {
        lxc copy "$BASE/base" foreign
        lxc config set foreign user.cowherd.id=5 user.cowherd.role=clone
        expect 0 clone 1 2 web-1
        expect 73 clone 1 3 foreign
        says "already exists in LXD, and is not this herd's"
        expect 73 clone 1 3 web-1
        expect 73 rename 2 web-1 foreign
        [ "$(lxc config get web-1 user.cowherd.name)" = web-1 ]
        expect 0 destroy clone 5 foreign # ours of that id is not there: nothing to do
        expect 0 destroy clone 5 ''
        HERD=99999999-2222-4333-8444-555555555555 expect 0 destroy clone 2 web-1
        [ "$(names)" = "$BASE foreign web-1 " ]
        expect 0 states 5 foreign 2 web-1 9 absent
        [ "$output" = $'foreign missing\nweb-1 stopped\nabsent missing' ]
        expect 0 list clone
        [ "$output" = 2 ]
        expect 0 list base
        [ "$output" = 1 ]
        lxc delete foreign
        expect 0 destroy clone 2 web-1
}

@test "rename: stopped only, found again wherever it was cut short" {
        expect 0 clone 1 2 web-1
        expect 0 rename 2 web-1 web-9
        [ "$(names)" = "$BASE web-9 " ]
        expect 0 rename 2 web-1 web-9 # again: it is found by its tags
        expect 66 rename 3 web-7 web-8
        lxc config set web-9 user.cowherd.name=web-5 user.cowherd.former=web-9 # cut short before LXD's rename
        expect 0 rename 2 web-9 web-5
        lxc config set web-5 user.cowherd.former=web-9 # and after it
        expect 0 rename 2 web-9 web-5
        [ -z "$(lxc config get web-5 user.cowherd.former)" ]
        expect 0 states 2 web-5
        [ "$output" = 'web-5 stopped' ]
        expect 0 destroy clone 2 web-1 # by its tags alone
        [ "$(names)" = "$BASE " ]
}

@test "what runs is busy; first starts are fast; no two clones are one machine" {
        expect 0 clone 1 2 web-1
        expect 0 clone 1 3 web-2
        lxc start web-1 web-2 2>/dev/null
        expect 75 destroy clone 2 web-1
        says 'LXD says it is Running'
        expect 75 rename 2 web-1 web-9
        expect 0 states 2 web-1
        [ "$output" = 'web-1 running' ]
        lxc pause web-1
        expect 0 states 2 web-1
        [ "$output" = 'web-1 paused' ]
        expect 75 destroy clone 2 web-1
        lxc start web-1
        lxc exec web-1 -- systemctl is-system-running --wait || true
        lxc exec web-2 -- systemctl is-system-running --wait || true
        one=$(lxc exec web-1 -- cat /etc/machine-id)
        two=$(lxc exec web-2 -- cat /etc/machine-id)
        [ "${#one}" -eq 32 ]
        [ "${#two}" -eq 32 ]
        [ "$one" != "$two" ]
        lxc stop -f web-1 web-2
        expect 0 destroy clone 2 web-1
        expect 0 destroy clone 3 web-2
}

# How much sooner it starts is bench/clone's to tell.
@test "a clone's tree is mapped before its first start, which then has nothing to remap; a raw copy's is not" {
        lxc image import "$METADATA" "$ROOTFS" --alias raw >/dev/null
        lxc init raw raw 2>/dev/null
        lxc snapshot raw base
        lxc copy raw/base raw-1
        expect 0 clone 1 11 ours-1
        wanted=$(lxc config get ours-1 volatile.idmap.next)
        [ -n "$wanted" ] && [ "$wanted" != '[]' ]
        [ "$(lxc config get ours-1 volatile.last_state.idmap)" = "$wanted" ]
        [ "$(lxc config get raw-1 volatile.last_state.idmap)" = '[]' ]
        lxc start ours-1 2>/dev/null
        [ "$(lxc config get ours-1 volatile.last_state.idmap)" = "$wanted" ]
        lxc stop -f ours-1
        lxc delete raw raw-1
        expect 0 destroy clone 11 ours-1
        lxc image delete raw
}

@test "16 clones at once" {
        expect 0 clones 1 100 16 many
        echo "# $output" >&3
        expect 0 list clone
        [ "$(echo "$output" | wc -l)" -eq 16 ]
        words=
        for i in $(seq 16); do
                words="$words $((99 + i)) many-$i"
        done
        # shellcheck disable=SC2086
        expect 0 states $words
        [ "$(echo "$output" | grep -c stopped)" -eq 16 ]
        for i in $(seq 16); do
                expect 0 destroy clone $((99 + i)) many-"$i"
        done
        [ "$(names)" = "$BASE " ]
}

@test "a clone that is killed midway is awaited and destroyed, nothing is left" {
        for delay in 0.005 0.02 0.05 0.1 0.2; do
                timeout --signal=KILL $delay "$CHECK" clone 1 20 killed || true
                expect 0 destroy clone 20 killed
                [ "$(names)" = "$BASE " ]
        done
}

@test "an import that is killed midway is destroyed, its image too, nothing is left" {
        tar -cf "$PLACE/other.tar" -C "$PLACE/more" .
        cat "$ROOTFS" >"$PLACE/killed.tar"
        tar -C "$PLACE/more" -rf "$PLACE/killed.tar" ./etc/ssh/ssh_config # another fingerprint
        for delay in 0.5 1 2 4; do
                timeout --signal=KILL $delay "$CHECK" import 21 killed "$METADATA" "$PLACE/killed.tar" 2>/dev/null || true
                expect 0 destroy base 21 killed
                [ "$(names)" = "$BASE " ]
                [ -z "$(lxc image list -f csv)" ]
        done
}

@test "a bad image is a clear error and leaves nothing" {
        expect 66 import 30 bad nosuch
        says "image 'nosuch' not found"
        expect 66 import 30 bad nowhere:bookworm
        says "image server 'nowhere' not found"
        expect 66 import 30 bad "$METADATA" /nonexistent
        head -c 100000 /dev/urandom >"$PLACE/junk"
        expect 65 import 30 bad "$METADATA" "$PLACE/junk"
        expect 65 import 30 bad "$PLACE/junk" ''
        mkdir -p "$PLACE/empty/bin" "$PLACE/empty/etc"
        tar -C "$PLACE/empty" -cf "$PLACE/no-init.tar" .
        expect 71 import 30 bad "$METADATA" "$PLACE/no-init.tar"
        says "starting base 'bad' once"
        says "hint: the container's log ends: "
        [ "$(names)" = "$BASE " ]
        [ -z "$(lxc image list -f csv)" ]
}

@test "an image that LXD has already is used and left: by files, alias, fingerprint and its beginning" {
        lxc image import "$METADATA" "$ROOTFS" --alias os/there >/dev/null
        fingerprint=$(lxc image list -f json | jq -r '.[0].fingerprint')
        expect 0 import 31 again "$METADATA" "$ROOTFS"
        says "image=${fingerprint:0:12}"
        expect 0 import 32 again os/there
        expect 0 import 33 again "local:$fingerprint"
        expect 0 import 34 again "${fingerprint:0:10}"
        [ "$(lxc image list -f json | jq length)" -eq 1 ]
        for id in 31 32 33 34; do
                expect 0 destroy base $id again
        done
        [ "$(lxc image list -f json | jq length)" -eq 1 ]
        lxc image delete os/there
        [ "$(names)" = "$BASE " ]
}

# A simplestreams server on loopback, over TLS, with one image.
start_server() {
        local folder=$PLACE/server
        mkdir -p "$folder/streams/v1" "$LXD_CONF/servercerts"
        cp "$METADATA" "$folder/meta.tar"
        ln -f "$ROOTFS" "$folder/rootfs.tar"
        jq -n --arg m "$(sha256sum <"$folder/meta.tar" | cut -c1-64)" --arg r "$(sha256sum <"$folder/rootfs.tar" | cut -c1-64)" \
                --arg c "$(cat "$folder/meta.tar" "$folder/rootfs.tar" | sha256sum | cut -c1-64)" \
                --argjson ms "$(stat -c %s "$folder/meta.tar")" --argjson rs "$(stat -c %s "$folder/rootfs.tar")" \
                '{format: "products:1.0", datatype: "image-downloads", content_id: "images", products: {"debian:test:amd64": {
                  arch: "amd64", os: "Debian", release: "bookworm", release_title: "bookworm", aliases: "debian/test,default",
                  versions: {"20260101": {items: {
                    "lxd.tar.xz": {ftype: "lxd.tar.xz", path: "meta.tar", size: $ms, sha256: $m, combined_rootxz_sha256: $c},
                    "root.tar.xz": {ftype: "root.tar.xz", path: "rootfs.tar", size: $rs, sha256: $r}}}}}}}' >"$folder/streams/v1/images.json"
        echo '{"format": "index:1.0", "index": {"images": {"datatype": "image-downloads", "path": "streams/v1/images.json",
                "format": "products:1.0", "products": ["debian:test:amd64"]}}}' >"$folder/streams/v1/index.json"
        openssl req -x509 -newkey rsa:2048 -nodes -days 3 -subj /CN=loopback -addext subjectAltName=IP:127.0.0.1 \
                -keyout "$PLACE/key.pem" -out "$LXD_CONF/servercerts/loop.crt" 2>/dev/null
        python3 - "$folder" "$LXD_CONF/servercerts/loop.crt" "$PLACE/key.pem" "$PLACE/port" 3>&- >/dev/null 2>&1 <<'PYTHON' &
import functools, http.server, os, ssl, sys
folder, certificate, key, port = sys.argv[1:]
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
open(port + ".new", "w").write(str(server.server_port))
os.rename(port + ".new", port)
server.serve_forever()
PYTHON
        SERVER_PID=$!
        echo $SERVER_PID >"$PLACE/server.pid"
        timeout 20 sh -c "until [ -s '$PLACE/port' ]; do sleep 0.1; done"
        printf 'default-remote: local\nremotes:\n  loop:\n    addr: https://127.0.0.1:%s\n    protocol: simplestreams\n    public: true\n' \
                "$(cat "$PLACE/port")" >"$LXD_CONF/config.yml"
}

@test "an image of a server, through LXD's own remotes" {
        start_server
        expect 0 import 40 remote loop:debian/test
        says 'distro=debian'
        expect 0 clone 40 41 from-remote
        expect 0 destroy clone 41 from-remote
        expect 0 destroy base 40 remote
        expect 66 import 42 remote loop:nosuch
        says "image 'loop:nosuch' of server 'https://127.0.0.1:"
        kill "$SERVER_PID"
        wait "$SERVER_PID" || true
        rm "$PLACE/server.pid"
        printf 'remotes:\n  dead:\n    addr: https://127.0.0.1:9\n    protocol: simplestreams\n' >"$LXD_CONF/config.yml"
        expect 69 import 42 remote dead:debian/test # (of the other one, LXD remembers what it has)
        says 'hint: LXD'
        for fingerprint in $(lxc image list -f json | jq -r '.[].fingerprint'); do
                lxc image delete "$fingerprint" # what LXD caches of servers is its own
        done
        [ "$(names)" = "$BASE " ]
}

@test "a server that accepts and is silent is given up after 15 s" {
        python3 - "$PLACE/silent" 3>&- <<'PYTHON' &
import os, socket, sys, time
server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen(5)
open(sys.argv[1] + ".new", "w").write(str(server.getsockname()[1]))
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(60)
PYTHON
        silent=$!
        echo $silent >"$PLACE/silent.pid"
        timeout 20 sh -c "until [ -s '$PLACE/silent' ]; do sleep 0.1; done"
        printf 'remotes:\n  hole:\n    addr: http://127.0.0.1:%s\n    protocol: simplestreams\n' "$(cat "$PLACE/silent")" >"$LXD_CONF/config.yml"
        began=$(now_ms)
        expect 75 import 43 remote hole:any
        [ $(($(now_ms) - began)) -lt 25000 ]
        says 'did not answer within 15 s'
        kill "$silent"
        rm "$PLACE/silent.pid"
        printf 'remotes: [\n' >"$LXD_CONF/config.yml"
        expect 78 import 43 remote hole:any
        rm "$LXD_CONF/config.yml"
        [ "$(names)" = "$BASE " ]
}

@test "setup takes a usable default pool; makes a pool and a profile of its own where asked to; teardown undoes only that" {
        expect 0 setup
        [ "$output" = 'pool=default ours=0' ]
        expect 0 setup '' '' 1073741824
        [ "$output" = 'pool=cowherd ours=1' ]
        expect 0 setup
        [ "$output" = 'pool=cowherd ours=1' ] # found again
        [ "$(lxc profile device get cowherd root pool)" = cowherd ]
        HERD=99999999-2222-4333-8444-555555555555 expect 0 setup '' '' 1073741824
        [ "$output" = 'pool=cowherd-99999999 ours=1' ]
        HERD=99999999-2222-4333-8444-555555555555 expect 0 teardown cowherd-99999999
        export POOL=cowherd
        expect 0 import 50 own "$METADATA" "$ROOTFS"
        fingerprint=$(echo "$output" | sed -n 's/^fingerprint=//p')
        FINGERPRINT=$fingerprint expect 0 clone 50 51 own-1
        [ "$(api /1.0/instances/own-1 | jq -r '.metadata.expanded_devices.root.pool')" = cowherd ]
        expect 75 teardown cowherd
        expect 0 destroy clone 51 own-1
        expect 0 destroy base 50 own
        HERD=99999999-2222-4333-8444-555555555555 expect 0 teardown cowherd # not that herd's: untouched
        lxc storage show cowherd >/dev/null
        expect 0 teardown cowherd
        expect 0 teardown cowherd
        run lxc storage show cowherd
        [ "$status" -ne 0 ]
        [ "$(lxc profile list -f csv | cut -d, -f1)" = default ]
        expect 69 setup '' hardlink
        expect 0 probe
        says "LXD has no storage pool 'cowherd'"
}

@test "a pool whose copies share nothing is not used" {
        lxc storage create plain dir >/dev/null
        POOL=plain expect 0 probe
        says 'share nothing'
        POOL=plain expect 0 import 60 plain "$METADATA" "$ROOTFS" # a root disk of its own: the profile has another pool
        [ "$(api /1.0/instances/cowherd-11111111-b60 | jq -r '.metadata.devices.root.pool')" = plain ]
        POOL=plain FINGERPRINT='' expect 0 clone 60 61 plain-1
        [ "$(api /1.0/instances/plain-1 | jq -r '.metadata.expanded_devices.root.pool')" = plain ]
        POOL=plain expect 0 destroy clone 61 plain-1
        POOL=plain expect 0 destroy base 60 plain
        lxc storage delete plain
        expect 0 setup plain btrfs 1073741824
        [ "$output" = 'pool=plain ours=1' ]
        expect 0 teardown plain
}

# The fingerprint in the output of `snapshot` and `promote`.
print_of() {
        sed -n 's/^fingerprint=//p' <<<"$output"
}

@test "snapshots are LXD's own, under their names, and whose they are is known" {
        expect 0 clone 1 2 web-1
        expect 0 snapshot 2 web-1 50 before
        local print
        print=$(print_of)
        expect 0 snapshot 2 web-1 50 before # after a kill
        [ "$(print_of)" = "$print" ]
        [ "$(lxc query /1.0/instances/web-1/snapshots | jq -c 'map(split("/") | last)')" = '["before"]' ]
        lxc snapshot web-1 theirs
        expect 73 snapshot 2 web-1 51 theirs
        says "is not this herd's"
        # A snapshot that has lost its name in the catalogue keeps it in LXD.
        expect 0 snapshot 2 web-1 52 before
        expect 0 snapshot 2 web-1 53 ''
        expect 0 list snapshot
        [ "$(sort <<<"$output" | tr '\n' ' ')" = "50 52 53 " ]
        expect 0 check-snapshot 50 before 2 web-1 "$print"
        expect 65 check-snapshot 50 before 2 web-1 other
        expect 0 usage-snapshot 50 before 2 web-1
        says missing=0
        expect 0 drop 50 '' 2 web-1
        expect 0 drop 50 '' 2 web-1
        expect 65 check-snapshot 50 before 2 web-1 "$print"
        expect 0 usage-snapshot 50 before 2 web-1
        says missing=1
        expect 0 drop 53 '' 0 '' # of a clone that no row tells
        expect 0 drop 54 theirs 2 web-1
        [ "$(lxc query /1.0/instances/web-1/snapshots | jq -c 'map(split("/") | last)')" = '["theirs","before-52"]' ]
        expect 0 destroy clone 2 web-1
        expect 0 drop 52 before 2 web-1
        [ "$(names)" = "$BASE " ]
}

@test "a clone goes back to a snapshot, and keeps the name that it has now" {
        expect 0 clone 1 2 web-1
        echo one | lxc file push - web-1/root/f
        expect 0 snapshot 2 web-1 50 before
        echo two | lxc file push - web-1/root/f
        expect 0 rename 2 web-1 web-9
        expect 0 restore 2 web-9 50 before
        expect 0 restore 2 web-9 50 before
        [ "$(lxc file pull web-9/root/f -)" = one ]
        expect 0 states 2 web-9
        says 'web-9 stopped'
        # Killed between LXD's restore and the tags.
        lxc config set web-9 user.cowherd.name web-1
        expect 0 states 2 web-9
        says 'web-9 missing'
        expect 0 restore 2 web-9 50 before
        expect 0 states 2 web-9
        says 'web-9 stopped'
        lxc start web-9
        expect 75 restore 2 web-9 50 before
        says 'stop it first'
        lxc stop -f web-9
        expect 66 restore 2 web-9 99 none
        expect 0 destroy clone 2 web-9
        expect 66 restore 2 web-9 50 before
}

@test "a clone becomes a base, without what made it a machine; killed halfway, it is made again" {
        expect 0 clone 1 2 web-1
        lxc config set web-1 limits.memory=256MiB environment.container_uuid=0123456789abcdef0123456789abcdef user.cowherd.cards=eth0
        lxc config device add web-1 eth0 none
        lxc config device add web-1 cowherd-port-1 proxy listen=tcp:127.0.0.1:18099 connect=tcp:127.0.0.1:80
        lxc config device add web-1 mine none
        echo data | lxc file push - web-1/root/f
        echo 0123456789abcdef0123456789abcdef | lxc file push - web-1/etc/machine-id
        lxc copy --instance-only web-1 cowherd-11111111-b60 # as a kill leaves it
        lxc config set cowherd-11111111-b60 user.cowherd.id=60 user.cowherd.role=base user.cowherd.name=cowherd-11111111-b60 user.cowherd.neutral=
        expect 0 promote 2 web-1 60 made
        local print
        print=$(print_of)
        expect 0 promote 2 web-1 60 made
        [ "$(print_of)" = "$print" ]
        [ "$(lxc config device list cowherd-11111111-b60)" = mine ]
        [ -z "$(lxc config get cowherd-11111111-b60 limits.memory)$(lxc config get cowherd-11111111-b60 environment.container_uuid)" ]
        [ "$(lxc config get cowherd-11111111-b60 security.protection.delete)" = true ]
        [ "$(api "/1.0/instances/cowherd-11111111-b60/files?path=/etc/machine-id" | wc -c)" -eq 0 ]
        FINGERPRINT=$print expect 0 clone 60 3 of-made
        [ "$(lxc file pull of-made/root/f -)" = data ]
        # A clone of a clone starts with nothing of that machine either.
        expect 0 snapshot 2 web-1 61 ''
        expect 0 clone-snapshot 2 web-1 61 '' 4 of-clone
        [ "$(lxc config device list of-clone)" = mine ]
        [ "$(lxc file pull of-clone/root/f -)" = data ]
        expect 0 destroy clone 2 web-1
        [ "$(lxc file pull of-made/root/f -)$(lxc file pull of-clone/root/f -)" = datadata ]
        expect 0 destroy clone 3 of-made
        expect 0 destroy clone 4 of-clone
        expect 0 destroy base 60 made
        [ "$(names)" = "$BASE " ]
}

@test "a disk of a size of its own" {
        DISK_SIZE=402653184 expect 0 clone 1 2 web-1
        [ "$(lxc config device get web-1 root size)" = 402653184B ]
        lxc start web-1
        run lxc exec web-1 -- dd if=/dev/zero of=/root/big bs=1M count=500
        [ "$status" -ne 0 ]
        # LXD writes on the instance's own disk when it stops; where that fails it says so, but it has stopped.
        run lxc stop -f web-1
        [ "$(lxc list web-1 -c s -f csv)" = STOPPED ]
        expect 0 destroy clone 2 web-1
}

@test "the base goes last, and LXD is empty" {
        expect 0 destroy base 1 the-base
        expect 0 destroy base 1 the-base
        [ -z "$(names | tr -d ' ')" ]
        [ -z "$(lxc image list -f csv)" ]
        [ "$(find "$LXD_DIR/storage-pools/default" -mindepth 2 -maxdepth 2 | wc -l)" -eq 0 ]
}
