/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cowherd compare: every engine and store that works here, measured beside the raw tool, in one run. It is a user of the public
 * interface like any other: its herds are its own, in a folder of its own below the caller's root, and all of it is gone
 * when it ends. Measuring is done by a process apart, so that it can be broken off at any moment; what a kill leaves,
 * compare_sweep finds.
 */
#pragma once

#include "base/error.h"
#include "command/answer.h"

#include <stdbool.h>

struct compare_options {
        const char *root;    /* the caller's herd, absolute; nothing in it is changed but for a folder in its tmp/ */
        const char *engine;  /* one alone, or NULL */
        const char *store;   /* one alone, or NULL */
        const char *image;   /* files, folders or bases of the herd, with commas between them, or NULL */
        unsigned clones;     /* in a burst; 0: 100, or 10 where one takes long */
        bool quick;
        bool dry_run;        /* only tells what would be measured */
        const char *json;    /* a file to write the document to, or NULL */
        const char *html;    /* a file to write the report to, or NULL */
        const char *against; /* an earlier document to compare with, or NULL */
        const char *command; /* how this was asked for, for the document */
        cowherd_progress_fn *progress; /* may be NULL */
        void *progress_context;
};

/*
 * Measures and fills in the answer: a list of figures, `report` with the tables, and the document as its JSON. 71 where an engine broke on
 * the way (the others are in the answer all the same), 74 and 75 where there is too little space or memory to begin, 75 where it was
 * interrupted.
 */
int compare_run(const struct compare_options *options, struct cowherd_answer *answer, struct cowherd_error *err) must_check;

/*
 * Takes away what killed comparisons have left below a herd's root: their machines, mounts, pools and folders; with `only_look` they are
 * counted, and nothing is changed. Those still at work, they or a tool of theirs, are left alone and counted in *ret_busy. -1 and the first
 * reason where one could not be taken away; the others are.
 */
int compare_sweep(int root_fd, const char *root, bool only_look, size_t *ret_removed, size_t *ret_busy, struct cowherd_error *err) must_check;

/* Whether a name in a herd's tmp/ is that of a comparison's folder or lock. */
bool compare_is_mark(const char *name);
