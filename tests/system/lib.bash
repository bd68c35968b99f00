# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the system tests share: the program, a herd of each test's own in a fixture's folder, and ways to ask for an answer
# that show everything where it is another. To be loaded first by a *.bats:
#
#     load lib
#     setup_file() { herds_begin; … }
#     teardown_file() { herds_end; }
#     setup() { herd_begin; }

PROGRAM=${COWHERD_PROGRAM:-$BATS_TEST_DIRNAME/../../build/cowherd}
# shellcheck source=tests/system/words.bash
. "$BATS_TEST_DIRNAME/words.bash"
# shellcheck source=tests/lib/fixtures.sh
. "$BATS_TEST_DIRNAME/../lib/fixtures.sh"
# shellcheck source=tests/lib/images.sh
. "$BATS_TEST_DIRNAME/../lib/images.sh"

herds_begin() {
        [ "$(id -u)" -eq 0 ] || return 1
        fixture_begin && mkdir "$FIXTURE_DIR/images" && export MADE=$FIXTURE_DIR/images
}

herds_end() {
        fixture_cleanup
}

# A root folder that is not there yet, and a folder to be in.
herd_begin() {
        export COWHERD_ROOT=$FIXTURE_DIR/herd-$BATS_TEST_NUMBER
        cd "$BATS_TEST_TMPDIR" || return 1
}

# expect STATUS WORDS…: runs the program with these words.
expect() {
        runs "$1" "$PROGRAM" "${@:2}"
}

# answer CODE WORDS…: the same with --json; the answer must be one line of JSON that agrees with the status.
answer() {
        local expected=$1
        shift
        expect "$expected" --json "$@" || return 1
        [ "${#lines[@]}" -eq 1 ] || show "cowherd --json $*: not one line" || return 1
        [ -z "${ANSWERS:-}" ] || printf '%s\n' "$output" >>"$ANSWERS"
        if [ "$expected" -eq 0 ]; then
                jq -e '.success == 1 and (.output | length > 0) and (has("error") or has("code") | not)' <<<"$output" >/dev/null
        else
                jq -e ".success == 0 and .code == $expected and (.error | length > 0)" <<<"$output" >/dev/null
        fi || show "cowherd --json $*: an answer that contradicts its status"
}

# answers_agree VERB…: all answers that were written into the file $ANSWERS are as docs/schemas says, and each of the verbs succeeded.
answers_agree() {
        python3 "$BATS_TEST_DIRNAME/schemas.py" --part "$BATS_TEST_DIRNAME/../../docs/schemas" "$ANSWERS" "$@"
}

# field FILTER: of the last answer, by jq.
field() {
        jq -r "$1" <<<"$output"
}

# refuses CODE TEXT WORDS…: an error with that code, TEXT in its sentence or its hint.
refuses() {
        local code=$1 text=$2
        shift 2
        answer "$code" "$@" || return 1
        [ -z "$text" ] || [[ $(field '.error + " / " + (.hint // "")') == *"$text"* ]] || show "cowherd --json $*: the error is without: $text"
}

# Everything that a herd has, on disk (bytes and the empty table of its locks apart) and in its catalogue (what was refused is
# written down there too). One without a catalogue and one whose catalogue is empty are the same.
herd_state() {
        find "$COWHERD_ROOT" -mindepth 2 ! -type d ! -path "$COWHERD_ROOT/locks/objects" -printf '%P %y %s %m %i %l\n' 2>/dev/null | sort
        [ ! -e "$COWHERD_ROOT/catalogue.db" ] || sqlite3 "$COWHERD_ROOT/catalogue.db" 'SELECT * FROM object; SELECT * FROM intent; SELECT * FROM place;' \
                "SELECT * FROM setting WHERE key <> 'herd.uuid';"
}

# Nothing is left of what was refused: no file …
herd_has_no_files() {
        is "$(find "$COWHERD_ROOT" -mindepth 2 ! -path "$COWHERD_ROOT/locks/objects" 2>/dev/null)" ""
}

# … and no row either.
herd_is_empty() {
        herd_has_no_files && is "$(herd_state)" ""
}

# poke FILE OFFSET HEX: overwrites bytes.
poke() {
        # shellcheck disable=SC2059 # the bytes are the format
        printf "$(sed 's/../\\x&/g' <<<"$3")" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
