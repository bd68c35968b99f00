/* SPDX-License-Identifier: Apache-2.0 */
/* What changed between two runs, said three times: as a section of the page, as an answer's fields, and as lines for a terminal. */
#include "report/parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COLUMNS 80u

/* What a verdict means, for people. */
static const char *const meanings[] = {
        [REPORT_SAME] = "the same", [REPORT_NOISE] = "noise", [REPORT_BETTER] = "better", [REPORT_WORSE] = "worse",
        [REPORT_MACHINE] = "the machine", [REPORT_NEW] = "new", [REPORT_GONE] = "gone",
};
static const char *const states[] = {
        [REPORT_SAME] = "none", [REPORT_NOISE] = "none", [REPORT_BETTER] = "good", [REPORT_WORSE] = "bad",
        [REPORT_MACHINE] = "half", [REPORT_NEW] = "none", [REPORT_GONE] = "half",
};

static bool has_old(const struct report_change *change)
{
        return change->verdict != REPORT_NEW;
}

static bool has_new(const struct report_change *change)
{
        return change->verdict != REPORT_GONE;
}

/* "-40 %", "×12", or "" where there is no such thing. */
static const char *change_text(const struct report_change *change, char *buffer)
{
        buffer[0] = '\0';
        if (!has_old(change) || !has_new(change) || !(change->old_median > 0))
                return buffer;
        double times = change->new_median / change->old_median, percent = 100 * (times - 1);
        if (times >= 10)
                (void)snprintf(buffer, MARKUP_VALUE_BYTES, "×%.0f", fmin(times, 1e12));
        else
                (void)snprintf(buffer, MARKUP_VALUE_BYTES, fabs(percent) < 0.05 ? "0 %%" : fabs(percent) < 9.95 ? "%+.1f %%" : "%+.0f %%", percent);
        return buffer;
}

static size_t count_of(const struct report_changes *changes, enum report_verdict verdict)
{
        size_t count = 0;

        for (size_t i = 0; i < changes->count; i++)
                count += changes->items[i].verdict == verdict;
        return count;
}

/* "2 better, 1 worse, 20 the same or noise". */
static char *sentence_of(const struct report_changes *changes)
{
        static const enum report_verdict told[] = {REPORT_BETTER, REPORT_WORSE, REPORT_MACHINE, REPORT_NEW, REPORT_GONE};
        owned_string struct str text = {0};

        for (size_t i = 0; i < array_length(told); i++)
                if (count_of(changes, told[i]) > 0)
                        str_addf(&text, "%zu %s, ", count_of(changes, told[i]), meanings[told[i]]);
        str_addf(&text, "%zu the same or noise", count_of(changes, REPORT_SAME) + count_of(changes, REPORT_NOISE));
        return str_take(&text);
}

/* ---- the page ---- */

static void add_row(struct str *out, const struct report_change *change)
{
        char value[MARKUP_VALUE_BYTES];

        str_addf(out, "<tr><th scope=\"row\">");
        markup_text(out, change->title);
        str_addf(out, "<small class=\"pair %s\">", markup_class(change->engine));
        markup_pair(out, change->engine, change->store);
        str_add(out, "</small></th>");
        part_cell(out, "Before", has_old(change) ? markup_value(change->is_bytes, change->old_median, value) : NULL);
        part_cell(out, "Now", has_new(change) ? markup_value(change->is_bytes, change->new_median, value) : NULL);
        part_cell(out, "Change", change_text(change, value)[0] == '\0' ? NULL : value);
        str_addf(out, "<td data-column=\"Verdict\"><span class=\"state %s\">%s</span>", states[change->verdict], meanings[change->verdict]);
        markup_element(out, "small", NULL, change->told_by);
        str_add(out, "</td></tr>\n");
}

void part_changes(struct str *out, const struct report_changes *changes)
{
        owned_str char *sentence = sentence_of(changes);

        part_begin(out, "changes", "What changed since the earlier run",
                   "Noise is what such runs differ by anyway. Where the raw tool, which nobody changed, went the same way by as much, it is the machine that changed.");
        str_add(out, "<p class=\"pair-line\">");
        markup_text(out, sentence);
        if (changes->old_started != NULL) {
                str_add(out, "; before is ");
                markup_text(out, changes->old_started);
        }
        str_add(out, ".</p>\n");
        if (changes->conditions.count > 0)
                str_add(out, "<ul class=\"plain\">\n");
        for (size_t i = 0; i < changes->conditions.count; i++) {
                str_add(out, "<li><span class=\"state half\">differs</span> ");
                markup_text(out, changes->conditions.items[i]);
                str_add(out, "</li>\n");
        }
        str_add(out, changes->conditions.count > 0 ? "</ul>\n" : "");
        str_add(out, "<table class=\"stack\"><thead><tr><th scope=\"col\">Figure</th><th>Before</th><th>Now</th><th>Change</th><th>Verdict</th></tr></thead>\n<tbody>\n");
        for (size_t told = 0; told < 2; told++) /* what changed before what did not */
                for (size_t i = 0; i < changes->count; i++)
                        if ((changes->items[i].verdict <= REPORT_NOISE) == (told == 1))
                                add_row(out, &changes->items[i]);
        str_add(out, "</tbody></table>\n");
        part_end(out);
}

/* ---- an answer ---- */

static void add_number(struct cowherd_answer *answer, const struct report_change *change, const char *ms, const char *bytes, double value)
{
        if (change->is_bytes)
                answer_number(answer, bytes, (uint64_t)value);
        else
                answer_ms(answer, ms, value);
}

void report_changes_answer(const struct report_changes *changes, struct cowherd_answer *answer)
{
        owned_str char *sentence = sentence_of(changes);
        owned_string struct str conditions = {0};

        for (size_t i = 0; i < changes->conditions.count; i++)
                str_addf(&conditions, "%s%s", i > 0 ? "; " : "", changes->conditions.items[i]);
        answer_text(answer, "changes", sentence);
        answer_text(answer, "differs", conditions.length > 0 ? str_text(&conditions) : NULL);
        answer_text(answer, "before", changes->old_started);
        answer_list(answer);
        for (size_t i = 0; i < changes->count; i++) {
                const struct report_change *change = &changes->items[i];
                char text[MARKUP_VALUE_BYTES];
                answer_item(answer);
                answer_text(answer, "engine", change->engine);
                answer_text(answer, "store", change->store);
                answer_text(answer, "figure", change->figure);
                if (has_old(change))
                        add_number(answer, change, "before_ms", "before_bytes", change->old_median);
                if (has_new(change))
                        add_number(answer, change, "now_ms", "now_bytes", change->new_median);
                answer_text(answer, "change", change_text(change, text)[0] == '\0' ? NULL : text);
                answer_text(answer, "verdict", report_verdict_name(change->verdict));
                answer_text(answer, "told_by", change->told_by[0] == '\0' ? NULL : change->told_by);
        }
        answer_items_end(answer);
}

/* ---- lines ---- */

/* Words of a sentence in lines, each begun by an indent. */
static void add_wrapped(struct str *out, const char *text, size_t indent)
{
        size_t column = 0;

        while (*text != '\0') {
                size_t length = strcspn(text, " ");
                if (column > 0 && column + 1 + length > COLUMNS) {
                        str_add_char(out, '\n');
                        column = 0;
                }
                if (column == 0) {
                        str_addf(out, "%*s", (int)indent, "");
                        column = indent;
                } else {
                        str_add_char(out, ' ');
                        column++;
                }
                str_add_bytes(out, text, length);
                column += length;
                text += length + strspn(text + length, " ");
        }
        str_add_char(out, '\n');
}

static void add_line(struct str *out, const struct report_change *change)
{
        char before[MARKUP_VALUE_BYTES] = "-", now[MARKUP_VALUE_BYTES] = "-", text[MARKUP_VALUE_BYTES];
        owned_str char *pair = x_asprintf("%s/%s", change->engine, change->store);
        owned_str char *told = x_asprintf("%s%s%s", meanings[change->verdict], change->told_by[0] == '\0' ? "" : ": ", change->told_by);

        if (has_old(change))
                (void)markup_value(change->is_bytes, change->old_median, before);
        if (has_new(change))
                (void)markup_value(change->is_bytes, change->new_median, now);
        bool times = str_starts(change_text(change, text), "×"); /* two bytes, one column */
        str_addf(out, "%-18.18s %-20.20s %10.12s %10.12s", pair, change->figure, before, now);
        if (text[0] != '\0')
                str_addf(out, " %*s", times ? 9 : 8, text);
        str_add_char(out, '\n');
        add_wrapped(out, told, 4);
}

void report_changes_lines(const struct report_changes *changes, struct str *out)
{
        owned_str char *sentence = sentence_of(changes);

        add_wrapped(out, sentence, 0);
        for (size_t i = 0; i < changes->conditions.count; i++) {
                owned_str char *line = x_asprintf("differs: %s", changes->conditions.items[i]);
                add_wrapped(out, line, 2);
        }
        str_addf(out, "\n%-18s %-20s %10s %10s %8s\n", "", "FIGURE", "BEFORE", "NOW", "CHANGE");
        for (size_t i = 0; i < changes->count; i++)
                if (changes->items[i].verdict != REPORT_SAME)
                        add_line(out, &changes->items[i]);
}
