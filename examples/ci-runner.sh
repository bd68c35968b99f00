#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A CI runner: each job gets a machine of its own, made of a base in milliseconds, thrown away when the job ends.
#
#     ci-runner.sh BASE FOLDER COMMAND
#
# FOLDER is copied into a new clone of BASE (any engine's) as /work, COMMAND is run there by the guest's shell, and what it
# leaves in /work/out comes back to FOLDER/out. The exit status is the command's. Whatever happens to this script, the
# machine does not outlive its ttl: `cowherd cleanup` (there is a systemd timer for it) ends it.
set -u

if [ $# -ne 3 ]; then
        echo "usage: $0 BASE FOLDER COMMAND" >&2
        exit 64
fi
base=$1 folder=$2 command=$3
name=job-$$

trap 'cowherd delete "$name" --force >/dev/null 2>&1' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

cowherd clone_from_base "$base" "$name" --ttl 1h --start --wait >&2 || exit
cowherd copy_to "$name" "$folder" /work >&2 || exit
cowherd execute "$name" --working-dir /work --timeout 50m --command "$command"
status=$?
if cowherd execute "$name" -- test -d /work/out >/dev/null 2>&1; then
        cowherd copy_from "$name" /work/out "$folder/out" >&2 || exit
fi
exit "$status"
