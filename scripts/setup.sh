#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs what building, testing and the demo need, on Debian 12, as root. Only what is missing is installed, by name; where
# nothing is, it takes a moment and needs no network. No service is started by it, and nothing else is changed.
set -eu

# To build: meson.build names the libraries.
build='build-essential meson ninja-build pkg-config gcc clang libclang-rt-14-dev make git python3 scdoc
        libsqlite3-dev libjansson-dev libbtrfsutil-dev libmount-dev libcurl4-gnutls-dev libarchive-dev
        libyaml-dev nettle-dev libregina3-dev libcmocka-dev debhelper lintian'
# The engines and stores, with what they need at run time.
engines='qemu-system-x86 qemu-utils ovmf lxd lxd-client systemd-container slirp4netns dbus mmdebstrap gpg debian-archive-keyring
        ca-certificates btrfs-progs xfsprogs zfs-fuse fuse e2fsprogs mount util-linux squashfs-tools'
# The tests, and the demo's images.
tests='bats sqlite3 jq strace curl acl attr procps psmisc xz-utils zstd fdisk mtools dosfstools syslinux syslinux-common
        busybox-static cpio kmod groff-base genisoimage zsh fish python3-jsonschema prometheus chromium fonts-dejavu-core'

wanted="$build $engines $tests"

say() {
        echo "setup: $*"
}

refuse() {
        say "$*" >&2
        exit 77
}

# The words of $wanted that dpkg does not have installed, one a line.
missing() {
        have=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' 2>/dev/null | sed -n 's/ installed$//p')
        for package in $wanted; do
                case "
$have
" in
                *"
$package
"*) ;;
                *) echo "$package" ;;
                esac
        done
}

# A package's service is not to start: this may be a container without an init, and none of them is needed running.
policy=/usr/sbin/policy-rc.d
marker='# put here by cowherd scripts/setup.sh while it installs'
drop_policy() {
        if grep -qsxF "$marker" "$policy"; then
                rm -f "$policy"
        fi
}
forbid_services() {
        drop_policy # of a run that was killed
        if [ ! -e "$policy" ]; then
                printf '#!/bin/sh\n%s\nexit 101\n' "$marker" >"$policy"
                chmod 755 "$policy"
        fi
}

apt() {
        DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
                -o APT::Keep-Downloaded-Packages=false -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

lacking=$(missing | tr '\n' ' ')
if [ -z "$lacking" ]; then
        drop_policy
        exit 0
fi

# shellcheck disable=SC1091 # not ours to check
distro=$(. /etc/os-release 2>/dev/null && echo "$ID $VERSION_ID") || distro=unknown
if [ "$distro" != 'debian 12' ]; then
        refuse "this is '$distro', and it installs packages on 'debian 12' only; missing here: $lacking"
fi
if [ "$(id -u)" != 0 ]; then
        refuse "these packages are missing, and only root can install them: $lacking"
fi

say "installing: $lacking"
trap drop_policy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
forbid_services
apt update || say 'the package lists could not be updated; going on with those that are here' >&2
# shellcheck disable=SC2086 # a list of words
apt install -y --no-install-recommends $lacking
lacking=$(missing | tr '\n' ' ')
if [ -n "$lacking" ]; then
        say "still missing after installing: $lacking" >&2
        exit 71
fi
say 'done'
