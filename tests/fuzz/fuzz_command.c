/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the command language. An input is: the target (1 byte), whether it is a text or a shell's words (1 byte), and
 * the command; words are apart by line feeds. What is taken must keep its promises, what is refused must be told in a
 * line, and any answer about it must be JSON in UTF-8.
 */
#include "command/answer.h"
#include "command/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what)
{
        if (holds)
                return;
        (void)fprintf(stderr, "broken: %s\n", what);
        abort();
}

/* Variables whose names begin with 'u' are not set; the others hold what would break a careless parser. */
static char *variable(void *context, const char *name)
{
        (void)context;
        return name[0] == 'u' ? NULL : x_strdup("x y=z name=other \"' {{a}}");
}

static int parse_words(enum cowherd_target target, char *text, struct request *ret, struct cowherd_error *err)
{
        const char *words[WORDS_MAX];
        size_t count = 0;
        char *rest = NULL;

        for (char *word = strtok_r(text, "\n", &rest); word != NULL && count < WORDS_MAX;
             word = strtok_r(NULL, "\n", &rest))
                words[count++] = word;
        return request_parse_words(target, count, words, ret, err);
}

static void check_taken(const struct request *request)
{
        const struct verb *verb = request->verb;
        struct cowherd_error err;

        require(verb != NULL, "a request has a verb");
        for (size_t i = 0; verb->public.parameters[i].name != NULL; i++) {
                const struct cowherd_parameter *parameter = &verb->public.parameters[i];
                const char *text = request_text(request, verb->keys[i]);
                bool given = request_has(request, verb->keys[i]);
                require(given || !parameter->required, "what is required is there");
                require(!given || text != NULL, "what is given has a text");
                if (given && strcmp(parameter->type, "name") == 0)
                        require(name_check(request->target, text, &err) == 0, "a name is a name");
        }
}

static void check_refused(const struct cowherd_error *err)
{
        require(err->code == COWHERD_USAGE, "a refusal is 64");
        require(err->text[0] != '\0' && strchr(err->text, '\n') == NULL, "a refusal is one line");
}

static void check_answer(const struct request *request, const struct cowherd_error *err)
{
        struct cowherd_answer *answer = answer_new(request->verb == NULL ? "" : request->verb->public.name);

        answer_failed(answer, err);
        for (int key = 0; key < KEY_COUNT; key++)
                answer_text(answer, "value", request->values[key].text);
        char *json = cowherd_answer_json(answer);
        require(str_is_utf8(json, strlen(json)), "JSON is UTF-8");
        for (const char *at = json; *at != '\0'; at++)
                require((unsigned char)*at >= ' ', "JSON has no bare control character");
        free(json);
        cowherd_answer_free(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct cowherd_resolver resolver = {.value = variable};
        struct request request;
        struct cowherd_error err = {0};

        if (size < 2)
                return 0;
        enum cowherd_target target = (enum cowherd_target)(data[0] % (COWHERD_ANY + 1));
        char *text = x_strndup((const char *)data + 2, size - 2);
        int parsed = (data[1] & 1) != 0
                             ? parse_words(target, text, &request, &err)
                             : request_parse(target, text, (data[1] & 2) != 0 ? &resolver : NULL, &request, &err);
        if (parsed == 0)
                check_taken(&request);
        else
                check_refused(&err);
        check_answer(&request, &err);
        request_free(&request);
        free(text);
        return 0;
}
