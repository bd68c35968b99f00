# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# Images to test with. Small ones are made on the spot; a real Debian (a folder, an LXD image, a disk that boots) is made
# once and shared with the demo: see scripts/lib/images.sh, whose functions are here as well. To be sourced, COWHERD_TOP
# being the top of the source folder (found by itself under bats and where the current folder is the top):
#
#     . tests/lib/images.sh
#     image_qcow2 FILE [SIZE]   # an empty qcow2 (default 64M) with a few bytes in it to tell it by
#     image_raw FILE [SIZE]     # the same, raw and sparse
#     image_tree FOLDER         # a tree of a few files that passes for a root filesystem, identity and all
#     image_tarball FILE        # the same as a tarball
#     images_prepare [WHAT…]    # a real Debian, a tiny machine, one that is no Linux: see there

if [ -z "${COWHERD_TOP:-}" ]; then
        COWHERD_TOP=${BATS_TEST_DIRNAME:-$PWD} # a suite's folder, two below the top; or the top
        [ -d "$COWHERD_TOP/scripts/lib" ] || COWHERD_TOP=$COWHERD_TOP/../..
fi
# shellcheck source=scripts/lib/images.sh
. "$COWHERD_TOP/scripts/lib/images.sh"

image_qcow2() {
        qemu-img create -q -f qcow2 "$1" "${2:-64M}" && qemu-io -f qcow2 -c 'write -P 0x5a 1M 64k' "$1" >/dev/null
}

image_raw() {
        truncate -s "${2:-64M}" "$1" && qemu-io -f raw -c 'write -P 0x5a 1M 64k' "$1" >/dev/null
}

# What is identity in it bears the word "mine", so that a test can look for it.
image_tree() {
        mkdir -p "$1/etc/ssh" "$1/usr/bin" "$1/var/lib/dbus" "$1/var/lib/dhcp" "$1/var/lib/systemd" "$1/root" "$1/dev" "$1/proc" "$1/sys" \
                "$1/run" "$1/tmp" &&
                ln -sfn usr/bin "$1/bin" &&
                printf 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n' >"$1/etc/os-release" &&
                echo 0123456789abcdef0123456789abcdef >"$1/etc/machine-id" &&
                ln -sfn /etc/machine-id "$1/var/lib/dbus/machine-id" &&
                echo mine >"$1/etc/ssh/ssh_host_ed25519_key" &&
                echo mine >"$1/etc/ssh/ssh_host_ed25519_key.pub" &&
                echo mine >"$1/var/lib/dhcp/dhclient.leases" &&
                echo mine >"$1/var/lib/systemd/random-seed" &&
                echo tree >"$1/etc/hostname" &&
                cp /bin/busybox "$1/usr/bin/busybox" && ln -sfn busybox "$1/usr/bin/sh" && ln -sfn busybox "$1/usr/bin/true"
}

image_tarball() {
        image_tarball_of=$(mktemp -d) && image_tree "$image_tarball_of" && tar -C "$image_tarball_of" --numeric-owner -cf "$1" . &&
                rm -r "$image_tarball_of"
}
