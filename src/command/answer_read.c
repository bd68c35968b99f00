/* SPDX-License-Identifier: Apache-2.0 */
/* Reading answers: first the fields that every answer has, then the verb's own, then a list's count. */
#include "command/answer_data.h"

#include "base/number.h"

#include <string.h>

bool cowherd_answer_success(const struct cowherd_answer *answer)
{
        return answer->success;
}

int cowherd_answer_code(const struct cowherd_answer *answer)
{
        const char *exit_code = answer->success ? cowherd_answer_get(answer, "exit_code") : NULL;
        uint64_t code;

        if (exit_code != NULL && number_parse(exit_code, &code) && code <= 255)
                return (int)code;
        return answer->code;
}

const char *cowherd_answer_text(const struct cowherd_answer *answer)
{
        const char *text = answer->head[answer->success ? HEAD_OUTPUT : HEAD_ERROR].value;

        return text == NULL ? "" : text;
}

const struct cowherd_field *cowherd_answer_field(const struct cowherd_answer *answer, size_t index)
{
        for (size_t i = 0; i < HEAD_COUNT; i++)
                if (answer->head[i].name != NULL && index-- == 0)
                        return &answer->head[i];
        size_t skipped = 0;
        for (size_t i = 0; i < answer->fields.count; i++) {
                /* A list's count is the number of its items, whatever else was called so. */
                if (answer->is_list && strcmp(answer->fields.items[i].name, "count") == 0)
                        skipped++;
                else if (i - skipped == index)
                        return &answer->fields.items[i];
        }
        return answer->is_list && index == answer->fields.count - skipped ? &answer->count_field : NULL;
}

const char *cowherd_answer_get(const struct cowherd_answer *answer, const char *name)
{
        const struct cowherd_field *field;

        for (size_t i = 0; (field = cowherd_answer_field(answer, i)) != NULL; i++)
                if (strcmp(field->name, name) == 0)
                        return field->value;
        return NULL;
}

bool cowherd_answer_is_list(const struct cowherd_answer *answer)
{
        return answer->is_list;
}

size_t cowherd_answer_items(const struct cowherd_answer *answer)
{
        return answer->item_count;
}

const struct cowherd_field *cowherd_answer_item_field(const struct cowherd_answer *answer, size_t item, size_t index)
{
        if (item >= answer->item_count || index >= answer->items[item].count)
                return NULL;
        return &answer->item_fields.items[answer->items[item].first + index];
}

const char *cowherd_answer_item_get(const struct cowherd_answer *answer, size_t item, const char *name)
{
        const struct cowherd_field *field;

        for (size_t i = 0; (field = cowherd_answer_item_field(answer, item, i)) != NULL; i++)
                if (strcmp(field->name, name) == 0)
                        return field->value;
        return NULL;
}

const char *cowherd_answer_stem(const struct cowherd_answer *answer)
{
        return answer->stem;
}
