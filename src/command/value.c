/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single values by their type: what the table calls "size" or "a|b|c" is understood here and nowhere else. A sentence
 * about a wrong value names the parameter, shows the value and says what was expected.
 */
#include "base/number.h"
#include "command/name.h"

#include <string.h>

enum { STEM_LENGTH_MAX = 200 };

struct numeric {
        const char *type;
        bool (*parse)(const char *text, uint64_t *ret);
        const char *expected;
};

static bool parse_boolean(const char *text, uint64_t *ret)
{
        bool value;

        if (!number_parse_boolean(text, &value))
                return false;
        *ret = value;
        return true;
}

static const struct numeric numerics[] = {
        {"size", number_parse_size, "a size such as 512M or 2G"},
        {"duration", number_parse_duration, "a duration such as 500ms, 30s, 10m or 2h"},
        {"count", number_parse, "a whole number"},
        {"boolean", parse_boolean, "true or false"},
};

/* Whether a number lies in "LOW..HIGH", both in the type's own spelling, either left out. */
static bool in_range(const struct numeric *numeric, const char *range, uint64_t value)
{
        const char *dots = strstr(range, "..");
        uint64_t bound;

        if (dots == NULL)
                return false;
        owned_str char *low = x_strndup(range, (size_t)(dots - range));
        if (numeric->parse(low, &bound) && value < bound)
                return false;
        return !numeric->parse(dots + 2, &bound) || value <= bound;
}

static int check_number(const struct numeric *numeric, const struct cowherd_parameter *parameter, const char *text,
                        uint64_t *ret_number, struct cowherd_error *err)
{
        uint64_t value;

        if (!numeric->parse(text, &value))
                return fail(err, COWHERD_USAGE, "'%.60s' is no %s for parameter '%s' (expected %s)", text,
                            numeric->type, parameter->name, numeric->expected);
        if (parameter->range != NULL && !in_range(numeric, parameter->range, value)) {
                bool open = str_ends(parameter->range, "..");
                return fail(err, COWHERD_USAGE, "'%.60s' is out of range for parameter '%s' (expected %s%.*s)", text, parameter->name,
                            open ? "at least " : "", (int)(strlen(parameter->range) - (open ? 2 : 0)), parameter->range);
        }
        *ret_number = value;
        return 0;
}

static int check_choice(const struct cowherd_parameter *parameter, const char *text, char **ret_text,
                        struct cowherd_error *err)
{
        owned_strv struct strv choices = {0};

        for (const char *at = parameter->type; *at != '\0';) {
                size_t length = strcspn(at, "|");
                strv_take(&choices, x_strndup(at, length));
                at += length + (at[length] == '|');
        }
        for (size_t i = 0; i < choices.count; i++)
                if (str_equal_case(choices.items[i], text)) {
                        *ret_text = x_strdup(choices.items[i]);
                        return 0;
                }
        const char *nearest = str_nearest(text, (const char *const *)choices.items, choices.count);
        if (nearest != NULL)
                return fail(err, COWHERD_USAGE,
                            "'%.60s' is no value for parameter '%s' (did you mean '%s'?), expected one of %s", text,
                            parameter->name, nearest, parameter->type);
        return fail(err, COWHERD_USAGE, "'%.60s' is no value for parameter '%s', expected one of %s", text,
                    parameter->name, parameter->type);
}

/* A REXX stem: a symbol whose only period is its last character. */
static bool is_stem(const char *text)
{
        static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_!?";
        size_t length = strlen(text);

        return length >= 2 && length <= STEM_LENGTH_MAX && strchr(letters, text[0]) != NULL &&
               text[length - 1] == '.' &&
               strspn(text, "0123456789"
                            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_!?") == length - 1;
}

static int check_text(enum cowherd_target target, const struct cowherd_parameter *parameter, const char *text,
                      struct cowherd_error *err)
{
        const char *type = parameter->type;

        if (text[0] == '\0' && (parameter->required || !str_equal(type, "text")))
                return fail(err, COWHERD_USAGE, "parameter '%s' is empty (expected a %s)", parameter->name, type);
        if (str_equal(type, "name"))
                return name_check(target, text, err) < 0 ? fail_while(err, "parameter '%s'", parameter->name) : 0;
        if (str_equal(type, "pattern"))
                return pattern_check(target, text, err) < 0 ? fail_while(err, "parameter '%s'", parameter->name) : 0;
        if (str_equal(type, "stem") && !is_stem(text))
                return fail(err, COWHERD_USAGE,
                            "'%.60s' is no stem for parameter '%s' (expected a symbol and a period, such as out.)",
                            text, parameter->name);
        return 0;
}

int value_check(enum cowherd_target target, const struct cowherd_parameter *parameter, const char *text,
                char **ret_text, uint64_t *ret_number, struct cowherd_error *err)
{
        if (strchr(parameter->type, '|') != NULL)
                return check_choice(parameter, text, ret_text, err);
        for (size_t i = 0; i < array_length(numerics); i++)
                if (str_equal(numerics[i].type, parameter->type)) {
                        if (check_number(&numerics[i], parameter, text, ret_number, err) < 0)
                                return -1;
                        *ret_text = x_strdup(text);
                        return 0;
                }
        if (check_text(target, parameter, text, err) < 0)
                return -1;
        *ret_text = x_strdup(text);
        return 0;
}
