/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command as its user meets it: in a folder, as somebody, with an environment. guest-exec knows none of that but the
 * environment, so where it takes more than a program and its words, the guest's shell does it, by a script that is always the same:
 * all that differs are its arguments. A command without any of it is started as it is, which a guest without a shell can do too.
 */
#include "engine/qemu/agent_exec.h"

#include "base/str.h"

#include <string.h>

#define STANDARD_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* $1 token, $2 folder, $3 user, $4 whether a session of its own, $5 number of NAME=value that follow, then the command. */
static const char wrapper[] =
        "token=$1 folder=$2 user=$3 session=$4 count=$5 id= group= home=/ name=\n"
        "shift 5\n"
        "no() { printf '%s %s\\n' \"$token\" \"$1\" >&2; exit 125; }\n"
        "look() {\n"
        "  while IFS=: read -r name x id group y home z; do\n"
        "    if [ \"$name\" = \"$user\" ] || [ \"$id\" = \"$user\" ]; then return 0; fi\n"
        "  done\n"
        "  return 1\n"
        "}\n"
        "if ! look </etc/passwd; then\n"
        "  found=$(getent passwd \"$user\" 2>/dev/null)\n"
        "  if ! look <<END\n"
        "$found\n"
        "END\n"
        "  then\n"
        "    case $user in *[!0-9]*) no user ;; esac\n"
        "    name= id=$user group=$user home=/\n"
        "  fi\n"
        "fi\n"
        "export HOME=\"${home:-/}\" USER=\"${name:-$id}\" LOGNAME=\"${name:-$id}\"\n"
        "while [ \"$count\" -gt 0 ]; do export \"$1\"; shift; count=$((count - 1)); done\n"
        "CDPATH=\n"
        "if [ -n \"$folder\" ]; then cd \"$folder\" 2>/dev/null || no folder\n"
        "else cd \"$HOME\" 2>/dev/null || cd /; fi\n"
        "command -v \"$1\" >/dev/null 2>&1 || no command\n"
        "if [ \"$id\" != 0 ]; then\n"
        "  groups=--init-groups; [ -n \"$name\" ] || groups=--clear-groups\n"
        "  if setpriv --reuid=\"$id\" --regid=\"$group\" $groups true 2>/dev/null; then\n"
        "    set -- setpriv --reuid=\"$id\" --regid=\"$group\" $groups \"$@\"\n"
        "  elif [ -n \"$name\" ] && command -v runuser >/dev/null 2>&1; then set -- runuser -u \"$name\" -- \"$@\"\n"
        "  elif [ -n \"$name\" ] && command -v su >/dev/null 2>&1; then\n"
        "    set -- su -s /bin/sh -c 'exec \"$@\"' -- \"$name\" sh \"$@\"\n"
        "  else no tool; fi\n"
        "fi\n"
        "if [ \"$session\" = 1 ] && command -v setsid >/dev/null 2>&1; then set -- setsid \"$@\"; fi\n"
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
                return fail(err, COWHERD_NOT_FOUND, "working_dir '%s' not found in '%s'", command->working_dir, agent->name);
        if (str_starts(word, "command"))
                return fail(err, COWHERD_NOT_FOUND, "command '%s' not found in '%s'", command->argv[0], agent->name);
        (void)fail(err, COWHERD_UNAVAILABLE, "nothing in '%s' can run a command as user '%s'", agent->name, command->user);
        return fail_hint(err, "install util-linux in the guest: it has setpriv and runuser");
}
