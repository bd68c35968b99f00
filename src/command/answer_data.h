/* SPDX-License-Identifier: Apache-2.0 */
/* How an answer is kept: shared by the files that build, read and print it. */
#pragma once

#include "command/answer.h"

/* The first fields, in the order in which they stand. */
enum head { HEAD_SUCCESS, HEAD_OPERATION, HEAD_OUTPUT, HEAD_ERROR, HEAD_CODE, HEAD_HINT, HEAD_COUNT };

struct answer_fields {
        struct cowherd_field *items;
        size_t count;
        size_t capacity;
};

/* An item's fields lie side by side in `item_fields`. */
struct answer_item {
        size_t first;
        size_t count;
};

struct answer_block; /* texts are kept in blocks, so that 200,000 of them are not 200,000 allocations */

struct cowherd_answer {
        bool success;
        int code;
        struct cowherd_field head[HEAD_COUNT]; /* name NULL: not there */
        struct answer_fields fields;
        struct cowherd_field count_field;
        char count_text[24];
        bool is_list;
        bool in_items; /* fields go to the last item */
        bool alike;    /* the last item's names so far are those of the item before it */
        struct answer_fields item_fields;
        struct answer_item *items;
        size_t item_count;
        size_t item_capacity;
        struct answer_block *blocks;
        char *stem;
        char *format, *columns; /* of a list: what was said, or NULL */
        char *document; /* an object in JSON, or NULL */
};

/* Leaves only the columns that were asked for in the items so far. */
void answer_keep_columns(struct cowherd_answer *answer);
