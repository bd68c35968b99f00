/* SPDX-License-Identifier: Apache-2.0 */
/* From marks to places, and from needs in words to needs. */
#include "advise/advise.h"
#include "advise/marks.h"

#include <string.h>

static const char *const need_names[ADVISE_NEEDS] = {"speed", "space", "isolation", "simple", "windows", "live", "any-filesystem", "ci"};
static const char *const state_names[] = {"ready", "setup", "install", "never"};
static const double still_to_do[] = {0, 1, 4, 0}; /* by state */

#define DEFAULT_NEEDS "speed,space,isolation,simple"

const char *advise_need_name(enum advise_need need)
{
        return need_names[need];
}

const char *advise_state_name(enum advise_state state)
{
        return state_names[state];
}

bool advise_needs_has(const struct advise_needs *needs, enum advise_need need)
{
        for (size_t i = 0; i < needs->count; i++)
                if (needs->items[i] == need)
                        return true;
        return false;
}

static int fail_unknown(const char *word, struct cowherd_error *err)
{
        const char *nearest = str_nearest(word, need_names, ADVISE_NEEDS);

        if (nearest != NULL)
                (void)fail(err, COWHERD_USAGE, "need '%.60s' is not known (did you mean '%s'?)", word, nearest);
        else
                (void)fail(err, COWHERD_USAGE, "need '%.60s' is not known", word);
        return fail_hint(err, "it is one or several, with commas between them, of speed, space, isolation, simple, windows, live, any-filesystem and ci");
}

static int add_need(const char *word, struct advise_needs *needs, struct cowherd_error *err)
{
        size_t need = 0;

        while (need < ADVISE_NEEDS && !str_equal_case(need_names[need], word))
                need++;
        if (need == ADVISE_NEEDS)
                return fail_unknown(word, err);
        if (advise_needs_has(needs, (enum advise_need)need))
                return fail(err, COWHERD_USAGE, "need '%s' is said twice", need_names[need]);
        needs->items[needs->count++] = (enum advise_need)need;
        return 0;
}

int advise_parse_needs(const char *text, struct advise_needs *ret, struct cowherd_error *err)
{
        struct advise_needs needs = {0};
        owned_str char *rest = x_strdup(str_is_empty(text) ? DEFAULT_NEEDS : text);
        char *place = NULL;

        for (char *at = rest; *at != '\0'; at++)
                *at = *at == '_' ? '-' : *at;
        for (const char *word = strtok_r(rest, ", \t", &place); word != NULL; word = strtok_r(NULL, ", \t", &place))
                if (add_need(word, &needs, err) < 0)
                        return -1;
        if (needs.count == 0)
                return fail_unknown("", err);
        *ret = needs;
        return 0;
}

void advices_free(struct advices *advices)
{
        for (size_t i = 0; i < advices->count; i++) {
                strv_free(&advices->items[i].reasons);
                strv_free(&advices->items[i].commands);
        }
        *advices = (struct advices){0};
}

/* Why it is out of the question, or all reasons for its mark. */
static void judge(const struct advise_facts *facts, const struct advise_needs *needs, struct advice *advice)
{
        double sum = 0, weights = 0;

        if (advice->option->state == ADVISE_NEVER) {
                strv_add(&advice->reasons, advice->option->lacking);
                return;
        }
        for (size_t i = 0; i < needs->count; i++) {
                owned_str char *why = NULL;
                double weight = i == 0 ? 2 : 1, mark = advise_mark(facts, advice->option, needs->items[i], &why);
                if (mark <= 0) {
                        strv_free(&advice->reasons);
                        strv_addf(&advice->reasons, "%s: %s", need_names[needs->items[i]], why);
                        advice->mark = 0;
                        return;
                }
                strv_addf(&advice->reasons, "%s: %s", need_names[needs->items[i]], why);
                sum += weight * mark;
                weights += weight;
        }
        double mark = sum / weights - still_to_do[advice->option->state];
        advice->mark = mark > 0.1 ? mark : 0.1;
}

/* Better first; of equal ones, what is ready before what is not. */
static bool goes_before(const struct advice *a, const struct advice *b)
{
        if (a->mark > b->mark + 1e-9 || b->mark > a->mark + 1e-9)
                return a->mark > b->mark;
        return a->mark > 0 && a->option->state < b->option->state;
}

/* By insertion: it keeps the order of equal ones, which is the order of preference of the options. */
static void insert(struct advices *advices, const struct advice *advice)
{
        size_t at = advices->count++;

        for (; at > 0 && goes_before(advice, &advices->items[at - 1]); at--)
                advices->items[at] = advices->items[at - 1];
        advices->items[at] = *advice;
}

/*
 * The three stacks of the comparison: what many want at once. Development is throwaway containers on whatever file system there is,
 * production a kernel of its own (with acceleration) or LXD, CI quick containers that leave nothing behind.
 */
static const char *stack_of(const struct advise_facts *facts, const struct advise_needs *needs, const struct advise_option *first)
{
        bool container = first->engine == COWHERD_NSPAWN || first->engine == COWHERD_LXD;

        if (advise_needs_has(needs, ADVISE_WINDOWS) || advise_needs_has(needs, ADVISE_LIVE))
                return NULL;
        if (advise_needs_has(needs, ADVISE_CI))
                return container ? "CI" : NULL;
        if (needs->items[0] == ADVISE_ISOLATION)
                return first->engine == COWHERD_LXD || (first->engine == COWHERD_QEMU && facts->has_acceleration) ? "production" : NULL;
        if (advise_needs_has(needs, ADVISE_ISOLATION) || !advise_needs_has(needs, ADVISE_SPEED))
                return NULL;
        return container ? "development" : NULL;
}

void advise_rank(const struct advise_facts *facts, const struct advise_needs *needs, struct advices *ret)
{
        *ret = (struct advices){0};
        for (size_t i = 0; i < facts->count; i++) {
                struct advice advice = {.option = &facts->options[i]};
                judge(facts, needs, &advice);
                insert(ret, &advice);
        }
        for (unsigned i = 0; i < ret->count && ret->items[i].mark > 0; i++) {
                ret->items[i].place = i + 1;
                advise_begin(facts, ret->items[i].option, needs, &ret->items[i].commands);
        }
        if (ret->count > 0 && ret->items[0].place == 1)
                ret->stack = stack_of(facts, needs, ret->items[0].option);
}
