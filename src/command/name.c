/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: a letter, then letters, digits and '-', not ending in '-', at most 63: what LXD, nspawn and DNS all take. QEMU
 * takes '_' and '.' inside as well, for old scripts; where no target is said, the name of any of them may be meant. The
 * letters are ASCII's, by their codes: the locale has no say.
 */
#include "command/name.h"

#include <string.h>

static bool is_letter(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static const char *rule_of(enum cowherd_target target)
{
        if (target == COWHERD_LXD || target == COWHERD_NSPAWN)
                return "a name is a letter, then letters, digits and '-', not ending in '-', at most 63";
        return "a name is a letter, then letters, digits, '-', '_' and '.', ending in a letter or digit, at most 63";
}

/* Why a character is not taken inside a name. */
static const char *why_not(char c)
{
        if (c == '*' || c == '?')
                return "is a pattern, and only one name is taken here";
        if (c == '_' || c == '.')
                return "holds '_' or '.', which this engine does not take";
        return "holds a character that no name may hold";
}

static int check(enum cowherd_target target, const char *name, const char *jokers, struct cowherd_error *err)
{
        bool strict = target == COWHERD_LXD || target == COWHERD_NSPAWN;
        const char *inside = strict ? "-" : "-_.";
        const char *reason = NULL;
        size_t length = strlen(name);

        if (length == 0)
                reason = "is empty";
        else if (length > NAME_LENGTH_MAX)
                reason = "is longer than 63 characters";
        else if (!is_letter(name[0]) && strchr(jokers, name[0]) == NULL)
                reason = "does not begin with a letter";
        else if (strchr(inside, name[length - 1]) != NULL)
                reason = "does not end in a letter or digit";
        for (size_t i = 0; reason == NULL && i < length; i++)
                if (!is_letter(name[i]) && !is_digit(name[i]) && strchr(inside, name[i]) == NULL &&
                    strchr(jokers, name[i]) == NULL)
                        reason = why_not(name[i]);
        if (reason == NULL)
                return 0;
        (void)fail(err, COWHERD_USAGE, "name '%.70s' %s", name, reason);
        return fail_hint(err, "%s", rule_of(target));
}

int name_check(enum cowherd_target target, const char *name, struct cowherd_error *err)
{
        return check(target, name, "", err);
}

int pattern_check(enum cowherd_target target, const char *pattern, struct cowherd_error *err)
{
        return check(target, pattern, "*?", err);
}
