/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What could come next on a command line: the shells' completion scripts ask `cowherd __complete WORD … CURRENT` and get a
 * line for each word that CURRENT could become ("base=deb<TAB>base on qemu"), and a last line ":files" or ":folders" where
 * it is a path of this host. Words come from the verb table and names from the catalogue; no engine is asked, nothing is
 * made, and whatever goes wrong is silence: a person is typing.
 */
#include "cli/complete.h"

#include <stdlib.h>
#include <string.h>

static void emit(const struct completion *completion, const char *value, const char *about)
{
        char word[2 * WORD_MAX];

        (void)snprintf(word, sizeof word, "%s%s", completion->prefix, value);
        if (strncmp(word, completion->current, strlen(completion->current)) == 0)
                (void)fprintf(completion->output->out, "%s%s%s\n", word, about == NULL ? "" : "\t", about == NULL ? "" : about);
}

/* Calls emit for each word of a list. */
static void emit_all(const struct completion *completion, const char *list, char separator)
{
        char word[WORD_MAX];

        while (list != NULL && *list != '\0') {
                size_t length = 0;
                while (list[length] != '\0' && list[length] != separator)
                        length++;
                (void)snprintf(word, sizeof word, "%.*s", (int)length, list);
                emit(completion, word, NULL);
                list += length + (list[length] != '\0');
        }
}

static void emit_name(void *context, const char *name, const char *about)
{
        emit(context, name, about);
}

/* Which names a parameter can take; 0 where it is a new name, or none of ours. */
static unsigned names_wanted(const struct cowherd_verb *verb, const char *parameter)
{
        if (strcmp(parameter, "base") == 0)
                return strcmp(verb->name, "setup") == 0 ? COWHERD_NAMES_BASES : COWHERD_NAMES_BASES | COWHERD_NAMES_CLONES;
        if (strcmp(parameter, "from") == 0)
                return COWHERD_NAMES_CLONES;
        if (strcmp(parameter, "snapshot") == 0)
                return strcmp(verb->name, "snapshot") == 0 ? 0 : COWHERD_NAMES_SNAPSHOTS;
        if (strcmp(parameter, "name") != 0 || complete_is_one_of("register_base clone_from_base create", verb->name))
                return 0;
        if (complete_is_one_of("remove_base list_bases", verb->name))
                return COWHERD_NAMES_BASES;
        return complete_is_one_of("info usage rename tree", verb->name) ? COWHERD_NAMES_BASES | COWHERD_NAMES_CLONES : COWHERD_NAMES_CLONES;
}

static void emit_names(struct completion *completion, unsigned what)
{
        struct cowherd_options options = {.root = completion->root};
        struct cowherd_herd *herd = NULL;
        struct cowherd_error ignored;
        const char *typed = completion->current + strlen(completion->prefix);

        if (what == 0 || cowherd_open(&options, &herd, &ignored) < 0)
                return;
        int got = cowherd_names(herd, completion->target, what, completion->name, typed, emit_name, completion, &ignored);
        (void)got; /* without names there are still the keys */
        cowherd_close(herd);
}

/* "columns=name,st": the fields that are not there yet, behind those that are. */
static void emit_columns(struct completion *completion)
{
        const char *typed = completion->current + strlen(completion->prefix), *comma = strrchr(typed, ',');
        char prefix[WORD_MAX];

        (void)snprintf(prefix, sizeof prefix, "%.*s", comma == NULL ? (int)strlen(completion->prefix) : (int)(comma + 1 - completion->current),
                       completion->current);
        completion->prefix = prefix;
        emit_all(completion, completion->verb->columns, ' ');
        completion->prefix = "";
}

static void emit_values(struct completion *completion, const struct cowherd_parameter *parameter)
{
        const char *type = parameter->type, *name = parameter->name;

        if (strchr(type, '|') != NULL)
                emit_all(completion, type, '|');
        else if (strcmp(type, "boolean") == 0)
                emit_all(completion, "true false", ' ');
        else if (strcmp(name, "rootfs") == 0)
                (void)fputs(":folders\n", completion->output->out);
        else if (complete_is_one_of("image ssh_key", name) || (strcmp(type, "path") == 0 && !complete_is_one_of("remote working_dir", name)))
                (void)fputs(":files\n", completion->output->out);
        else if (strcmp(name, "columns") == 0)
                emit_columns(completion);
        else if (strcmp(name, "topic") == 0)
                for (size_t i = 0; cowherd_verb_at(i) != NULL; i++)
                        emit(completion, cowherd_verb_at(i)->name, cowherd_verb_at(i)->summary);
        else
                emit_names(completion, names_wanted(completion->verb, name));
}

static bool is_verb(const struct cowherd_verb *verb, const char *name)
{
        return verb != NULL && strcmp(verb->name, name) == 0;
}

static void complete_verb(struct completion *completion)
{
        bool engine = completion->target != COWHERD_ANY && completion->target != COWHERD_SELF;

        if (completion->current[0] == '-') {
                emit_all(completion, "--root= --json --dry-run --help --version --safe", ' ');
                return;
        }
        for (int target = 0; completion->target == COWHERD_ANY && target < COWHERD_ENGINES; target++)
                emit(completion, cowherd_target_name((enum cowherd_target)target), "engine");
        for (size_t i = 0; cowherd_verb_at(i) != NULL; i++) {
                const struct cowherd_verb *verb = cowherd_verb_at(i);
                if (!verb->available || (engine && verb->of_self && !complete_is_one_of("doctor tree help", verb->name)) ||
                    (completion->target == COWHERD_SELF && !verb->of_self))
                        continue;
                emit(completion, verb->name, verb->summary);
                if (completion->current[0] != '\0')
                        emit_all(completion, verb->aliases, ' ');
        }
        if (strpbrk(completion->current, "./~") != NULL)
                (void)fputs(":files\n", completion->output->out); /* a script */
}

/* The keys that can still be given: `key=`, or `--key` where that was begun. */
static void complete_keys(struct completion *completion)
{
        const struct cowherd_parameter *parameters = completion->verb->parameters;
        bool dashes = completion->current[0] == '-';
        int bare = dashes ? -1 : complete_bare_parameter(completion, completion->bare);

        if (bare >= 0)
                emit_values(completion, &parameters[bare]);
        for (int i = 0; i < PARAMETERS_MAX && parameters[i].name != NULL; i++) {
                char word[WORD_MAX];
                if (completion->given[i] || complete_is_one_of("stem dry_run", parameters[i].name))
                        continue;
                (void)snprintf(word, sizeof word, dashes ? "--%s" : "%s=", parameters[i].name);
                for (char *at = word + 2; dashes && *at != '\0'; at++)
                        *at = *at == '_' ? '-' : *at;
                emit(completion, word, parameters[i].help);
        }
        if (dashes)
                emit_all(completion, "--root= --json --dry-run --help", ' ');
}

static void complete_parameter(struct completion *completion)
{
        const char *current = completion->current, *key = strncmp(current, "--", 2) == 0 ? current + 2 : current;
        const char *equals = strchr(key, '=');
        char prefix[WORD_MAX];

        if (equals == NULL) {
                complete_keys(completion);
                return;
        }
        int index = complete_parameter_of(completion->verb, key, (size_t)(equals - key));
        if (index < 0 || (size_t)(equals + 1 - current) >= sizeof prefix)
                return;
        (void)snprintf(prefix, sizeof prefix, "%.*s", (int)(equals + 1 - current), current);
        completion->prefix = prefix;
        emit_values(completion, &completion->verb->parameters[index]);
        completion->prefix = "";
}

int cli_complete(int count, const char *const *words, const struct cli_output *output)
{
        struct completion completion = {.output = output, .words = words, .target = COWHERD_ANY, .current = "", .prefix = ""};

        if (count > 0) {
                completion.count = (size_t)count - 1;
                completion.current = words[count - 1];
        }
        complete_read(&completion);
        if (completion.ended)
                return 0;
        if (completion.pending != NULL && strcmp(completion.pending, "root") == 0)
                (void)fputs(":folders\n", output->out);
        else if (completion.pending != NULL)
                emit_values(&completion, &completion.verb->parameters[complete_parameter_of(completion.verb, completion.pending, strlen(completion.pending))]);
        else if (strncmp(completion.current, "--root=", 7) == 0)
                (void)fputs(":folders\n", output->out);
        else if (is_verb(completion.verb, "run") && completion.bare > 0)
                (void)fputs(":files\n", output->out);
        else if (completion.verb != NULL)
                complete_parameter(&completion);
        else
                complete_verb(&completion);
        return 0;
}
