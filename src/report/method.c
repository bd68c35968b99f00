/* SPDX-License-Identifier: Apache-2.0 */
/* How it was measured, on what, what is not in it, and how to repeat it: what makes figures worth reading. */
#include "report/parts.h"

#include "base/number.h"

#include <stdio.h>

static void add_spread(struct str *out, const char *column, const struct figure *figure, const struct spread *spread)
{
        char value[MARKUP_VALUE_BYTES];

        str_addf(out, "<td data-column=\"%s\"%s>", column, spread->known ? "" : " class=\"none\"");
        if (!spread->known) {
                str_add(out, "–</td>");
                return;
        }
        markup_element(out, "b", NULL, markup_value(figure->is_bytes, spread->median, value));
        if (spread->has_range && spread->high > spread->low) {
                str_add(out, "<small>");
                markup_text(out, markup_value(figure->is_bytes, spread->low, value));
                str_add(out, " – ");
                markup_text(out, markup_value(figure->is_bytes, spread->high, value));
                str_add(out, "</small>");
        }
        str_add(out, "</td>");
}

static void add_method_row(struct str *out, const struct figure *figure)
{
        char runs[32] = "–";

        if (figure->runs > 0)
                (void)snprintf(runs, sizeof runs, "%.0f", figure->runs);
        str_add(out, "<tr><th scope=\"row\">");
        markup_text(out, figure->title);
        str_addf(out, "<small class=\"pair %s\">", markup_class(figure->engine));
        markup_pair(out, figure->engine, figure->store);
        str_add(out, "</small></th>");
        add_spread(out, "cowherd", figure, &figure->ours);
        add_spread(out, "Raw tool", figure, &figure->raw);
        str_addf(out, "<td data-column=\"Runs\">%s</td><td data-column=\"Compared\">", runs);
        if (figure->raw.known) {
                str_add(out, "<span class=\"tool\">");
                markup_text(out, figure->raw_name);
                str_add(out, "</span><br/>");
        }
        markup_text(out, figure->compared == NULL ? "" : figure->compared);
        str_add(out, "</td></tr>\n");
}

void part_method(struct str *out, const json_t *document)
{
        struct figure figure;

        if (!document_figure_at(document, 0, &figure))
                return;
        part_begin(out, "method", "How each figure was measured",
                   "Median, and from the 5th to the 95th percentile of the runs. Ours and the raw tool’s took turns, so what the machine did besides met both.");
        str_add(out, "<table class=\"stack\"><thead><tr><th scope=\"col\">Figure</th><th>cowherd</th><th>Raw tool</th><th>Runs</th><th>Compared</th></tr></thead>\n<tbody>\n");
        for (size_t i = 0; document_figure_at(document, i, &figure); i++)
                if (figure.ours.known)
                        add_method_row(out, &figure);
        str_add(out, "</tbody></table>\n");
        part_end(out);
}

static void add_missing(struct str *out, const json_t *items, const char *why, const char *state)
{
        const json_t *item;
        size_t i;

        json_array_foreach(items, i, item) {
                const char *engine = document_text_or_empty(item, "engine");
                str_addf(out, "<li><span class=\"state %s\">%s</span> <span class=\"pair %s\">", str_equal(state, "failed") ? "bad" : "half", state,
                         markup_class(engine));
                markup_pair(out, engine, document_text(item, "store"));
                str_add(out, "</span> <b>");
                markup_text(out, document_text_or_empty(item, "figure"));
                str_add(out, "</b>: ");
                markup_text(out, document_text_or_empty(item, why));
                str_add(out, "</li>\n");
        }
}

void part_left_out(struct str *out, const json_t *document)
{
        const json_t *failed = json_object_get(document, "failed"), *left_out = json_object_get(document, "left_out");

        if (json_array_size(failed) + json_array_size(left_out) == 0)
                return;
        part_begin(out, "missing", "What is not in it", NULL);
        str_add(out, "<ul class=\"plain\">\n");
        add_missing(out, failed, "error", "failed");
        add_missing(out, left_out, "why", "left out");
        str_add(out, "</ul>\n");
        part_end(out);
}

static void add_term(struct str *out, const char *term, const char *text)
{
        if (str_is_empty(text))
                return;
        markup_element(out, "dt", NULL, term);
        markup_element(out, "dd", NULL, text);
}

static void add_sizes(struct str *out, const json_t *machine)
{
        char size[NUMBER_TEXT_BYTES], text[96];
        double cores, memory, before, after;

        if (document_number(machine, "cores", &cores)) {
                (void)snprintf(text, sizeof text, "%.0f", cores);
                add_term(out, "Processors", text);
        }
        if (document_number(machine, "memory_bytes", &memory))
                add_term(out, "Memory", number_format_size((uint64_t)memory, size));
        if (document_number(machine, "load_before", &before) && document_number(machine, "load_after", &after)) {
                (void)snprintf(text, sizeof text, "%.1f before, %.1f after", before, after);
                add_term(out, "Load", text);
        }
}

static void add_images(struct str *out, const json_t *document)
{
        const json_t *image;
        size_t i;

        json_array_foreach(json_object_get(document, "images"), i, image) {
                char size[NUMBER_TEXT_BYTES] = "";
                owned_string struct str text = {0};
                double bytes;
                if (document_number(image, "size_bytes", &bytes))
                        (void)number_format_size((uint64_t)bytes, size);
                const char *parts[] = {document_text(image, "path"), document_text(image, "format"), size, document_text(image, "note")};
                for (size_t j = 0; j < array_length(parts); j++)
                        if (!str_is_empty(parts[j]))
                                str_addf(&text, "%s%s", text.length > 0 ? ", " : "", parts[j]);
                owned_str char *term = x_asprintf("Image for %s", markup_engine(document_text_or_empty(image, "engine")));
                add_term(out, term, str_text(&text));
        }
}

void part_machine(struct str *out, const json_t *document)
{
        static const struct {
                const char *name, *term;
        } texts[] = {{"processor", "Processor"}, {"kernel", "Kernel"}, {"os", "System"}, {"virtualization", "Virtualization"}, {"root", "Root folder"}, {"filesystem", "File system"}};
        const json_t *machine = json_object_get(document, "machine"), *tool;
        size_t i;

        part_begin(out, "machine", "The machine and its tools", NULL);
        str_add(out, "<dl>\n");
        for (size_t j = 0; j < array_length(texts); j++)
                add_term(out, texts[j].term, document_text(machine, texts[j].name));
        add_sizes(out, machine);
        add_term(out, "cowherd", document_text(document, "version"));
        json_array_foreach(json_object_get(document, "tools"), i, tool)
                add_term(out, document_text_or_empty(tool, "name"), document_text(tool, "version"));
        add_images(out, document);
        str_add(out, "</dl>\n");
        part_end(out);
}

void part_repeat(struct str *out, const json_t *document)
{
        const char *command = document_text(document, "command");

        part_begin(out, "repeat", "How to repeat it",
                   "On any machine, as root. It uses names of its own, touches nobody’s instances and leaves nothing behind. "
                   "Ratios carry over to other machines; milliseconds don’t.");
        str_add(out, "<pre><code>");
        markup_text(out, command == NULL ? "cowherd compare" : command);
        str_add(out, "</code></pre>\n");
        part_end(out);
}
