/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs inside a guest share: finding it, and the words of a command. No shell of the host ever sees one of them. */
#include "herd/guest.h"

#include <string.h>

void guest_fields(struct call *call, const struct live *live)
{
        answer_number(call->answer, "id", live->thing.row.id);
        answer_text(call->answer, "name", live->thing.row.name);
        answer_text(call->answer, "engine", cowherd_target_name(live->thing.row.target));
}

/* What is done inside needs somebody inside. */
static int expect_running(struct call *call, const struct live *live, struct cowherd_error *err)
{
        const char *name = live->thing.row.name;

        if (live->state == ENGINE_RUNNING)
                return 0;
        answer_text(call->answer, "state", engine_state_name(live->state));
        if (live->state == ENGINE_MISSING) {
                (void)fail(err, COWHERD_NOT_FOUND, "what clone '%s' consists of was not found: it was removed behind our back", name);
                return fail_hint(err, "delete it, and clone it anew");
        }
        (void)fail(err, COWHERD_BUSY, "clone '%s' is %s", name, engine_state_name(live->state));
        return fail_hint(err, live->state == ENGINE_PAUSED ? "resume it first" : "start it first");
}

int guest_open(struct call *call, struct live *live, struct cowherd_error *err)
{
        const char *name = request_text(call->request, KEY_NAME);
        struct cowherd_herd *herd = call->herd;
        int got = herd_open(herd, false, err);

        if (got < 0)
                return -1;
        if (got > 0)
                return fail(err, COWHERD_NOT_FOUND, "clone '%s' not found", name);
        if (!request_flag(call->request, KEY_DRY_RUN) && herd_recover(herd, NULL, err) < 0)
                return -1;
        if (herd_find(herd, call->request->target, "clone", name, &live->thing.row, err) < 0 ||
            expect_role(&live->thing.row, CATALOGUE_CLONE, err) < 0)
                return -1;
        guest_fields(call, live);
        if (herd_states(herd, &live->thing.row, 1, &live->state, err) < 0)
                return -1;
        return live_open(herd, false, live, err) < 0 ? -1 : expect_running(call, live, err);
}

const char *const *guest_argv(const struct request *request, enum engine_os os, const char *shell_argv[GUEST_ARGV_SHELL])
{
        const char *shell = request_text(request, KEY_SHELL);
        bool windows = os == ENGINE_OS_WINDOWS && shell == NULL;

        if (request->argv.count > 0 && shell == NULL)
                return (const char *const *)request->argv.items;
        shell_argv[0] = windows ? "cmd.exe" : shell == NULL ? "/bin/sh" : shell;
        shell_argv[1] = windows ? "/c" : "-c";
        shell_argv[2] = request_text(request, KEY_COMMAND);
        shell_argv[3] = NULL;
        return shell_argv;
}

/* Reads the value behind a '=', bare or in quotes, in which the quote itself is written twice. NULL where a quote is not closed. */
static const char *read_value(const char *at, struct str *value)
{
        char quote = *at;

        if (quote != '"' && quote != '\'') {
                size_t length = strcspn(at, " \t\n\r");
                str_add_bytes(value, at, length);
                return at + length;
        }
        for (at++; *at != '\0'; at++) {
                if (*at != quote)
                        str_add_char(value, *at);
                else if (at[1] == quote)
                        str_add_char(value, *at++);
                else
                        return at + 1;
        }
        return NULL;
}

int guest_environment(const char *text, struct strv *ret, struct cowherd_error *err)
{
        static const char blanks[] = " \t\n\r";
        static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

        for (const char *at = text + strspn(text, blanks); *at != '\0'; at += strspn(at, blanks)) {
                struct str value owned_by(str_free) = {0};
                const char *word = at;
                size_t length = strspn(at, letters);
                const char *end = length > 0 && (*at < '0' || *at > '9') && at[length] == '=' ? read_value(at + length + 1, &value) : NULL;

                if (end == NULL || (*end != '\0' && strchr(blanks, *end) == NULL)) {
                        (void)fail(err, COWHERD_USAGE, "env= has '%.*s', which is no variable", (int)strcspn(word, blanks), word);
                        return fail_hint(err, "expected NAME=value with blanks between them; a value with blanks in quotes: env='A=1 B=\"two words\"'");
                }
                strv_addf(ret, "%.*s=%s", (int)length, word, str_text(&value));
                at = end;
        }
        return 0;
}
