/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space as areas: a square is the full copy that was really made, the filled square in its corner a clone, both to the same
 * scale. A clone is often a ten-thousandth of a copy and would then be less than a dot: a lens beside it shows that corner
 * enlarged, and says how many times.
 */
#include "report/parts.h"

#include <math.h>
#include <stdio.h>

#define SIDE 120.0
#define SEEN 0.08  /* of the side: what is smaller gets a lens */
#define IN_LENS 30.0

struct space {
        const char *engine, *store;
        double clone, copy, base;
        bool has_base, has_saved;
        double saved;
};

static bool read_space(const json_t *item, struct space *ret)
{
        *ret = (struct space){.engine = document_text_or_empty(item, "engine"), .store = document_text_or_empty(item, "store")};
        ret->has_base = document_number(item, "base_bytes", &ret->base);
        ret->has_saved = document_number(item, "saved_percent", &ret->saved);
        return document_number(item, "clone_bytes", &ret->clone) && document_number(item, "full_copy_bytes", &ret->copy) && ret->copy > 0;
}

static void add_lens(struct str *out, double side)
{
        double times = IN_LENS / side, step = pow(10, floor(log10(times)));

        times = floor(times / step) * step; /* a number that can be said */
        double shown = side * times;
        str_addf(out,
                 "<path class=\"beam\" d=\"M0 %.1fL196 22M6 120L196 118\"/><circle class=\"lens\" cx=\"210\" cy=\"70\" r=\"48\"/>"
                 "<path class=\"inside\" d=\"M186 28.4A48 48 0 0 1 251.6 94H186Z\"/>"
                 "<path class=\"edge\" d=\"M186 28.4V94H251.6\"/><rect class=\"clone\" x=\"186\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>"
                 "<text class=\"times\" x=\"214\" y=\"48\" text-anchor=\"middle\">%.0f×</text>",
                 SIDE - 6, 94 - shown, shown, shown, times);
}

static void add_square(struct str *out, const struct space *space)
{
        double side = SIDE * sqrt(fmin(1, space->clone / space->copy));

        str_addf(out, "<svg class=\"area %s\" viewBox=\"-1 -1 262 122\" aria-hidden=\"true\">", markup_class(space->engine));
        str_addf(out, "<rect class=\"copy\" x=\"0\" y=\"0\" width=\"%.0f\" height=\"%.0f\" rx=\"2\"/>", SIDE, SIDE);
        if (space->clone > 0)
                str_addf(out, "<rect class=\"clone\" x=\"0\" y=\"%.3f\" width=\"%.3f\" height=\"%.3f\"/>", SIDE - side, side, side);
        if (space->clone > 0 && side < SEEN * SIDE)
                add_lens(out, side);
        str_add(out, "</svg>");
}

/* "99.99 %" with as many nines as were measured, never rounded up to 100. */
static void add_saved(struct str *out, double saved)
{
        int decimals = saved >= 99.9 ? 3 : saved >= 99 ? 2 : saved >= 10 ? 1 : 0;
        double unit = pow(10, decimals);

        str_addf(out, "%.*f&#160;%%", decimals, floor(fmin(saved, 100) * unit + 1e-6) / unit);
}

static void add_card(struct str *out, const struct space *space)
{
        char value[MARKUP_VALUE_BYTES];

        str_addf(out, "<figure class=\"card\"><p class=\"pair %s\">", markup_class(space->engine));
        markup_pair(out, space->engine, space->store);
        str_add(out, "</p>");
        add_square(out, space);
        str_add(out, "<figcaption>");
        if (space->has_saved) {
                str_add(out, "<p class=\"big\">");
                add_saved(out, space->saved);
                str_add(out, " <small>saved</small></p>");
        }
        markup_element(out, "b", NULL, markup_value(true, space->clone, value));
        str_add(out, " a clone, ");
        markup_text(out, markup_value(true, space->copy, value));
        str_add(out, " a full copy");
        if (space->clone > 0 && space->copy / space->clone >= 2) {
                str_add(out, ": ");
                str_add(out, markup_count(floor(space->copy / space->clone), value));
                str_add(out, " clones in the room of one copy");
        }
        str_add(out, ".</figcaption></figure>\n");
}

void part_areas(struct str *out, const json_t *document)
{
        const json_t *item;
        struct space space;
        bool any = false;
        size_t i;

        json_array_foreach(json_object_get(document, "space"), i, item) {
                if (!read_space(item, &space))
                        continue;
                if (!any) {
                        part_begin(out, "space", "Space",
                                   "The outlined square is a full copy that was really made, the filled one in its corner a clone, as it is "
                                   "before it writes. Areas are to scale; the lens enlarges the corner.");
                        str_add(out, "<div class=\"cards\">\n");
                }
                any = true;
                add_card(out, &space);
        }
        if (any) {
                str_add(out, "</div>\n");
                part_end(out);
        }
}
