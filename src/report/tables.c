/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of facts: isolation as it was read from running instances, what makes the sharing, and what is set up here. */
#include "report/parts.h"

#include <stdio.h>

#define GROUPS 8

/* Instances whose facts are the same share a column: "nspawn on overlay, btrfs". */
struct groups {
        const json_t *items[GROUPS];
        struct str headings[GROUPS];
        size_t count;
};

static void groups_free(struct groups *groups)
{
        for (size_t i = 0; i < groups->count; i++)
                str_free(&groups->headings[i]);
}
define_owned(struct groups, groups_free)

static void add_to_groups(struct groups *groups, const json_t *item)
{
        const char *engine = document_text_or_empty(item, "engine"), *store = document_text_or_empty(item, "store");

        for (size_t i = 0; i < groups->count; i++)
                if (str_equal(document_text_or_empty(groups->items[i], "engine"), engine) &&
                    json_equal(json_object_get(groups->items[i], "facts"), json_object_get(item, "facts"))) {
                        str_addf(&groups->headings[i], ", %s", store);
                        return;
                }
        if (groups->count == GROUPS)
                return;
        groups->items[groups->count] = item;
        str_addf(&groups->headings[groups->count++], "%s on %s", markup_engine(engine), str_equal(store, "lxd_pool") ? "its pool" : store);
}

static const json_t *fact_of(const json_t *item, const char *name)
{
        const json_t *fact;
        size_t i;

        json_array_foreach(json_object_get(item, "facts"), i, fact)
                if (str_equal(document_text_or_empty(fact, "name"), name))
                        return fact;
        return NULL;
}

static void add_facts_row(struct str *out, const struct groups *groups, const char *name)
{
        str_add(out, "<tr><th scope=\"row\">");
        markup_text(out, name);
        str_add(out, "</th>");
        for (size_t i = 0; i < groups->count; i++) {
                const json_t *fact = fact_of(groups->items[i], name);
                const char *value = document_text(fact, "value");
                str_add(out, "<td data-column=\"");
                markup_text(out, str_text(&groups->headings[i]));
                str_add(out, value == NULL ? "\" class=\"none\">" : "\">");
                markup_text(out, value == NULL ? "–" : value);
                if (document_text(fact, "from") != NULL)
                        markup_element(out, "small", NULL, document_text(fact, "from"));
                str_add(out, "</td>");
        }
        str_add(out, "</tr>\n");
}

/* Every fact that any of them has, in the order in which they first come. */
static void add_facts(struct str *out, const struct groups *groups)
{
        owned_strv struct strv seen = {0};
        const json_t *fact;
        size_t j;

        for (size_t i = 0; i < groups->count; i++)
                json_array_foreach(json_object_get(groups->items[i], "facts"), j, fact) {
                        const char *name = document_text_or_empty(fact, "name");
                        if (strv_has(&seen, name))
                                continue;
                        strv_add(&seen, name);
                        add_facts_row(out, groups, name);
                }
}

void part_isolation(struct str *out, const json_t *document)
{
        struct groups groups owned_by(groups_free) = {0};
        const json_t *item;
        size_t i;

        json_array_foreach(json_object_get(document, "isolation"), i, item)
                add_to_groups(&groups, item);
        if (groups.count == 0)
                return;
        part_begin(out, "isolation", "Isolation", "Read from instances as they ran here, not from a text about them; below each fact, from where.");
        str_add(out, "<table class=\"stack\"><thead><tr><th scope=\"col\">Fact</th>");
        for (size_t j = 0; j < groups.count; j++)
                markup_element(out, "th", NULL, str_text(&groups.headings[j]));
        str_add(out, "</tr></thead>\n<tbody>\n");
        add_facts(out, &groups);
        str_add(out, "</tbody></table>\n");
        part_end(out);
}

void part_cell(struct str *out, const char *column, const char *text)
{
        str_addf(out, "<td data-column=\"%s\"%s>", column, text == NULL ? " class=\"none\"" : "");
        markup_text(out, text == NULL ? "–" : text);
        str_add(out, "</td>");
}

static void add_command(struct str *out, const char *command)
{
        if (command == NULL)
                return;
        str_add(out, " <code>");
        markup_text(out, command);
        str_add(out, "</code>");
}

static void add_technology_row(struct str *out, const json_t *row)
{
        const char *engine = document_text_or_empty(row, "engine");
        bool works = document_flag(row, "works");

        str_addf(out, "<tr><th scope=\"row\"><span class=\"pair %s\">", markup_class(engine));
        markup_pair(out, engine, document_text(row, "store"));
        str_addf(out, "</span></th><td data-column=\"Here\"><span class=\"state %s\">%s</span></td>", works ? "good" : "bad", works ? "works" : "does not");
        if (works) {
                part_cell(out, "Shared by", document_text(row, "technology"));
                part_cell(out, "In pieces of", document_text(row, "granularity"));
                part_cell(out, "Found", document_text(row, "detail"));
        } else {
                str_add(out, "<td data-column=\"Why\" colspan=\"3\">");
                markup_text(out, document_text_or_empty(row, "reason"));
                add_command(out, document_text(row, "command"));
                str_add(out, "</td>");
        }
        str_add(out, "</tr>\n");
}

void part_technology(struct str *out, const json_t *document)
{
        const json_t *rows = json_object_get(document, "rows"), *row;
        size_t i;

        if (json_array_size(rows) == 0)
                return;
        part_begin(out, "technology", "What makes the sharing", "Every pair of engine and store; of one that does not work here the reason, and the command that would change it.");
        str_add(out, "<table class=\"stack\"><thead><tr><th scope=\"col\">Engine and store</th><th>Here</th><th>Shared by</th><th>In pieces of</th>"
                     "<th>Found</th></tr></thead>\n<tbody>\n");
        json_array_foreach(rows, i, row)
                add_technology_row(out, row);
        str_add(out, "</tbody></table>\n");
        part_end(out);
}

void part_setup(struct str *out, const json_t *document)
{
        const json_t *items = json_object_get(document, "setup"), *item;
        size_t i;

        if (json_array_size(items) == 0)
                return;
        part_begin(out, "setup", "What is set up", NULL);
        str_add(out, "<table class=\"stack\"><thead><tr><th scope=\"col\">Piece</th><th>State</th><th>Detail</th></tr></thead>\n<tbody>\n");
        json_array_foreach(items, i, item) {
                const char *engine = document_text_or_empty(item, "engine"), *state = document_text_or_empty(item, "state");
                str_addf(out, "<tr><th scope=\"row\"><span class=\"pair %s\">", markup_class(engine));
                const char *what = document_text_or_empty(item, "what");
                if (!str_equal_case(engine, what)) {
                        markup_text(out, markup_engine(engine));
                        str_add(out, ": ");
                }
                markup_text(out, what);
                str_add(out, "</span>");
                str_addf(out, "</th><td data-column=\"State\"><span class=\"state %s\">", str_equal(state, "ready") ? "good" : str_equal(state, "partly") ? "half" : "bad");
                markup_text(out, state);
                str_add(out, "</span></td><td data-column=\"Detail\">");
                markup_text(out, document_text_or_empty(item, "detail"));
                add_command(out, document_text(item, "command"));
                str_add(out, "</td></tr>\n");
        }
        str_add(out, "</tbody></table>\n");
        part_end(out);
}
