/* SPDX-License-Identifier: Apache-2.0 */
/* Writes cowherd-verbs(7) in scdoc's language, from the verb table. */
#include "cowherd.h"

#include <stdio.h>
#include <string.h>

/* Prints text in which nothing is scdoc's markup. */
static void print_plain(const char *text)
{
        for (; *text != '\0'; text++) {
                if (strchr("_*\\#[]|`~<>", *text) != NULL)
                        (void)putchar('\\');
                (void)putchar(*text);
        }
}

/* "One of a, b and c." of "a|b|c". */
static void print_choices(const char *type)
{
        (void)fputs(" One of", stdout);
        for (const char *at = type; at != NULL; at = strchr(at, '|')) {
                char choice[64] = {0};
                at += *at == '|';
                size_t length = strcspn(at, "|");
                memcpy(choice, at, length < sizeof choice - 1 ? length : sizeof choice - 1);
                (void)fputs(at == type ? " _" : ", _", stdout);
                print_plain(choice);
                (void)putchar('_');
        }
        (void)putchar('.');
}

static void print_parameter(const struct cowherd_parameter *parameter)
{
        int choice = strchr(parameter->type, '|') != NULL;

        (void)putchar('*');
        print_plain(parameter->name);
        (void)printf("*=_%s_\n\t%s", choice ? "choice" : parameter->type, parameter->required ? "Required. " : "");
        print_plain(parameter->help);
        if (choice)
                print_choices(parameter->type);
        if (parameter->range != NULL) {
                (void)fputs(" In the range ", stdout);
                print_plain(parameter->range);
                (void)putchar('.');
        }
        if (parameter->fallback != NULL) {
                (void)fputs(" Where it is not given: ", stdout);
                print_plain(parameter->fallback);
                (void)putchar('.');
        }
        if (parameter->aliases != NULL) {
                (void)fputs(" Also written ", stdout);
                print_plain(parameter->aliases);
                (void)putchar('.');
        }
        (void)fputs("\n\n", stdout);
}

static int is_common(const char *name)
{
        return strcmp(name, "dry_run") == 0 || strcmp(name, "stem") == 0;
}

static void print_verb(const struct cowherd_verb *verb)
{
        (void)fputs("## ", stdout);
        (void)fputs(verb->name, stdout);
        (void)fputs("\n\n", stdout);
        print_plain(verb->summary);
        (void)fputs(verb->available ? ".\n\n" : " (not in this version).\n\n", stdout);
        if (verb->aliases != NULL) {
                (void)fputs("Also written: ", stdout);
                print_plain(verb->aliases);
                (void)fputs("\n\n", stdout);
        }
        if (verb->description != NULL) {
                print_plain(verb->description);
                (void)fputs("\n\n", stdout);
        }
        for (size_t i = 0; verb->parameters[i].name != NULL; i++)
                if (!is_common(verb->parameters[i].name))
                        print_parameter(&verb->parameters[i]);
        if (verb->example != NULL)
                (void)printf("```\ncowherd %s%s\n```\n\n", verb->of_self ? "" : "qemu ", verb->example);
}

int main(void)
{
        const struct cowherd_verb *first = cowherd_verb_at(0);

        (void)fputs("cowherd-verbs(7)\n\n# NAME\n\ncowherd-verbs - the verbs of cowherd's command language\n\n# "
                    "DESCRIPTION\n\n"
                    "Every verb is understood by the targets _qemu_, _lxd_ and _nspawn_ alike, unless it belongs to "
                    "cowherd itself. "
                    "In the shell it follows the target, in REXX it is a quoted string after *ADDRESS*. How words and "
                    "values are "
                    "written is told in *cowherd*(1).\n\nTwo parameters are understood by every verb:\n\n",
                    stdout);
        for (size_t i = 0; first->parameters[i].name != NULL; i++)
                if (is_common(first->parameters[i].name))
                        print_parameter(&first->parameters[i]);
        for (int of_self = 0; of_self < 2; of_self++) {
                const struct cowherd_verb *verb = first;
                (void)fputs(of_self ? "# VERBS OF COWHERD ITSELF\n\n" : "# VERBS\n\n", stdout);
                for (size_t i = 0; verb != NULL; verb = cowherd_verb_at(++i))
                        if (verb->of_self == (of_self != 0))
                                print_verb(verb);
        }
        (void)fputs("# SEE ALSO\n\n*cowherd*(1), *cowherd-rexx*(7)\n", stdout);
        return fflush(stdout) == 0 && ferror(stdout) == 0 ? 0 : 1;
}
