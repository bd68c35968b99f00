/* SPDX-License-Identifier: Apache-2.0 */
/* The words before the one that is being typed: target, verb, what was given already, and whether a value comes next. */
#include "cli/complete.h"

#include <string.h>
#include <strings.h>

bool complete_is_one_of(const char *list, const char *word)
{
        size_t length = strlen(word);

        for (const char *at = list; length > 0 && at != NULL && (at = strstr(at, word)) != NULL; at += length)
                if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
                        return true;
        return false;
}

int complete_parameter_of(const struct cowherd_verb *verb, const char *key, size_t length)
{
        char name[WORD_MAX];

        if (length >= sizeof name)
                return -1;
        for (size_t i = 0; i < length; i++)
                name[i] = key[i] == '-' ? '_' : key[i];
        name[length] = '\0';
        for (int i = 0; i < PARAMETERS_MAX && verb->parameters[i].name != NULL; i++)
                if (strcasecmp(verb->parameters[i].name, name) == 0 || complete_is_one_of(verb->parameters[i].aliases, name))
                        return i;
        return -1;
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

int complete_bare_parameter(const struct completion *completion, size_t turn)
{
        const char *at = completion->verb->bare;

        while (at != NULL && *at != '\0') {
                size_t length = strcspn(at, " ");
                int index = complete_parameter_of(completion->verb, at, length);
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
        int index = complete_parameter_of(completion->verb, key, equals == NULL ? strlen(key) : (size_t)(equals - key));

        if (strcmp(word, "--") == 0) {
                completion->ended = true;
        } else if (!dashes && equals == NULL) {
                index = complete_bare_parameter(completion, completion->bare++);
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
        int index = completion->verb == NULL ? -1 : complete_parameter_of(completion->verb, completion->pending, strlen(completion->pending));

        if (completion->verb == NULL || strcmp(completion->pending, "root") == 0)
                completion->root = word;
        else if (index >= 0 && strcmp(completion->verb->parameters[index].name, "name") == 0)
                completion->name = word;
        completion->pending = NULL;
}

void complete_read(struct completion *completion)
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
