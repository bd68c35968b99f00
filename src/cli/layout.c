/* SPDX-License-Identifier: Apache-2.0 */
/* Which columns a list has: what columns= said, else those that matter of the verb, else all. */
#include "cli/table.h"

#include <string.h>
#include <strings.h>

struct layout {
        const char *verb;
        const char *columns; /* field names, apart by blanks */
        const char *drop;    /* which of them can be missed, the first one first; NULL: from the last on */
        size_t whole;        /* columns that the next command needs, and that are never cut */
        const char *notes;
};

static const struct layout layouts[] = {
        {"list", "name engine base state store clone_ms", "clone_ms store base engine", 1, NULL},
        {"info", "name engine base state store clone_ms", "clone_ms store base engine", 1, NULL},
        {"list_bases", "name engine format store size_bytes clones", "format store engine clones", 1, NULL},
        {"list_snapshots", "name snapshot created store bytes", "bytes store created", 2, NULL},
        {"status", "engine available version store acceleration bases clones running", "acceleration running store", 1, "reason advice store_reason"},
        {"usage", "name engine store unique_bytes shared_bytes apparent_bytes", "apparent_bytes store engine", 1, NULL},
        {"clone_from_base", "name engine store state clone_ms start_ms wait_ms", "store engine wait_ms start_ms", 1, "error hint"},
        {"create", "name engine store state clone_ms start_ms", "store engine start_ms", 1, "error hint"},
        {"delete", "name engine", NULL, 1, "error hint"},
        {"start", "name engine state start_ms wait_ms", "engine wait_ms start_ms", 1, "note error hint"},
        {"start_if_stopped", "name engine state skipped start_ms wait_ms", "engine wait_ms start_ms", 1, "note error hint"},
        {"stop", "name engine state stop_ms forced", "engine stop_ms", 1, "error hint"},
        {"stop_if_running", "name engine state skipped stop_ms forced", "engine stop_ms", 1, "error hint"},
        {"restart", "name engine state stop_ms forced start_ms wait_ms", "engine wait_ms stop_ms start_ms", 1, "note error hint"},
        {"pause", "name engine state", "engine", 1, "error hint"},
        {"resume", "name engine state", "engine", 1, "error hint"},
        {"wait", "name engine state wait_ms address", "engine wait_ms", 1, "error hint"},
        {"extend", "name engine state expires", "engine state", 1, "error hint"},
        {"security_audit", "at engine operation name code", "engine operation", 1, "error"},
};

static const struct layout *layout_of(const struct cowherd_verb *verb)
{
        for (size_t i = 0; verb != NULL && i < sizeof layouts / sizeof layouts[0]; i++)
                if (strcmp(layouts[i].verb, verb->name) == 0)
                        return &layouts[i];
        return NULL;
}

const struct cowherd_field *table_field(const struct cowherd_answer *answer, size_t item, const char *name)
{
        const struct cowherd_field *field;

        for (size_t i = 0; (field = cowherd_answer_item_field(answer, item, i)) != NULL; i++)
                if (strcasecmp(field->name, name) == 0)
                        return field;
        return NULL;
}

/* "SIZE" of size_bytes: the values have their units with them. */
static void add_column(struct table *table, const char *name, size_t length)
{
        struct column *column = &table->columns[table->count];

        if (table->count == TABLE_COLUMNS_MAX || length == 0 || length >= sizeof column->name)
                return;
        *column = (struct column){0};
        memcpy(column->name, name, length);
        memcpy(column->heading, name, length);
        if (length > 6 && strcasecmp(column->heading + length - 6, "_bytes") == 0)
                column->heading[length - 6] = '\0';
        for (char *at = column->heading; *at != '\0'; at++)
                if (*at >= 'a' && *at <= 'z')
                        *at = (char)(*at - 'a' + 'A');
        table->count++;
}

static void add_columns(struct table *table, const char *names, const char *separators)
{
        for (const char *at = names; *at != '\0'; at += strspn(at, separators)) {
                size_t length = strcspn(at, separators);
                add_column(table, at, length);
                at += length;
        }
}

static bool has_column(const struct table *table, const char *name)
{
        for (size_t i = 0; i < table->count; i++)
                if (strcmp(table->columns[i].name, name) == 0)
                        return true;
        return false;
}

static void add_fields(struct table *table, const struct cowherd_answer *answer)
{
        const struct cowherd_field *field;

        for (size_t item = 0; item < cowherd_answer_items(answer); item++)
                for (size_t i = 0; (field = cowherd_answer_item_field(answer, item, i)) != NULL; i++)
                        if (!field->also && !has_column(table, field->name))
                                add_column(table, field->name, strlen(field->name));
}

void table_choose_all(struct table *table, const struct cowherd_answer *answer)
{
        const char *asked = cowherd_answer_columns(answer);

        *table = (struct table){.whole = 1, .asked = asked != NULL};
        if (asked != NULL)
                add_columns(table, asked, ",");
        else
                add_fields(table, answer);
}

void table_choose(struct table *table, const struct cowherd_answer *answer, const struct cowherd_verb *verb)
{
        const struct layout *layout = layout_of(verb);

        if (layout == NULL || cowherd_answer_columns(answer) != NULL) {
                table_choose_all(table, answer);
                return;
        }
        *table = (struct table){.whole = layout->whole, .drop = layout->drop, .notes = layout->notes};
        add_columns(table, layout->columns, " ");
}
