/* SPDX-License-Identifier: Apache-2.0 */
/* Text into markup, and figures into words: the two things that every picture and every table of the report does. */
#include "report/markup.h"

#include "base/number.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define AS_GOOD 1.05 /* closer than that nobody is quicker */

void markup_text(struct str *out, const char *text)
{
        for (; text != NULL && *text != '\0'; text++) {
                unsigned char c = (unsigned char)*text;
                if (c == '&')
                        str_add(out, "&amp;");
                else if (c == '<')
                        str_add(out, "&lt;");
                else if (c == '>')
                        str_add(out, "&gt;");
                else if (c == '"')
                        str_add(out, "&quot;");
                else if (c == '\'')
                        str_add(out, "&#39;");
                else if ((c < ' ' && c != '\n' && c != '\t') || c == 0x7f)
                        str_add(out, "\xef\xbf\xbd");
                else if (c == 0xef && (unsigned char)text[1] == 0xbf && ((unsigned char)text[2] & 0xfe) == 0xbe) {
                        str_add(out, "\xef\xbf\xbd"); /* U+FFFE and U+FFFF are no characters */
                        text += 2;
                } else
                        str_add_char(out, *text);
        }
}

void markup_element(struct str *out, const char *tag, const char *class, const char *text)
{
        str_addf(out, "<%s", tag);
        if (class != NULL)
                str_addf(out, " class=\"%s\"", class);
        str_add_char(out, '>');
        markup_text(out, text);
        str_addf(out, "</%s>", tag);
}

/* Three digits that say something; never "1e+03". */
static void format_three(double value, const char *unit, char *buffer)
{
        int decimals = value < 0.095 ? 3 : value < 9.95 ? 2 : value < 99.5 ? 1 : 0;

        (void)snprintf(buffer, MARKUP_VALUE_BYTES, "%.*f %s", decimals, value, unit);
}

const char *markup_value(bool is_bytes, double value, char *buffer)
{
        char size[NUMBER_TEXT_BYTES];

        if (is_bytes)
                (void)snprintf(buffer, MARKUP_VALUE_BYTES, "%s", number_format_size((uint64_t)value, size));
        else if (value < 999.5)
                format_three(value, "ms", buffer);
        else if (value < 600e3)
                format_three(value / 1000, "s", buffer);
        else
                format_three(value / 60e3, "min", buffer);
        return buffer;
}

const char *markup_tick(bool is_bytes, double value, char *buffer)
{
        static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
        size_t unit = 0;

        if (!is_bytes) {
                bool seconds = value >= 1000;
                (void)snprintf(buffer, MARKUP_VALUE_BYTES, "%.6g %s", seconds ? value / 1000 : value, seconds ? "s" : "ms");
                return buffer;
        }
        for (; value >= 1024 && unit + 1 < array_length(units); unit++)
                value /= 1024;
        (void)snprintf(buffer, MARKUP_VALUE_BYTES, "%.4g %s", value, units[unit]);
        return buffer;
}

const char *markup_count(double count, char *buffer)
{
        char digits[32];
        int length = snprintf(digits, sizeof digits, "%.0f", fmin(count, 1e18)), at = 0;

        for (int i = 0; i < length; i++) {
                if (i > 0 && (length - i) % 3 == 0)
                        buffer[at++] = ',';
                buffer[at++] = digits[i];
        }
        buffer[at] = '\0';
        return buffer;
}

const char *markup_ratio(bool is_bytes, double ours, double raw, char *buffer)
{
        bool better = ours < raw;
        double times = better ? raw / ours : ours / raw;

        if (!(ours > 0 && raw > 0))
                buffer[0] = '\0';
        else if (times < AS_GOOD)
                (void)snprintf(buffer, MARKUP_VALUE_BYTES, is_bytes ? "as big" : "as quick");
        else {
                char count[MARKUP_VALUE_BYTES];
                if (times < 9.95)
                        (void)snprintf(count, sizeof count, "%.1f", times);
                (void)snprintf(buffer, MARKUP_VALUE_BYTES, "%.30s× %s", times < 9.95 ? count : markup_count(times, count),
                               is_bytes ? (better ? "smaller" : "bigger") : (better ? "quicker" : "slower"));
        }
        return buffer;
}

static const struct {
        const char *name, *shown;
} engines[] = {{"qemu", "QEMU"}, {"lxd", "LXD"}, {"nspawn", "nspawn"}};

const char *markup_engine(const char *engine)
{
        for (size_t i = 0; i < array_length(engines); i++)
                if (str_equal(engines[i].name, engine))
                        return engines[i].shown;
        return engine;
}

const char *markup_class(const char *engine)
{
        for (size_t i = 0; i < array_length(engines); i++)
                if (str_equal(engines[i].name, engine))
                        return engines[i].name;
        return "other";
}

void markup_pair(struct str *out, const char *engine, const char *store)
{
        markup_text(out, markup_engine(engine));
        if (!str_is_empty(store)) {
                str_add(out, " on ");
                markup_text(out, str_equal(store, "lxd_pool") ? "its pool" : store);
        }
}
