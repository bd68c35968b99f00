#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The demo: examples/seed.rexx, unchanged, on QEMU, LXD and systemd-nspawn, and a table of what each clone cost. Run by
# `make demo`, as root; `scripts/demo.sh clean` (`make demo-clean`) removes the images it keeps.
#
# Everything of it is in one folder, which is gone when it ends, however it ends: the herd, and a LXD of its own where none
# answers. Where it was killed, the next run cleans up first.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib/images.sh
. "$top/scripts/lib/images.sh"
# shellcheck source=tests/lib/lxd.sh
. "$top/tests/lib/lxd.sh"

place=${COWHERD_DEMO:-/var/lib/cowherd-demo}
herd=$place/herd
cowherd=${COWHERD_PROGRAM:-$top/build/cowherd}

say() {
        printf '%s\n' "$@"
}

give_up() {
        printf 'demo: %s\n' "$*" >&2
        exit "${code:-71}"
}

# remove_all TARGET LIST-VERB REMOVE-VERB: by name, as there may be none.
remove_all() {
        "$cowherd" --json "$1" "$2" | jq -r '.items[]?.name' | while read -r name; do
                "$cowherd" "$1" "$3" "name=$name" >/dev/null || true
        done
}

# Takes all clones and bases out of the demo's herd, then the herd and its LXD. What does not go is told, and left.
clean() {
        if [ -e "$herd/catalogue.db" ] && [ -x "$cowherd" ]; then
                for target in qemu lxd nspawn; do
                        remove_all "$target" list delete
                        remove_all "$target" list_bases remove_base
                done
                "$cowherd" cleanup >/dev/null || true
        fi
        if [ -d "$place/lxd" ]; then
                lxd_stop "$place" || true # it says itself what fails
        fi
        if grep -qs " $place/" /proc/self/mountinfo; then
                give_up "something is still mounted in '$place'; it is left as it is"
        fi
        rm -rf --one-file-system "$place"
}

# The LXD that answers, or one of our own with a small btrfs pool.
find_lxd() {
        for folder in "${LXD_DIR:-}" /var/lib/lxd /var/snap/lxd/common/lxd; do
                if [ -n "$folder" ] && [ "$folder" != "$place/lxd" ] && lxd_answers "$folder"; then
                        say "LXD: the one that runs already ($folder)"
                        LXD_DIR=$folder
                        export LXD_DIR
                        echo "$LXD_DIR" >"$place/lxd-dir"
                        return 0
                fi
        done
        say 'LXD: none is running here, so one is started for the demo'
        LXD_POOL_SIZE=3GiB lxd_start "$place"
}

# What "ubuntu" means here: there is no network to count on, so both names stand for the Debian just made.
write_sources() {
        mkdir -p "$herd"
        chmod 700 "$herd"
        cat >"$herd/sources.conf" <<END
[image ubuntu:22.04]
metadata = $IMAGES/metadata.tar
rootfs = $IMAGES/rootfs.tar
distro = debian
release = 12

[distro ubuntu]
rootfs = $IMAGES/tree
distro = debian
release = 12
END
        chmod 600 "$herd/sources.conf"
}

# One line a clone: engine, name, store, milliseconds, bytes that are its own.
row() {
        about=$("$cowherd" --json "$1" info "name=$2") || give_up "'$2' is not there: $about"
        usage=$("$cowherd" --json "$1" usage "name=$2") || give_up "'$2' cannot be measured: $usage"
        store=$(printf '%s' "$about" | jq -r .store)
        ms=$(printf '%s' "$about" | jq -r .clone_ms)
        bytes=$(printf '%s' "$usage" | jq -r .unique_bytes)
        printf '%-8s %-10s %-10s %10s %14s\n' "$1" "$2" "$store" "$ms" "$bytes"
}

table() {
        printf '\n%-8s %-10s %-10s %10s %14s\n' engine clone store 'clone ms' 'bytes unique'
        printf '%-8s %-10s %-10s %10s %14s\n' -------- ---------- ---------- ---------- --------------
        row qemu vm-1
        row lxd ct-1
        row nspawn ns-1
}

run() {
        say 'cowherd: one script, three engines' ''
        say 'Building cowherd (make), and images to clone: a small Debian as a disk, as a'
        say 'folder and as an LXD image. That takes a minute or two the first time; they are'
        say "kept in $IMAGES until 'make demo-clean'."
        make -C "$top" --no-print-directory all >"$place/make.log" 2>&1 || {
                tail -n 20 "$place/make.log" >&2
                give_up 'the build failed'
        }
        images_prepare || give_up 'the images could not be made'
        find_lxd || give_up 'LXD did not start'
        write_sources
        say '' 'Running examples/seed.rexx as it is: it registers a base and makes a clone of it,' 'on QEMU, on LXD and on nspawn.' ''
        sed 's/^/    /' "$top/examples/seed.rexx"
        say ''
        (cd "$IMAGES" && "$cowherd" run "$top/examples/seed.rexx") || give_up 'the script failed'
        table
        say '' "Each clone shares its base's blocks until it writes. ('ubuntu' means the Debian" \
                'made above: the herd'"'"'s sources.conf says so, and every answer tells it.)'
}

if [ "$(id -u)" != 0 ]; then
        code=77
        give_up 'LXD, nspawn and the making of images need root: sudo make demo'
fi
COWHERD_ROOT=$herd
export COWHERD_ROOT
mkdir -p "$place"
chmod 711 "$place"
exec 8<"$place"
flock -n 8 || {
        code=75
        give_up "another demo is running in '$place'"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

case ${1:-run} in
run)
        if [ -d "$herd" ] || [ -d "$place/lxd" ]; then
                say 'A demo before this one was killed; cleaning up after it.'
                LXD_DIR=$(cat "$place/lxd-dir" 2>/dev/null) || LXD_DIR=$place/lxd
                export LXD_DIR
                clean
                mkdir -p "$place"
        fi
        run
        say '' 'Cleaning up.'
        ;;
clean)
        images_remove
        ;;
*)
        code=64
        give_up "unknown word '$1' (expected 'run' or 'clean')"
        ;;
esac
