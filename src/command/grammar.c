/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text form: `VERB key=value …`, words apart by blanks, a value bare or in quotes. Only a value may be quoted, and
 * inside quotes only the quote itself, written twice, means something else. {{symbol}} is replaced in values after the
 * words are apart, so that a value can never add a parameter.
 */
#include "command/grammar.h"

#include "base/str.h"

#include <string.h>

static const char blanks[] = " \t\n\r";

void words_free(struct words *words)
{
        for (size_t i = 0; i < words->count; i++) {
                free(words->items[i].key);
                free(words->items[i].value);
        }
        free(words->items);
        free(words->verb);
        strv_free(&words->argv);
        *words = (struct words){0};
}

static void add_word(struct words *words, char *key, char *value)
{
        if (words->count == words->capacity) {
                words->capacity = words->capacity == 0 ? 8 : words->capacity * 2;
                words->items = x_reallocarray(words->items, words->capacity, sizeof *words->items);
        }
        words->items[words->count++] = (struct word){.key = key, .value = value};
}

/* Reads a quoted value from behind its first quote; *at is then behind the last one. NULL where that is missing. */
static char *read_quoted(const char **at, char quote)
{
        owned_string struct str value = {0};

        for (;;) {
                const char *end = strchr(*at, quote);
                if (end == NULL)
                        return NULL;
                str_add_bytes(&value, *at, (size_t)(end - *at));
                *at = end + 1;
                if (**at != quote)
                        return str_take(&value);
                str_add_char(&value, quote);
                (*at)++;
        }
}

static int read_value(const char **at, const char *key, char **ret, struct cowherd_error *err)
{
        char quote = **at;

        if (quote != '"' && quote != '\'') {
                size_t length = strcspn(*at, blanks);
                *ret = x_strndup(*at, length);
                *at += length;
                return 0;
        }
        (*at)++;
        owned_str char *value = read_quoted(at, quote);
        if (value == NULL) {
                (void)fail(err, COWHERD_USAGE, "the value of '%.60s' has no closing quote", key);
                return fail_hint(err, "inside quotes, the quote itself is written twice");
        }
        if (**at != '\0' && strchr(blanks, **at) == NULL) {
                (void)fail(err, COWHERD_USAGE, "the value of '%.60s' goes on after its closing quote", key);
                return fail_hint(err, "inside quotes, the quote itself is written twice");
        }
        *ret = take(value);
        return 0;
}

static int fail_bare_word(struct cowherd_error *err, const char *at)
{
        size_t length = strcspn(at, blanks);
        bool quoted = memchr(at, '"', length) != NULL || memchr(at, '\'', length) != NULL;
        owned_str char *word = x_strndup(at, length);

        (void)fail(err, COWHERD_USAGE, "'%.60s' has no value (expected key=value)", word);
        return fail_hint(err, quoted ? "a value with blanks is quoted as a whole: key=\"two words\""
                                     : "write it as key=value, without blanks around '='");
}

int grammar_split(const char *command, struct words *ret, struct cowherd_error *err)
{
        const char *at = command + strspn(command, blanks);
        size_t length = strcspn(at, blanks);

        if (length > 0)
                ret->verb = x_strndup(at, length);
        at += length;
        for (at += strspn(at, blanks); *at != '\0'; at += strspn(at, blanks)) {
                length = strcspn(at, " \t\n\r=\"'");
                if (at[length] != '=')
                        return fail_bare_word(err, at);
                if (length == 0)
                        return fail(err, COWHERD_USAGE, "'%.60s' has no key before its '=' (expected key=value)", at);
                owned_str char *key = x_strndup(at, length);
                char *value = NULL;
                at += length + 1;
                if (read_value(&at, key, &value, err) < 0)
                        return -1;
                add_word(ret, take(key), value);
        }
        return 0;
}

/* ---- Words of a shell ---- */

/* The key that is written before `end`, with '-' made '_'. */
static char *key_of(const char *from, const char *end)
{
        char *key = x_strndup(from, (size_t)(end - from));

        for (char *at = key; *at != '\0'; at++)
                if (*at == '-')
                        *at = '_';
        return key;
}

/* Where the '=' of a `key=value` word is, or NULL: before it only letters, '-' and '_' can be a key. */
static const char *equals_of(const char *word)
{
        size_t length = strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-");

        return length > 0 && word[length] == '=' ? word + length : NULL;
}

/* Adds a word to a command line for the guest's shell, which must see it as the one word that it is. */
static void add_shell_word(struct str *line, const char *word)
{
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,+@%";

        if (line->length > 0)
                str_add_char(line, ' ');
        if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
                str_add(line, word);
                return;
        }
        str_add_char(line, '\'');
        for (; *word != '\0'; word++)
                if (*word == '\'')
                        str_add(line, "'\\''");
                else
                        str_add_char(line, *word);
        str_add_char(line, '\'');
}

/* What follows `--`: one word is a command line as it stands, several are a program and its arguments. */
static char *join_command(size_t count, const char *const *words)
{
        owned_string struct str line = {0};

        if (count == 1)
                return x_strdup(words[0]);
        for (size_t i = 0; i < count; i++)
                add_shell_word(&line, words[i]);
        return str_take(&line);
}

/* Takes `--key value`, `--key=value` or `--flag`; *used is how many words that were. */
static int take_option(const struct verb *verb, size_t count, const char *const *words, struct words *ret, size_t *used,
                       struct cowherd_error *err)
{
        const char *name = words[0] + 2, *equals = strchr(name, '=');
        owned_str char *key = key_of(name, equals == NULL ? name + strlen(name) : equals);
        int index = verb_parameter(verb, key);

        *used = 1;
        if (index < 0)
                return fail_unknown_parameter(err, verb, key);
        if (equals != NULL) {
                add_word(ret, take(key), x_strdup(equals + 1));
                return 0;
        }
        bool flag = str_equal(verb->public.parameters[index].type, "boolean");
        bool follows = count > 1 && (flag ? str_in_words("true false yes no 1 0", words[1]) : words[1][0] != '-');
        if (!flag && !follows) {
                (void)fail(err, COWHERD_USAGE, "'%.60s' has no value", words[0]);
                return fail_hint(err, "a value that begins with '-' is written %s=-…", words[0]);
        }
        *used = follows ? 2 : 1;
        add_word(ret, take(key), x_strdup(follows ? words[1] : "true"));
        return 0;
}

int grammar_take(size_t count, const char *const *words, struct words *ret, struct cowherd_error *err)
{
        if (count == 0)
                return fail(err, COWHERD_USAGE, "the command is empty (expected a verb)");
        ret->verb = key_of(words[0], words[0] + strlen(words[0]));
        const struct verb *verb = verb_find(ret->verb);
        if (verb == NULL)
                return fail_unknown_verb(err, words[0]);

        for (size_t i = 1, used = 1; i < count; i += used) {
                const char *equals = equals_of(words[i]);
                used = 1;
                if (str_equal(words[i], "--")) {
                        add_word(ret, x_strdup("command"), join_command(count - i - 1, words + i + 1));
                        for (size_t word = i + 1; count - i - 1 > 1 && word < count; word++)
                                strv_add(&ret->argv, words[word]);
                        return 0;
                }
                if (str_starts(words[i], "--")) {
                        if (take_option(verb, count - i, words + i, ret, &used, err) < 0)
                                return -1;
                } else if (words[i][0] == '-') {
                        (void)fail(err, COWHERD_USAGE, "option '%.60s' is not known", words[i]);
                        return fail_hint(err, "options are written --key value, parameters key=value");
                } else if (equals != NULL) {
                        add_word(ret, key_of(words[i], equals), x_strdup(equals + 1));
                } else {
                        add_word(ret, NULL, x_strdup(words[i]));
                }
        }
        return 0;
}
