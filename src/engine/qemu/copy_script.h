/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside this folder: what the shell in the guest does in the same way whoever carries the bytes, the agent or
 * cowherd-guest. A script's exit status is one of our codes, and what it complained of is on its stderr.
 */
#pragma once

#define COPY_TOP "copy" /* what the top entry of a tar is called that goes in */

/* no CODE TEXT… */
#define COPY_NO "no() { code=$1; shift; printf '%s\\n' \"$*\" >&2; exit $code; }\n"

/* In, of $1 where to, $2 the name, $4 whether a folder: $target and its $parent, looked at before anything is sent. */
#define COPY_TARGET                                                                                                    \
        "target=$1\n"                                                                                                  \
        "if [ -d \"$1\" ]; then target=${1%/}/$2; fi\n"                                                                \
        "case $target in */) no 66 \"folder '$target' not found\" ;; esac\n"                                           \
        "parent=${target%/*}\n"                                                                                        \
        "[ -d \"$parent/\" ] || no 66 \"folder '$parent' not found\"\n"                                                \
        "if [ -d \"$target\" ]; then no 73 \"folder '$target' already exists\"; fi\n"                                  \
        "if [ $4 = 1 ] && { [ -e \"$target\" ] || [ -L \"$target\" ]; }; then no 73 \"'$target' already exists\"; "    \
        "fi\n"                                                                                                         \
        "if [ $4 = 1 ]; then command -v tar >/dev/null 2>&1 || no 69 'there is no tar, which copies folders'; fi\n"

/* Out, of $1 what: that it is there; and, where it is no file, that it is a folder whose $real path can be packed, and
 * is now the current one. */
#define COPY_FOUND "[ -e \"$1\" ] || no 66 \"'$1' not found\"\n"
#define COPY_FOLDER                                                                                                    \
        "[ -d \"$1\" ] || no 65 \"'$1' is neither a file nor a folder\"\n"                                             \
        "command -v tar >/dev/null 2>&1 || no 69 'there is no tar, which copies folders'\n"                            \
        "cd -P \"$1\" || exit 77\n"                                                                                    \
        "real=$PWD\n"                                                                                                  \
        "[ \"$real\" != / ] || no 64 'the root folder as a whole is not copied'\n"
