/* SPDX-License-Identifier: Apache-2.0 */
/*
 * REQUIRE "library" [AS NAME]: in classic REXX not an instruction but a command to whichever environment is current.
 * The three libraries of the original, which gave its scripts their ADDRESS QEMU, LXD and NSPAWN, are built in here,
 * under each of the spellings in use: with `rexxjs/`, `registry:org.rexxjs/`, `cwd:` or a path before the name, a
 * version and a file ending after it. Whatever else is asked for is not there, and is said not to be.
 */
#include "rexx/host.h"

#include <string.h>

static const char operation[] = "require";

struct part {
        const char *text;
        size_t length;
};

/* The next word, quotes around it taken away, and what follows it in *rest. Its length is 0 where there is none. */
static struct part next_word(const char *text, const char **rest)
{
        text += strspn(text, " \t");
        char quote = *text == '"' || *text == '\'' ? *text : '\0';
        const char *end = quote == '\0' ? NULL : strchr(text + 1, quote);
        struct part word = {text, strcspn(text, " \t")};

        if (end != NULL) {
                word = (struct part){text + 1, (size_t)(end - text - 1)};
                *rest = end + 1;
        } else {
                *rest = text + word.length;
        }
        return word;
}

bool require_is(const char *command)
{
        const char *rest;
        struct part verb = next_word(command, &rest);

        return text_is(verb.text, verb.length, "REQUIRE");
}

static bool starts(const struct part *part, const char *prefix)
{
        size_t length = strlen(prefix);

        return part->length >= length && text_is(part->text, length, prefix);
}

/* Takes away what an address begins with; false where there is no such beginning. */
static bool drop_start(struct part *part, const char *prefix)
{
        size_t length = strlen(prefix);

        if (!starts(part, prefix))
                return false;
        part->text += length;
        part->length -= length;
        return true;
}

static bool drop_end(struct part *part, const char *suffix)
{
        size_t length = strlen(suffix);

        if (part->length < length || !text_is(part->text + part->length - length, length, suffix))
                return false;
        part->length -= length;
        return true;
}

/* "1.2.3", "v2", "latest". */
static bool is_version(struct part part)
{
        if (text_is(part.text, part.length, "latest"))
                return true;
        (void)drop_start(&part, "v");
        if (part.length == 0 || part.text[0] < '0' || part.text[0] > '9')
                return false;
        for (size_t i = 0; i < part.length; i++)
                if (strchr("0123456789.", part.text[i]) == NULL)
                        return false;
        return true;
}

/* Cuts a version off that stands behind the last `mark`; false where there is none. */
static bool drop_version(struct part *part, char mark)
{
        const char *at = memrchr(part->text, mark, part->length);

        if (at == NULL)
                return false;
        struct part version = {at + 1, part->length - (size_t)(at + 1 - part->text)};
        if (!is_version(version))
                return false;
        part->length = (size_t)(at - part->text);
        return true;
}

static void drop_endings(struct part *part)
{
        static const char *const endings[] = {".js", ".mjs", ".rexx", ".min", ".bundle"};
        bool again = true;

        while (again) {
                again = drop_version(part, '@') || drop_version(part, '/') || drop_version(part, '-');
                for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
                        again = drop_end(part, endings[i]) || again;
        }
}

/* Leaves the library's own name, without the place it is said to come from. False for a place that is not known. */
static bool drop_place(struct part *part)
{
        if (drop_start(part, "registry:"))
                return drop_start(part, "org.rexxjs/") && memchr(part->text, '/', part->length) == NULL;
        bool path = drop_start(part, "cwd:") || drop_start(part, "root:") || starts(part, "./") ||
                    starts(part, "../") || starts(part, "/");
        if (!path)
                (void)(drop_start(part, "rexxjs/") || drop_start(part, "org.rexxjs/"));
        const char *slash = memrchr(part->text, '/', part->length);
        if (slash == NULL)
                return true;
        part->length -= (size_t)(slash + 1 - part->text);
        part->text = slash + 1;
        return path;
}

/* "address-qemu" and "qemu-address". */
static bool find_target(struct part part, enum cowherd_target *ret)
{
        drop_endings(&part);
        if (!drop_place(&part))
                return false;
        if (!drop_start(&part, "address-") && !drop_end(&part, "-address"))
                return false;
        for (unsigned target = 0; target < COWHERD_ENGINES; target++)
                if (text_is(part.text, part.length, cowherd_target_name((enum cowherd_target)target))) {
                        *ret = (enum cowherd_target)target;
                        return true;
                }
        return false;
}

/* A symbol that can stand after ADDRESS, and that reaches us: REXX keeps the commands to its own environments. */
static bool can_be_environment(struct part name, enum cowherd_target target)
{
        static const char *const taken[] = {"SYSTEM",      "PATH",           "COMMAND", "CMD",
                                            "ENVIRONMENT", "OS2ENVIRONMENT", "REXX",    "REGINA"};
        static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_!?0123456789.";

        if (name.length == 0 || name.length > 100 || strchr("0123456789.", name.text[0]) != NULL)
                return false;
        for (size_t i = 0; i < name.length; i++)
                if (strchr(letters, name.text[i]) == NULL)
                        return false;
        for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
                if (text_is(name.text, name.length, taken[i]))
                        return false;
        for (unsigned other = 0; other <= COWHERD_SELF; other++)
                if (text_is(name.text, name.length, cowherd_target_name((enum cowherd_target)other)))
                        return other == (unsigned)target;
        return true;
}

static void add_alias(struct host *host, struct part name, enum cowherd_target target)
{
        struct alias *alias = text_room(NULL, 1, sizeof *alias);

        *alias = (struct alias){.name = text_copy(name.text, name.length), .target = target, .next = host->aliases};
        host->aliases = alias; /* the newest is found first, so that a name can be given anew */
}

static struct outcome unknown_library(struct part library)
{
        return outcome_of(
                COWHERD_UNAVAILABLE, operation,
                text_format("library '%.*s' is unknown", (int)library.length, library.text),
                text_format("built in are rexxjs/address-qemu, rexxjs/address-lxd and rexxjs/address-nspawn"));
}

static struct outcome bad_words(const char *words)
{
        return outcome_of(COWHERD_USAGE, operation, text_format("'%.100s' does not belong to REQUIRE", words),
                          text_format("write REQUIRE \"rexxjs/address-qemu\", or with AS and a name behind it"));
}

struct outcome require_run(struct host *host, const char *command)
{
        const char *rest;
        enum cowherd_target target;
        struct part name = {NULL, 0};

        (void)next_word(command, &rest);
        struct part library = next_word(rest, &rest);
        if (library.length == 0)
                return outcome_of(COWHERD_USAGE, operation,
                                  text_format("Missing required parameter: which library REQUIRE is to find"), NULL);
        rest += strspn(rest, " \t");
        if (*rest != '\0') {
                struct part as = next_word(rest, &rest);
                if (!text_is(as.text, as.length, "AS"))
                        return bad_words(as.text);
                name = next_word(rest, &rest);
                if (rest[strspn(rest, " \t")] != '\0')
                        return bad_words(rest + strspn(rest, " \t"));
        }
        if (!find_target(library, &target))
                return unknown_library(library);
        if (name.text != NULL && !can_be_environment(name, target))
                return outcome_of(
                        COWHERD_USAGE, operation,
                        text_format("'%.*s' cannot be the name of an environment", (int)name.length, name.text),
                        text_format("AS takes a symbol that is no environment yet, such as VM"));
        if (name.text != NULL)
                add_alias(host, name, target);
        return outcome_of(COWHERD_DONE, operation, text_format("ADDRESS %s is built in", cowherd_target_name(target)),
                          NULL);
}
