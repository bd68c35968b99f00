# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# A herd over a private LXD daemon, for what is LXD's alone; to be loaded behind `lib`:
#
#     setup_file() { lxd_herd_begin NAME; … }  # $PLACE, a folder of that name; $COWHERD_ROOT in it; $MADE/tree, which LXD can start
#     teardown_file() { lxd_herd_end; }

# shellcheck source=tests/lib/lxd.sh
. "$BATS_TEST_DIRNAME/../lib/lxd.sh"

lxd_herd_begin() {
        herds_begin
        PLACE=$(mktemp -d "/tmp/cowherd-$1.XXXXXX")
        export PLACE COWHERD_ROOT=$PLACE/herd LXD_CONF=$PLACE/conf HOME=$PLACE
        mkdir -p "$LXD_CONF" "$COWHERD_ROOT"
        image_tree "$MADE/tree"
        mkdir -p "$MADE/tree/sbin" && ln -sfn /usr/bin/busybox "$MADE/tree/sbin/init" # LXD starts a base once
        LXD_POOL_SIZE=3GiB lxd_start "$PLACE"
}

lxd_herd_end() {
        lxd_stop "$PLACE"
        rm -rf --one-file-system "$PLACE"
        herds_end
}
