/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command as its user meets it: in a folder, as somebody, with an environment. guest-exec knows none of that but the
 * environment, so where it takes more than a program and its words, the guest's shell does it, by a script that is
 * always the same: all that differs are its arguments. A command without any of it is started as it is, which a guest
 * without a shell can do too.
 */
#include "engine/qemu/agent_exec.h"

#include "base/str.h"

#include <string.h>

#define STANDARD_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/*
 * $1 token, $2 folder, $3 user, $4 whether a session of its own, $5 number of NAME=value that follow, then the command.
 * Those may have any name, so the script's own variables have names that nobody else gives.
 */
static const char wrapper[] =
        "cowherd_token=$1 cowherd_folder=$2 cowherd_user=$3 cowherd_session=$4 cowherd_count=$5\n"
        "shift 5\n"
        "no() { printf '%s %s\\n' \"$cowherd_token\" \"$1\" >&2; exit 125; }\n"
        "look() {\n"
        "  while IFS=: read -r cowherd_name cowherd_x cowherd_id cowherd_group cowherd_y cowherd_home cowherd_z; do\n"
        "    [ \"$cowherd_name\" != \"$cowherd_user\" ] || return 0\n"
        "    [ \"$cowherd_id\" != \"$cowherd_user\" ] || return 0\n"
        "  done\n"
        "  return 1\n"
        "}\n"
        "if ! look </etc/passwd; then\n"
        "  cowherd_found=$(getent passwd \"$cowherd_user\" 2>/dev/null)\n"
        "  if ! look <<END\n"
        "$cowherd_found\n"
        "END\n"
        "  then\n"
        "    case $cowherd_user in *[!0-9]*) no user ;; esac\n"
        "    cowherd_name= cowherd_id=$cowherd_user cowherd_group=$cowherd_user cowherd_home=/\n"
        "  fi\n"
        "fi\n"
        "export HOME=\"${cowherd_home:-/}\" USER=\"${cowherd_name:-$cowherd_id}\" "
        "LOGNAME=\"${cowherd_name:-$cowherd_id}\"\n"
        "while [ \"$cowherd_count\" -gt 0 ]; do export \"$1\"; shift; cowherd_count=$((cowherd_count - 1)); done\n"
        "if [ -n \"$cowherd_folder\" ]; then CDPATH= cd -- \"$cowherd_folder\" 2>/dev/null || no folder\n"
        "else CDPATH= cd -- \"$HOME\" 2>/dev/null || cd /; fi\n"
        "command -v \"$1\" >/dev/null 2>&1 || no command\n"
        "if [ \"$cowherd_id\" != 0 ]; then\n"
        "  cowherd_groups=--init-groups; [ -n \"$cowherd_name\" ] || cowherd_groups=--clear-groups\n"
        "  if setpriv --reuid=\"$cowherd_id\" --regid=\"$cowherd_group\" \"$cowherd_groups\" true 2>/dev/null; then\n"
        "    set -- setpriv --reuid=\"$cowherd_id\" --regid=\"$cowherd_group\" \"$cowherd_groups\" \"$@\"\n"
        "  elif [ -z \"$cowherd_name\" ]; then no tool\n"
        "  elif command -v runuser >/dev/null 2>&1; then set -- runuser -u \"$cowherd_name\" -- \"$@\"\n"
        "  elif command -v su >/dev/null 2>&1; then\n"
        "    set -- su -s /bin/sh -c 'exec \"$@\"' -- \"$cowherd_name\" sh \"$@\"\n"
        "  else no tool; fi\n"
        "fi\n"
        "if [ \"$cowherd_session\" = 1 ] && command -v setsid >/dev/null 2>&1; then set -- setsid \"$@\"; fi\n"
        "exec \"$@\"\n";

static void wrap(const struct engine_command *command, bool session, const char *token, struct agent_command *ret)
{
        size_t count = 0;

        while (command->environment != NULL && command->environment[count] != NULL)
                count++;
        strv_add(&ret->argv, "/bin/sh");
        strv_add(&ret->argv, "-c");
        strv_add(&ret->argv, wrapper);
        strv_add(&ret->argv, "cowherd");
        strv_add(&ret->argv, token);
        strv_add(&ret->argv, command->working_dir == NULL ? "" : command->working_dir);
        strv_add(&ret->argv, str_is_empty(command->user) ? "0" : command->user);
        strv_add(&ret->argv, session ? "1" : "0");
        strv_addf(&ret->argv, "%zu", count);
        for (size_t i = 0; i < count; i++)
                strv_add(&ret->argv, command->environment[i]);
        strv_add(&ret->environment, STANDARD_PATH);
}

void agent_wrap(const struct engine_command *command, bool session, const char *token, struct agent_command *ret)
{
        if (session || !str_is_empty(command->working_dir) || !str_is_empty(command->user)) {
                wrap(command, session, token, ret);
        } else {
                strv_add(&ret->environment, STANDARD_PATH);
                strv_add(&ret->environment, "HOME=/root");
                strv_add(&ret->environment, "USER=root");
                strv_add(&ret->environment, "LOGNAME=root");
                for (size_t i = 0; command->environment != NULL && command->environment[i] != NULL; i++)
                        strv_add(&ret->environment, command->environment[i]);
        }
        for (size_t i = 0; command->argv[i] != NULL; i++)
                strv_add(&ret->argv, command->argv[i]);
        ret->input = command->input;
        ret->input_length = command->input_length;
}

int agent_unwrap(const struct agent *agent, const struct engine_command *command, const char *token, const char *errors,
                 size_t length, struct cowherd_error *err)
{
        size_t begin = strlen(token);

        if (length <= begin || memcmp(errors, token, begin) != 0)
                return 0;
        const char *word = errors + begin + 1;
        if (str_starts(word, "user"))
                return fail(err, COWHERD_NOT_FOUND, "user '%s' not found in '%s'", command->user, agent->name);
        if (str_starts(word, "folder"))
                return fail(err, COWHERD_NOT_FOUND, "working_dir '%s' not found in '%s'", command->working_dir,
                            agent->name);
        if (str_starts(word, "command"))
                return fail(err, COWHERD_NOT_FOUND, "command '%s' not found in '%s'", command->argv[0], agent->name);
        (void)fail(err, COWHERD_UNAVAILABLE, "nothing in '%s' can run a command as user '%s'", agent->name,
                   command->user);
        return fail_hint(err, "install util-linux in the guest: it has setpriv and runuser");
}
