/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers for people. A list is a table, a question about one thing its fields, all else its sentence; a plan is
 * numbered steps; what a command in a guest wrote passes through as it is.
 */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Fields that every answer has: they are told by the sentence and by the exit status. */
static bool is_head(const char *name)
{
        static const char *const heads[] = {"success", "operation", "output", "error", "code", "hint", "count"};

        for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
                if (strcmp(name, heads[i]) == 0)
                        return true;
        return false;
}

static const struct cowherd_field *field_at(const struct cowherd_answer *answer, long item, size_t index)
{
        return item < 0 ? cowherd_answer_field(answer, index) : cowherd_answer_item_field(answer, (size_t)item, index);
}

void cli_print_fields(const struct cowherd_answer *answer, long item, FILE *out)
{
        const struct cowherd_field *field;

        for (size_t i = 0; (field = field_at(answer, item, i)) != NULL; i++) {
                if (field->also || field->value[0] == '\0' || (item < 0 && is_head(field->name)))
                        continue;
                char *value = cli_readable(field);
                (void)fprintf(out, "%s: %s\n", field->name, value);
                free(value);
        }
}

static bool verb_is(const struct cowherd_verb *verb, const char *names)
{
        size_t length = verb == NULL ? 0 : strlen(verb->name);

        for (const char *at = names; length > 0 && (at = strstr(at, verb->name)) != NULL; at += length)
                if ((at == names || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
                        return true;
        return false;
}

static bool is_plan(const struct cowherd_answer *answer)
{
        return cowherd_answer_items(answer) > 0 && cowherd_answer_item_get(answer, 0, "step") != NULL &&
               cowherd_answer_item_get(answer, 0, "what") != NULL;
}

static void print_plan(const struct cowherd_answer *answer, const struct cli_output *output)
{
        for (size_t item = 0; item < cowherd_answer_items(answer); item++) {
                const char *step = cowherd_answer_item_get(answer, item, "step"),
                           *what = cowherd_answer_item_get(answer, item, "what");
                (void)fprintf(output->out, "%3s. ", step == NULL ? "" : step);
                cli_print_wrapped(output->out, what == NULL ? "" : what, output->columns, 5, 5);
        }
}

/* The value of a digit of base64, or 64 where it is none. */
static unsigned digit_of(char c)
{
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const char *at = c == '\0' ? NULL : strchr(digits, c);

        return at == NULL ? 64 : (unsigned)(at - digits);
}

static void print_base64(const char *text, FILE *out)
{
        unsigned bits = 0, count = 0;

        for (; digit_of(*text) < 64; text++) {
                bits = bits << 6 | digit_of(*text);
                count += 6;
                if (count >= 8) {
                        count -= 8;
                        (void)fputc((int)(bits >> count & 0xff), out);
                }
        }
}

/* What the guest's command wrote, byte for byte. */
static void print_execution(const struct cowherd_answer *answer, const struct cli_output *output)
{
        const char *out = cowherd_answer_get(answer, "stdout"), *out_bytes = cowherd_answer_get(answer, "stdout_base64");
        const char *err = cowherd_answer_get(answer, "stderr"), *err_bytes = cowherd_answer_get(answer, "stderr_base64");

        (void)fputs(out == NULL ? "" : out, output->out);
        print_base64(out_bytes == NULL ? "" : out_bytes, output->out);
        (void)fflush(output->out);
        (void)fputs(err == NULL ? "" : err, output->err);
        print_base64(err_bytes == NULL ? "" : err_bytes, output->err);
        if (cowherd_answer_get(answer, "cut") != NULL)
                (void)fputs("cowherd: the output was longer than 16 MiB: the rest was cut off\n", output->err);
}

/* A console's lines, or a report's. On a terminal they must not drive it: their colours and other sequences are left out. */
static void print_log(const char *log, const struct cli_output *output)
{
        bool terminal = isatty(fileno(output->out)) == 1;

        for (const char *at = log; *at != '\0'; at++) {
                if (!terminal || (unsigned char)*at >= ' ' || *at == '\n' || *at == '\t') {
                        (void)fputc(*at, output->out);
                } else if (*at == '\033' && at[1] == '[') { /* ECMA-48: to its final byte */
                        at += 2;
                        while (*at >= ' ' && *at < '@')
                                at++;
                        if (*at == '\0')
                                return;
                }
        }
}

static bool is_checklist(const struct cowherd_answer *answer)
{
        return cowherd_answer_items(answer) > 0 && cowherd_answer_item_get(answer, 0, "check") != NULL &&
               cowherd_answer_item_get(answer, 0, "ok") != NULL;
}

/* "ok       check: detail", and what to do where it is not ok. */
static void print_checklist(const struct cowherd_answer *answer, const struct cli_output *output)
{
        enum { INDENT = 9 };

        for (size_t item = 0; item < cowherd_answer_items(answer); item++) {
                const char *check = cowherd_answer_item_get(answer, item, "check"),
                           *ok = cowherd_answer_item_get(answer, item, "ok");
                const char *detail = cowherd_answer_item_get(answer, item, "detail"),
                           *advice = cowherd_answer_item_get(answer, item, "advice");
                char line[2048];
                (void)snprintf(line, sizeof line, "%s%s%s", check == NULL ? "" : check, detail == NULL ? "" : ": ",
                               detail == NULL ? "" : detail);
                const char *level = cowherd_answer_item_get(answer, item, "level");
                bool is_ok = ok != NULL && strcmp(ok, "1") == 0, is_note = level != NULL && strcmp(level, "note") == 0;
                enum cli_colour colour = is_ok ? CLI_GOOD : is_note ? CLI_SO_SO : CLI_BAD;
                cli_begin_colour(colour, output);
                (void)fprintf(output->out, "%-*s", INDENT, is_ok ? "ok" : is_note ? "note" : "problem");
                cli_end_colour(colour, output);
                cli_print_wrapped(output->out, line, output->columns, INDENT, INDENT);
                if (advice == NULL)
                        continue;
                (void)snprintf(line, sizeof line, "hint: %s", advice);
                (void)fprintf(output->out, "%*s", INDENT, "");
                cli_print_wrapped(output->out, line, output->columns, INDENT, INDENT);
        }
}

static void print_sentence(const struct cowherd_answer *answer, const struct cli_output *output)
{
        cli_print_line(output->out, cowherd_answer_text(answer));
}

static void print_list(const struct cowherd_answer *answer, const struct cowherd_verb *verb,
                       const struct cli_output *output)
{
        bool speaks = !verb_is(verb, "list list_bases list_snapshots tree status usage info doctor help") ||
                      cowherd_answer_items(answer) == 0;

        const char *warning = cowherd_answer_get(answer, "warning");

        if (warning != NULL) {
                (void)fputs("warning: ", output->err);
                cli_print_line(output->err, warning);
        }
        if (cowherd_answer_success(answer) && cli_print_format(answer, verb, output))
                return;
        if (cowherd_answer_success(answer) && speaks)
                print_sentence(answer, output);
        if (cowherd_answer_items(answer) == 0)
                return;
        if (verb_is(verb, "tree") && !is_plan(answer))
                cli_print_tree(answer, output);
        else if (is_plan(answer))
                print_plan(answer, output);
        else if (is_checklist(answer))
                print_checklist(answer, output);
        else if (verb_is(verb, "advise"))
                cli_print_advice(answer, output);
        else
                cli_print_table(answer, verb, output);
}

void cli_print_answer(const struct cowherd_answer *answer, const struct cowherd_verb *verb,
                      const struct cli_output *output)
{
        bool success = cowherd_answer_success(answer);

        if (cowherd_answer_get(answer, "report") != NULL)
                print_log(cowherd_answer_get(answer, "report"), output);
        else if (success && cowherd_answer_get(answer, "exit_code") != NULL && verb_is(verb, "execute shell"))
                print_execution(answer, output);
        else if (success && cowherd_answer_get(answer, "log") != NULL && verb_is(verb, "logs"))
                print_log(cowherd_answer_get(answer, "log"), output);
        else if (success && cowherd_answer_get(answer, "script") != NULL && verb_is(verb, "completion"))
                (void)fputs(cowherd_answer_get(answer, "script"), output->out);
        else if (success && cowherd_answer_get(answer, "metrics") != NULL && verb_is(verb, "metrics"))
                (void)fputs(cowherd_answer_get(answer, "metrics"), output->out);
        else if (cowherd_answer_is_list(answer))
                print_list(answer, verb, output);
        else if (success && verb_is(verb, "info status usage"))
                cli_print_fields(answer, -1, output->out);
        else if (success)
                print_sentence(answer, output);
        if (success)
                return;
        struct cowherd_error err = {.code = cowherd_answer_code(answer)};
        const char *hint = cowherd_answer_get(answer, "hint");
        (void)snprintf(err.text, sizeof err.text, "%s", cowherd_answer_text(answer));
        (void)snprintf(err.hint, sizeof err.hint, "%s", hint == NULL ? "" : hint);
        (void)fflush(output->out);
        cli_print_failure(&err, "", false, output);
}

static void print_json_text(const char *text, FILE *out)
{
        (void)fputc('"', out);
        for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++)
                if (*at == '"' || *at == '\\')
                        (void)fprintf(out, "\\%c", *at);
                else if (*at < ' ' || *at > '~')
                        (void)fputc('?', out);
                else
                        (void)fputc(*at, out);
        (void)fputc('"', out);
}

void cli_print_failure(const struct cowherd_error *err, const char *operation, bool json,
                       const struct cli_output *output)
{
        if (!json) {
                (void)fputs("cowherd: ", output->err);
                cli_print_line(output->err, err->text);
                if (err->hint[0] != '\0') {
                        (void)fputs("hint: ", output->err);
                        cli_print_line(output->err, err->hint);
                }
                return;
        }
        (void)fputs("{\"success\":0,\"operation\":", output->out);
        print_json_text(operation, output->out);
        (void)fputs(",\"error\":", output->out);
        print_json_text(err->text, output->out);
        (void)fprintf(output->out, ",\"code\":%d", err->code);
        if (err->hint[0] != '\0') {
                (void)fputs(",\"hint\":", output->out);
                print_json_text(err->hint, output->out);
        }
        (void)fputs("}\n", output->out);
}
