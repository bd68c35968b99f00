/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer becomes variables: RESULT and RESULT.field, RESULT.0 and RESULT.i.field for a list, the same in the stem
 * that the command named, QEMU_field (LXD_, NSPAWN_) and ERRORTEXT.
 *
 * Everything is cleared first, so that nothing stale is ever read. A stem is dropped as a whole; of a target's
 * variables those are dropped that this host has ever set (the script's own QEMU_IMAGE stays its own until an answer
 * has a field `image`). A target's variables speak of the last command to that target: a command to another leaves
 * them.
 *
 * RESULT.0 is 0 for an answer that is no list, so that `DO i = 1 TO RESULT.0` goes round no time instead of failing.
 */
#include "rexx/host.h"

#include <string.h>

static const char *const prefixes[COWHERD_ENGINES] = {
        [COWHERD_QEMU] = "QEMU_",
        [COWHERD_LXD] = "LXD_",
        [COWHERD_NSPAWN] = "NSPAWN_",
};

struct outcome outcome_of(int code, const char *operation, char *text, char *hint)
{
        struct outcome outcome = {
                .code = code, .success = code == 0, .operation = operation, .text = text, .hint = hint};

        (void)snprintf(outcome.code_text, sizeof outcome.code_text, "%d", code);
        return outcome;
}

struct outcome outcome_of_answer(struct cowherd_answer *answer)
{
        struct outcome outcome = {
                .answer = answer, .code = cowherd_answer_code(answer), .success = cowherd_answer_success(answer)};
        const char *text = cowherd_answer_text(answer), *hint = cowherd_answer_get(answer, "hint");

        outcome.text = text_format("%s", text == NULL ? "" : text);
        outcome.hint = hint == NULL ? NULL : text_format("%s", hint);
        (void)snprintf(outcome.code_text, sizeof outcome.code_text, "%d", outcome.code);
        return outcome;
}

void outcome_free(struct outcome *outcome)
{
        free(outcome->text);
        free(outcome->hint);
        cowherd_answer_free(outcome->answer);
}

/* Field `index`, or false past the last one. */
static bool field_at(const struct outcome *outcome, size_t index, struct cowherd_field *ret)
{
        if (outcome->answer != NULL) {
                const struct cowherd_field *field = cowherd_answer_field(outcome->answer, index);
                if (field != NULL)
                        *ret = *field;
                return field != NULL;
        }
        const struct cowherd_field own[] = {
                {.name = "success", .value = outcome->success ? "1" : "0"},
                {.name = "operation", .value = outcome->operation},
                {.name = outcome->success ? "output" : "error", .value = outcome->text},
                {.name = "code", .value = outcome->success ? NULL : outcome->code_text},
                {.name = "hint", .value = outcome->hint},
        };
        size_t count = sizeof own / sizeof own[0];
        if (index < count)
                *ret = own[index];
        return index < count;
}

static bool is_hump(const char *name, const char *at)
{
        return at > name && *at >= 'A' && *at <= 'Z' && at[-1] >= 'a' && at[-1] <= 'z';
}

/* "basedOn" as BASED_ON, or NULL where there is no hump in it: REXX itself sees RESULT.basedOn as RESULT.BASEDON. */
static char *without_humps(const char *name)
{
        size_t humps = 0;

        for (const char *from = name; *from != '\0'; from++)
                humps += is_hump(name, from);
        if (humps == 0)
                return NULL;
        char *out = text_room(NULL, strlen(name) + humps + 1, 1), *at = out;
        for (const char *from = name; *from != '\0'; from++) {
                if (is_hump(name, from))
                        *at++ = '_';
                *at++ = *from;
        }
        *at = '\0';
        text_upper(out);
        return out;
}

static bool set_named(const char *prefix, const char *name, const char *value)
{
        owned_text char *variable = text_format("%s%s", prefix, name);

        text_upper(variable);
        return variable_set(variable, value);
}

static bool set_field(const char *prefix, const struct cowherd_field *field)
{
        owned_text char *other = without_humps(field->name);

        if (field->value == NULL)
                return true;
        return set_named(prefix, field->name, field->value) &&
               (other == NULL || set_named(prefix, other, field->value));
}

static bool set_number(const char *stem, const char *tail, size_t number)
{
        char text[24];

        (void)snprintf(text, sizeof text, "%zu", number);
        return set_named(stem, tail, text);
}

static bool set_items(const char *stem, const struct cowherd_answer *answer)
{
        size_t count = cowherd_answer_items(answer);
        bool well = set_number(stem, "0", count);

        for (size_t i = 0; well && i < count; i++) {
                owned_text char *prefix = text_format("%s%zu.", stem, i + 1);
                const struct cowherd_field *field;
                for (size_t f = 0; well && (field = cowherd_answer_item_field(answer, i, f)) != NULL; f++)
                        well = set_field(prefix, field);
        }
        return well;
}

/* STEM.field for each field, and STEM.0 with its items. */
static bool set_stem(const char *stem, const struct outcome *outcome)
{
        struct cowherd_field field;

        for (size_t i = 0; field_at(outcome, i, &field); i++)
                if (!set_field(stem, &field))
                        return false;
        if (outcome->answer != NULL && cowherd_answer_is_list(outcome->answer))
                return set_items(stem, outcome->answer);
        return set_number(stem, "0", 0);
}

static void remember(struct names *names, const char *prefix, const char *name)
{
        char *variable = text_format("%s%s", prefix, name);

        text_upper(variable);
        for (size_t i = 0; i < names->count; i++)
                if (strcmp(names->items[i], variable) == 0) {
                        free(variable);
                        return;
                }
        names->items = text_room(names->items, names->count + 1, sizeof *names->items);
        names->items[names->count++] = variable;
}

static bool set_of_target(struct host *host, enum cowherd_target target, const struct outcome *outcome)
{
        const char *prefix = prefixes[target];
        struct cowherd_field field;

        for (size_t i = 0; field_at(outcome, i, &field); i++) {
                owned_text char *other = without_humps(field.name);
                remember(&host->published[target], prefix, field.name);
                if (other != NULL)
                        remember(&host->published[target], prefix, other);
                if (!set_field(prefix, &field))
                        return false;
        }
        return true;
}

void publish_clear(struct host *host, enum cowherd_target target)
{
        variable_drop("RESULT");
        variable_drop("RESULT.");
        variable_drop("ERRORTEXT");
        if ((unsigned)target >= COWHERD_ENGINES)
                return;
        for (size_t i = 0; i < host->published[target].count; i++)
                variable_drop(host->published[target].items[i]);
}

/* The stem that the command asked for. What it held before goes. */
static bool set_own_stem(const struct outcome *outcome)
{
        const char *asked = outcome->answer == NULL ? NULL : cowherd_answer_stem(outcome->answer);

        if (asked == NULL)
                return true;
        owned_text char *stem = text_format("%s", asked);
        text_upper(stem);
        variable_drop(stem);
        return set_stem(stem, outcome);
}

bool publish(struct host *host, enum cowherd_target target, const struct outcome *outcome)
{
        if (!variable_set("RESULT", outcome->text) || !variable_set("ERRORTEXT", outcome->success ? "" : outcome->text))
                return false;
        if (!set_stem("RESULT.", outcome) || !set_own_stem(outcome))
                return false;
        return (unsigned)target >= COWHERD_ENGINES || set_of_target(host, target, outcome);
}
