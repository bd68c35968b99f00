/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as people write them. Nothing is guessed: what is not wholly a number is none, and what overflows is none. */
#include "base/number.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* Reads leading digits; returns what follows them, or NULL where there are none or they overflow. */
static const char *read_digits(const char *text, uint64_t *ret)
{
        uint64_t value = 0;
        const char *at = text;

        for (; *at >= '0' && *at <= '9'; at++)
                if (__builtin_mul_overflow(value, 10u, &value) ||
                    __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
                        return NULL;
        if (at == text)
                return NULL;
        *ret = value;
        return at;
}

bool number_parse(const char *text, uint64_t *ret)
{
        uint64_t value;
        const char *rest = read_digits(text, &value);

        if (rest == NULL || *rest != '\0')
                return false;
        *ret = value;
        return true;
}

struct unit {
        const char *names;
        uint64_t factor;
};

/* Digits, then one of the units; *ret is the product. */
static bool parse_with_unit(const char *text, const struct unit *units, size_t count, uint64_t *ret)
{
        uint64_t value;
        const char *rest = read_digits(text, &value);

        if (rest == NULL)
                return false;
        for (size_t i = 0; i < count; i++) {
                bool matches = *rest == '\0' ? units[i].names[0] == '\0' : str_in_words(units[i].names, rest);
                if (matches)
                        return !__builtin_mul_overflow(value, units[i].factor, ret);
        }
        return false;
}

bool number_parse_size(const char *text, uint64_t *ret_bytes)
{
        static const struct unit units[] = {
                {"", 1},
                {"b", 1},
                {"k kb kib", UINT64_C(1) << 10},
                {"m mb mib", UINT64_C(1) << 20},
                {"g gb gib", UINT64_C(1) << 30},
                {"t tb tib", UINT64_C(1) << 40},
        };
        uint64_t bytes;

        if (!parse_with_unit(text, units, array_length(units), &bytes))
                return false;
        *ret_bytes = bytes;
        return true;
}

bool number_parse_duration(const char *text, uint64_t *ret_ms)
{
        static const struct unit units[] = {
                {"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
        };
        uint64_t ms;

        if (!parse_with_unit(text, units, array_length(units), &ms))
                return false;
        *ret_ms = ms;
        return true;
}

bool number_parse_boolean(const char *text, bool *ret)
{
        if (str_in_words("true yes 1", text)) {
                *ret = true;
                return true;
        }
        if (str_in_words("false no 0", text)) {
                *ret = false;
                return true;
        }
        return false;
}

const char *number_format_size(uint64_t bytes, char *buffer)
{
        static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
        double value = (double)bytes;
        size_t unit = 0;

        for (; value >= 1024 && unit + 1 < array_length(units); unit++)
                value /= 1024;
        (void)snprintf(buffer, NUMBER_TEXT_BYTES, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
        return buffer;
}

const char *number_format_ms(double ms, char *buffer)
{
        (void)snprintf(buffer, NUMBER_TEXT_BYTES, ms < 10 ? "%.2f" : ms < 100 ? "%.1f" : "%.0f", ms);
        return buffer;
}
