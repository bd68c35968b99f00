#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The report, looked at in a browser: phone, laptop and paper, light and dark. Nothing is measured here: its documents are test data.

bats_require_minimum_version 1.5.0

@test "the report fits a phone, a laptop and paper, in light and in dark, and asks nobody for anything" {
        local program=${COWHERD_PROGRAM:-$BATS_TEST_DIRNAME/../../build/cowherd}
        run python3 "$BATS_TEST_DIRNAME/../unit/report/pages.py" "${program%/*}/tests/unit/report/report_page" browser
        [ "$status" -eq 0 ] || { echo "$output"; return 1; }
        [[ $output == *"ok 1 - look"* ]]
}
