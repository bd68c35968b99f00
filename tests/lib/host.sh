# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# A Debian host to install packages on, in a folder: $IMAGES/bare (scripts/lib/images.sh) below, what is changed above it, mounts and
# processes in namespaces of its own. All of it goes with the process that started it, killed or not. To be sourced by bash,
# as root:
#
#     . tests/lib/host.sh
#     host_start /var/tmp/x [MOUNT…]    # MOUNT: "/folder:/inside" (seen there, read-only), "/disk.img:/inside:btrfs" (mounted there)
#     host cowherd --version            # runs a command in it, as root, with an environment of its own
#     host_files                        # what is in its root filesystem, a line each, without what no package leaves as it was
#     host_stop

# The first process in there; it reaps those without a parent. No service is started by a package, and what is below is never written to.
HOST_INIT='
set -e
place=$1
shift
read -r pid rest </proc/self/stat
mount --make-rprivate /
mkdir "$place/upper" "$place/work" "$place/root"
mount -t overlay -o "lowerdir=$IMAGES/bare,upperdir=$place/upper,workdir=$place/work" host "$place/root"
cd "$place/root"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=755 run run
for mounted; do
        IFS=: read -r from to type <<<"$mounted"
        mkdir -p ".$to"
        if [ -n "$type" ]; then mount -t "$type" -o loop "$from" ".$to"; else mount --bind -o ro "$from" ".$to"; fi
done
printf "#!/bin/sh\nexit 101\n" >usr/sbin/policy-rc.d
chmod 755 usr/sbin/policy-rc.d
exec 7<>"$place/alive" 8>"$place/ready"
mkdir old
pivot_root . old # a mere chroot does not outlive what LXD does with namespaces
cd /
umount -l old
rmdir old
exec /bin/bash -c "echo $pid >&8; exec 8>&-; while read -r _ <&7; do :; done"
'

host_start() {
        mkdir -p "$1" && mkfifo "$1/alive" "$1/ready" || return 1
        export IMAGES HOST_KEEPER HOST_PID=
        setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child=KILL bash -c "$HOST_INIT" host "$@" \
                </dev/null >"$1/log" 2>&1 3>&- &
        HOST_KEEPER=$!
        (exec 7<>"$1/ready" && read -r -t 60 pid <&7 && echo "$pid" >"$1/pid") && HOST_PID=$(cat "$1/pid") && return 0
        cat "$1/log" >&2
        host_stop
        return 1
}

host() {
        nsenter --target "$HOST_PID" --mount --pid --root --wd env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
                DEBIAN_FRONTEND=noninteractive "$@" 3>&-
}

# With the first process all others are killed, and what they mounted is gone.
host_stop() {
        kill -KILL "$HOST_KEEPER" 2>/dev/null
        wait "$HOST_KEEPER" 2>/dev/null
        return 0
}

host_files() {
        # shellcheck disable=SC2016 # for the shell in there
        host sh -c 'find / -xdev \( -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/cache -o -path /var/log -o -path /tmp -o -name "*-" \) -prune \
                -o -printf "%p %y %m %U:%G %l\n" | sort
                cat /etc/passwd /etc/group /etc/shadow /etc/gshadow /etc/subuid /etc/subgid'
}
