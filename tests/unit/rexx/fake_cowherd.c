/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_cowherd.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS_MAX = 64, ITEMS_MAX = 16, ANSWERS_MAX = 32 };

struct fields {
        struct cowherd_field of[FIELDS_MAX];
        size_t count;
};

struct cowherd_answer {
        int code;
        bool success, list;
        char *text, *stem;
        struct fields fields, items[ITEMS_MAX];
        size_t count;
};

struct fake fake;
static struct {
        char *beginning, *lines;
} answers[ANSWERS_MAX];
static size_t answers_ready;

void fake_reset(void)
{
        for (size_t i = 0; i < fake.commands; i++)
                free(fake.log[i]);
        free(fake.root);
        free(fake.script_folder);
        fake = (struct fake){0};
        while (answers_ready > 0) {
                answers_ready--;
                free(answers[answers_ready].beginning);
                free(answers[answers_ready].lines);
        }
}

void fake_answer(const char *beginning, const char *lines)
{
        assert(answers_ready < ANSWERS_MAX);
        answers[answers_ready].beginning = strdup(beginning);
        answers[answers_ready++].lines = strdup(lines);
}

static const char *const target_names[] = {"qemu", "lxd", "nspawn", "cowherd", "any"};

const char *cowherd_target_name(enum cowherd_target target)
{
        return target_names[target];
}

int cowherd_open(const struct cowherd_options *options, struct cowherd_herd **ret_herd, struct cowherd_error *err)
{
        if (fake.refuse != 0) {
                *err = (struct cowherd_error){.code = fake.refuse};
                (void)snprintf(err->text, sizeof err->text, "the root folder '/nowhere' cannot be used");
                return -1;
        }
        fake.opened++;
        free(fake.root);
        free(fake.script_folder);
        fake.root = options->root == NULL ? NULL : strdup(options->root);
        fake.script_folder = options->script_folder == NULL ? NULL : strdup(options->script_folder);
        *ret_herd = (struct cowherd_herd *)&fake;
        return 0;
}

void cowherd_close(struct cowherd_herd *herd)
{
        fake.closed += herd != NULL;
}

void cowherd_set_progress(struct cowherd_herd *herd, cowherd_progress_fn *progress, void *context)
{
        (void)herd, (void)context;
        fake.progress = progress;
}

static void add(struct fields *fields, const char *name, size_t length, const char *value, bool also)
{
        assert(fields->count < FIELDS_MAX);
        fields->of[fields->count++] =
                (struct cowherd_field){.name = strndup(name, length), .value = strdup(value), .also = also};
}

static void *raise_here(void *number)
{
        (void)raise(*(int *)number);
        return NULL;
}

static void raise_in_thread(int number)
{
        pthread_t thread;

        if (pthread_create(&thread, NULL, raise_here, &number) == 0)
                (void)pthread_join(thread, NULL);
}

static void set_line(struct cowherd_answer *answer, char *line)
{
        struct fields *into = answer->count > 0 ? &answer->items[answer->count - 1] : &answer->fields;
        bool also = strncmp(line, "also ", 5) == 0;
        char *name = also ? line + 5 : line, *equals = strchr(name, '=');

        if (strcmp(line, "item") == 0) {
                assert(answer->count < ITEMS_MAX);
                answer->count++;
        }
        if (strcmp(line, "item") == 0 || strcmp(line, "list") == 0)
                answer->list = true;
        if (equals == NULL)
                return;
        char *value = equals + 1;
        if (strncmp(name, "stem=", 5) == 0)
                answer->stem = strdup(value);
        else if (strncmp(name, "raise=", 6) == 0)
                (void)raise(atoi(value));
        else if (strncmp(name, "raise_in_thread=", 16) == 0)
                raise_in_thread(atoi(value));
        else if (strncmp(name, "text=", 5) == 0)
                answer->text = strdup(value);
        else
                add(into, name, (size_t)(equals - name), value, also);
        if (strncmp(name, "code=", 5) == 0)
                answer->code = atoi(value);
        if (strncmp(name, "success=0", 9) == 0)
                answer->success = false;
}

static struct cowherd_answer *answer_of(const char *lines)
{
        struct cowherd_answer *answer = calloc(1, sizeof *answer);
        char *text = strdup(lines), *rest = text, *line;

        answer->success = true;
        while ((line = strsep(&rest, "\n")) != NULL)
                if (line[0] != '\0')
                        set_line(answer, line);
        free(text);
        if (answer->text == NULL) {
                const char *said = cowherd_answer_get(answer, answer->success ? "output" : "error");
                answer->text = strdup(said == NULL ? "" : said);
        }
        return answer;
}

/* The command with its {{name}}s replaced; NULL where one is not set. */
static char *resolved(const char *command, const struct cowherd_resolver *resolver)
{
        char *out = NULL;
        size_t length = 0;
        FILE *stream = open_memstream(&out, &length);
        bool well = true;

        for (const char *at = command; *at != '\0';) {
                const char *end = strncmp(at, "{{", 2) == 0 ? strstr(at, "}}") : NULL;
                if (end == NULL) {
                        (void)fputc(*at++, stream);
                        continue;
                }
                char *name = strndup(at + 2, (size_t)(end - at - 2)), *value = resolver->value(resolver->context, name);
                well = well && value != NULL;
                (void)fputs(value == NULL ? "" : value, stream);
                free(value);
                free(name);
                at = end + 2;
        }
        (void)fclose(stream);
        if (!well) {
                free(out);
                return NULL;
        }
        return out;
}

struct cowherd_answer *cowherd_execute(struct cowherd_herd *herd, enum cowherd_target target, const char *command,
                                       const struct cowherd_resolver *resolver)
{
        char *text = resolved(command, resolver);
        const char *lines = "success=1\noperation=plain\noutput=done\n";
        size_t longest = 0;

        assert((void *)herd == (void *)&fake && fake.commands < FAKE_COMMANDS_MAX);
        if (text == NULL)
                return answer_of("success=0\ncode=64\nerror=a variable is not set\n");
        for (size_t i = 0; i < answers_ready; i++) {
                size_t length = strlen(answers[i].beginning);
                if (strncmp(text, answers[i].beginning, length) == 0 && length > longest) {
                        longest = length;
                        lines = answers[i].lines;
                }
        }
        if (asprintf(&fake.log[fake.commands], "%s %s", cowherd_target_name(target), text) >= 0)
                fake.commands++;
        free(text);
        return answer_of(lines);
}

static void free_fields(struct fields *fields)
{
        for (size_t i = 0; i < fields->count; i++) {
                free((void *)(uintptr_t)fields->of[i].name);
                free((void *)(uintptr_t)fields->of[i].value);
        }
}

void cowherd_answer_free(struct cowherd_answer *answer)
{
        if (answer == NULL)
                return;
        free_fields(&answer->fields);
        for (size_t i = 0; i < answer->count; i++)
                free_fields(&answer->items[i]);
        free(answer->text);
        free(answer->stem);
        free(answer);
}

int cowherd_answer_code(const struct cowherd_answer *answer)
{
        return answer->code;
}

bool cowherd_answer_success(const struct cowherd_answer *answer)
{
        return answer->success;
}

const char *cowherd_answer_text(const struct cowherd_answer *answer)
{
        return answer->text;
}

const char *cowherd_answer_get(const struct cowherd_answer *answer, const char *name)
{
        for (size_t i = 0; i < answer->fields.count; i++)
                if (strcmp(answer->fields.of[i].name, name) == 0)
                        return answer->fields.of[i].value;
        return NULL;
}

const struct cowherd_field *cowherd_answer_field(const struct cowherd_answer *answer, size_t index)
{
        return index < answer->fields.count ? &answer->fields.of[index] : NULL;
}

bool cowherd_answer_is_list(const struct cowherd_answer *answer)
{
        return answer->list;
}

size_t cowherd_answer_items(const struct cowherd_answer *answer)
{
        return answer->count;
}

const struct cowherd_field *cowherd_answer_item_field(const struct cowherd_answer *answer, size_t item, size_t index)
{
        return item < answer->count && index < answer->items[item].count ? &answer->items[item].of[index] : NULL;
}

const char *cowherd_answer_stem(const struct cowherd_answer *answer)
{
        return answer->stem;
}
