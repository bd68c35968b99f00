/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The picture for a README: the clone of each engine's quickest store beside its raw tool, and what it takes on disk beside a full
 * copy. It has a ground of its own, so that it reads on whatever page it is put, and follows the reader's light or dark.
 */
#include "report/parts.h"

#include "report/scale.h"

#include "sys/file.h"

#include <math.h>
#include <string.h>

#define WIDTH 880
#define LEFT 250.0
#define BARS 400.0
#define ROWS 8

struct line {
        const char *engine, *store, *raw_name;
        double ours, raw;
        bool has_raw;
};

struct panel {
        const char *heading, *note;
        bool is_bytes;
        struct line lines[ROWS];
        size_t count;
};

static const char style[] =
        ".g{fill:#fbfaf7;stroke:#dedbd3}.i{fill:#1d1f24}.s{fill:#5c6370}.l{stroke:#e2e0da}.raw{fill:#b4b8c0}"
        ".qemu{fill:#2563b8}.lxd{fill:#c2540f}.nspawn{fill:#1f8a5f}.other{fill:#7a4fb5}"
        "text{font-family:system-ui,'Segoe UI','DejaVu Sans',sans-serif;font-size:14px}.h{font-size:17px;font-weight:700}"
        ".b{font-weight:600}.m{font-size:12px}"
        "@media(prefers-color-scheme:dark){.g{fill:#1b1e24;stroke:#343943}.i{fill:#e9e7e2}.s{fill:#9da5b2}.l{stroke:#343943}"
        ".raw{fill:#5d6471}.qemu{fill:#6aa8f0}.lxd{fill:#f0965a}.nspawn{fill:#55c595}.other{fill:#b894ec}}";

/* Clones as whole commands where that was measured: then both sides are a process. */
static void fill_time(const json_t *document, struct panel *panel)
{
        struct pair pairs[DOCUMENT_PAIRS];
        size_t count = document_pairs(document, pairs);
        struct figure figure;

        *panel = (struct panel){.heading = "Time of a clone", .note = "medians; a whole command where both sides were measured so"};
        for (size_t i = 0; i < count && panel->count < ROWS; i++)
                if (document_figure_of(document, pairs[i].engine, pairs[i].store, "clone_process", &figure) ||
                    document_figure_of(document, pairs[i].engine, pairs[i].store, "clone", &figure))
                        panel->lines[panel->count++] = (struct line){figure.engine, figure.store, figure.raw_name, figure.ours.median, figure.raw.median, figure.raw.known};
}

static void fill_space(const json_t *document, struct panel *panel)
{
        const json_t *item;
        size_t i;

        *panel = (struct panel){.heading = "Space of a clone", .note = "allocated, beside a full copy that was really made", .is_bytes = true};
        json_array_foreach(json_object_get(document, "space"), i, item) {
                struct line line = {document_text_or_empty(item, "engine"), document_text_or_empty(item, "store"), "full copy", 0, 0, false};
                line.has_raw = document_number(item, "full_copy_bytes", &line.raw);
                if (panel->count < ROWS && document_number(item, "clone_bytes", &line.ours))
                        panel->lines[panel->count++] = line;
        }
}

static struct scale scale_of_panel(const struct panel *panel)
{
        double least = 0, most = 0;

        for (size_t i = 0; i < panel->count; i++) {
                const double values[] = {panel->lines[i].ours, panel->lines[i].has_raw ? panel->lines[i].raw : 0};
                for (size_t j = 0; j < array_length(values); j++) {
                        least = values[j] > 0 && (least <= 0 || values[j] < least) ? values[j] : least;
                        most = fmax(most, values[j]);
                }
        }
        return scale_of(panel->is_bytes, least, most);
}

static void add_bar(struct str *out, const struct scale *scale, double value, const char *class, double y, const char *name)
{
        char text[MARKUP_VALUE_BYTES];
        double width = BARS * scale_position(scale, value) / 100;

        str_addf(out, "<rect class=\"%s\" x=\"%.0f\" y=\"%.0f\" width=\"%.1f\" height=\"13\" rx=\"2\"/><text x=\"%.1f\" y=\"%.0f\" class=\"%s\">", class, LEFT, y,
                 width, LEFT + width + 8, y + 11, name == NULL ? "i b" : "s m");
        markup_text(out, markup_value(scale->is_bytes, value, text));
        if (name != NULL) {
                str_add(out, "  ");
                owned_str char *shown = x_asprintf("%.28s", name);
                markup_text(out, str_is_utf8(shown, strlen(shown)) ? shown : "the raw tool");
        }
        str_add(out, "</text>\n");
}

static double add_panel(struct str *out, const struct panel *panel, double y)
{
        struct scale scale = scale_of_panel(panel);

        if (panel->count == 0)
                return y;
        str_addf(out, "<text x=\"32\" y=\"%.0f\" class=\"i h\">%s</text><text x=\"%.0f\" y=\"%.0f\" class=\"s m\">%s%s</text>\n", y, panel->heading, LEFT, y, panel->note,
                 scale.is_log ? "; logarithmic" : "");
        y += 16;
        for (size_t i = 0; i < panel->count; i++, y += 42) {
                const struct line *line = &panel->lines[i];
                str_addf(out, "<text x=\"%.0f\" y=\"%.0f\" class=\"i\" text-anchor=\"end\">", LEFT - 16, y + (line->has_raw ? 20 : 12));
                markup_pair(out, line->engine, line->store);
                str_add(out, "</text>");
                add_bar(out, &scale, line->ours, markup_class(line->engine), y, NULL);
                if (line->has_raw)
                        add_bar(out, &scale, line->raw, "raw", y + 16, line->raw_name);
        }
        return y + 22;
}

static void add_picture(struct str *out, const json_t *document)
{
        owned_string struct str body = {0};
        struct panel time, space;
        const json_t *machine = json_object_get(document, "machine");

        fill_time(document, &time);
        fill_space(document, &space);
        double y = add_panel(&body, &space, add_panel(&body, &time, 44));
        str_addf(&body, "<text x=\"32\" y=\"%.0f\" class=\"s m\">Measured by cowherd compare", y);
        if (document_text(document, "started") != NULL) {
                str_add(&body, ", ");
                markup_text(&body, document_text(document, "started"));
        }
        const char *where = document_text(machine, "processor");
        if (where != NULL && strlen(where) < 60) {
                str_add(&body, ", ");
                markup_text(&body, where);
        }
        str_add(&body, "</text>\n");
        str_addf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\" height=\"%.0f\" role=\"img\" "
                      "aria-label=\"What a clone costs, measured by cowherd compare\">\n<style>%s</style>\n"
                      "<rect class=\"g\" x=\".5\" y=\".5\" width=\"%d\" height=\"%.0f\" rx=\"14\"/>\n",
                 WIDTH, y + 22, WIDTH, y + 22, style, WIDTH - 1, y + 21);
        str_add(out, str_text(&body));
        str_add(out, "</svg>\n");
}

int report_picture(const json_t *document, const char *path, struct cowherd_error *err)
{
        owned_string struct str picture = {0};

        if (document_check(document, err) < 0)
                return -1;
        add_picture(&picture, document);
        if (file_publish(path, str_text(&picture), 0644, err) < 0)
                return fail_while(err, "writing the picture '%s'", path);
        return 0;
}
