/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this room: the parts of the page, each of which writes its section, or nothing where the document has nothing for it. */
#pragma once

#include "report/document.h"
#include "report/markup.h"
#include "report/report.h"

/* bars.c: a chart for each kind of figure, ours and the raw tool's beside each other. */
void part_charts(struct str *out, const json_t *document);
/* phases.c: where the time of a start goes. */
void part_phases(struct str *out, const json_t *document);
/* areas.c: a clone beside the full copy that it spares. */
void part_areas(struct str *out, const json_t *document);
/* summary.c: what is to be seen first. */
void part_headlines(struct str *out, const json_t *document);
void part_summary(struct str *out, const json_t *document);
/* tables.c */
void part_isolation(struct str *out, const json_t *document);
void part_technology(struct str *out, const json_t *document);
void part_setup(struct str *out, const json_t *document);
/* method.c */
void part_left_out(struct str *out, const json_t *document);
void part_method(struct str *out, const json_t *document);
void part_machine(struct str *out, const json_t *document);
void part_repeat(struct str *out, const json_t *document);
/* changes.c: what changed since an earlier run. */
void part_changes(struct str *out, const struct report_changes *changes);

/* Begins a section: <section id=…> with its heading and an explanation, which is markup of ours (NULL: none). Ends with part_end. */
void part_begin(struct str *out, const char *id, const char *heading, const char *explanation);
void part_end(struct str *out);
/* A cell of a table that becomes a card on a phone: what its column is called stands before it there. */
void part_cell(struct str *out, const char *column, const char *text);

/* page.c's style sheet, embedded from style.css. */
extern const char report_style[];
