/* SPDX-License-Identifier: Apache-2.0 */
/* Writes cowherd-verbs(7), or with a verb's name cowherd-VERB(1), in scdoc's language, from the verb table. */
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

/* "LOW..HIGH", or "LOW.." where nothing is too much. */
static void print_range(const char *range)
{
        size_t low = strlen(range) > 2 && strcmp(range + strlen(range) - 2, "..") == 0 ? strlen(range) - 2 : 0;

        if (low > 0)
                (void)printf(" At least %.*s.", (int)low, range);
        else
                (void)printf(" In the range %s.", range);
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
        if (parameter->range != NULL)
                print_range(parameter->range);
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

static void print_aliases(const struct cowherd_verb *verb)
{
        if (verb->aliases == NULL)
                return;
        (void)fputs("Also written: ", stdout);
        print_plain(verb->aliases);
        (void)fputs("\n\n", stdout);
}

static void print_description(const struct cowherd_verb *verb)
{
        if (verb->description == NULL)
                return;
        print_plain(verb->description);
        (void)fputs("\n\n", stdout);
}

/* The parameters that a verb shares with all others, or those that it does not. */
static void print_parameters(const struct cowherd_verb *verb, int common)
{
        for (size_t i = 0; verb->parameters[i].name != NULL; i++)
                if (is_common(verb->parameters[i].name) == common)
                        print_parameter(&verb->parameters[i]);
}

/* What goes before the verb of an example in the shell. */
static const char *engine_of_example(const struct cowherd_verb *verb)
{
        return verb->of_self ? "" : verb->example_engine != NULL ? verb->example_engine : "qemu";
}

/* ---- cowherd-verbs(7) ---- */

static void print_verb(const struct cowherd_verb *verb)
{
        (void)printf("## %s\n\n", verb->name);
        print_plain(verb->summary);
        (void)fputs(verb->available ? ".\n\n" : " (not in this version).\n\n", stdout);
        print_aliases(verb);
        print_description(verb);
        print_parameters(verb, 0);
        if (verb->example != NULL)
                (void)printf("```\ncowherd %s%s%s\n```\n\n", engine_of_example(verb), verb->of_self ? "" : " ", verb->example);
}

static void print_all(void)
{
        const struct cowherd_verb *first = cowherd_verb_at(0);

        (void)fputs("cowherd-verbs(7)\n\n# NAME\n\ncowherd-verbs - the verbs of cowherd's command language\n\n# "
                    "DESCRIPTION\n\n"
                    "Every verb is understood by the targets _qemu_, _lxd_ and _nspawn_ alike, unless it belongs to "
                    "cowherd itself. "
                    "In the shell it follows the target, in REXX it is a quoted string after *ADDRESS*. How words and "
                    "values are "
                    "written is told in *cowherd*(1). Each verb has a page of its own as well: *man cowherd-start*.\n\n"
                    "Two parameters are understood by every verb:\n\n",
                    stdout);
        print_parameters(first, 1);
        for (int of_self = 0; of_self < 2; of_self++) {
                const struct cowherd_verb *verb = first;
                (void)fputs(of_self ? "# VERBS OF COWHERD ITSELF\n\n" : "# VERBS\n\n", stdout);
                for (size_t i = 0; verb != NULL; verb = cowherd_verb_at(++i))
                        if (verb->of_self == (of_self != 0))
                                print_verb(verb);
        }
        (void)fputs("# SEE ALSO\n\n*cowherd*(1), *cowherd-rexx*(7)\n", stdout);
}

/* ---- cowherd-VERB(1) ---- */

static void print_synopsis(const struct cowherd_verb *verb)
{
        (void)printf("*cowherd* %s*%s*", verb->of_self ? "" : "[_TARGET_] ", verb->name);
        for (size_t i = 0; verb->parameters[i].name != NULL; i++)
                if (verb->parameters[i].required)
                        (void)printf(" %s=_%s_", verb->parameters[i].name, strchr(verb->parameters[i].type, '|') != NULL ? "choice" : verb->parameters[i].type);
        (void)fputs(" [_key_=_value_ ...]\n\n", stdout);
}

/* The example as the shell has it, and as a script has it: quoted, its own quotes single. */
static void print_examples(const struct cowherd_verb *verb)
{
        if (verb->example == NULL)
                return;
        (void)printf("# EXAMPLES\n\nIn the shell:\n\n```\ncowherd %s%s%s\n```\n\n", engine_of_example(verb), verb->of_self ? "" : " ", verb->example);
        if (!verb->of_self)
                (void)printf("In a script%s:\n\n```\nADDRESS NSPAWN\n\"%s\"\nIF RC <> 0 THEN SAY RESULT.error\n```\n\n",
                             strcmp(engine_of_example(verb), "nspawn") == 0 ? "" : ", on another engine", verb->example);
}

static void print_page(const struct cowherd_verb *verb)
{
        (void)printf("cowherd-%s(1)\n\n# NAME\n\ncowherd-%s - ", verb->name, verb->name);
        print_plain(verb->summary);
        (void)fputs("\n\n# SYNOPSIS\n\n", stdout);
        print_synopsis(verb);
        (void)fputs("# DESCRIPTION\n\n", stdout);
        if (!verb->available)
                (void)fputs("This verb is not in this version: it is understood, and answered with 69.\n\n", stdout);
        print_description(verb);
        if (verb->description == NULL) {
                (void)fputs("To ", stdout);
                print_plain(verb->summary);
                (void)fputs(".\n\n", stdout);
        }
        print_aliases(verb);
        if (!is_common(verb->parameters[0].name)) {
                (void)fputs("# PARAMETERS\n\n", stdout);
                print_parameters(verb, 0);
        }
        (void)fputs("# PARAMETERS OF EVERY VERB\n\n", stdout);
        print_parameters(verb, 1);
        print_examples(verb);
        (void)fputs("# SEE ALSO\n\n*cowherd*(1), *cowherd-verbs*(7), *cowherd-rexx*(7)\n", stdout);
}

int main(int count, char **words)
{
        const struct cowherd_verb *verb = count > 1 ? cowherd_verb_find(words[1]) : NULL;

        if (count > 1 && verb == NULL) {
                (void)fprintf(stderr, "no verb '%s'\n", words[1]);
                return 1;
        }
        if (verb != NULL)
                print_page(verb);
        else
                print_all();
        return fflush(stdout) == 0 && ferror(stdout) == 0 ? 0 : 1;
}
