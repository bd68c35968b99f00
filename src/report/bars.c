/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bar charts. A bar is an SVG as wide as the screen lets it be, drawn in percent, and all text stands beside it as text: so
 * letters keep their size on a phone, nothing is stretched, and what can't see pictures still reads every figure.
 */
#include "report/parts.h"

#include "report/scale.h"

#include <math.h>
#include <stdio.h>

struct kind {
        const char *figure, *heading, *note; /* note: of ours, plain text */
};

/* In the order in which a reader asks. What a document has besides comes after these, under its own title. */
static const struct kind kinds[] = {
        {"clone", "A clone, inside one process", "From the request until the clone is there and remembered. What stands on each side is told under “How each figure was measured”."},
        {"clone_process", "A clone, as a whole command", "Both sides are a program that starts, makes the clone and ends."},
        {"burst", "Many clones at once, each", "The time of the whole burst, divided by the number of clones in it."},
        {"start", "Start", "From the request until the engine runs it."},
        {"ready", "Start until ready", "From the request until its init or its agent says that it is up."},
        {"first_command", "Start until the first command has answered", "From the request until a command has ended inside."},
        {"job", "A new clone, and one command in it", "Without waiting until it is ready. The raw tool boots nothing: its command is all that runs."},
        {"throwaway", "A new clone, one command in it, and the clone gone", "The same, with what was made taken away again."},
        {"live_clone", "A live clone’s first command", "It wakes in its base’s memory instead of booting."},
        {"bytes_allocated", "Bytes on disk of one clone", "Blocks that the clone has for itself."},
        {"bytes_apparent", "What ls shows of one clone", "Lengths of the clone’s own files, holes included."},
        {"memory", "Memory of a running clone", "What it takes from the host while it runs and does nothing."},
};

static void add_grid(struct str *out, const struct scale *scale, int height)
{
        for (size_t i = 0; i < scale->tick_count; i++)
                str_addf(out, "<line class=\"grid\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"0\" y2=\"%d\"/>", scale_position(scale, scale->ticks[i]),
                         scale_position(scale, scale->ticks[i]), height);
}

/* One bar with its whisker from p05 to p95. */
static void add_bar(struct str *out, const struct scale *scale, const struct spread *spread, const char *class)
{
        double low = scale_position(scale, spread->low), high = scale_position(scale, spread->high);

        str_add(out, "<svg class=\"bar\" width=\"100%\" height=\"20\" aria-hidden=\"true\">");
        add_grid(out, scale, 20);
        str_addf(out, "<rect class=\"%s\" x=\"0\" y=\"3\" width=\"%.2f%%\" height=\"14\" rx=\"2\"/>", class, scale_position(scale, spread->median));
        if (spread->has_range && high - low > 0.3)
                str_addf(out,
                         "<line class=\"whisker\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"10\" y2=\"10\"/>"
                         "<line class=\"whisker\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"6\" y2=\"14\"/>"
                         "<line class=\"whisker\" x1=\"%.2f%%\" x2=\"%.2f%%\" y1=\"6\" y2=\"14\"/>",
                         low, high, low, low, high, high);
        str_add(out, "</svg>");
}

static void add_row(struct str *out, const struct scale *scale, const struct spread *spread, const char *who, const char *class)
{
        char value[MARKUP_VALUE_BYTES];

        str_addf(out, "<div class=\"row %s\">", class);
        markup_element(out, "span", "who", who);
        add_bar(out, scale, spread, class);
        markup_element(out, "span", "value", markup_value(scale->is_bytes, spread->median, value));
        str_add(out, "</div>\n");
}

static void add_axis(struct str *out, const struct scale *scale)
{
        char text[MARKUP_VALUE_BYTES];

        str_add(out, "<div class=\"row axis\" aria-hidden=\"true\"><span class=\"who\"></span><svg width=\"100%\" height=\"18\">");
        for (size_t i = 0; i < scale->tick_count; i++) {
                double at = scale_position(scale, scale->ticks[i]);
                str_addf(out, "<text x=\"%.2f%%\" y=\"13\" text-anchor=\"%s\">", at, at < 4 ? "start" : at > 96 ? "end" : "middle");
                markup_text(out, markup_tick(scale->is_bytes, scale->ticks[i], text));
                str_add(out, "</text>");
        }
        str_add(out, "</svg><span class=\"value\"></span></div>\n");
}

static void add_group(struct str *out, const struct scale *scale, const struct figure *figure)
{
        char ratio[MARKUP_VALUE_BYTES];

        str_addf(out, "<div class=\"group\"><p class=\"pair %s\">", markup_class(figure->engine));
        markup_pair(out, figure->engine, figure->store);
        if (figure->raw.known && markup_ratio(figure->is_bytes, figure->ours.median, figure->raw.median, ratio)[0] != '\0')
                markup_element(out, "span", figure->ours.median * 1.05 < figure->raw.median ? "ratio better" : "ratio", ratio);
        str_add(out, "</p>\n");
        add_row(out, scale, &figure->ours, "cowherd", markup_class(figure->engine));
        if (figure->raw.known)
                add_row(out, scale, &figure->raw, figure->raw_name, "raw");
        str_add(out, "</div>\n");
}

static void see(const struct spread *spread, double *least, double *most)
{
        if (!spread->known)
                return;
        if (spread->median > 0 && (*least <= 0 || spread->median < *least))
                *least = spread->median;
        if (spread->median > 0 && spread->low > 0 && spread->low < *least)
                *least = spread->low;
        *most = fmax(*most, spread->high);
}

static bool find_range(const json_t *document, const char *kind, struct scale *ret)
{
        struct figure figure;
        double least = 0, most = 0;
        bool is_bytes = false, found = false;

        for (size_t i = 0; document_figure_at(document, i, &figure); i++) {
                if (!figure.ours.known || !str_equal(figure.figure, kind))
                        continue;
                see(&figure.ours, &least, &most);
                see(&figure.raw, &least, &most);
                is_bytes = figure.is_bytes;
                found = true;
        }
        *ret = scale_of(is_bytes, least, most);
        return found;
}

static void add_chart(struct str *out, const json_t *document, const struct kind *kind)
{
        struct scale scale;
        struct figure figure;

        if (!find_range(document, kind->figure, &scale))
                return;
        str_add(out, "<figure class=\"chart\"><figcaption>");
        markup_element(out, "h3", NULL, kind->heading);
        str_add(out, "<p class=\"note\">");
        markup_text(out, kind->note);
        if (scale.is_log)
                str_addf(out, " <em>Logarithmic: each mark is %.0f times the one before it.</em>", scale.ticks[1] / scale.ticks[0]);
        str_add(out, "</p></figcaption>\n");
        for (size_t i = 0; document_figure_at(document, i, &figure); i++)
                if (figure.ours.known && str_equal(figure.figure, kind->figure))
                        add_group(out, &scale, &figure);
        add_axis(out, &scale);
        str_add(out, "</figure>\n");
}

/* Whether it is the first of a kind that this program has no heading for. */
static bool is_first_unknown(const json_t *document, size_t index, const struct figure *figure)
{
        struct figure before;

        for (size_t i = 0; i < array_length(kinds); i++)
                if (str_equal(kinds[i].figure, figure->figure))
                        return false;
        for (size_t i = 0; i < index && document_figure_at(document, i, &before); i++)
                if (before.ours.known && str_equal(before.figure, figure->figure))
                        return false;
        return figure->ours.known;
}

void part_charts(struct str *out, const json_t *document)
{
        struct figure figure;

        if (!document_figure_at(document, 0, &figure))
                return;
        part_begin(out, "charts", "Side by side",
                   "Bars are medians, thin lines reach from the 5th to the 95th percentile. "
                   "<span class=\"key raw\"></span>&#160;grey is the raw tool, measured in turn with ours in the same run.");
        for (size_t i = 0; i < array_length(kinds); i++)
                add_chart(out, document, &kinds[i]);
        for (size_t i = 0; document_figure_at(document, i, &figure); i++)
                if (is_first_unknown(document, i, &figure))
                        add_chart(out, document, &(struct kind){figure.figure, figure.title, ""});
        part_end(out);
}
