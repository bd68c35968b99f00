/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building answers. A list of 10,000 clones has 200,000 fields, so texts go into large blocks, the fields of all items
 * into one array, and an item whose names repeat those of the item before it, as they do in a list, shares its names
 * and needs no search for doubles.
 */
#include "command/answer_data.h"

#include "base/mem.h"
#include "base/number.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define BLOCK_BYTES (64u << 10)
#define BLOCK_BYTES_FIRST 1024u

struct answer_block {
        struct answer_block *next;
        size_t used;
        size_t size;
        char bytes[];
};

/* Keeps a copy of `length` bytes and a NUL for as long as the answer lives. */
static const char *keep(struct cowherd_answer *answer, const char *text, size_t length)
{
        struct answer_block *block = answer->blocks;

        if (block == NULL || block->size - block->used <= length) {
                size_t size = block == NULL ? BLOCK_BYTES_FIRST : BLOCK_BYTES;
                if (size <= length)
                        size = length + 1;
                struct answer_block *added = x_malloc(sizeof *added + size);
                *added = (struct answer_block){.next = block, .size = size};
                answer->blocks = block = added;
        }
        char *kept = block->bytes + block->used;
        memcpy(kept, text, length);
        kept[length] = '\0';
        block->used += length + 1;
        return kept;
}

static const char *keep_text(struct cowherd_answer *answer, const char *text)
{
        return keep(answer, text, strlen(text));
}

static const char *const head_names[HEAD_COUNT] = {"success", "operation", "output", "error", "code", "hint"};

static void set_head(struct cowherd_answer *answer, enum head head, enum cowherd_type type, const char *value)
{
        answer->head[head] =
                (struct cowherd_field){.name = head_names[head], .type = type, .value = keep_text(answer, value)};
}

struct cowherd_answer *answer_new(const char *operation)
{
        struct cowherd_answer *answer = x_calloc(1, sizeof *answer);

        answer->code = COWHERD_INTERNAL;
        set_head(answer, HEAD_SUCCESS, COWHERD_BOOLEAN, "0");
        set_head(answer, HEAD_OPERATION, COWHERD_TEXT, operation);
        return answer;
}

void answer_done(struct cowherd_answer *answer, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        owned_str char *text = x_vasprintf(format, args);
        va_end(args);
        answer->success = true;
        answer->code = 0;
        set_head(answer, HEAD_SUCCESS, COWHERD_BOOLEAN, "1");
        set_head(answer, HEAD_OUTPUT, COWHERD_TEXT, text);
        answer->head[HEAD_ERROR] = answer->head[HEAD_CODE] = answer->head[HEAD_HINT] = (struct cowherd_field){0};
}

void answer_set_code(struct cowherd_answer *answer, int code)
{
        answer->code = code;
}

void answer_failed(struct cowherd_answer *answer, const struct cowherd_error *err)
{
        char code[NUMBER_TEXT_BYTES];

        answer->success = false;
        answer->code = err->code == 0 ? (int)COWHERD_INTERNAL : err->code;
        (void)snprintf(code, sizeof code, "%d", answer->code);
        set_head(answer, HEAD_SUCCESS, COWHERD_BOOLEAN, "0");
        set_head(answer, HEAD_ERROR, COWHERD_TEXT, err->text);
        set_head(answer, HEAD_CODE, COWHERD_NUMBER, code);
        answer->head[HEAD_OUTPUT] = answer->head[HEAD_HINT] = (struct cowherd_field){0};
        if (err->hint[0] != '\0')
                set_head(answer, HEAD_HINT, COWHERD_TEXT, err->hint);
}

static struct cowherd_field *push(struct answer_fields *fields)
{
        if (fields->count == fields->capacity) {
                fields->capacity = fields->capacity < 16 ? 16 : fields->capacity * 2;
                fields->items = x_reallocarray(fields->items, fields->capacity, sizeof *fields->items);
        }
        return &fields->items[fields->count++];
}

static struct cowherd_field *find(struct cowherd_field *fields, size_t count, const char *name)
{
        for (size_t i = 0; i < count; i++)
                if (fields[i].name != NULL && strcmp(fields[i].name, name) == 0)
                        return &fields[i];
        return NULL;
}

/* The slot of a name in the answer itself: the one it has, or a new one. */
static struct cowherd_field *slot_of_answer(struct cowherd_answer *answer, const char *name)
{
        struct cowherd_field *field = find(answer->head, HEAD_COUNT, name);

        if (field == NULL)
                field = find(answer->fields.items, answer->fields.count, name);
        if (field != NULL)
                return field;
        field = push(&answer->fields);
        *field = (struct cowherd_field){.name = keep_text(answer, name)};
        return field;
}

static struct cowherd_field *slot_of_item(struct cowherd_answer *answer, const char *name)
{
        struct answer_item *item = &answer->items[answer->item_count - 1];
        const char *kept = NULL;

        if (answer->alike) {
                const struct answer_item *before = item - 1;
                kept = item->count < before->count ? answer->item_fields.items[before->first + item->count].name : NULL;
                answer->alike = kept != NULL && strcmp(kept, name) == 0;
        }
        if (!answer->alike) {
                struct cowherd_field *field =
                        item->count == 0 ? NULL : find(&answer->item_fields.items[item->first], item->count, name);
                if (field != NULL)
                        return field;
                kept = keep_text(answer, name);
        }
        struct cowherd_field *field = push(&answer->item_fields);
        *field = (struct cowherd_field){.name = kept};
        item->count++;
        return field;
}

static void add(struct cowherd_answer *answer, const char *name, enum cowherd_type type, const char *value)
{
        bool to_item = answer->in_items && answer->item_count > 0;
        struct cowherd_field *field = to_item ? slot_of_item(answer, name) : slot_of_answer(answer, name);

        field->value = keep_text(answer, value);
        field->type = type;
}

void answer_text(struct cowherd_answer *answer, const char *name, const char *value)
{
        if (value != NULL)
                add(answer, name, COWHERD_TEXT, value);
}

/* Decimal digits: snprintf would take a third of the time of a long list. */
static const char *format_number(uint64_t value, char buffer[static 24])
{
        char *at = buffer + 23;

        *at = '\0';
        do {
                *--at = (char)('0' + value % 10);
                value /= 10;
        } while (value > 0);
        return at;
}

void answer_number(struct cowherd_answer *answer, const char *name, uint64_t value)
{
        char buffer[24];

        add(answer, name, COWHERD_NUMBER, format_number(value, buffer));
}

void answer_ms(struct cowherd_answer *answer, const char *name, double ms)
{
        char buffer[NUMBER_TEXT_BYTES];

        if (!isfinite(ms))
                return;
        (void)number_format_ms(ms, buffer);
        char *comma = strchr(buffer, ','); /* of a host that set a locale */
        if (comma != NULL)
                *comma = '.';
        add(answer, name, COWHERD_NUMBER, buffer);
}

void answer_flag(struct cowherd_answer *answer, const char *name, bool value)
{
        add(answer, name, COWHERD_BOOLEAN, value ? "1" : "0");
}

void answer_also(struct cowherd_answer *answer, const char *name, const char *of)
{
        bool to_item = answer->in_items && answer->item_count > 0;
        struct cowherd_field *fields = answer->fields.items;
        size_t count = answer->fields.count;

        if (to_item) {
                const struct answer_item *item = &answer->items[answer->item_count - 1];
                count = item->count;
                fields = count == 0 ? NULL : &answer->item_fields.items[item->first];
        }
        const struct cowherd_field *original = find(fields, count, of);
        if (original == NULL)
                return;
        const char *value = original->value; /* the slot may move the array that `original` points into */
        enum cowherd_type type = original->type;
        struct cowherd_field *field = to_item ? slot_of_item(answer, name) : slot_of_answer(answer, name);
        field->value = value;
        field->type = type;
        field->also = true;
}

static void set_count(struct cowherd_answer *answer)
{
        char buffer[24];

        (void)strcpy(answer->count_text, format_number(answer->item_count, buffer));
        answer->count_field =
                (struct cowherd_field){.name = "count", .value = answer->count_text, .type = COWHERD_NUMBER};
}

void answer_list(struct cowherd_answer *answer)
{
        answer->is_list = true;
        set_count(answer);
}

void answer_item(struct cowherd_answer *answer)
{
        if (answer->item_count == answer->item_capacity) {
                answer->item_capacity = answer->item_capacity < 16 ? 16 : answer->item_capacity * 2;
                answer->items = x_reallocarray(answer->items, answer->item_capacity, sizeof *answer->items);
        }
        answer->items[answer->item_count++] = (struct answer_item){.first = answer->item_fields.count};
        answer->in_items = true;
        answer->alike = answer->item_count > 1;
        answer_list(answer);
}

void answer_items_end(struct cowherd_answer *answer)
{
        answer->in_items = false;
        answer_keep_columns(answer);
}

void answer_set_document(struct cowherd_answer *answer, const char *json)
{
        x_replace(&answer->document, json);
}

void answer_set_stem(struct cowherd_answer *answer, const char *stem)
{
        x_replace(&answer->stem, stem);
}

void cowherd_answer_free(struct cowherd_answer *answer)
{
        if (answer == NULL)
                return;
        for (struct answer_block *block = answer->blocks; block != NULL;) {
                struct answer_block *next = block->next;
                free(block);
                block = next;
        }
        free(answer->fields.items);
        free(answer->item_fields.items);
        free(answer->items);
        free(answer->stem);
        free(answer->format);
        free(answer->columns);
        free(answer->document);
        free(answer);
}
