/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From words to a request that can be relied on: the verb and its keys found, each value of its type and in its range,
 * what is required there, what excludes each other apart. Nothing here asks the herd, so nothing here can change it.
 */
#include "command/request.h"

#include "command/grammar.h"
#include "command/name.h"
#include "command/table.h"

#include <stdio.h>
#include <string.h>

void request_free(struct request *request)
{
        for (size_t i = 0; i < KEY_COUNT; i++)
                free(request->values[i].text);
        strv_free(&request->argv);
        *request = (struct request){0};
}

int verb_parameter(const struct verb *verb, const char *name)
{
        const struct cowherd_parameter *parameters = verb->public.parameters;

        for (int i = 0; parameters[i].name != NULL; i++)
                if (str_equal_case(parameters[i].name, name) || str_in_words(parameters[i].aliases, name))
                        return i;
        return -1;
}

int fail_unknown_verb(struct cowherd_error *err, const char *word)
{
        static const char *const targets[] = {"qemu", "lxd", "nspawn"};
        const char *nearest = cowherd_verb_suggest(word);

        if (nearest == NULL)
                nearest = str_nearest(word, targets, array_length(targets));
        if (nearest != NULL)
                (void)fail(err, COWHERD_USAGE, "verb '%.60s' is not known (did you mean '%s'?)", word, nearest);
        else
                (void)fail(err, COWHERD_USAGE, "verb '%.60s' is not known", word);
        return fail_hint(err, "'help' lists the verbs");
}

int fail_unknown_parameter(struct cowherd_error *err, const struct verb *verb, const char *word)
{
        const struct cowherd_parameter *parameters = verb->public.parameters;
        const char *names[KEY_COUNT];
        owned_string struct str all = {0};
        size_t count = 0;

        for (; count < KEY_COUNT && parameters[count].name != NULL; count++) {
                names[count] = parameters[count].name;
                str_addf(&all, "%s%s", count > 0 ? " " : "", names[count]);
        }
        const char *nearest = str_nearest(word, names, count);
        if (nearest != NULL)
                (void)fail(err, COWHERD_USAGE, "'%s' has no parameter '%.60s' (did you mean '%s'?)", verb->public.name,
                           word, nearest);
        else
                (void)fail(err, COWHERD_USAGE, "'%s' has no parameter '%.60s'", verb->public.name, word);
        return fail_hint(err, "it takes: %s", str_text(&all));
}

/* Keeps the stem, wherever it stands, so that even the answer about a bad word reaches the script's stem. */
static void keep_stem(const struct words *words, const struct cowherd_resolver *resolver, struct request *request)
{
        struct cowherd_error ignored;

        for (size_t i = 0; i < words->count; i++) {
                owned_str char *text = NULL;
                struct value *stem = &request->values[KEY_STEM];
                if (words->items[i].key == NULL || !str_equal_case(words->items[i].key, "stem") || stem->text != NULL)
                        continue;
                if (grammar_resolve(words->items[i].value, resolver, &text, &ignored) < 0 ||
                    value_check(request->target, parameter_of(KEY_STEM), text, &stem->text, &stem->number, &ignored) <
                            0)
                        return; /* set_value tells it */
        }
}

/* Verbs of cowherd itself that can be about one engine: `cowherd lxd doctor` is `cowherd doctor engine=lxd`. */
static bool takes_engine(const struct verb *verb)
{
        return verb->id == VERB_DOCTOR || verb->id == VERB_TREE;
}

enum cowherd_target request_engine(const struct request *request)
{
        enum cowherd_target target = request->target;

        if (request_has(request, KEY_ENGINE) && !cowherd_target_parse(request_text(request, KEY_ENGINE), &target))
                return COWHERD_ANY;
        return target < COWHERD_ENGINES ? target : COWHERD_ANY;
}

static int find_verb(const char *word, struct request *request, struct cowherd_error *err)
{
        if (word == NULL)
                return fail(err, COWHERD_USAGE, "the command is empty (expected a verb)");
        const struct verb *verb = verb_find(word);
        if (verb == NULL)
                return fail_unknown_verb(err, word);
        request->verb = verb;
        if (request->target == COWHERD_SELF && !verb->public.of_self) {
                (void)fail(err, COWHERD_USAGE, "'%s' is spoken to an engine, not to cowherd itself", verb->public.name);
                return fail_hint(err, "say which one: ADDRESS QEMU, ADDRESS LXD or ADDRESS NSPAWN");
        }
        bool engine = request->target != COWHERD_SELF && request->target != COWHERD_ANY;
        if (engine && verb->public.of_self && verb->id != VERB_HELP && !takes_engine(verb)) {
                (void)fail(err, COWHERD_USAGE, "'%s' is spoken to cowherd itself, not to the engine '%s'",
                           verb->public.name, cowherd_target_name(request->target));
                return fail_hint(err, "say it without a target, or to ADDRESS COWHERD");
        }
        return 0;
}

/* Sets one parameter from a word. */
static int set_value(struct request *request, int index, const char *key, const char *word,
                     const struct cowherd_resolver *resolver, struct cowherd_error *err)
{
        const struct cowherd_parameter *parameter = &request->verb->public.parameters[index];
        struct value *value = &request->values[request->verb->keys[index]];
        owned_str char *text = NULL, *checked = NULL;

        if (value->given && !str_equal_case(key, parameter->name))
                return fail(err, COWHERD_USAGE, "parameter '%s' is given twice ('%s' is another name of it)",
                            parameter->name, key);
        if (value->given)
                return fail(err, COWHERD_USAGE, "parameter '%s' is given twice", parameter->name);
        if (grammar_resolve(word, resolver, &text, err) < 0)
                return fail_while(err, "parameter '%s'", parameter->name);
        if (value_check(request->target, parameter, text, &checked, &value->number, err) < 0)
                return -1;
        free(value->text);
        value->text = take(checked);
        value->given = true;
        return 0;
}

static int set_keys(struct request *request, const struct words *words, const struct cowherd_resolver *resolver,
                    struct cowherd_error *err)
{
        for (size_t i = 0; i < words->count; i++) {
                const char *key = words->items[i].key;
                if (key == NULL)
                        continue;
                int index = verb_parameter(request->verb, key);
                if (index < 0)
                        return fail_unknown_parameter(err, request->verb, key);
                if (set_value(request, index, key, words->items[i].value, resolver, err) < 0)
                        return -1;
        }
        return 0;
}

/* Bare words fill the verb's parameters in turn, past those that were given by their keys. */
static int set_bare_words(struct request *request, const struct words *words, struct cowherd_error *err)
{
        const struct verb *verb = request->verb;
        size_t turn = 0;

        for (size_t i = 0; i < words->count; i++) {
                if (words->items[i].key != NULL)
                        continue;
                while (turn < VERB_BARE_WORDS && verb->bare[turn] != KEY_COUNT &&
                       request_has(request, verb->bare[turn]))
                        turn++;
                if (turn == VERB_BARE_WORDS || verb->bare[turn] == KEY_COUNT) {
                        (void)fail(err, COWHERD_USAGE, "'%.60s' is one word too many for '%s' (expected key=value)",
                                   words->items[i].value, verb->public.name);
                        return fail_hint(err, "'help %s' tells what it takes", verb->public.name);
                }
                int index = 0;
                while (verb->keys[index] != verb->bare[turn])
                        index++;
                if (set_value(request, index, verb->public.parameters[index].name, words->items[i].value, NULL, err) <
                    0)
                        return -1;
        }
        return 0;
}

static int set_fallbacks(struct request *request, struct cowherd_error *err)
{
        const struct verb *verb = request->verb;

        for (int i = 0; verb->public.parameters[i].name != NULL; i++) {
                const struct cowherd_parameter *parameter = &verb->public.parameters[i];
                struct value *value = &request->values[verb->keys[i]];
                if (parameter->required && !value->given) {
                        (void)fail(err, COWHERD_USAGE, "Missing required parameter '%s'", parameter->name);
                        return fail_hint(err, "for example: %s", verb->public.example);
                }
                if (value->given || parameter->fallback == NULL)
                        continue;
                if (value_check(COWHERD_ANY, parameter, parameter->fallback, &value->text, &value->number, err) < 0)
                        return fail(err, COWHERD_INTERNAL, "the verb table's fallback of '%s' is not of its type",
                                    parameter->name);
        }
        return 0;
}

static int fill(struct request *request, const struct words *words, const struct cowherd_resolver *resolver,
                struct cowherd_error *err)
{
        if (find_verb(words->verb, request, err) < 0 || set_keys(request, words, resolver, err) < 0 ||
            set_bare_words(request, words, err) < 0 || set_fallbacks(request, err) < 0)
                return -1;
        return request_check_together(request, err);
}

int request_parse(enum cowherd_target target, const char *command, const struct cowherd_resolver *resolver,
                  struct request *ret, struct cowherd_error *err)
{
        owned_words struct words words = {0};

        *ret = (struct request){.target = target};
        int split = grammar_split(command, &words, err);
        keep_stem(&words, resolver, ret);
        if (split < 0) {
                ret->verb = words.verb == NULL ? NULL : verb_find(words.verb);
                return -1;
        }
        return fill(ret, &words, resolver, err);
}

int request_parse_words(enum cowherd_target target, size_t count, const char *const *words, struct request *ret,
                        struct cowherd_error *err)
{
        owned_words struct words taken = {0};

        *ret = (struct request){.target = target};
        int split = grammar_take(count, words, &taken, err);
        keep_stem(&taken, NULL, ret);
        if (split < 0) {
                ret->verb = taken.verb == NULL ? NULL : verb_find(taken.verb);
                return -1;
        }
        ret->argv = taken.argv;
        taken.argv = (struct strv){0};
        return fill(ret, &taken, NULL, err);
}
