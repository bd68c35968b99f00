# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# A private LXD daemon for tests and the demo: its own folder, a small btrfs pool in a loop file, a default profile with a
# root disk and no network. Nothing of a system-wide LXD is touched. To be sourced:
#
#     . tests/lib/lxd.sh
#     lxd_start /tmp/x        # exports LXD_DIR=/tmp/x/lxd; does nothing where that daemon answers already
#     …
#     lxd_stop /tmp/x         # containers, mounts, loop device, processes and the folder /tmp/x/lxd: all gone
#
# DIR should be short: a socket's path may have 107 bytes. Set LXD_POOL_SIZE for another size than 6GiB, or
# LXD_WITHOUT_POOL=1 for a daemon that has neither a pool nor a root disk.

lxd_answers() {
        curl -s -f -m 5 -o /dev/null --unix-socket "$1/unix.socket" http://lxd/1.0
}

# Waits for the daemon to be ready (`lxd waitready` blocks in the server), or for its end.
lxd_await() {
        for _ in 1 2 3 4 5 6; do
                if LXD_DIR=$1 lxd waitready --timeout 10 2>/dev/null; then
                        return 0
                fi
                kill -0 "$2" 2>/dev/null || break
        done
        echo "lxd in '$1' did not become ready; its log ends:" >&2
        tail -n 5 "$1/../lxd.log" >&2
        return 1
}

lxd_start() {
        LXD_DIR=$1/lxd
        export LXD_DIR
        if lxd_answers "$LXD_DIR"; then
                return 0
        fi
        # Containers run under user ids of their own, which must get through here.
        mkdir -p "$LXD_DIR" && chmod a+x "$1" || return 1
        # A daemon has no terminal and none of the caller's descriptors (bats waits for those on 3 and above).
        setsid env LXD_DIR="$LXD_DIR" lxd --group root --logfile "$1/lxd.log" \
                </dev/null >"$1/lxd.out" 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
        echo $! >"$1/lxd.pid"
        lxd_await "$LXD_DIR" "$(cat "$1/lxd.pid")" || return 1
        if [ -n "${LXD_WITHOUT_POOL:-}" ] || lxc storage show default >/dev/null 2>&1; then
                return 0
        fi
        lxc storage create default btrfs "size=${LXD_POOL_SIZE:-6GiB}" >/dev/null &&
                lxc profile device add default root disk path=/ pool=default >/dev/null
}

# What is mounted under a folder, deepest first.
lxd_mounts() {
        awk -v under="$1/" 'index($5, under) == 1 { print $5 }' /proc/self/mountinfo | sort -r
}

lxd_runs() {
        [ -f "$1/lxd.pid" ] && [ "$(cat "/proc/$(cat "$1/lxd.pid")/comm" 2>/dev/null)" = lxd ]
}

lxd_stop() {
        if [ -S "$1/lxd/unix.socket" ]; then
                LXD_DIR=$1/lxd lxd shutdown --timeout 30 >/dev/null 2>&1
        fi
        # Only a daemon that does not go by itself is told to by a signal: it would leave containers and mounts.
        if lxd_runs "$1" && ! timeout 20 tail --pid="$(cat "$1/lxd.pid")" -f /dev/null; then
                kill "$(cat "$1/lxd.pid")" 2>/dev/null
                timeout 20 tail --pid="$(cat "$1/lxd.pid")" -f /dev/null
        fi
        lxd_mounts "$1/lxd" | while read -r mounted; do
                umount "$mounted" 2>/dev/null || umount -l "$mounted"
        done
        rm -rf --one-file-system "$1/lxd" "$1/lxd.pid" "$1/lxd.log" "$1/lxd.out"
}
