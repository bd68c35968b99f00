/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `cowherd compare` measured, for people: one page in one file, a picture for a README, and what changed between two runs.
 * All of it is made of the document that `compare --json` prints; nothing is measured here, and no figure appears that is not
 * in it. Documents are only read, and must pass as one of compare (65).
 */
#pragma once

#include "base/error.h"
#include "base/str.h"
#include "command/answer.h"

#include <jansson.h>

/*
 * Writes the page: HTML that is well-formed XML too, with its style and its SVG pictures inside, nothing fetched from elsewhere and
 * no script. The file is written whole or not at all; one that was there is replaced.
 */
int report_html(const json_t *document, const char *path, struct cowherd_error *err) must_check;
/* The same with a section on what changed since `old`. */
int report_html_against(const json_t *document, const json_t *old, const char *path, struct cowherd_error *err) must_check;
/* Writes the summary as one SVG picture, which reads on light and on dark. */
int report_picture(const json_t *document, const char *path, struct cowherd_error *err) must_check;

/* Reads a document from a file: 66 where there is none, 65 where it is something else. *ret is the caller's (json_decref). */
int report_read(const char *path, json_t **ret, struct cowherd_error *err) must_check;

/* ---- What changed ---- */

enum report_verdict {
        REPORT_SAME,    /* equal, or closer than anybody could tell */
        REPORT_NOISE,   /* it differs, but no more than such runs do */
        REPORT_BETTER,
        REPORT_WORSE,
        REPORT_MACHINE, /* the raw tool changed as much, the same way: it is the machine */
        REPORT_NEW,     /* the old document does not have it */
        REPORT_GONE,    /* the new one does not */
};
const char *report_verdict_name(enum report_verdict verdict);

struct report_change {
        const char *engine, *store, *figure, *title; /* borrowed from the documents */
        bool is_bytes;
        double old_median, new_median; /* of NEW and GONE one of them only */
        enum report_verdict verdict;
        char told_by[160];             /* how the verdict was come by: "Mann-Whitney, p = 0.002, of 60 and 60 runs" */
};
struct report_changes {
        struct report_change *items;
        size_t count;
        struct strv conditions; /* what else differs between the two runs: "kernel: 6.1 before, 6.12 now" */
        char *old_started, *new_started;
};
void report_changes_free(struct report_changes *changes);
define_owned(struct report_changes, report_changes_free)
#define owned_report_changes owned_by(report_changes_free)

/*
 * What changed from `old` to `now`, figure by figure. Where both have five samples or more a Mann-Whitney test tells a change
 * from noise (two-sided, at 1 %), else whether the spreads (p05 to p95) overlap; told_by says which. Borrows from both documents.
 */
int report_against(const json_t *old, const json_t *now, struct report_changes *ret, struct cowherd_error *err) must_check;
/* Adds them to an answer as a list: engine store figure before now change verdict told_by; and a field for each condition that differs. */
void report_changes_answer(const struct report_changes *changes, struct cowherd_answer *answer);
/* The same as lines of at most 80 columns, for people. */
void report_changes_lines(const struct report_changes *changes, struct str *out);
