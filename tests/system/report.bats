#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The report, looked at in a browser: phone, laptop and paper, light and dark; its documents are test data, nothing is measured here.
# And advise, which asks this host.

load lib

setup_file() {
        herds_begin
}

teardown_file() {
        herds_end
}

setup() {
        herd_begin
}

@test "the report fits a phone, a laptop and paper, in light and in dark, and asks nobody for anything" {
        run python3 "$BATS_TEST_DIRNAME/../unit/report/pages.py" "${PROGRAM%/*}/tests/unit/report/report_page" browser
        [ "$status" -eq 0 ] || { echo "$output"; return 1; }
        [[ $output == *"ok 1 - look"* ]]
}

@test "advise ranks what is here, with reasons and commands, in 80 columns, and makes nothing" {
        answer 0 advise need=speed,ci
        [ "$(jq -r '.items | length' <<<"$output")" -ge 10 ]
        jq -e '.needs == "speed, ci" and .stack == "CI" and .measured == 0 and .filesystem != ""' <<<"$output"
        jq -e '.items[0] | .place == 1 and .engine == "nspawn" and .state == "ready" and (.reasons | contains("speed: ") and contains("ci: "))' <<<"$output"
        jq -e '[.items[] | select(.place) | .place] == [range(1; 1 + ([.items[] | select(.place)] | length))]' <<<"$output"
        jq -e '[.items[] | select(.engine == "qemu") | .store] | sort == ["copy", "qcow2", "reflink"]' <<<"$output"
        expect 0 advise --need speed,ci
        [[ $output == *"for speed, ci: nspawn on "*", the stack for CI"* && $output == *"    \$ cowherd nspawn register_base name=base "* ]] || show advise
        [ "$(awk 'length > 80' <<<"$output")" = "" ] || show 'wider than 80'
        expect 0 advise windows
        [[ $output == *" 1. qemu on qcow2: "* && $output == *"Not for this:"*"lxd on lxd_pool: windows: containers share this host's kernel"* ]] || show windows
        [ ! -e "$COWHERD_ROOT" ]
}

@test "advise says what is wrong with a need, and with a comparison that is none" {
        expect 64 advise need=sped
        [[ $stderr == *"need 'sped' is not known (did you mean 'speed'?)"* ]] || show sped
        expect 64 advise need=speed,ci,speed
        expect 64 advise neeed=speed
        expect 64 qemu advise
        expect 66 advise from=none.json
        echo '{"compare": 1}' >bad.json
        expect 65 advise from=bad.json
        [[ $stderr == *"this is no comparison"* && $stderr == *"compare --json"* ]] || show bad
        [ ! -e "$COWHERD_ROOT" ]
}

@test "advise goes by what was measured where a comparison is given" {
        local whole=$BATS_TEST_DIRNAME/../unit/report/whole.json
        answer 0 advise need=speed from="$whole"
        jq -e '.measured == 1 and (.note | contains("measured under kernel"))' <<<"$output"
        jq -e '.items[] | select(.engine == "nspawn" and .store == "overlay") | .reasons | contains("measured: a clone is ready after 39")' <<<"$output"
        jq -e '.items[] | select(.engine == "qemu" and .store == "qcow2") | .reasons | contains("times the quickest")' <<<"$output"
        answer 0 advise need=space from="$whole"
        jq -e '.items[] | select(.engine == "qemu" and .store == "qcow2") | .reasons | contains("measured: a clone saves 99.99 % of a full copy")' <<<"$output"
}
