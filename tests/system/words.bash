# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# The words that the system tests make their claims in. To be loaded by itself where a file needs no herd, and by lib.bash.

bats_require_minimum_version 1.5.0

show() {
        printf '%s\n' "$*" "stdout: $output" "stderr: $stderr"
        return 1
}

# runs STATUS COMMAND…: all is shown where it ends otherwise.
runs() {
        local expected=$1
        shift
        run --separate-stderr "$@"
        [ "$status" -eq "$expected" ] || show "${1##*/} ${*:2}: status $status instead of $expected"
}

# is WHAT EXPECTED
is() {
        [ "$1" = "$2" ] || { printf 'it is:     %s\nexpected:  %s\n' "$1" "$2"; return 1; }
}

# not COMMAND…: bash's own `!` never fails a test.
not() {
        if "$@"; then
                echo "it should have failed: $*"
                return 1
        fi
}

says() {
        [[ $output == *"$1"* ]] || show "without: $1"
}

complains() {
        [[ $stderr == *"$1"* ]] || show "no complaint: $1"
}
