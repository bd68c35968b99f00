/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What could come next on a command line: the shells' completion scripts ask `cowherd __complete WORD … CURRENT` and get a
 * line for each word that CURRENT could become ("base=deb<TAB>base on qemu"), and a last line ":files" or ":folders" where
 * it is a path of this host. Words come from the verb table and names from the catalogue; no engine is asked, nothing is
 * made, and whatever goes wrong is silence: a person is typing.
 */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PARAMETERS_MAX = 64, WORD_MAX = 256 };

struct completion {
        const struct cli_output *output;
        const char *const *words; /* those before the current one */
        size_t count;
        const char *current;
        const char *root;
        enum cowherd_target target;
        const struct cowherd_verb *verb;
        bool given[PARAMETERS_MAX]; /* the verb's parameters that were given by their key */
        const char *name;           /* value of the verb's `name`, or NULL: whose snapshots are meant */
        size_t bare;                /* bare words behind the verb */
        const char *pending;        /* a `--key` before the current word, whose value that is; or NULL */
        bool ended;                 /* behind `--` */
        const char *prefix;         /* what stands before a value: "base=", "--base=" or "" */
};

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

static bool is_one_of(const char *list, const char *word)
{
        size_t length = strlen(word);

        for (const char *at = list; length > 0 && at != NULL && (at = strstr(at, word)) != NULL; at += length)
                if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
                        return true;
        return false;
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
        if (strcmp(parameter, "name") != 0 || is_one_of("register_base clone_from_base create", verb->name))
                return 0;
        if (is_one_of("remove_base list_bases", verb->name))
                return COWHERD_NAMES_BASES;
        return is_one_of("info usage rename tree", verb->name) ? COWHERD_NAMES_BASES | COWHERD_NAMES_CLONES : COWHERD_NAMES_CLONES;
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
        else if (is_one_of("image ssh_key", name) || (strcmp(type, "path") == 0 && !is_one_of("remote working_dir", name)))
                (void)fputs(":files\n", completion->output->out);
        else if (strcmp(name, "columns") == 0)
                emit_columns(completion);
        else if (strcmp(name, "topic") == 0)
                for (size_t i = 0; cowherd_verb_at(i) != NULL; i++)
                        emit(completion, cowherd_verb_at(i)->name, cowherd_verb_at(i)->summary);
        else
                emit_names(completion, names_wanted(completion->verb, name));
}

/* The verb's parameter of a key in which '-' may stand for '_', `length` bytes long: its index, or -1. */
static int parameter_of(const struct cowherd_verb *verb, const char *key, size_t length)
{
        char name[WORD_MAX];

        if (length >= sizeof name)
                return -1;
        for (size_t i = 0; i < length; i++)
                name[i] = key[i] == '-' ? '_' : key[i];
        name[length] = '\0';
        for (int i = 0; i < PARAMETERS_MAX && verb->parameters[i].name != NULL; i++)
                if (strcasecmp(verb->parameters[i].name, name) == 0 || is_one_of(verb->parameters[i].aliases, name))
                        return i;
        return -1;
}

static bool is_verb(const struct cowherd_verb *verb, const char *name)
{
        return verb != NULL && strcmp(verb->name, name) == 0;
}

static const struct cowherd_verb *verb_of(const char *word)
{
        char name[WORD_MAX];
        size_t length = strlen(word);

        if (length >= sizeof name)
                return NULL;
        for (size_t i = 0; i <= length; i++)
                name[i] = word[i] == '-' ? '_' : word[i];
        return cowherd_verb_find(name);
}

/* The parameter that bare word number `turn` (from 0) fills, past those given by their keys; -1 for none. */
static int bare_parameter(const struct completion *completion, size_t turn)
{
        const char *at = completion->verb->bare;

        while (at != NULL && *at != '\0') {
                size_t length = strcspn(at, " ");
                int index = parameter_of(completion->verb, at, length);
                if (index >= 0 && !completion->given[index] && turn-- == 0)
                        return index;
                at += length + strspn(at + length, " ");
        }
        return -1;
}

/* A word behind the verb. */
static void read_parameter(struct completion *completion, const char *word)
{
        bool dashes = strncmp(word, "--", 2) == 0;
        const char *key = dashes ? word + 2 : word, *equals = strchr(key, '=');
        int index = parameter_of(completion->verb, key, equals == NULL ? strlen(key) : (size_t)(equals - key));

        if (strcmp(word, "--") == 0) {
                completion->ended = true;
        } else if (!dashes && equals == NULL) {
                index = bare_parameter(completion, completion->bare++);
                if (index >= 0 && strcmp(completion->verb->parameters[index].name, "name") == 0)
                        completion->name = word;
        } else if (index >= 0) {
                completion->given[index] = true;
                if (equals != NULL && strcmp(completion->verb->parameters[index].name, "name") == 0)
                        completion->name = equals + 1;
                if (equals == NULL && strcmp(completion->verb->parameters[index].type, "boolean") != 0)
                        completion->pending = key;
        }
}

/* The value of a `--key` that stood before. */
static void read_pending(struct completion *completion, const char *word)
{
        int index = completion->verb == NULL ? -1 : parameter_of(completion->verb, completion->pending, strlen(completion->pending));

        if (completion->verb == NULL || strcmp(completion->pending, "root") == 0)
                completion->root = word;
        else if (index >= 0 && strcmp(completion->verb->parameters[index].name, "name") == 0)
                completion->name = word;
        completion->pending = NULL;
}

static void read_words(struct completion *completion)
{
        for (size_t i = 0; i < completion->count && !completion->ended; i++) {
                const char *word = completion->words[i];
                if (completion->pending != NULL)
                        read_pending(completion, word);
                else if (strncmp(word, "--root=", 7) == 0)
                        completion->root = word + 7;
                else if (strcmp(word, "--root") == 0)
                        completion->pending = "root";
                else if (completion->verb != NULL)
                        read_parameter(completion, word);
                else if (word[0] == '-' || (completion->target == COWHERD_ANY && cowherd_target_parse(word, &completion->target)))
                        continue;
                else if ((completion->verb = verb_of(word)) == NULL)
                        completion->ended = true;
        }
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
                if (!verb->available || (engine && verb->of_self && !is_one_of("doctor tree help", verb->name)) ||
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
        int bare = dashes ? -1 : bare_parameter(completion, completion->bare);

        if (bare >= 0)
                emit_values(completion, &parameters[bare]);
        for (int i = 0; i < PARAMETERS_MAX && parameters[i].name != NULL; i++) {
                char word[WORD_MAX];
                if (completion->given[i] || is_one_of("stem dry_run", parameters[i].name))
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
        int index = parameter_of(completion->verb, key, (size_t)(equals - key));
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
        read_words(&completion);
        if (completion.ended)
                return 0;
        if (completion.pending != NULL && strcmp(completion.pending, "root") == 0)
                (void)fputs(":folders\n", output->out);
        else if (completion.pending != NULL)
                emit_values(&completion, &completion.verb->parameters[parameter_of(completion.verb, completion.pending, strlen(completion.pending))]);
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
