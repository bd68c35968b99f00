/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line. Only what belongs to the program itself is understood here (--root, --json, --dry-run, --help,
 * --version, --safe, the target, and whether it is a script); the verb's words go to the library as they are, which
 * knows them better. After `--`, and after a script's name, nothing is ours.
 */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

struct words {
        int argc;
        const char *const *argv;
        int next;
        struct cli_command *command;
};

__attribute__((format(printf, 3, 4))) static int refuse(struct cowherd_error *err, const char *hint, const char *format,
                                                        ...)
{
        va_list args;

        *err = (struct cowherd_error){.code = COWHERD_USAGE};
        va_start(args, format);
        (void)vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        (void)snprintf(err->hint, sizeof err->hint, "%s", hint);
        return -1;
}

/* Takes the program's own option at `next`. 1 where it is none. */
static int take_option(struct words *words, struct cowherd_error *err)
{
        const char *word = words->argv[words->next];
        struct cli_command *command = words->command;

        if (strcmp(word, "--json") == 0) {
                command->json = true;
        } else if (strcmp(word, "--dry-run") == 0 || strcmp(word, "--dry_run") == 0) {
                command->dry_run = true;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
                command->action = CLI_HELP;
        } else if (strncmp(word, "--root=", 7) == 0) {
                command->root = word + 7;
        } else if (strcmp(word, "--root") == 0) {
                if (words->next + 1 >= words->argc)
                        return refuse(err, "--root DIR names the herd's folder", "option '--root' has no value");
                command->root = words->argv[++words->next];
        } else {
                return 1;
        }
        if (command->root != NULL && command->root[0] == '\0')
                return refuse(err, "--root DIR names the herd's folder", "option '--root' is empty");
        words->next++;
        return 0;
}

/* Takes options up to the first word that is none, before the verb. */
static int take_options(struct words *words, struct cowherd_error *err)
{
        while (words->next < words->argc && words->argv[words->next][0] == '-') {
                int taken = take_option(words, err);
                if (taken < 0)
                        return -1;
                if (taken > 0 && strcmp(words->argv[words->next], "--version") == 0) {
                        words->command->action = CLI_VERSION;
                        words->next++;
                } else if (taken > 0 && strcmp(words->argv[words->next], "--safe") == 0) {
                        words->command->safe = true;
                        words->next++;
                } else if (taken > 0) {
                        return refuse(err, "'cowherd help' lists options and verbs", "option '%.60s' is not known",
                                      words->argv[words->next]);
                }
        }
        return 0;
}

static bool ends_in(const char *text, const char *end)
{
        size_t length = strlen(text), tail = strlen(end);

        return length > tail && strcasecmp(text + length - tail, end) == 0;
}

/* Whether a first word that is no verb means a script. */
static bool is_script(const char *word)
{
        struct stat info;

        return ends_in(word, ".rexx") || ends_in(word, ".rex") || ends_in(word, ".cmd") ||
               (stat(word, &info) == 0 && S_ISREG(info.st_mode));
}

/* What of a word such as `file=x.rexx` is the value, or NULL where it is not of that key. */
static const char *value_of(const char *word, const char *key)
{
        size_t length = strlen(key);

        if (strncmp(word, "--", 2) == 0)
                word += 2;
        return strncasecmp(word, key, length) == 0 && word[length] == '=' ? word + length + 1 : NULL;
}

/* `run [--safe] [--root DIR] FILE ARGUMENT …`: from FILE on, all is the script's. */
static int take_script(struct words *words, struct cowherd_error *err)
{
        struct cli_command *command = words->command;

        if (take_options(words, err) < 0)
                return -1;
        if (command->action == CLI_HELP || command->action == CLI_VERSION) {
                command->topic = "run";
                return 0;
        }
        if (words->next >= words->argc)
                return refuse(err, "for example: cowherd run examples/seed.rexx", "Missing required parameter 'file'");
        command->action = CLI_RUN;
        for (; words->next < words->argc; words->next++)
                command->words[command->word_count++] = words->argv[words->next];
        const char *value = value_of(command->words[0], "file");
        if (value != NULL)
                command->words[0] = value;
        if (command->words[0][0] == '\0')
                return refuse(err, "for example: cowherd run examples/seed.rexx", "parameter 'file' is empty");
        if (command->word_count > 1 && strcasecmp(command->words[1], "dry_run=true") == 0)
                command->dry_run = true;
        return 0;
}

/* The verb's words, the program's own options among them taken out. */
static int take_verb(struct words *words, struct cowherd_error *err)
{
        struct cli_command *command = words->command;
        bool ours = true;

        command->words[command->word_count++] = words->argv[words->next++];
        while (words->next < words->argc) {
                const char *word = words->argv[words->next];
                ours = ours && strcmp(word, "--") != 0;
                int taken = ours ? take_option(words, err) : 1;
                if (taken < 0)
                        return -1;
                if (taken > 0) {
                        command->words[command->word_count++] = word;
                        words->next++;
                }
        }
        if (command->action == CLI_HELP)
                command->topic = command->words[0];
        return 0;
}

/* dry_run goes right behind the verb: what follows `--` is the guest's. */
static void add_dry_run(struct cli_command *command)
{
        memmove(command->words + 2, command->words + 1, (command->word_count - 1) * sizeof *command->words);
        command->words[1] = "dry_run=true";
        command->word_count++;
}

static int take_topic(struct cli_command *command, struct cowherd_error *err)
{
        if (command->word_count > 2)
                return refuse(err, "'cowherd help' lists the verbs and the topics", "'help' takes one topic, not %zu",
                              command->word_count - 1);
        command->action = CLI_HELP;
        if (command->word_count == 2) {
                const char *value = value_of(command->words[1], "topic");
                command->topic = value != NULL ? value : command->words[1];
        }
        return 0;
}

/* The verb of a word in which '-' may stand for '_'. */
static const struct cowherd_verb *find_verb(const char *word)
{
        char name[64];

        if (strlen(word) >= sizeof name)
                return NULL;
        (void)strcpy(name, word);
        for (char *at = name; *at != '\0'; at++)
                if (*at == '-')
                        *at = '_';
        return cowherd_verb_find(name);
}

static int take_rest(struct words *words, bool target_said, struct cowherd_error *err)
{
        struct cli_command *command = words->command;
        const char *word = words->argv[words->next];

        command->verb = find_verb(word);
        if (!target_said && command->verb == NULL && is_script(word))
                return take_script(words, err);
        if (command->verb != NULL && strcmp(command->verb->name, "run") == 0 &&
            !(target_said && command->target != COWHERD_SELF)) {
                words->next++;
                return take_script(words, err);
        }
        if (take_verb(words, err) < 0)
                return -1;
        if (command->action == CLI_EXECUTE && command->safe)
                return refuse(err, "write: cowherd run --safe FILE", "option '--safe' belongs to 'run'");
        if (command->action == CLI_EXECUTE && command->verb != NULL && strcmp(command->verb->name, "help") == 0 &&
            !command->json)
                return take_topic(command, err);
        if (command->action == CLI_EXECUTE && command->dry_run)
                add_dry_run(command);
        return 0;
}

int cli_parse(int argc, const char *const *argv, struct cli_command *ret, struct cowherd_error *err)
{
        struct words words = {.argc = argc, .argv = argv, .next = 1, .command = ret};

        *ret = (struct cli_command){.target = COWHERD_ANY, .words = calloc((size_t)argc + 2, sizeof *ret->words)};
        if (ret->words == NULL)
                abort();
        if (take_options(&words, err) < 0)
                return -1;
        bool target_said = words.next < argc && cowherd_target_parse(argv[words.next], &ret->target);
        if (target_said) {
                ret->topic = argv[words.next++];
                if (take_options(&words, err) < 0)
                        return -1;
        }
        if (ret->action == CLI_VERSION)
                return 0;
        if (words.next < argc) {
                ret->topic = NULL;
                return take_rest(&words, target_said, err);
        }
        if (ret->topic != NULL && ret->target == COWHERD_SELF)
                ret->topic = NULL;
        if (ret->action == CLI_HELP)
                return 0;
        if (target_said)
                return refuse(err, "'cowherd help' lists the verbs", "no verb is said to '%s'",
                              cowherd_target_name(ret->target));
        if (argc > 1)
                return refuse(err, "'cowherd help' lists the verbs", "no verb is said");
        ret->action = CLI_NOTHING;
        return 0;
}
