# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# One herd over all three engines, for what has to be the same on each of them; to be loaded behind `lib`:
#
#     setup_file() { engines_begin; … }        # $COWHERD_ROOT; a private LXD; $BRIDGE, a bridge of our own
#     teardown_file() { engines_end; }
#
# Each file registers the bases that it wants.

# shellcheck source=tests/lib/lxd.sh
. "$BATS_TEST_DIRNAME/../lib/lxd.sh"

# How long a machine may take to boot on a host without KVM that has other things to do.
PATIENCE=240s

engines_begin() {
        herds_begin && images_prepare tree tiny lxd || return 1
        export COWHERD_ROOT=$FIXTURE_DIR/herd BRIDGE=cwt$$
        chmod a+x "$FIXTURE_DIR" # LXD's containers run under user ids of their own
        LXD_POOL_SIZE=${LXD_POOL_SIZE:-4GiB} lxd_start "$FIXTURE_DIR/l" &&
                ip link add "$BRIDGE" type bridge && ip address add 10.97.0.1/24 dev "$BRIDGE" && ip link set "$BRIDGE" up &&
                "$PROGRAM" lxd setup
}

engines_end() {
        local target
        lxd_start "$FIXTURE_DIR/l" >/dev/null 2>&1 # where a test has killed it
        for target in qemu lxd nspawn; do
                "$PROGRAM" "$target" delete 'name=*' force=true
                "$PROGRAM" --json "$target" list_bases | jq -r '.items[].name' | xargs -r -n1 "$PROGRAM" "$target" remove_base
                "$PROGRAM" "$target" teardown
        done >/dev/null 2>&1
        lxd_stop "$FIXTURE_DIR/l"
        ip link del "$BRIDGE" 2>/dev/null
        herds_end
}

# info NAME FIELD
info() {
        "$PROGRAM" --json info "$1" | jq -r ".$2 // \"\""
}

# inside NAME SCRIPT: what the guest's shell prints.
inside() {
        "$PROGRAM" exec "$1" -- "$2" </dev/null
}

# all_differ: whether no two lines of the input are equal, and none is empty; COUNT of them.
all_differ() {
        local lines
        lines=$(cat)
        is "$(grep -c . <<<"$lines")" "$1" || return 1
        is "$(sort <<<"$lines" | uniq -d | head -3)" ""
}
