/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Help for people, written from the verb table, so that it cannot say what the parser does not take. Only the grouping
 * of the verbs and the first steps are written by hand.
 */
#include "command/help.h"

#include "base/error.h"
#include "base/mem.h"

#include <string.h>

enum { COLUMNS = 80, VERB_COLUMN = 20, PARAMETER_COLUMN = 22 };

/* '\v' is a blank at which no line is broken: the mark is looked for as a whole. */
static const char not_here[] = "(not\vin\vthis\vversion)";

struct group {
        const char *title;
        const enum verb_id *verbs;
        size_t count;
};
#define GROUP(title, ...)                                                                                              \
        {                                                                                                              \
                title, (const enum verb_id[]){__VA_ARGS__},                                                            \
                        sizeof((enum verb_id[]){__VA_ARGS__}) / sizeof(enum verb_id)                                   \
        }

static const struct group groups[] = {
        GROUP("Getting ready", VERB_DOCTOR, VERB_STATUS, VERB_SETUP, VERB_TEARDOWN),
        GROUP("Bases", VERB_REGISTER_BASE, VERB_LIST_BASES, VERB_REMOVE_BASE),
        GROUP("Clones", VERB_CLONE_FROM_BASE, VERB_CREATE, VERB_LIST, VERB_INFO, VERB_USAGE, VERB_RENAME, VERB_DELETE),
        GROUP("Running", VERB_START, VERB_STOP, VERB_RESTART, VERB_PAUSE, VERB_RESUME, VERB_START_IF_STOPPED,
              VERB_STOP_IF_RUNNING, VERB_WAIT),
        GROUP("Inside", VERB_EXECUTE, VERB_SHELL, VERB_COPY_TO, VERB_COPY_FROM, VERB_LOGS),
        GROUP("Points in time", VERB_SNAPSHOT, VERB_RESTORE, VERB_LIST_SNAPSHOTS, VERB_DELETE_SNAPSHOT, VERB_PROMOTE,
              VERB_FLATTEN),
        GROUP("Upkeep", VERB_CLEANUP, VERB_EXTEND, VERB_SECURITY_AUDIT),
        GROUP("cowherd itself", VERB_RUN, VERB_HELP, VERB_TREE, VERB_COMPARE, VERB_ADVISE, VERB_METRICS,
              VERB_COMPLETION),
};

static const char beginning[] = "cowherd: copy-on-write clones of machines, over QEMU, LXD and systemd-nspawn\n"
                                "\n"
                                "  cowherd [--root DIR] [--json] [--dry-run] [TARGET] VERB [key=value ...]\n"
                                "  cowherd run FILE.rexx [ARGUMENT ...]\n"
                                "\n"
                                "TARGET is qemu, lxd or nspawn. The same verbs work on all three.\n"
                                "\n"
                                "First steps:\n"
                                "  cowherd doctor                                         what works on this host\n"
                                "  cowherd qemu register_base vm-base image=debian.qcow2  an image, kept safe\n"
                                "  cowherd qemu clone_from_base base=vm-base name=vm-1    a clone of it\n"
                                "  cowherd list                                           what there is\n"
                                "  cowherd delete vm-1                                    and gone again\n";

static const char ending[] = "\n"
                             "  cowherd help VERB        all parameters of a verb, with an example\n";

/* Columns that a text takes: its characters, not its bytes. */
static size_t columns_of(const char *text, size_t bytes)
{
        size_t columns = 0;

        for (size_t i = 0; i < bytes; i++)
                columns += ((unsigned char)text[i] & 0xc0) != 0x80;
        return columns;
}

static size_t column_now(const struct str *help)
{
        const char *line = help->length == 0 ? NULL : strrchr(help->data, '\n');
        const char *from = line == NULL ? str_text(help) : line + 1;

        return columns_of(from, strlen(from));
}

static void pad_to(struct str *help, size_t column)
{
        for (size_t now = column_now(help); now < column; now++)
                str_add_char(help, ' ');
}

void help_wrap(struct str *help, const char *text, size_t indent)
{
        size_t column = column_now(help);
        bool first = true;

        for (text += strspn(text, " \n"); *text != '\0'; text += strspn(text, " \n")) {
                size_t bytes = strcspn(text, " \n"), columns = columns_of(text, bytes);
                if (!first && column + 1 + columns > COLUMNS) {
                        str_add_char(help, '\n');
                        pad_to(help, indent);
                        column = indent;
                } else if (!first) {
                        str_add_char(help, ' ');
                        column++;
                }
                for (size_t i = 0; i < bytes; i++)
                        str_add_char(help, text[i] == '\v' ? ' ' : text[i]);
                column += columns;
                text += bytes;
                first = false;
        }
        str_add_char(help, '\n');
}

static void add_group(struct str *help, const struct group *group)
{
        str_addf(help, "\n%s:\n", group->title);
        for (size_t i = 0; i < group->count; i++) {
                const struct cowherd_verb *verb = &verb_of(group->verbs[i])->public;
                owned_str char *summary = x_asprintf("%s %s", verb->summary, verb->available ? "" : not_here);
                str_addf(help, "  %s ", verb->name);
                pad_to(help, VERB_COLUMN);
                help_wrap(help, summary, VERB_COLUMN);
        }
}

static void add_overview(struct str *help)
{
        owned_string struct str topics = {0};

        str_add(help, beginning);
        for (size_t i = 0; i < array_length(groups); i++)
                add_group(help, &groups[i]);
        str_add(help, ending);
        str_add(help, "  cowherd help TOPIC       ");
        for (size_t i = 0; help_topic_at(i) != NULL; i++)
                str_addf(&topics, "%s%s", i > 0 ? ", " : "", help_topic_at(i)->name);
        help_wrap(help, str_text(&topics), 27);
}

/* "NAME [AS]": the parameters that bare words fill, in capitals. */
static void add_bare_words(struct str *help, const struct verb *verb)
{
        for (size_t turn = 0; turn < VERB_BARE_WORDS && verb->bare[turn] != KEY_COUNT; turn++) {
                const struct cowherd_parameter *parameter = verb->public.parameters;
                for (size_t i = 0; verb->keys[i] != verb->bare[turn]; i++)
                        parameter++;
                str_add(help, parameter->required ? " " : " [");
                for (const char *at = parameter->name; *at != '\0'; at++)
                        str_add_char(help, *at >= 'a' && *at <= 'z' ? (char)(*at - 'a' + 'A') : *at);
                str_add(help, parameter->required ? "" : "]");
        }
}

static void add_parameter(struct str *help, const struct cowherd_parameter *parameter)
{
        bool choice = strchr(parameter->type, '|') != NULL;
        owned_string struct str about = {0};

        str_addf(help, "  %s=%s ", parameter->name, choice ? "..." : parameter->type);
        pad_to(help, PARAMETER_COLUMN);
        if (parameter->required)
                str_add(&about, "Required. ");
        str_add(&about, parameter->help);
        for (const char *at = parameter->type; choice && at != NULL; at = strchr(at, '|')) {
                at += *at == '|';
                str_add(&about, at == parameter->type ? " One of " : ", ");
                str_add_bytes(&about, at, strcspn(at, "|"));
        }
        if (choice)
                str_add_char(&about, '.');
        if (parameter->range != NULL && str_ends(parameter->range, ".."))
                str_addf(&about, " At least %.*s.", (int)(strlen(parameter->range) - 2), parameter->range);
        else if (parameter->range != NULL)
                str_addf(&about, " In the range %s.", parameter->range);
        if (parameter->fallback != NULL && !str_equal(parameter->type, "boolean"))
                str_addf(&about, " Else %s.", parameter->fallback);
        if (parameter->aliases != NULL)
                str_addf(&about, " Also written %s.", parameter->aliases);
        help_wrap(help, str_text(&about), PARAMETER_COLUMN);
}

static void add_verb(struct str *help, const struct verb *verb)
{
        const struct cowherd_verb *public = &verb->public;
        owned_str char *title =
                x_asprintf("%s: %s %s", public->name, public->summary, public->available ? "" : not_here);

        help_wrap(help, title, 2);
        if (public->aliases != NULL)
                str_addf(help, "Also written: %s\n", public->aliases);
        str_addf(help, "\n  cowherd %s%s", public->of_self ? "" : "[TARGET] ", public->name);
        add_bare_words(help, verb);
        str_add(help, verb->id == VERB_RUN ? " [ARGUMENT ...]\n" : " [key=value ...]\n");
        if (public->description != NULL) {
                str_add_char(help, '\n');
                help_wrap(help, public->description, 0);
        }
        str_add(help, "\nParameters:\n");
        for (size_t i = 0; public->parameters[i].name != NULL; i++)
                add_parameter(help, &public->parameters[i]);
        const char *engine = public->of_self ? "cowherd" : public->example_engine != NULL ? public->example_engine : "qemu";
        owned_string struct str environment = {0};
        for (const char *at = engine; *at != '\0'; at++)
                str_add_char(&environment, (char)(*at - 'a' + 'A'));
        str_addf(help, "\nFor example:\n  cowherd %s%s%s\n  ADDRESS %s; \"%s\"\n", public->of_self ? "" : engine, public->of_self ? "" : " ",
                 public->example, str_text(&environment), public->example);
}

static int fail_unknown_topic(struct cowherd_error *err, const char *topic)
{
        const char *nearest = cowherd_verb_suggest(topic), *names[64];
        size_t count = 0;

        for (; count < array_length(names) && help_topic_at(count) != NULL; count++)
                names[count] = help_topic_at(count)->name;
        if (nearest == NULL)
                nearest = str_nearest(topic, names, count);
        if (nearest != NULL)
                (void)fail(err, COWHERD_USAGE, "there is no help on '%.60s' (did you mean '%s'?)", topic, nearest);
        else
                (void)fail(err, COWHERD_USAGE, "there is no help on '%.60s'", topic);
        return fail_hint(err, "'help' alone lists the verbs and the topics");
}

int cowherd_help(const char *topic, char **ret_text, struct cowherd_error *err)
{
        owned_string struct str help = {0};
        const struct verb *verb = topic == NULL ? NULL : verb_find(topic);

        if (str_is_empty(topic)) {
                add_overview(&help);
        } else if (verb != NULL) {
                add_verb(&help, verb);
        } else {
                size_t i = 0;
                while (help_topic_at(i) != NULL && !str_equal_case(help_topic_at(i)->name, topic))
                        i++;
                if (help_topic_at(i) == NULL)
                        return fail_unknown_topic(err, topic);
                str_addf(&help, "%s\n\n%s", help_topic_at(i)->title, help_topic_at(i)->text);
        }
        *ret_text = str_take(&help);
        return 0;
}
