/* SPDX-License-Identifier: Apache-2.0 */
/* columns=: of each item only the fields that were asked for stay, in the order in which they were, whatever face prints it. */
#include "command/answer_data.h"

#include "base/mem.h"

#include <string.h>

void answer_set_list(struct cowherd_answer *answer, const char *format, const char *columns)
{
        x_replace(&answer->format, format);
        x_replace(&answer->columns, columns);
}

const char *cowherd_answer_format(const struct cowherd_answer *answer)
{
        return answer->format;
}

const char *cowherd_answer_columns(const struct cowherd_answer *answer)
{
        return answer->columns;
}

static const struct cowherd_field *find(const struct cowherd_field *fields, size_t count, const char *name)
{
        for (size_t i = 0; i < count; i++)
                if (str_equal_case(fields[i].name, name))
                        return &fields[i];
        return NULL;
}

static void keep_of_item(const struct cowherd_answer *answer, struct answer_item *item, const struct strv *names, struct answer_fields *kept)
{
        const struct cowherd_field *fields = item->count == 0 ? NULL : &answer->item_fields.items[item->first];
        size_t first = kept->count;

        for (size_t i = 0; i < names->count; i++) {
                const struct cowherd_field *field = find(fields, item->count, names->items[i]);
                if (field == NULL)
                        continue;
                kept->items[kept->count] = *field;
                kept->items[kept->count++].also = false;
        }
        *item = (struct answer_item){.first = first, .count = kept->count - first};
}

void answer_keep_columns(struct cowherd_answer *answer)
{
        owned_strv struct strv names = {0};

        if (answer->columns == NULL || answer->item_count == 0)
                return;
        for (const char *at = answer->columns; *at != '\0'; at += *at == ',') {
                size_t length = strcspn(at, ",");
                strv_take(&names, x_strndup(at, length));
                at += length;
        }
        struct answer_fields kept = {.capacity = names.count * answer->item_count};
        kept.items = x_calloc(kept.capacity, sizeof *kept.items);
        for (size_t i = 0; i < answer->item_count; i++)
                keep_of_item(answer, &answer->items[i], &names, &kept);
        free(answer->item_fields.items);
        answer->item_fields = kept;
}
