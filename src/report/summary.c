/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to be seen first: one headline for each engine, of its quickest store, and the table of all pairs. A headline says of
 * a raw tool that is quicker that it is.
 */
#include "report/parts.h"

#include <stdio.h>

static const struct {
        const char *figure, *column;
} columns[] = {
        {"clone", "Clone"},          {"clone_process", "Clone, whole command"}, {"burst", "Burst, each"}, {"bytes_allocated", "On disk"}, {"ready", "Ready"},
        {"first_command", "First command"}, {"live_clone", "Live clone"},       {"memory", "Memory"},
};

/* The quickest clone of an engine, in one process where that was measured. */
static bool find_best(const json_t *document, const char *engine, struct figure *ret)
{
        static const char *const figures[] = {"clone", "clone_process"};
        struct figure figure;
        bool found = false;

        for (size_t kind = 0; kind < array_length(figures) && !found; kind++)
                for (size_t i = 0; document_figure_at(document, i, &figure); i++)
                        if (figure.ours.known && str_equal(figure.engine, engine) && str_equal(figure.figure, figures[kind]) &&
                            (!found || figure.ours.median < ret->ours.median)) {
                                *ret = figure;
                                found = true;
                        }
        return found;
}

/* One line of a headline: "12.0 KiB on disk". */
static void add_fact(struct str *out, const json_t *document, const struct figure *best, const char *kind, const char *words)
{
        char value[MARKUP_VALUE_BYTES];
        struct figure figure;

        if (!document_figure_of(document, best->engine, best->store, kind, &figure))
                return;
        str_add(out, "<li>");
        markup_element(out, "b", NULL, markup_value(figure.is_bytes, figure.ours.median, value));
        str_addf(out, " %s</li>", words);
}

static void add_headline(struct str *out, const json_t *document, const struct figure *best)
{
        char value[MARKUP_VALUE_BYTES], ratio[MARKUP_VALUE_BYTES], raw[MARKUP_VALUE_BYTES];

        str_addf(out, "<div class=\"card headline %s\"><p class=\"pair %s\">", markup_class(best->engine), markup_class(best->engine));
        markup_pair(out, best->engine, best->store);
        str_add(out, "</p><p class=\"big\">");
        markup_text(out, markup_value(false, best->ours.median, value));
        str_add(out, " <small>a clone</small></p><p class=\"note\">");
        if (best->raw.known && markup_ratio(false, best->ours.median, best->raw.median, ratio)[0] != '\0') {
                markup_text(out, ratio);
                str_add(out, str_starts(ratio, "as ") ? " as " : " than ");
                markup_element(out, "span", "tool", best->raw_name);
                str_addf(out, " (%s)", markup_value(false, best->raw.median, raw));
        } else {
                str_add(out, "no raw tool was measured beside it");
        }
        str_add(out, "</p><ul>");
        add_fact(out, document, best, "bytes_allocated", "on disk");
        add_fact(out, document, best, "first_command", "until its first command has answered");
        add_fact(out, document, best, "live_clone", "from a live base");
        add_fact(out, document, best, "memory", "of memory while it runs");
        str_add(out, "</ul></div>\n");
}

void part_headlines(struct str *out, const json_t *document)
{
        struct pair pairs[DOCUMENT_PAIRS];
        size_t count = document_pairs(document, pairs);
        struct figure best;

        str_add(out, "<div class=\"cards\">\n");
        for (size_t i = 0; i < count; i++) {
                bool first = true;
                for (size_t j = 0; j < i; j++)
                        first = first && !str_equal(pairs[j].engine, pairs[i].engine);
                if (first && find_best(document, pairs[i].engine, &best))
                        add_headline(out, document, &best);
        }
        str_add(out, "</div>\n");
}

static bool is_measured(const json_t *document, const char *kind)
{
        struct figure figure;

        for (size_t i = 0; document_figure_at(document, i, &figure); i++)
                if (figure.ours.known && str_equal(figure.figure, kind))
                        return true;
        return false;
}

static void add_cell(struct str *out, const json_t *document, const struct pair *pair, size_t column)
{
        char value[MARKUP_VALUE_BYTES];
        struct figure figure;

        if (!document_figure_of(document, pair->engine, pair->store, columns[column].figure, &figure)) {
                str_addf(out, "<td data-column=\"%s\" class=\"none\">–</td>", columns[column].column);
                return;
        }
        str_addf(out, "<td data-column=\"%s\"><b>", columns[column].column);
        markup_text(out, markup_value(figure.is_bytes, figure.ours.median, value));
        str_add(out, "</b>");
        if (figure.raw.known) {
                str_add(out, "<small>raw ");
                markup_text(out, markup_value(figure.is_bytes, figure.raw.median, value));
                str_add(out, "</small>");
        }
        str_add(out, "</td>");
}

void part_summary(struct str *out, const json_t *document)
{
        struct pair pairs[DOCUMENT_PAIRS];
        size_t count = document_pairs(document, pairs);

        part_begin(out, "summary", "Summary", "Medians. Small and grey below: the raw tool’s, measured in turn with ours in the same run. A dash was not measured.");
        str_add(out, "<table class=\"stack figures\"><thead><tr><th scope=\"col\">Engine and store</th>");
        for (size_t column = 0; column < array_length(columns); column++)
                if (is_measured(document, columns[column].figure))
                        markup_element(out, "th", NULL, columns[column].column);
        str_add(out, "</tr></thead>\n<tbody>\n");
        for (size_t i = 0; i < count; i++) {
                str_addf(out, "<tr><th scope=\"row\"><span class=\"pair %s\">", markup_class(pairs[i].engine));
                markup_pair(out, pairs[i].engine, pairs[i].store);
                str_add(out, "</span></th>");
                for (size_t column = 0; column < array_length(columns); column++)
                        if (is_measured(document, columns[column].figure))
                                add_cell(out, document, &pairs[i], column);
                str_add(out, "</tr>\n");
        }
        str_add(out, "</tbody></table>\n");
        part_end(out);
}
