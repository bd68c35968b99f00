/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One command, from the RXCMD exit to RC. The exit and no subcommand handler: a handler is not told its environment,
 * and an environment that nobody registered answers 0, so that a script which tests RC believes that its command was
 * done. REXX keeps only its own environments (SYSTEM, PATH, COMMAND …) to itself.
 *
 * RC is the text that is returned and nothing else; what is put into the variable RC would be overwritten. ERROR is
 * raised by a flag. (RXEXIT_RAISE_ERROR would make rubbish of RC.)
 */
#include "rexx/host.h"

#include <string.h>

/* Where a command goes. False for an environment that nobody knows. */
static bool find_environment(const struct host *host, const char *name, size_t length, enum cowherd_target *ret)
{
        for (unsigned target = 0; target <= COWHERD_SELF; target++)
                if (text_is(name, length, cowherd_target_name((enum cowherd_target)target))) {
                        *ret = (enum cowherd_target)target;
                        return true;
                }
        for (const struct alias *alias = host->aliases; alias != NULL; alias = alias->next)
                if (text_is(name, length, alias->name)) {
                        *ret = alias->target;
                        return true;
                }
        return false;
}

/* The shell's form "qemu list", spoken to COWHERD: the rest of the command, and *target set; else the whole command. */
static const char *after_target(const char *command, enum cowherd_target *target)
{
        const char *word = command + strspn(command, " \t");
        size_t length = strcspn(word, " \t");

        for (unsigned engine = 0; *target == COWHERD_SELF && engine < COWHERD_ENGINES; engine++)
                if (text_is(word, length, cowherd_target_name((enum cowherd_target)engine))) {
                        *target = (enum cowherd_target)engine;
                        return word + length;
                }
        return command;
}

/* {{name}}: a REXX variable, as the clause that gave the command would see it. */
static char *resolve(void *context, const char *name)
{
        struct host *host = context;
        char *value = NULL;
        size_t length = 0;

        if (!variable_get(name, &value, &length))
                return NULL;
        if (memchr(value, '\0', length) == NULL)
                return value;
        free(value);
        free(host->unpassable);
        host->unpassable = text_format("%s", name);
        return NULL;
}

static struct outcome execute(struct host *host, enum cowherd_target target, const char *command)
{
        const struct cowherd_resolver resolver = {.value = resolve, .context = host};

        free(host->unpassable);
        host->unpassable = NULL;
        struct outcome outcome = outcome_of_answer(cowherd_execute(host->herd, target, command, &resolver));
        if (host->unpassable == NULL)
                return outcome;
        outcome_free(&outcome); /* it said that the variable is not set */
        return outcome_of(COWHERD_USAGE, "", text_format("the value of {{%s}} has a NUL byte in it", host->unpassable),
                          text_format("C2X() makes a text of any bytes"));
}

static struct outcome unknown_environment(const char *name, int length)
{
        return outcome_of(
                COWHERD_UNAVAILABLE, "", text_format("environment '%.*s' is unknown", length, name),
                text_format("here are COWHERD, QEMU, LXD and NSPAWN, and REXX's own SYSTEM, PATH and COMMAND"));
}

/* What only a slip can be, and what would be misread further on. */
static bool is_slip(const char *command, size_t length, struct outcome *ret)
{
        if (strlen(command) != length) {
                *ret = outcome_of(COWHERD_USAGE, "", text_format("the command has a NUL byte in it"), NULL);
                return true;
        }
        if (strcmp(command, "0") != 0 && strcmp(command, "1") != 0)
                return false;
        *ret = outcome_of(COWHERD_USAGE, "", text_format("'%s' is no command: the clause is a comparison", command),
                          text_format("an assignment has no LET before it in REXX: x = 5"));
        return true;
}

static struct outcome run(struct host *host, enum cowherd_target *target, const char *command, size_t length)
{
        struct outcome slip;

        if (is_slip(command, length, &slip))
                return slip;
        command = after_target(command, target);
        if (require_is(command))
                return require_run(host, command);
        return execute(host, *target, command);
}

/* What the trace says of a command that failed: the command, cut where it is long, and why. */
static char *describe(const char *command, const struct outcome *outcome)
{
        static const int shown = 100;
        const char *hint = outcome->hint;
        bool told = hint == NULL || strstr(outcome->text, hint) != NULL;

        return text_format("\"%.*s%s\": %s%s%s%s (RC=%d)", shown, command, strlen(command) > (size_t)shown ? "…" : "",
                           outcome->text, told ? "" : " (", told ? "" : hint, told ? "" : ")", outcome->code);
}

void command_run(struct host *host, RXCMDHST_PARM *command)
{
        size_t length = command->rxcmd_command.strlength;
        owned_text char *text = text_copy(command->rxcmd_command.strptr, length);
        const char *name = (const char *)command->rxcmd_address;
        enum cowherd_target target = COWHERD_ANY;
        struct outcome outcome;

        if (!find_environment(host, name, command->rxcmd_addressl, &target)) {
                outcome = unknown_environment(name, command->rxcmd_addressl);
        } else {
                (void)fflush(stdout); /* what a tool of the herd writes comes after what the script said */
                outcome = run(host, &target, text, length);
        }
        publish_clear(host, target); /* only now: {{RESULT.name}} is of the command before */
        if (!publish(host, target, &outcome)) {
                outcome_free(&outcome);
                outcome = outcome_of(COWHERD_INTERNAL, "", text_format("REXX does not take the answer's variables"),
                                     NULL);
                publish_clear(host, target);
                (void)publish(host, target, &outcome);
        }
        free(host->failed);
        host->failed = outcome.code == 0 ? NULL : describe(text, &outcome);

        command->rxcmd_flags.rxfcerr = outcome.code != 0;
        command->rxcmd_flags.rxfcfail = 0;
        command->rxcmd_retc.strlength =
                (ULONG)snprintf(command->rxcmd_retc.strptr, RXAUTOBUFLEN, "%s", outcome.code_text);
        outcome_free(&outcome);
}
