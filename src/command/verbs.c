/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verb table as the others see it: table.c's rows joined with parameters.c's, once, when first asked for (some
 * microseconds, and no table has to be kept in step with another by hand).
 */
#include "command/verbs.h"

#include "base/mem.h"
#include "base/str.h"
#include "command/columns.h"
#include "command/table.h"

#include <pthread.h>
#include <string.h>

#define PARAMETERS_MAX 640 /* a few more than the table has: the tests walk all of it */
#define ALIASES_BYTES 512
#define BARE_BYTES 1024

static const enum key of_every_verb[] = {KEY_DRY_RUN, KEY_STEM};

static struct verb verbs[VERB_COUNT];
static struct cowherd_parameter parameter_pool[PARAMETERS_MAX];
static enum key key_pool[PARAMETERS_MAX];
static size_t pool_used;
static const char *spellings[VERB_COUNT * 2]; /* names and aliases: what can be meant by a misspelt one */
static size_t spelling_count;
static char alias_pool[ALIASES_BYTES];
static size_t alias_bytes;
static char bare_pool[BARE_BYTES];
static size_t bare_bytes;
static pthread_once_t joined = PTHREAD_ONCE_INIT;

static void add_parameter(const struct use *use)
{
        if (pool_used + 1 >= PARAMETERS_MAX)
                abort();
        struct cowherd_parameter *parameter = &parameter_pool[pool_used];
        *parameter = *parameter_of(use->key);
        parameter->required = use->required;
        parameter->aliases = use->aliases;
        if (use->type != NULL)
                parameter->type = use->type;
        if (use->range != NULL)
                parameter->range = use->range;
        if (use->fallback != NULL)
                parameter->fallback = use->fallback;
        if (use->help != NULL)
                parameter->help = use->help;
        key_pool[pool_used++] = use->key;
}

static void add_spelling(const char *spelling)
{
        if (spelling_count == array_length(spellings))
                abort();
        spellings[spelling_count++] = spelling;
}

/* The table's aliases stand in one text, apart by blanks. */
static void add_aliases(const char *aliases)
{
        while (aliases != NULL && *aliases != '\0') {
                size_t length = strcspn(aliases, " ");
                if (alias_bytes + length + 1 > sizeof alias_pool)
                        abort();
                char *alias = alias_pool + alias_bytes;
                memcpy(alias, aliases, length);
                alias_bytes += length + 1;
                add_spelling(alias);
                aliases += length + strspn(aliases + length, " ");
        }
}

/* The names of the parameters that bare words fill, apart by blanks. */
static const char *join_bare(const struct verb *verb)
{
        char *text = bare_pool + bare_bytes;

        if (verb->bare[0] == KEY_COUNT)
                return NULL;
        for (unsigned i = 0; i < VERB_BARE_WORDS && verb->bare[i] != KEY_COUNT; i++) {
                const char *name = parameter_of(verb->bare[i])->name;
                size_t length = strlen(name);
                if (bare_bytes + length + 1 > sizeof bare_pool)
                        abort();
                memcpy(bare_pool + bare_bytes, name, length);
                bare_bytes += length + 1;
                bare_pool[bare_bytes - 1] = ' ';
        }
        bare_pool[bare_bytes - 1] = '\0';
        return text;
}

static void join_verb(enum verb_id id)
{
        const struct verb_row *row = verb_row_of(id);
        struct verb *verb = &verbs[id];

        *verb = (struct verb){.public = row->public, .id = id, .keys = &key_pool[pool_used]};
        verb->public.parameters = &parameter_pool[pool_used];
        for (size_t i = 0; row->uses != NULL && row->uses[i].key != KEY_COUNT; i++)
                add_parameter(&row->uses[i]);
        for (size_t i = 0; i < array_length(of_every_verb); i++)
                add_parameter(&(struct use){.key = of_every_verb[i]});
        key_pool[pool_used++] = KEY_COUNT; /* beside the parameter that is all zero: the end */
        for (unsigned i = 0; i < VERB_BARE_WORDS; i++)
                verb->bare[i] = i < row->bare_count ? row->bare[i] : KEY_COUNT;
        verb->public.bare = join_bare(verb);
        verb->public.columns = columns_of_verb(id);
        add_spelling(verb->public.name);
        add_aliases(verb->public.aliases);
}

static void join_all(void)
{
        for (unsigned id = 0; id < VERB_COUNT; id++)
                join_verb((enum verb_id)id);
}

static const struct verb *table(void)
{
        (void)pthread_once(&joined, join_all);
        return verbs;
}

const struct verb *verb_of(enum verb_id id)
{
        return &table()[id];
}

const struct verb *verb_find(const char *name)
{
        const struct verb *all = table();

        for (size_t i = 0; i < VERB_COUNT; i++)
                if (str_equal_case(all[i].public.name, name) || str_in_words(all[i].public.aliases, name))
                        return &all[i];
        return NULL;
}

const struct cowherd_verb *cowherd_verb_at(size_t index)
{
        return index < VERB_COUNT ? &table()[index].public : NULL;
}

const struct cowherd_verb *cowherd_verb_find(const char *name)
{
        const struct verb *verb = verb_find(name);

        return verb == NULL ? NULL : &verb->public;
}

const char *cowherd_verb_suggest(const char *name)
{
        (void)table();
        return str_nearest(name, spellings, spelling_count);
}
