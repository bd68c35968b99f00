/* SPDX-License-Identifier: Apache-2.0 */
/*
 * {{symbol}} in a value. A symbol begins with a letter, as REXX's do; `{{{{` stands for `{{`; every other brace (the
 * shell's ${HOME}, Go's {{.Names}}, awk's programs) is left as it is.
 */
#include "base/str.h"
#include "command/grammar.h"

#include <string.h>

/* Length of the symbol between `{{` and `}}` at `at`, or 0 where there is none. */
static size_t symbol_length(const char *at)
{
        static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        static const char rest[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.!?";

        if (!str_starts(at, "{{") || at[2] == '\0' || strchr(letters, at[2]) == NULL)
                return 0;
        size_t length = strspn(at + 2, rest);
        return str_starts(at + 2 + length, "}}") ? length : 0;
}

int grammar_resolve(const char *value, const struct cowherd_resolver *resolver, char **ret, struct cowherd_error *err)
{
        owned_string struct str text = {0};

        while (resolver != NULL && *value != '\0') {
                size_t plain = strcspn(value, "{"), length;
                str_add_bytes(&text, value, plain);
                value += plain;
                if (str_starts(value, "{{{{")) {
                        str_add(&text, "{{");
                        value += 4;
                } else if ((length = symbol_length(value)) > 0) {
                        owned_str char *name = x_strndup(value + 2, length);
                        owned_str char *replacement = resolver->value(resolver->context, name);
                        if (replacement == NULL)
                                return fail(err, COWHERD_USAGE, "variable '%.60s' is not set", name);
                        str_add(&text, replacement);
                        value += length + 4;
                } else if (*value == '{') {
                        str_add_char(&text, *value++);
                }
        }
        str_add(&text, value);
        *ret = str_take(&text);
        return 0;
}
