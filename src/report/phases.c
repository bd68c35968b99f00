/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The phases of a start, as stacked bars. Engines differ by a factor of a hundred, so ours and the raw tool's of one engine share a
 * scale and engines don't: each bar's whole time stands beside it. A phase has the same colour wherever it appears.
 */
#include "report/parts.h"

#include <math.h>

#define COLOURS 8

/* The names seen so far, whose place is their colour. */
struct palette {
        const char *names[COLOURS];
        size_t count;
};

static size_t colour_of(struct palette *palette, const char *name)
{
        for (size_t i = 0; i < palette->count; i++)
                if (str_equal(palette->names[i], name))
                        return i;
        if (palette->count == COLOURS)
                return COLOURS - 1;
        palette->names[palette->count] = name;
        return palette->count++;
}

static double total_of(const json_t *phases)
{
        double total = 0, ms;
        const json_t *phase;
        size_t i;

        json_array_foreach(phases, i, phase)
                if (document_number(phase, "ms", &ms))
                        total += ms;
        return total;
}

static void add_stack(struct str *out, struct palette *palette, const json_t *phases, double longest, const char *who)
{
        char value[MARKUP_VALUE_BYTES];
        const json_t *phase;
        double at = 0, ms;
        size_t i;

        str_add(out, "<div class=\"row\">");
        markup_element(out, "span", "who", who);
        str_add(out, "<svg class=\"bar\" width=\"100%\" height=\"24\" aria-hidden=\"true\">");
        json_array_foreach(phases, i, phase)
                if (document_number(phase, "ms", &ms)) {
                        str_addf(out, "<rect class=\"p%zu\" x=\"%.3f%%\" y=\"2\" width=\"%.3f%%\" height=\"20\"/>",
                                 colour_of(palette, document_text_or_empty(phase, "name")), 100 * at / longest, 100 * ms / longest);
                        at += ms;
                }
        str_add(out, "</svg>");
        markup_element(out, "span", "value", markup_value(false, at, value));
        str_add(out, "</div>\n<ol class=\"legend\">");
        json_array_foreach(phases, i, phase)
                if (document_number(phase, "ms", &ms)) {
                        const char *name = document_text_or_empty(phase, "name");
                        str_addf(out, "<li><span class=\"key p%zu\"></span>", colour_of(palette, name));
                        markup_text(out, name);
                        markup_element(out, "b", NULL, markup_value(false, ms, value));
                        str_add(out, "</li>");
                }
        str_add(out, "</ol>\n");
}

static const char *end_of(const char *of)
{
        return str_equal(of, "first_command") ? "until the first command has answered" : str_equal(of, "ready") ? "until it is ready" : "";
}

void part_phases(struct str *out, const json_t *document)
{
        struct palette palette = {0};
        const json_t *item;
        bool any = false;
        size_t i;

        json_array_foreach(json_object_get(document, "phases"), i, item) {
                const json_t *ours = json_object_get(item, "ours"), *raw = json_object_get(item, "raw");
                const char *engine = document_text_or_empty(item, "engine");
                double longest = fmax(total_of(ours), total_of(raw));
                if (!(longest > 0))
                        continue;
                if (!any)
                        part_begin(out, "phases", "Where the time of a start goes",
                                   "Each engine has a scale of its own: compare bars within an engine, and the times between them.");
                any = true;
                str_addf(out, "<figure class=\"chart\"><div class=\"group\"><p class=\"pair %s\">", markup_class(engine));
                markup_pair(out, engine, document_text(item, "store"));
                markup_element(out, "span", "ratio", end_of(document_text(item, "of")));
                str_add(out, "</p>\n");
                if (total_of(ours) > 0)
                        add_stack(out, &palette, ours, longest, "cowherd");
                if (total_of(raw) > 0)
                        add_stack(out, &palette, raw, longest, "raw tools");
                str_add(out, "</div></figure>\n");
        }
        if (any)
                part_end(out);
}
